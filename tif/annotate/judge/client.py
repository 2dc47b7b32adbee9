"""One judge at one endpoint: requests, what the server can do, and which failures end the run."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from tif.annotate.judge.cache import JudgeCache, Usage, digest
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.settings import FORMS, OPENAI, Dialect, Settings
from tif.annotate.judge.transport import Transport
from tif.errors import ServerError, UsageError

_SAVED: Final = " What is finished is kept."


class AskError(Exception):
    """Raised when one request has no usable outcome. The message goes into the record."""


class RefusedError(AskError):
    """Raised when a server does not take a request as it is."""


class GarbledError(AskError):
    """Raised when a reply is no chat completion. The same request may well succeed another time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply's text, and why it ended (`stop`, `length`, ...)."""

    content: str
    finish: str


class Asker(Protocol):
    """Whoever answers the judge's questions: an endpoint, or the replies of a finished batch."""

    async def ask(self, messages: list[Message]) -> Answer:
        """The reply to a chat. Raises `AskError`."""
        ...

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Called for an answer that turned out usable."""
        ...

    def observed(self) -> dict[str, Any]:
        """What was found out about the server."""
        ...

    async def close(self) -> None:
        """Called when nothing more will be asked."""
        ...


def client(settings: Settings) -> openai.AsyncOpenAI:
    """The `openai` client. It alone retries, and honours Retry-After.

    Raises:
        UsageError: if there is no key where one is needed.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if not key and settings.url.rstrip("/") == OPENAI:
        raise UsageError(
            "no API key",
            where="OPENAI_API_KEY",
            hint="Set that variable, or name a server that needs none: --base-url.",
        )
    if not key.isascii() or any(char.isspace() for char in key):
        raise UsageError("the key holds what no HTTP header can", where="OPENAI_API_KEY", hint="Was it copied whole?")
    return openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=settings.url,
        max_retries=settings.max_retries,
        timeout=settings.timeout,
        http_client=openai.DefaultAsyncHttpxClient(transport=Transport(settings.timeout, settings.concurrency)),
    )


class ReplyMessage(BaseModel):
    """The message of a completion."""

    content: str | None = None
    refusal: str | None = None


class ReplyChoice(BaseModel):
    """One answer of a completion."""

    message: ReplyMessage
    finish_reason: str | None = None


