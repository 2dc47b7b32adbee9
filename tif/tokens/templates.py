"""How prompt and text become the one string that a model sees."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING, Final

from tif.errors import MaskError, UsageError
from tif.options import Written
from tif.spans import Example
from tif.tokens.bounded import bounded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KNOWN: Final = (
    "Known: auto, chat, qa, text, an OpenUnlearning name such as Llama-3.2-1B-Instruct, or a format "
    "string with {prompt} and {text}, each once."
)
TEMPLATE_HELP: Final = (
    "auto, chat, qa, text, an OpenUnlearning preset such as Llama-3.2-1B-Instruct, or a format string with {prompt} "
    "and {text}."
)
"""The help of an option `--template`."""
RENDER_SECONDS: Final = 10.0
"""Longest time for one conversation. A template takes less than a millisecond for most."""
_RENDER_BYTES: Final = 1 << 30

QA: Final = "Question: {prompt}\nAnswer: {text}"
"""The plain template of TOFU's base models."""


@dataclass(frozen=True, slots=True)
class ChatDate(Written):
    """The day that a chat template writes as today's. `ChatDate.of` reads one."""

    day: datetime.date

    @classmethod
    def of(cls, text: str) -> ChatDate:
        """`2025-04-10`, or `10 Apr 2025` as Llama's templates write it.

        Raises:
            UsageError: for anything else.
        """
        for form in ("%Y-%m-%d", "%d %b %Y"):
            try:
                return cls(datetime.datetime.strptime(text, form).date())
            except ValueError:
                continue
        raise UsageError(f"date {text!r} cannot be read", hint="Write it as 2025-04-10.")

    def __str__(self) -> str:
        return self.day.isoformat()

    @property
    def short(self) -> str:
        """`10 Apr 2025`."""
        return self.day.strftime("%d %b %Y")


FIXED_DATE: Final = ChatDate(datetime.date(2024, 7, 26))
"""Today's date for templates that ask the clock. Llama 3's templates name this day where they have no clock."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A chat template's system prompt and date, as another project's configuration gives them."""

    system_prompt: str
    date: ChatDate


_OPEN_UNLEARNING: Final = Preset("You are a helpful assistant.", ChatDate.of("2025-04-10"))
PRESETS: Final = dict.fromkeys(
    ("Llama-3.1-8B-Instruct", "Llama-3.2-1B-Instruct", "Llama-3.2-3B-Instruct"), _OPEN_UNLEARNING
)
"""OpenUnlearning's `template_args` (its `configs/model/NAME.yaml`), by its names."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A sample as the model sees it, and where the sample's text lies in it."""

    string: str
    start: int
    """First code point of the text in `string`."""
    end: int
    """One past its last."""
    shift: int
    """What to add to a position in `string` to get the position in `Example.text`."""
    add_special_tokens: bool
    """False where the template has already written them: a second BOS would move every mask by one."""


