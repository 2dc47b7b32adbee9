"""The judge's settings, and what servers differ in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from tif.annotate.judge.prompt import SCHEMA, Message
from tif.errors import UsageError

Form = Literal["json_schema", "json_object", "text"]
FORMS: Final[tuple[Form, ...]] = ("json_schema", "json_object", "text")
"""How a server can be made to answer in JSON, the surest first."""

OPENAI: Final = "https://api.openai.com/v1"
_FORMATS: Final[dict[Form, dict[str, Any]]] = {
    "json_schema": {
        "type": "json_schema",
        "json_schema": {"name": "unwanted_words", "strict": True, "schema": SCHEMA},
    },
    "json_object": {"type": "json_object"},
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server understands of the options that servers differ in."""

    form: Form = "json_schema"
    limit: str = "max_tokens"
    """The name of the reply's token limit. Newer OpenAI models know only `max_completion_tokens`."""
    temperature: bool = True
    """Whether a temperature may be given. Reasoning models refuse any but their own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The judge's settings.

    Raises:
        UsageError: for a number that makes no sense.
    """

    model: str
    base_url: str | None = None
    """None: `OPENAI_BASE_URL`, else OpenAI."""
    concurrency: int = 8
    """Requests under way at once."""
    timeout: float = 60.0
    """Seconds for one try, from the first byte sent to the last byte received."""
    max_retries: int = 5
    """Tries after the first, with growing pauses or those that the server asks for in Retry-After."""
    max_reply_tokens: int = 2048
    temperature: float | None = 0.0
    """None: the server's own."""
    response_format: Form | None = None
    """None: found out at the first request."""
    max_tokens_total: int | None = None
    """No new request once this many tokens are spent."""

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise UsageError("no model", where="--model", hint="Name the judge, e.g. --model gpt-4o.")
        for name, least in (("concurrency", 1), ("max_retries", 0), ("max_reply_tokens", 1), ("max_tokens_total", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{value} is below {least}", where="--" + name.replace("_", "-"))
        if not 0 < self.timeout < float("inf"):
            raise UsageError(f"{self.timeout} is no number of seconds", where="--timeout")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise UsageError(f"{self.temperature} is not between 0 and 2", where="--temperature")
        if self.response_format not in (None, *FORMS):
            raise UsageError(f"unknown {self.response_format!r}", where="--response-format")
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UsageError(f"{self.shown_url!r} is no http address", where="--base-url")

    @property
    def url(self) -> str:
        """The endpoint."""
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI

    @property
    def shown_url(self) -> str:
        """The endpoint without the user name, password or query that an address may hold."""
        url = urlsplit(self.url)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def outcome(self) -> dict[str, Any]:
        """The settings that a reply depends on."""
        return {
            "model": self.model,
            "max_reply_tokens": self.max_reply_tokens,
            "temperature": self.temperature,
            "response_format": self.response_format or "auto",
        }

    def body(self, messages: list[Message], dialect: Dialect) -> dict[str, Any]:
        """A chat-completions request."""
        body: dict[str, Any] = {"model": self.model, "messages": messages, dialect.limit: self.max_reply_tokens}
        if self.temperature is not None and dialect.temperature:
            body["temperature"] = self.temperature
        if dialect.form in _FORMATS:
            body["response_format"] = _FORMATS[dialect.form]
        return body


__all__ = ["FORMS", "OPENAI", "Dialect", "Form", "Settings"]