class ReplyTokens(BaseModel):
    """The tokens that a completion cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(BaseModel):
    """What is read of a chat completion."""

    choices: list[ReplyChoice] = Field(min_length=1)
    usage: ReplyTokens | None = None

    def spent(self) -> Usage:
        """One answered request and its tokens."""
        tokens = self.usage or ReplyTokens()
        return Usage(1, max(0, tokens.prompt_tokens), max(0, tokens.completion_tokens))

    def answer(self) -> Answer:
        """The reply.

        Raises:
            AskError: if the judge refused.
        """
        choice = self.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise AskError(f"the judge refused: {short(choice.message.refusal or 'content filter')}")
        return Answer(choice.message.content or "", choice.finish_reason or "stop")


class Endpoint:
    """A live server, asked through the cache.

    What the server understands is found out with the first request, while the others wait: its form of JSON answers,
    the name of its token limit, whether it takes a temperature. After that nothing is tried out any more.

    Args:
        settings: the judge's settings.
        cache: replies and usage.
        key: what the cached replies depend on besides the messages.
    """

    def __init__(self, settings: Settings, cache: JudgeCache, key: dict[str, Any]) -> None:
        self._settings = settings
        self._cache = cache
        self._key = key
        self._client = client(settings)
        self._brief = self._client.with_options(max_retries=min(1, settings.max_retries))
        self._negotiation = asyncio.Lock()
        self._alone = True
        self._dialect: Dialect | None = None
        self._failures = 0
        self._answered = False

    async def ask(self, messages: list[Message]) -> Answer:
        """A cached reply, or the server's.

        Raises:
            AskError: if this request failed after all retries.
            ServerError: if no request can succeed: a refused key, an unknown model, a server that is not there.
        """
        found = self._cache.get(self._cache_key(messages))
        if found is not None:
            self._cache.count(Usage(cached_replies=1))
            return Answer(*found)
        if self._dialect is None and self._alone:
            async with self._negotiation:
                if self._dialect is None and self._alone:
                    try:
                        return await self._negotiate(messages)
                    finally:
                        # If this request failed, each of the others finds out for itself: none waits for its turn.
                        self._alone = False
        if self._dialect is None:
            return await self._negotiate(messages)
        return await self._request(messages, self._dialect)

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Put a usable answer into the cache."""
        self._cache.put(self._cache_key(messages), answer.content, answer.finish)

    async def learn(self, messages: list[Message]) -> None:
        """Find out what the server understands, whatever the cache holds. The reply is not kept."""
        await self._negotiate(messages)

    @property
    def dialect(self) -> Dialect | None:
        """What the server understands; None before the first answer."""
        return self._dialect

    def observed(self) -> dict[str, Any]:
        """The server's address and dialect."""
        found: dict[str, Any] = {"base_url": self._settings.shown_url}
        if self._dialect is not None:
            found["response_format"] = self._dialect.form
            found["temperature_taken"] = self._dialect.temperature
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _negotiate(self, messages: list[Message]) -> Answer:
        """Ask, stepping down until the server takes the request, and remember what it took."""
        only = self._settings.response_format
        forms = (only,) if only else FORMS
        dialect = Dialect(form=forms[0])
        while True:
            last = dialect.form == forms[-1]
            try:
                answer = await self._request(messages, dialect, probing=not last)
            except RefusedError as refused:
                complaint = str(refused)
                if "max_completion_tokens" in complaint and dialect.limit == "max_tokens":
                    dialect = replace(dialect, limit="max_completion_tokens")
                elif "temperature" in complaint and dialect.temperature and self._settings.temperature is not None:
                    dialect = replace(dialect, temperature=False)
                elif not last:
                    dialect = replace(dialect, form=forms[forms.index(dialect.form) + 1])
                elif self._answered:
                    raise
                else:
                    # Some servers say so to everything, e.g. to a wrong model's name, and never took a request yet.
                    raise self._failed(complaint) from None
                continue
            self._dialect = self._dialect or dialect
            return answer

    async def _request(self, messages: list[Message], dialect: Dialect, *, probing: bool = False) -> Answer:
        limit = self._settings.max_tokens_total
        if limit is not None and (spent := self._cache.usage().tokens) >= limit:
            raise AskError(f"not asked: {spent:,} tokens are spent, and --max-tokens-total is {limit:,}")
        body = self._settings.body(messages, dialect)
        try:
            if probing:
                # A server that answers 500 to a schema does so every time: one more try tells that from a hiccup.
                try:
                    raw = await self._post(self._brief, body)
                except (openai.RateLimitError, openai.APIConnectionError):
                    raw = await self._post(self._client, body)
            else:
                raw = await self._post(self._client, body)
        except openai.APIConnectionError as error:
            raise self._unreached(error) from None
        except openai.APIStatusError as error:
            raise self._rejected(error, probing) from None
        self._answered, self._failures = True, 0
        try:
            completion = Completion.model_validate_json(raw.content)
        except ValidationError:
            raise GarbledError(f"the reply is no chat completion: {short(raw.text)}") from None
        self._cache.count(completion.spent())
        return completion.answer()

    @staticmethod
    async def _post(client: openai.AsyncOpenAI, body: dict[str, Any]) -> httpx2.Response:
        # `chat.completions.create` walks the whole body through its type hints, which costs more than all the rest.
        return await client.post("/chat/completions", body=body, cast_to=httpx2.Response)

    def _unreached(self, error: openai.APIConnectionError) -> Exception:
        if isinstance(error, openai.APITimeoutError):
            return self._failed(f"no reply within {self._settings.timeout:g} s")
        reason = str(error.__cause__ or "") or type(error.__cause__ or error).__name__
        if not self._answered and isinstance(error.__cause__, httpx2.ConnectError):
            return ServerError(
                "no server answers", where=self._settings.shown_url, why=reason, hint="Check --base-url."
            )
        return self._failed(f"the connection broke: {reason}")

    def _rejected(self, error: openai.APIStatusError, probing: bool) -> Exception:
        status, said, where = error.status_code, self._said(error), self._settings.shown_url
        if status in (401, 403):
            hint = "Set OPENAI_API_KEY to a key that may use this model." + _SAVED
            return ServerError(f"the server refuses the key with status {status}", where=where, hint=hint)
        if status == 404:
            hint = "Check --model and --base-url, which mostly ends in /v1." + _SAVED
            return ServerError(
                f"no model {self._settings.model!r}, or no such address", where=where, why=said, hint=hint
            )
        if status == 429 and error.code == "insufficient_quota":
            hint = "Pay the bill, or wait; then run the same command." + _SAVED
            return ServerError("the account's quota is used up", where=where, why=said, hint=hint)
        if status in (400, 422):
            return RefusedError(f"the server refused the request with status {status}: {said}")
        if probing and status >= 500:
            return RefusedError(f"the server failed with status {status}: {said}")
        return self._failed(f"the server answered with status {status}: {said}")

    def _failed(self, why: str) -> Exception:
        """One record's failure, or the run's when so many came in a row that the server must be down."""
        self._failures += 1
        patience = max(16, 2 * self._settings.concurrency)
        if self._failures < patience:
            return AskError(why)
        return ServerError(
            f"{patience} requests in a row failed",
            where=self._settings.shown_url,
            why=why,
            hint=f"Run the same command with --retry-failed when the server is well.{_SAVED}",
        )

    def _said(self, error: openai.APIStatusError) -> str:
        """The server's own words, without the key that some servers repeat."""
        body = error.body
        said = body.get("message") if isinstance(body, dict) else body
        return short(said if isinstance(said, str) else error.response.text)

    def _cache_key(self, messages: list[Message]) -> str:
        return digest({**self._key, "messages": messages})


def short(text: str, longest: int = 200) -> str:
    """A server's text for a line: no line breaks, no more than a reader needs, and never the key, which some servers
    repeat."""
    key = os.environ.get("OPENAI_API_KEY", "")
    line = " ".join((text.replace(key, "***") if key else text)[: 2 * longest].split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


__all__ = [
    "Answer",
    "AskError",
    "Asker",
    "Completion",
    "Endpoint",
    "GarbledError",
    "RefusedError",
    "ReplyChoice",
    "ReplyMessage",
    "ReplyTokens",
    "client",
    "short",
]