@dataclass(frozen=True, slots=True)
class TemplateSpec(Written):
    """Which template is asked for. `TemplateSpec.of` reads one; `Template.of` resolves it for a tokenizer."""

    text: str = "auto"
    """`auto` (chat where the tokenizer has a chat template, else qa), `chat`, `qa` ("Question: ...\\nAnswer: ..."),
    `text` (the text without the prompt), a name of `PRESETS`, or a format string such as
    `[INST] {prompt} [/INST] {text}`."""

    @classmethod
    def of(cls, text: str) -> TemplateSpec:
        """The template that a text names or is.

        Raises:
            UsageError: for a text that is neither a name nor a format string with `{text}`.
        """
        if text in ("auto", "chat", "qa", "text", *PRESETS):
            return cls(text)
        try:
            fields = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError as error:
            raise UsageError(f"template {text!r} cannot be read: {error}", hint=_KNOWN) from None
        if fields.count("text") != 1 or set(fields) - {"prompt", "text"} or fields.count("prompt") > 1:
            raise UsageError(f"{text!r} is no template", hint=_KNOWN)
        return cls(text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Template:
    """A template, resolved for one tokenizer. Made by `Template.of`."""

    spec: str
    """`chat`, `text`, or a format string with `{prompt}` and `{text}`."""
    system_prompt: str | None = None
    """The system message that a chat begins with; None for the chat template's own."""
    date: ChatDate | None = None
    """Today's date for a chat template; None for the template's own, which is `FIXED_DATE` if it asks the clock."""

    @classmethod
    def of(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        spec: TemplateSpec | str = "auto",
        *,
        system_prompt: str | None = None,
        date: ChatDate | None = None,
    ) -> Template:
        """The template that `spec` means for this tokenizer, whose chat template decides what `auto` is.

        Raises:
            UsageError: for a text that is no template (`TemplateSpec.of`), `chat` without a chat template, or a system
                prompt or a date that the template does not write.
        """
        text = str(TemplateSpec.of(spec) if isinstance(spec, str) else spec)
        preset = PRESETS.get(text)
        if text == "auto":
            text = "chat" if tokenizer.chat_template else "qa"
        if (text == "chat" or preset) and not tokenizer.chat_template:
            raise UsageError(f"is {text}, but the tokenizer has no chat template", where="--template", hint="Use qa.")
        if preset:
            given = cls("chat", system_prompt or preset.system_prompt, date or preset.date)
        else:
            given = cls(QA if text == "qa" else text, system_prompt, date)
        for name, plain in (("system_prompt", replace(given, system_prompt=None)), ("date", replace(given, date=None))):
            if preset is None and given != plain:
                given._refuse_idle(name, plain, tokenizer)
        return given

    @property
    def today(self) -> ChatDate:
        """The date that a chat template gets when it asks the clock."""
        return self.date or FIXED_DATE

    @property
    def key(self) -> list[str | None]:
        """Everything about a template that changes the tokens, for the key of a cache."""
        return [self.spec, self.system_prompt, str(self.date) if self.date else None]

    def render(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> Rendered:
        """The string for one example. An example without a prompt is plain text under every template.

        Raises:
            MaskError: for a chat template that rewrites the text, so that spans cannot be carried over.
        """
        if not example.prompt or self.spec == "text":
            return Rendered(example.text, 0, len(example.text), 0, add_special_tokens=True)
        if self.spec == "chat":
            return self._chat(example, tokenizer)
        prefix, suffix = _fill(self.spec, example.prompt)
        return _join(prefix, example.text, suffix, 0, add_special_tokens=True)

    def start(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """The token that a plain text can stand on; None if there is none.

        It is the tokenizer's BOS, else the control token that a chat begins with.
        """
        if tokenizer.bos_token_id is not None:
            return int(tokenizer.bos_token_id)
        if not tokenizer.chat_template:
            return None
        first = tokenizer(self._converse("x", "x", tokenizer), add_special_tokens=False)["input_ids"][0]
        added = tokenizer.added_tokens_decoder.get(first)
        return int(first) if added is not None and added.special else None

    def _chat(self, example: Example, tokenizer: PreTrainedTokenizerBase) -> Rendered:
        # A stand-in for the answer shows where the answer lies: the answer's own words may occur in the prompt, too.
        sentinel = "ANSWER"
        while sentinel in example.prompt or sentinel in (self.system_prompt or ""):
            sentinel += "X"
        prefix, separator, suffix = self._converse(example.prompt, sentinel, tokenizer).partition(sentinel)
        real = self._converse(example.prompt, example.text, tokenizer)
        inner = real[len(prefix) : len(real) - len(suffix)]
        # Some templates strip the content. The text then begins later, and everything else must still be the same.
        lead = len(example.text) - len(example.text.lstrip()) - (len(inner) - len(inner.lstrip()))
        same = real == prefix + inner + suffix and inner.strip() == example.text.strip()
        if not separator or sentinel in suffix or not same or inner != example.text[lead : lead + len(inner)]:
            raise MaskError(
                "the chat template rewrites the text, so spans cannot be carried over",
                where=f"record {example.id!r}",
                hint="Use `--template qa` or a format string of your own.",
            )
        return _join(prefix, inner, suffix, lead, add_special_tokens=False)

    def _converse(self, prompt: str, answer: str, tokenizer: PreTrainedTokenizerBase) -> str:
        turns = [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]
        turns += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        known = {} if self.date is None else {"date_string": self.date.short}
        try:
            chat = tokenizer.get_chat_template()
            if not isinstance(chat, str):
                raise TypeError(f"it is {type(chat).__name__}, not text")
            _refuse_powers(chat)
            if "strftime_now" in chat:
                chat = _stopped_clock(self.today.day) + chat
            with bounded(seconds=RENDER_SECONDS, memory=_RENDER_BYTES):
                return str(tokenizer.apply_chat_template(turns, chat_template=chat, tokenize=False, **known))
        except Exception as error:  # a template is a program of the model's author
            why = {MemoryError: "it needs too much memory", RecursionError: "it calls itself without end"}
            raise MaskError(
                "the chat template cannot be used",
                why=why.get(type(error)) or " ".join(str(error).split())[:200] or type(error).__name__,
                hint="Use `--template qa` or a format string of your own.",
            ) from None

    def _refuse_idle(self, name: str, plain: Template, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise a `UsageError` if the field `name` changes nothing. `plain` is the template without it."""
        flag = "--" + name.replace("_", "-")
        if self.spec != "chat":
            raise UsageError("does nothing here", where=flag, why="it is for a chat template")
        others = [plain]
        if name == "date":
            # One of these days differs in whatever part of a date is written.
            others = [replace(plain, date=ChatDate(self.today.day + datetime.timedelta(days))) for days in (1, 400)]
        try:
            own = self._converse("x", "x", tokenizer)
            same = all(own == other._converse("x", "x", tokenizer) for other in others)
        except MaskError as error:
            raise UsageError("cannot be used with this chat template", where=flag, why=error.why) from None
        if same:
            raise UsageError("does nothing here", where=flag, why="the tokenizer's chat template does not write it")


@cache
def _refuse_powers(chat: str) -> None:
    """Refuse a chat template that computes powers. No template needs them, and one step of them may run for hours."""
    import jinja2

    if any(kind == "operator" and value == "**" for _, kind, value in jinja2.Environment().lex(chat)):
        raise ValueError("it computes a power")


@cache
def _stopped_clock(day: datetime.date) -> str:
    """A macro that a chat template calls in place of transformers' clock, which would give other tokens tomorrow.

    transformers passes no function to a template, so the macro replaces each directive with its text.
    """
    directives = [f"%{padding}{letter}" for padding in ("-", "") for letter in "aAbBcdeHIjmMpSuUVwWxXyYZ"]
    replaced = "".join(f" | replace({d!r}, {day.strftime(d)!r})" for d in directives)
    return "{%- macro strftime_now(format) -%}{{- format" + replaced + " | replace('%%', '%') -}}{%- endmacro -%}"


def _join(prefix: str, text: str, suffix: str, lead: int, *, add_special_tokens: bool) -> Rendered:
    start = len(prefix)
    return Rendered(prefix + text + suffix, start, start + len(text), lead - start, add_special_tokens)


def _fill(spec: str, prompt: str) -> tuple[str, str]:
    """A format string before and after `{text}`, with the prompt in its place."""
    before, here = "", ""
    for literal, name, _, _ in Formatter().parse(spec):
        here += literal
        if name == "prompt":
            here += prompt
        elif name == "text":
            before, here = here, ""
    return before, here


__all__ = ["FIXED_DATE", "PRESETS", "QA", "TEMPLATE_HELP", "ChatDate", "Preset", "Rendered", "Template", "TemplateSpec"]
