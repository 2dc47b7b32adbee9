"""Read the quotes in a judge's reply, which may be fenced, surrounded by prose or cut off. All input is validated."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tif.annotate.align import Quote
from tif.spans import UW

LONGEST: Final = 200_000
"""The most characters of a reply. Only a runaway generation is longer, never a list of quotes."""

_MOST_QUOTES: Final = 5_000
_MOST_STARTS: Final = 200
"""The most braces to try as the start of an object. It bounds the time for a reply of nothing but `{`."""

_DEEPEST: Final = 20
"""The deepest nesting of brackets to repair."""


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


def read(content: str) -> Reply:
    """Return the quotes in a reply.

    The JSON may be the complete reply, in a code fence, or among prose. If the reply broke off, the quotes before the
    break are kept. Empty quotes are dropped.

    Raises:
        ReplyError: if the reply has no usable JSON.
    """
    if len(content) > LONGEST:
        raise ReplyError(f"the reply has {len(content):,} characters, more than any list of quotes")
    content = re.sub(r"<think>.*?(</think>|$)", "", content, flags=re.DOTALL).strip()
    if not content:
        raise ReplyError("the reply is empty")
    fault = "the reply contains no JSON object"
    for value, complete in _values(content):
        try:
            answer = _Answer.model_validate(value)
        except ValidationError as error:
            fault = _form_fault(error)
            continue
        quotes = [Quote(item.text, item.occurrence, UW) for item in answer.unwanted if _is_text(item.text)]
        return Reply(tuple(quotes), complete=complete)
    raise ReplyError(fault)


def _values(content: str) -> list[tuple[Any, bool]]:
    """Return the JSON values in a text, the likeliest first, and whether each is complete."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    broken: list[int] = []
    at = -1
    for match in itertools.islice(re.finditer(r"[{\[]", content), _MOST_STARTS):
        if match.start() < at:
            continue
        try:
            value, at = decoder.raw_decode(content, match.start())
        except (ValueError, RecursionError):
            broken.append(match.start())
        else:
            values.append(value)
    answers = [(value, True) for value in values if isinstance(value, dict) and "unwanted" in value]
    repaired = [(value, False) for start in broken[:5] if (value := _repaired(content[start:])) is not None]
    # The items of a list that broke off are complete values too, but each is only a part of the answer.
    return answers + repaired + [(value, True) for value in values if not broken]


def _repaired(broken: str) -> Any:
    """Return the value of a JSON text that broke off, closed after its last complete value; None if this fails."""
    stack: list[str] = []
    bounds: list[tuple[int, str]] = []
    quoted = escaped = False
    for index, char in enumerate(broken):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "{[":
            stack.append("}" if char == "{" else "]")
            if len(stack) > _DEEPEST:
                return None
            if char == "[":
                bounds.append((index + 1, "".join(reversed(stack))))
        elif char in "}]":
            if not stack or stack.pop() != char:
                break
            bounds.append((index + 1, "".join(reversed(stack))))
    for end, closing in reversed(bounds[-50:]):
        try:
            return json.loads(broken[:end] + closing)
        except (ValueError, RecursionError):
            continue
    return None


def _is_text(text: str) -> bool:
    """Return whether a text can contain the quote. JSON may contain half a surrogate pair, which no text does."""
    return bool(text.strip()) and not any("\ud800" <= char <= "\udfff" for char in text)


def _form_fault(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"the JSON does not have the requested form: {where + ': ' if where else ''}{first['msg']}"


__all__ = ["LONGEST", "Reply", "ReplyError", "read"]
