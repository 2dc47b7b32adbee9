"""Read a chat completion: its answer, strictly, and what it cost, as far as that can be read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from tif.annotate.judge.cache import Usage

_MOST_TOKENS: Final = 1_000_000_000
"""A higher count is a fault, not a price. The sum of all counts must fit into the cache's 64 bits."""

_THOUGHTS: Final = ("thinking", "reasoning", "redacted_thinking", "summary")
"""Types of content parts that are not the answer."""


class CompletionError(Exception):
    """Raised when a body is not a chat completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The fields of a chat completion that tif reads."""

    content: str
    finish: str = "stop"
    """The reason for its end (`stop`, `length`, ...)."""
    refusal: str | None = None
    """The judge's words if it refused to answer."""

    @classmethod
    def of(cls, body: object) -> Self:
        """Return the completion in a JSON body.

        Raises:
            CompletionError: if the body has another form.
        """
        choices = body.get("choices") if isinstance(body, Mapping) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
            raise CompletionError("the reply is not a chat completion")
        finish = choice.get("finish_reason")
        content, refusal = _content(message.get("content"))
        own = message.get("refusal")
        refusal = own if isinstance(own, str) and own else refusal
        if finish == "content_filter":
            refusal = refusal or "content filter"
        return cls(content=content, finish=finish if isinstance(finish, str) and finish else "stop", refusal=refusal)


def parse(body: bytes) -> object:
    """Return a body's JSON value; None if it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def usage_of(body: object) -> Usage:
    """Return the usage of one answered request, whether or not the answer can be used.

    A count that cannot be read adds nothing. A fraction is rounded up. Tokens that only the total contains, such as
    those of some servers' reasoning, count as completion tokens.
    """
    counts = body.get("usage") if isinstance(body, Mapping) else None
    if not isinstance(counts, Mapping):
        return Usage(requests=1)
    prompt = _count(counts.get("prompt_tokens")) or _count(counts.get("input_tokens"))
    completion = _count(counts.get("completion_tokens")) or _count(counts.get("output_tokens"))
    rest = max(0, _count(counts.get("total_tokens")) - prompt - completion)
    return Usage(requests=1, prompt_tokens=prompt, completion_tokens=completion + rest)


def _count(value: object) -> int:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return 0
    return math.ceil(value)


def _content(value: object) -> tuple[str, str | None]:
    """Return the text of a message's content, and its refusal. Content is text, or a list of typed parts."""
    if value is None:
        return "", None
    if isinstance(value, str):
        return value, None
    parts = [value] if isinstance(value, Mapping) else value
    if not isinstance(parts, list):
        raise CompletionError("the reply's content is not text")
    texts: list[str] = []
    refusal: str | None = None
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind in _THOUGHTS:
            continue
        text = part.get("text") if isinstance(part, Mapping) else part
        text = text.get("value") if isinstance(text, Mapping) else text
        if isinstance(part, Mapping) and isinstance(part.get("refusal"), str):
            refusal = part["refusal"]
        elif isinstance(text, str):
            texts.append(text)
        elif kind == "text":
            raise CompletionError("the reply's content has a part without text")
    return "".join(texts), refusal


__all__ = ["Completion", "CompletionError", "parse", "usage_of"]
