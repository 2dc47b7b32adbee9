"""Build a request to the judge in the form that its server accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from tif.annotate.judge.options import Form, JudgeOptions
from tif.annotate.judge.prompt import SCHEMA, Message

Limit = Literal["max_tokens", "max_completion_tokens"]

FORMS: Final[tuple[Form, ...]] = get_args(Form)
"""Forms of JSON answers, the most reliable first."""

_FORMATS: Final[dict[Form, object]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "unwanted_words", "strict": True, "schema": SCHEMA},
    },
    "json_object": {"type": "json_object"},
}


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
        if self.form in _FORMATS:
            body["response_format"] = _FORMATS[self.form]
        return body


__all__ = ["FORMS", "Dialect"]
