"""Build a request to the judge in the form that its server accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from tif.annotate.judge.options import Form, JudgeOptions
from tif.annotate.judge.prompt import Message, schema

Limit = Literal["max_tokens", "max_completion_tokens"]

FORMS: Final[tuple[Form, ...]] = get_args(Form)
"""Forms of JSON answers, the most reliable first."""


def _format(form: Form, *, types: bool) -> dict[str, object] | None:
    """Return a request's `response_format`; None for plain text."""
    if form == "json_schema":
        named = {"name": "unwanted_words", "strict": True, "schema": schema(types=types)}
        return {"type": "json_schema", "json_schema": named}
    return {"type": "json_object"} if form == "json_object" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The options that a server accepts, where servers differ."""

    form: Form = "json_schema"
    limit: Limit = "max_tokens"
    """The name of the reply's token limit. Newer OpenAI models accept only `max_completion_tokens`."""
    temperature: bool = True
    """Whether the request may set a temperature. Reasoning models accept only their default."""

    def body(self, options: JudgeOptions, messages: list[Message]) -> dict[str, object]:
        """Return a chat-completions request, as JSON."""
        body: dict[str, object] = {
            "model": options.model,
            "messages": messages,
            self.limit: options.max_reply_tokens,
        }
        if options.temperature is not None and self.temperature:
            body["temperature"] = options.temperature
        if (format_ := _format(self.form, types=options.types)) is not None:
            body["response_format"] = format_
        return body


__all__ = ["FORMS", "Dialect"]
