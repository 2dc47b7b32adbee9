"""Send requests to a judge's endpoint, learn what the server accepts, and decide which failures end the run."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol, Self

import httpx2
import openai

from tif.annotate.judge.cache import JudgeCache, ReplyKey, Usage
from tif.annotate.judge.completion import Completion, CompletionError, parse, usage_of
from tif.annotate.judge.dialect import FORMS, Dialect
from tif.annotate.judge.options import OPENAI, Form, JudgeOptions
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.secrets import Secrets
from tif.annotate.judge.transport import MOST_BYTES, BodyError, Transport
from tif.errors import ServerError, UsageError

_SHOWN: Final = 10_000
"""The most bytes of a body that a message is made of."""
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

    @classmethod
    def of(cls, completion: Completion, secrets: Secrets) -> Self:
        """Return the answer in a completion.

        Raises:
            AskError: if the judge refused.
        """
        if completion.refusal is not None:
            raise AskError(f"the judge refused: {secrets.short(completion.refusal)}")
        return cls(secrets.reply(completion.content), secrets.short(completion.finish, 40))


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


def client(options: JudgeOptions, *, most_bytes: int = MOST_BYTES) -> openai.AsyncOpenAI:
    """Create the `openai` client. Only this client retries, and it honours Retry-After. It follows no redirect.

    Args:
        options: the judge's options.
        most_bytes: the most bytes of a reply.

    Raises:
        UsageError: if a required key is missing, or the key, the address, a proxy or certificates cannot be used.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    address = options.address
    if not key and address.url.rstrip("/") == OPENAI:
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
    transport = Transport(address, seconds=options.timeout, concurrency=options.concurrency, most_bytes=most_bytes)
    try:
        return openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=address.url,
            max_retries=options.max_retries,
            timeout=options.timeout,
            http_client=openai.DefaultAsyncHttpxClient(transport=transport, follow_redirects=False, trust_env=False),
        )
    except httpx2.InvalidURL as error:
        raise UsageError(f"{address.shown!r} is not an http address", where="--base-url", why=str(error)) from None


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
        self._secrets = options.secrets
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
        except BodyError as error:
            raise GarbledError(f"the reply {self._secrets.short(str(error))}") from None
        except Exception as error:  # a reply that the client library cannot handle fails its own record only
            reason = self._secrets.short(f"{type(error).__name__}: {error}")
            raise self._failed(f"the request failed unexpectedly: {reason}") from None
        self._answered, self._failures = True, 0
        parsed = parse(raw.content)
        # What was answered has cost tokens, whether or not it can be used.
        self._cache.count(usage_of(parsed))
        try:
            return Answer.of(Completion.of(parsed), self._secrets)
        except CompletionError as error:
            text = self._secrets.short(raw.content[:_SHOWN].decode("utf-8", "replace"))
            raise GarbledError(f"{error}: {text}") from None

    @staticmethod
    async def _post(client: openai.AsyncOpenAI, body: object) -> httpx2.Response:
        # `chat.completions.create` checks the body against its type hints: most of a request's processor time.
        return await client.post("/chat/completions", body=body, cast_to=httpx2.Response)

    def _unreached(self, error: openai.APIConnectionError) -> Exception:
        if isinstance(error, openai.APITimeoutError):
            return self._failed(f"no reply within {self._options.timeout:g} s")
        reason = self._secrets.short(str(error.__cause__ or "") or type(error.__cause__ or error).__name__)
        if not self._answered and isinstance(error.__cause__, httpx2.ConnectError):
            return ServerError("no server answers", where=self._options.shown_url, why=reason, hint="Check --base-url.")
        return self._failed(f"the connection broke: {reason}")

    def _rejected(self, error: openai.APIStatusError, probing: bool) -> Exception:
        status, reason, where = error.status_code, self._reason(error), self._options.shown_url
        if 300 <= status < 400:
            return self._failed(f"the server redirects to {reason or 'nowhere'}; tif follows no redirect")
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

    def _reason(self, error: openai.APIStatusError) -> str:
        """Return the server's message, without the secrets that some servers repeat."""
        message = error.body.get("message") if isinstance(error.body, dict) else error.body
        text = message if isinstance(message, str) else error.response.content[:_SHOWN].decode("utf-8", "replace")
        return self._secrets.short(text)

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


__all__ = [
    "Answer",
    "AskError",
    "Asker",
    "Endpoint",
    "GarbledError",
    "Observed",
    "RefusedError",
    "client",
]
