"""Which fields of a record are its prompt, and which is its text.

The usual names are recognised in any case. A field that may be part of the prompt is either used or named in an error:
a prompt that differs from the model's training data would give other tokens without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tif.errors import InputError, kind_of
from tif.readers.chat import CHATS, chat_field
from tif.readers.row import Row

QUESTIONS: Final = ("question", "prompt", "instruction", "query", "input", "q")
"""Names of a field that holds the prompt."""
ANSWERS: Final = ("answer", "response", "output", "completion", "reply", "target", "a")
"""Names of a field that holds the answer to a prompt. These come before `TEXTS`."""
TEXTS: Final = ("text", "content", "document")
"""Names of a field that holds a plain text, or an answer if the record has a prompt."""
CONTEXTS: Final = (
    "context", "passage", "background", "evidence", "system", "system_prompt", "history", "choices", "options",
)  # fmt: skip
"""Names of fields that belong to the prompt in some data sets."""
_ALPACA: Final = ("instruction", "input")
"""Alpaca's prompt: the instruction, and the input under it."""
_DECISIONS: Final = frozenset({"accept", "reject", "ignore"})
"""Values of Prodigy's field `answer`, which is not an answer to a question."""
_OWN: Final = frozenset({"id", "label", "status", "error", "split"})
"""Fields that never hold a question."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields that a user names; None where tif recognises them."""

    prompt: tuple[str, ...] | None = None
    """Joined with line breaks; empty for plain text."""
    text: str | None = None

    @classmethod
    def named(cls, prompt: str | None = None, text: str | None = None) -> Fields:
        """Return the fields that options name: `prompt` may be several with commas, or "" for plain text."""
        if prompt is None:
            return cls(None, text)
        return cls(tuple(name for part in prompt.split(",") if (name := part.strip())), text)

    def chat(self, row: Row) -> str | None:
        """Return the field of a record whose samples are the turns of a chat; None for any other record."""
        if self.prompt is not None or self.text is not None:
            return None
        names = _Names(row)
        return None if names.of((*ANSWERS, *TEXTS)) or names.of(QUESTIONS, filled=True) else chat_field(row)

    def read(self, row: Row) -> tuple[str, str]:
        """Return prompt and text of a record, unchanged.

        Raises:
            InputError: for a missing or ambiguous field, a value that is not text, or an empty text, naming the field.
        """
        names = _Names(row)
        text_name = self.text if self.text is not None else _text_name(names)
        prompt_names = self.prompt if self.prompt is not None else _prompt_names(names, text_name, self.text is None)
        prompt = _joined(row, prompt_names)
        text = _string(row, text_name)
        if not text.strip():
            raise InputError("is empty", where=text_name)
        return prompt, text


class _Names:
    """A record's field names by their recognised form."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.forms: dict[str, str] = {}
        for name in row:
            form = str(name).strip().casefold()
            if form in self.forms and form in (*QUESTIONS, *ANSWERS, *TEXTS):
                raise InputError(
                    f"fields {self.forms[form]!r} and {name!r} differ only in case", hint="Rename one of them."
                )
            self.forms[form] = str(name)

    def of(self, known: Iterable[str], *, filled: bool = False) -> list[str]:
        """Return the record's names for those of `known` that it has, in that order."""
        present = [self.forms[form] for form in known if form in self.forms]
        return [name for name in present if not filled or _filled(self.row[name])]

    def shown(self) -> str:
        return ", ".join(map(str, self.row)) or "none"


def _text_name(names: _Names) -> str:
    texts = names.of(TEXTS)
    answers = [name for name in names.of(ANSWERS) if not (texts and _decides(names.row[name]))]
    if not answers and not texts:
        if chats := names.of(CHATS, filled=True):
            raise InputError(
                "is a chat of several messages, which tif does not read",
                where=chats[0],
                hint="Write each assistant turn as a record of its own, with the messages before it as `prompt`.",
            )
        raise InputError(
            "the text field is not recognised",
            why=f"fields: {names.shown()}",
            hint="Name it with --text-field (and --prompt-field).",
        )
    return ([name for name in answers if _filled(names.row[name])] or answers or texts)[0]


