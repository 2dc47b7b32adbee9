"""A request to the judge, and what servers differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

from tif.annotate.judge.options import Form, JudgeOptions
from tif.annotate.judge.prompt import SCHEMA, Message

FORMS: Final[tuple[Form, ...]] = get_args(Form)
"""The surest way to an answer in JSON first."""

_FORMATS: Final[dict[Form, object]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "unwanted_words", "strict": True, "schema": SCHEMA},
    },
    "json_object": {"type": "json_object"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a server understands of the options that servers differ in."""

    form: Form = "json_schema"
    limit: str = "max_tokens"
    """The name of the reply's token limit. Newer OpenAI models know only `max_completion_tokens`."""
    temperature: bool = True
    """Whether a temperature may be given. Reasoning models refuse any but their own."""

    def body(self, options: JudgeOptions, messages: list[Message]) -> dict[str, object]:
        """A chat-completions request, as JSON."""
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
