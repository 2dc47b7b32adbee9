"""Send requests to a judge's endpoint, learn what the server accepts, and decide which failures end the run."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from tif.annotate.judge.cache import JudgeCache, ReplyKey, Usage
from tif.annotate.judge.dialect import FORMS, Dialect
from tif.annotate.judge.options import OPENAI, Form, JudgeOptions
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.transport import Transport
from tif.errors import ServerError, UsageError

_SAVED: Final = " Finished examples are kept."


class AskError(Exception):
    """Raised when one request has no usable result. The message goes into the record."""


class RefusedError(AskError):
    """Raised when a server refuses the form of a request."""


class GarbledError(AskError):
    """Raised when a reply is not a chat completion. The same request may succeed another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Observations of a run about the server, for the set's provenance."""

    base_url: str
    response_format: Form | None = None
    """The form of JSON answers that the server accepts; None before the first answer."""
    temperature_taken: bool | None = None
    batches: tuple[str, ...] | None = None
    """The batches whose replies were used."""

    def to_json(self) -> dict[str, str | bool | list[str]]:
        """Return the known values."""
        values = asdict(self) | {"batches": None if self.batches is None else list(self.batches)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply's text, and the reason for its end (`stop`, `length`, ...)."""

    content: str
    finish: str


class Asker(Protocol):
    """The source of answers: an endpoint, or the replies of a finished batch."""

    async def ask(self, messages: list[Message]) -> Answer:
        """Return the reply to a chat, or raise `AskError`."""
        ...

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Keep a usable answer."""
        ...

    def observed(self) -> Observed:
        """Return the observations about the server."""
        ...

    async def close(self) -> None:
        """Close the connections after the last question."""
        ...


def client(options: JudgeOptions) -> openai.AsyncOpenAI:
    """Create the `openai` client. Only this client retries, and it honours Retry-After.

    Raises:
        UsageError: if a required key is missing, or cannot be sent.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if not key and options.url.rstrip("/") == OPENAI:
        raise UsageError(
            "no API key",
            where="OPENAI_API_KEY",
            hint="Set this variable, or give --base-url a server that needs no key.",
        )
    if not key.isascii() or any(char.isspace() for char in key):
        raise UsageError(
            "the key contains characters that an HTTP header cannot contain",
            where="OPENAI_API_KEY",
            why="white space or letters outside ASCII",
            hint="Copy the key again.",
        )
    return openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=options.url,
        max_retries=options.max_retries,
        timeout=options.timeout,
        http_client=openai.DefaultAsyncHttpxClient(transport=Transport(options.timeout, options.concurrency)),
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
    """The fields of a chat completion that tif reads."""

    choices: list[ReplyChoice] = Field(min_length=1)
    usage: ReplyTokens | None = None

    def spent(self) -> Usage:
        """Return the usage of one answered request."""
        tokens = self.usage or ReplyTokens()
        return Usage(
            requests=1,
            prompt_tokens=max(0, tokens.prompt_tokens),
            completion_tokens=max(0, tokens.completion_tokens),
        )

    def answer(self) -> Answer:
        """Return the reply.

        Raises:
            AskError: if the judge refused.
        """
        choice = self.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise AskError(f"the judge refused: {short(choice.message.refusal or 'content filter')}")
        return Answer(choice.message.content or "", choice.finish_reason or "stop")


class Endpoint:
    """A live server behind the cache.

    The first request learns what the server accepts, while the others wait: the form of JSON answers, the name of the
    token limit, whether it takes a temperature. Later requests use that form.

    Args:
        options: the judge's options.
        cache: replies and usage.
        key: the settings that the cached replies depend on besides the messages.
    """

    def __init__(self, options: JudgeOptions, cache: JudgeCache, key: ReplyKey) -> None:
        self._options = options
        self._cache = cache
        self._key = key
        self._client = client(options)
        self._brief = self._client.with_options(max_retries=min(1, options.max_retries))
        self._negotiation = asyncio.Lock()
        self._alone = True
        self._dialect: Dialect | None = None
        self._failures = 0
        self._answered = False

    async def ask(self, messages: list[Message]) -> Answer:
        """Return the cached reply, or the server's.

        Raises:
            AskError: if this request failed after all retries.
            ServerError: if no request can succeed: a refused key, an unknown model, a server that does not answer.
        """
        cached = self._cache.get(self._key.of(messages))
        if cached is not None:
            self._cache.count(Usage(cached_replies=1))
            return Answer(*cached)
        if self._dialect is None and self._alone:
            async with self._negotiation:
                if self._dialect is None and self._alone:
                    try:
                        return await self._negotiate(messages)
                    finally:
                        # If this request failed, each of the others negotiates for itself, so that none waits.
                        self._alone = False
        if self._dialect is None:
            return await self._negotiate(messages)
        return await self._request(messages, self._dialect)

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Put a usable answer into the cache."""
        self._cache.put(self._key.of(messages), answer.content, answer.finish)

    async def learn(self, messages: list[Message]) -> None:
        """Ask the server what it accepts, without using the cache. The reply is not kept."""
        await self._negotiate(messages)

    @property
    def dialect(self) -> Dialect | None:
        """The form of requests that the server accepts; None before the first answer."""
        return self._dialect

    def observed(self) -> Observed:
        """Return the server's address and dialect."""
        dialect = self._dialect
        return Observed(
            base_url=self._options.shown_url,
            response_format=dialect.form if dialect else None,
            temperature_taken=dialect.temperature if dialect else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _negotiate(self, messages: list[Message]) -> Answer:
        """Send simpler and simpler forms until the server accepts one, and keep that form."""
        only = self._options.response_format
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
                elif "temperature" in complaint and dialect.temperature and self._options.temperature is not None:
                    dialect = replace(dialect, temperature=False)
                elif not last:
                    dialect = replace(dialect, form=forms[forms.index(dialect.form) + 1])
                elif self._answered:
                    raise
                else:
                    # A server that refuses every form may do so for any fault, such as a wrong model name.
                    raise self._failed(complaint) from None
                continue
            self._dialect = self._dialect or dialect
            return answer

    async def _request(self, messages: list[Message], dialect: Dialect, *, probing: bool = False) -> Answer:
        limit = self._options.max_tokens_total
        if limit is not None and (spent := self._cache.usage().tokens) >= limit:
            raise AskError(f"no request was sent: {spent:,} tokens are spent, --max-tokens-total is {limit:,}")
        body = dialect.body(self._options, messages)
        try:
            if probing:
                # A server that answers 500 to a schema does so every time. One retry rules out a passing fault.
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
            raise GarbledError(f"the reply is not a chat completion: {short(raw.text)}") from None
        self._cache.count(completion.spent())
        return completion.answer()

    @staticmethod
    async def _post(client: openai.AsyncOpenAI, body: object) -> httpx2.Response:
        # `chat.completions.create` checks the body against its type hints: most of a request's processor time.
        return await client.post("/chat/completions", body=body, cast_to=httpx2.Response)

    def _unreached(self, error: openai.APIConnectionError) -> Exception:
        if isinstance(error, openai.APITimeoutError):
            return self._failed(f"no reply within {self._options.timeout:g} s")
        reason = str(error.__cause__ or "") or type(error.__cause__ or error).__name__
        if not self._answered and isinstance(error.__cause__, httpx2.ConnectError):
            return ServerError("no server answers", where=self._options.shown_url, why=reason, hint="Check --base-url.")
        return self._failed(f"the connection broke: {reason}")

    def _rejected(self, error: openai.APIStatusError, probing: bool) -> Exception:
        status, reason, where = error.status_code, _reason(error), self._options.shown_url
        if status in (401, 403):
            hint = "Set OPENAI_API_KEY to a key that may use this model." + _SAVED
            return ServerError(f"the server refuses the key with status {status}", where=where, hint=hint)
        if status == 404:
            hint = "Check --model and --base-url, which usually ends in /v1." + _SAVED
            return ServerError(
                f"the server has no model {self._options.model!r}, or no such address",
                where=where,
                why=reason,
                hint=hint,
            )
        if status == 429 and error.code == "insufficient_quota":
            hint = "Raise the quota or wait, then run the same command." + _SAVED
            return ServerError("the account's quota is used up", where=where, why=reason, hint=hint)
        if status in (400, 422):
            return RefusedError(f"the server refused the request with status {status}: {reason}")
        if probing and status >= 500:
            return RefusedError(f"the server failed with status {status}: {reason}")
        return self._failed(f"the server answered with status {status}: {reason}")

    def _failed(self, why: str) -> Exception:
        """Return the error of one record, or that of the run after too many failures in a row."""
        self._failures += 1
        patience = max(16, 2 * self._options.concurrency)
        if self._failures < patience:
            return AskError(why)
        return ServerError(
            f"{patience} requests in a row failed",
            where=self._options.shown_url,
            why=why,
            hint=f"Run the same command with --retry-failed when the server works again.{_SAVED}",
        )


def _reason(error: openai.APIStatusError) -> str:
    """Return the server's message, without the key that some servers repeat."""
    message = error.body.get("message") if isinstance(error.body, dict) else error.body
    return short(message if isinstance(message, str) else error.response.text)


def short(text: str, longest: int = 200) -> str:
    """Return a server's text as one short line, without the API key, which some servers repeat."""
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
    "Observed",
    "RefusedError",
    "ReplyChoice",
    "ReplyMessage",
    "ReplyTokens",
    "client",
    "short",
]
