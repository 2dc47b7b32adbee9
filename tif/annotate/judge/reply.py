"""Read the quotes in a judge's reply, which may be fenced, surrounded by prose or cut off. All input is validated."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tif.annotate.align import Quote
from tif.annotate.judge.reasoning import reasoning
from tif.entities import entity_type
from tif.spans import UW

LONGEST: Final = 200_000
"""The most characters of a reply. Only a runaway generation is longer, never a list of quotes."""

_MOST_QUOTES: Final = 5_000
_DEEPEST: Final = 20
"""The deepest nesting of brackets to repair."""

_MOST_WORK: Final = 4_000_000
"""The most characters to read again after brackets that are not JSON. It bounds the time for a reply of only `{"`."""

_FAILURE: Final = 1_000
"""The work of one failure, in characters."""

_DECODER: Final = json.JSONDecoder()
_STARTS: Final = re.compile(r"\{(?=\s*+(?:[\"}]|\Z))|\[(?=\s*+(?:[\"{\[\]\d-]|\Z))")
_TOKENS: Final = re.compile(r"\"(?:[^\"\\]++|\\.)*+(?:\"|\\?\Z)|[{}\[\]]", re.DOTALL)
"""Strings and brackets. A string that is not closed ends with the text: brackets in it are none."""
_REST: Final = re.compile(r"[\w.+-]*+\s*+")
"""What a break leaves behind: nothing, or a part of a number or a word."""

_LABEL: Final = 60
_DRAFT: Final = re.compile(
    r"\b(?:draft|tentative|preliminary|rough|scratch|first (?:try|attempt|guess|pass|version))\b[^.!?\n{}\[\]]{0,30}"
    r"\s*+(?:```\w*\s*+)?\Z",
    re.IGNORECASE,
)
"""The label of a draft, directly before it."""
_FINAL: Final = re.compile(r"\b(?:final|revised|corrected)\b[^.\n:]{0,30}:", re.IGNORECASE)
_ALONE: Final = re.compile(r"\s*+(?:```\w*\s*+)?\[\s*+\]\s*+(?:```\s*+)?")


class ReplyError(Exception):
    """Raised when a reply is unusable. The message goes to the judge and into the record."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The quotes of a reply. `complete` is False if the reply broke off, so that quotes may be missing."""

    quotes: tuple[Quote, ...]
    complete: bool = True


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    text: str
    occurrence: int | None = None
    type: Any = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    unwanted: list[_Item] = Field(max_length=_MOST_QUOTES)

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, value: Any) -> Any:
        return {"unwanted": value} if isinstance(value, list) else value

    @field_validator("unwanted", mode="before")
    @classmethod
    def _bare_strings(cls, value: Any) -> Any:
        return (
            [{"text": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        )


def read(content: str, *, types: bool = False) -> Reply:
    """Return the quotes in a reply.

    The JSON may be the complete reply, in a code fence, or among prose. The last answer counts: reasoning and drafts
    before it do not, and nothing replaces a last answer that cannot be used. If the last answer broke off, the quotes
    before the break are kept. Empty quotes are dropped.

    Args:
        content: the reply.
        types: whether the judge was asked for types. A quote's label is then its type, if that is known.

    Raises:
        ReplyError: if the reply has no usable last answer.
    """
    if len(content) > LONGEST:
        raise ReplyError(f"the reply has {len(content):,} characters, more than any list of quotes")
    content = content.strip()
    if not content:
        raise ReplyError("the reply is empty")
    content = _answering(content)
    if not content.strip():
        raise ReplyError("the reply contains only reasoning")
    last = _last_answer(content)
    try:
        answer = _Answer.model_validate(last.value)
    except ValidationError as error:
        raise ReplyError(_form_fault(error)) from None
    items = [item for item in answer.unwanted if item.text.strip()]
    quotes = tuple(Quote(_text(item.text), item.occurrence, _label(item.type) if types else UW) for item in items)
    return Reply(quotes, complete=last.complete)


def _answering(content: str) -> str:
    """Return a reply with white space in the place of its reasoning."""
    values = [(value.start, value.end) for value in _values(content) if value.complete]
    for start, end in reasoning(content, values):
        content = content[:start] + " " * (end - start) + content[end:]
    return content


def _last_answer(content: str) -> _Value:
    """Return the last answer of a reply without reasoning.

    Raises:
        ReplyError: if there is no answer, or a draft or a promise comes last.
    """
    values = _values(content)
    objects = [value for value in values if value.is_answer]
    lists = [value for value in values if isinstance(value.value, list)]
    if not objects and not lists:
        if not values:
            raise ReplyError("the reply contains no JSON object")
        return values[-1]
    last = (objects or lists)[-1]
    for value in values:
        if value.start > last.start and value.value is None and content[value.start] == "{":
            raise ReplyError("the reply broke off in its last JSON object")
    before = content[max(0, last.start - _LABEL) : last.start]
    if _DRAFT.search(before):
        raise ReplyError("the reply ends with a draft")
    if _FINAL.search(content, last.end):
        raise ReplyError("the reply announces a final answer without a JSON object")
    # Prose may contain `[]` by chance. An object with the key `unwanted` is no chance.
    if last.value == [] and not _ALONE.fullmatch(content):
        raise ReplyError("the reply contains an empty list among prose, and no JSON object")
    return last


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A JSON value in a reply."""

    start: int
    end: int
    """One past the last character that was read."""
    value: Any
    """None for an object or list that broke off before anything usable."""
    complete: bool

    @property
    def is_answer(self) -> bool:
        return isinstance(self.value, dict) and "unwanted" in self.value


def _values(content: str) -> list[_Value]:
    """Return the outermost JSON objects and lists of a text, in order. One that broke off or is malformed is repaired.

    Raises:
        ReplyError: if the text contains too many beginnings of JSON that are none.
    """
    values: list[_Value] = []
    work = at = 0
    for match in _STARTS.finditer(content):
        start = match.start()
        if start < at:
            continue
        try:
            value, at = _DECODER.raw_decode(content, start)
        except json.JSONDecodeError as error:
            work += _FAILURE + error.pos - start
            broken = _broken(content, start, error)
            if broken is not None:
                values.append(broken)
                at = broken.end
        except (ValueError, RecursionError):  # a number of thousands of digits, or brackets without end
            work += 50 * _FAILURE
        else:
            values.append(_Value(start=start, end=at, value=value, complete=True))
        if work > _MOST_WORK:
            raise ReplyError("the reply contains too many brackets that are not JSON")
    return values


def _broken(content: str, start: int, error: json.JSONDecodeError) -> _Value | None:
    """Return an object or list that broke off or is malformed; None for brackets in prose."""
    unterminated = error.msg.startswith("Unterminated")  # the rest of the text is inside a string
    end = len(content) if unterminated else max(error.pos, start + 1)
    value = _repaired(content[start : error.pos])
    if isinstance(value, list) or (isinstance(value, dict) and "unwanted" in value):
        return _Value(start=start, end=end, value=value, complete=False)
    if unterminated or _REST.fullmatch(content, error.pos):
        return _Value(start=start, end=len(content), value=None, complete=False)
    return None


def _repaired(beginning: str) -> Any:
    """Return the value of a JSON text's beginning, closed after its last complete value; None if this fails.

    Args:
        beginning: the text up to the first character that is not JSON.
    """
    stack: list[str] = []
    bounds: list[tuple[int, str]] = []
    for match in _TOKENS.finditer(beginning):
        char, end = match[0], match.end()
        if char in ("{", "["):
            stack.append("}" if char == "{" else "]")
            if len(stack) > _DEEPEST:
                return None
        elif char in ("}", "]"):
            stack.pop()
        if char in ("[", "]", "}") or stack[-1] == "]":
            bounds.append((end, "".join(reversed(stack))))
    for end, closing in reversed(bounds[-50:]):
        try:
            return json.loads(beginning[:end] + closing)
        except ValueError:
            continue
    return None


def _label(type_: object) -> str:
    """Return the label of a quote: its canonical type, or `UW` for anything else."""
    return entity_type(type_) or UW if isinstance(type_, str) else UW


def _text(text: str) -> str:
    """Return a quote as text. JSON may contain half a surrogate pair, which no text does."""
    return text.encode("utf-8", "replace").decode()


def _form_fault(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"the JSON does not have the requested form: {where + ': ' if where else ''}{first['msg']}"


__all__ = ["LONGEST", "Reply", "ReplyError", "read"]