def _prompt_names(names: _Names, text_name: str, recognised: bool) -> tuple[str, ...]:
    """Return the names of the prompt's fields, in order; none for plain text.

    Args:
        names: of the record.
        text_name: the field of the text.
        recognised: whether tif chose `text_name`.
    """
    questions = [name for name in names.of(QUESTIONS) if name != text_name]
    filled = [name for name in questions if _filled(names.row[name])]
    contexts = [name for name in names.of(CONTEXTS, filled=True) if name != text_name]
    contexts += _other_texts(names, text_name, filled) if recognised and filled else []
    if len(filled) > 1 and [name.strip().casefold() for name in filled] != list(_ALPACA) and not _same(names, filled):
        raise InputError(
            f"fields {_listed(filled)} may all hold the prompt",
            hint=f"Give --prompt-field {filled[0]}, or several with commas. tif joins them with line breaks.",
        )
    if contexts:
        one, alone = contexts[0], filled[0] if filled else '""'
        both = ",".join([one, *filled[:1]])
        raise InputError(
            f"field {one!r} may be part of the prompt",
            hint=f"Give --prompt-field {both} to use it, or --prompt-field {alone} to leave it out.",
        )
    if len(filled) > 1:
        return tuple(filled[:1]) if _same(names, filled) else tuple(filled)
    if not questions and recognised and text_name in names.of(ANSWERS):
        _refuse_answer_alone(names, text_name)
    return tuple(filled or questions[:1])


def _other_texts(names: _Names, text_name: str, questions: Sequence[str]) -> list[str]:
    """Return the other fields of `TEXTS`, which may hold a passage that the question is about.

    Alpaca's `text` repeats question and answer, so it is not part of the prompt.
    """
    parts = [names.row[name] for name in (*questions, text_name)]
    others = [name for name in names.of(TEXTS, filled=True) if name != text_name]
    return [name for name in others if not _repeats(names.row[name], parts)]


def _repeats(text: object, parts: Collection[object]) -> bool:
    return isinstance(text, str) and all(isinstance(part, str) and part.strip() in text for part in parts)


def _refuse_answer_alone(names: _Names, text_name: str) -> None:
    """Raise an `InputError` if a record has an answer, no recognised question, and another text that may be it."""
    others = [
        str(name)
        for name, value in names.row.items()
        if name != text_name and isinstance(value, str) and value.strip() and str(name).strip().casefold() not in _OWN
    ]
    if others:
        raise InputError(
            f"field {text_name!r} answers a question, but no field is recognised as the question",
            why=f"fields: {names.shown()}",
            hint=f'Name the question with --prompt-field, or give --prompt-field "" if {text_name!r} is plain text.',
        )


def _decides(value: object) -> bool:
    return isinstance(value, str) and value in _DECISIONS


def _same(names: _Names, chosen: Sequence[str]) -> bool:
    return all(names.row[name] == names.row[chosen[0]] for name in chosen)


def _filled(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else value is not None and value != [] and value != {}


def _joined(row: Row, chosen: Sequence[str]) -> str:
    if len(chosen) == 1:
        return _string(row, chosen[0])
    parts = [_string(row, name) for name in chosen if name not in row or row[name] is not None]
    return "\n".join(part for part in parts if part.strip())


def _string(row: Row, name: str) -> str:
    if name not in row:
        raise InputError(f"no field {name!r}", why=f"fields: {', '.join(map(str, row)) or 'none'}")
    value = row[name]
    if not isinstance(value, str):
        raise InputError(f"is {kind_of(value)}, not text", where=name)
    return value


def _listed(chosen: Sequence[str]) -> str:
    quoted = [repr(name) for name in chosen]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


__all__ = ["ANSWERS", "CONTEXTS", "QUESTIONS", "TEXTS", "Fields"]
