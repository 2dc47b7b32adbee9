"""Run the judge through a Batch API, at half the price and within a day: submit, look at the status, fetch.

Each step saves its result before the next begins, so a killed step can be repeated. No request is sent twice, and no
paid reply is lost. A request's `custom_id` is the digest of its content. It identifies the record of each reply, since
replies come in any order. Only requests without a reply are submitted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import openai

from tif import files
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.batch_replies import BatchAsker, BatchReply, replies_in
from tif.annotate.judge.client import AskError, Endpoint, client
from tif.annotate.judge.dialect import Dialect
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.secrets import Secrets
from tif.annotate.judge.transport import BodyError
from tif.errors import PartialError, ServerError, StoreError
from tif.spans import Example

MOST_REQUESTS: Final = 20_000
MOST_BYTES: Final = 190_000_000
"""The API takes files of 50,000 requests and 200 MB. Smaller files leave room, and their replies fit into memory."""

_MOST_REPLIES: Final = 128 * 2**20
"""The most bytes of a file of replies: 6,500 for each of its requests."""

ENDED: Final = ("completed", "failed", "expired", "cancelled")
_URL: Final = "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFile:
    """One file of requests, which becomes one batch."""

    name: str
    keys: tuple[str, ...]
    """The requests' custom ids."""
    file_id: str | None = None
    """None until the server has the file."""
    batch_id: str | None = None
    """None until the server has created its batch."""
    fetched: bool = False
    """Whether its replies were downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBatch:
    """A batch that was submitted."""

    batch: str | None
    requests: int

    def to_json(self) -> dict[str, str | int | None]:
        """Return the JSON object that `--batch submit` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """The progress of a batch."""

    batch: str | None
    requests: int
    fetched: bool
    status: str
    """The server's status, or `not sent`."""
    completed: int = 0
    failed: int = 0
    why: str | None = None
    """The server's reason for a batch that failed."""

    def to_json(self) -> dict[str, str | int | None]:
        """Return the JSON object that `--batch status` prints."""
        return asdict(self)


class JudgeBatches:
    """The batches of one annotation set.

    Args:
        annotator: the judge that writes the requests.
        folder: the folder of requests, replies and the state.
        most_requests: the most requests in one file.
        most_bytes: the most bytes of one file.
    """

    def __init__(
        self,
        annotator: LlmAnnotator,
        folder: Path,
        *,
        most_requests: int = MOST_REQUESTS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._annotator = annotator
        self._folder = folder
        self._limits = (most_requests, most_bytes)
        self._secrets = annotator.options.secrets
        self._state = folder / "judge-batch.json"
        self._files = self._load()

    def submit(self, examples: Iterable[Example]) -> tuple[SentBatch, ...]:
        """Send each request that has no reply yet and is in no open batch.

        The first record is sent directly, at the full price. So a wrong key, model or option fails at once, not after
        a day.

        Returns:
            The batches that this call sent, including files that an earlier call prepared but did not send.

        Raises:
            ServerError: if the server refuses a batch. The next call continues from there.
        """
        waiting = {key for file in self._files if not file.fetched for key in file.keys}
        known = self._replies()
        todo: dict[str, list[Message]] = {}
        for example in examples:
            for _, text in self._annotator.passages(example):
                messages = self._annotator.prompt.messages(example.prompt, text)
                key = self._annotator.reply_key.of(messages)
                answered = key in known and known[key].completion is not None
                if key not in waiting and not answered and self._annotator.cache.get(key) is None:
                    todo[key] = messages
        if todo:
            dialect = asyncio.run(self._probe(next(iter(todo.values()))))
            for lines in self._split(todo, dialect):
                self._prepare(lines)
        sent: list[SentBatch] = []
        for index, file in enumerate(self._files):
            if file.batch_id is None and not file.fetched:
                done = asyncio.run(self._send(index))
                sent.append(SentBatch(batch=done.batch_id, requests=len(done.keys)))
        return tuple(sent)

    def status(self) -> tuple[BatchStatus, ...]:
        """Return the progress of each batch."""
        return asyncio.run(self._status())

    def fetch(self) -> None:
        """Download the replies of all batches that have ended.

        Raises:
            PartialError: if a batch has not ended.
            StoreError: if no batch was submitted.
        """
        asyncio.run(self._fetch())

    def answering(self) -> LlmAnnotator:
        """Return the annotator with the fetched replies as its answers. It sends no request."""
        ids = [file.batch_id for file in self._files if file.fetched and file.batch_id]
        return self._annotator.answered_by(BatchAsker(self._annotator, self._replies(), ids))

    async def _probe(self, messages: list[Message]) -> Dialect:
        endpoint = Endpoint(self._annotator.options, self._annotator.cache, self._annotator.reply_key)
        try:
            await endpoint.learn(messages)
        except AskError as error:
            raise ServerError(
                "the request for the first record failed",
                where=self._annotator.options.shown_url,
                why=str(error),
                hint="Correct the cause, then run --batch submit again.",
            ) from None
        finally:
            await endpoint.close()
            self._annotator.cache.flush()
        assert endpoint.dialect is not None
        return endpoint.dialect

    def _split(self, todo: dict[str, list[Message]], dialect: Dialect) -> Iterator[dict[str, bytes]]:
        lines: dict[str, bytes] = {}
        size = 0
        for key, messages in todo.items():
            body = dialect.body(self._annotator.options, messages)
            row = {"custom_id": key, "method": "POST", "url": _URL, "body": body}
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            if lines and (len(lines) == self._limits[0] or size + len(line) > self._limits[1]):
                yield lines
                lines, size = {}, 0
            lines[key] = line
            size += len(line)
        if lines:
            yield lines

    def _prepare(self, lines: dict[str, bytes]) -> None:
        name = f"judge-batch-{len(self._files) + 1:04}"
        files.write(self._folder / f"{name}.jsonl", b"".join(lines.values()))
        self._files.append(RequestFile(name=name, keys=tuple(lines)))
        self._save()

    async def _send(self, index: int) -> RequestFile:
        file = self._files[index]
        async with client(self._annotator.options) as server:
            with self._reporting():
                if file.file_id is None:
                    path = self._folder / f"{file.name}.jsonl"
                    uploaded = await server.files.create(file=path, purpose="batch")
                    file = self._note(index, replace(file, file_id=uploaded.id))
                else:
                    # The process may have died after the server created the batch and before its id was saved.
                    async for batch in server.batches.list(limit=100):
                        if batch.input_file_id == file.file_id:
                            return self._note(index, replace(file, batch_id=batch.id))
                batch = await server.batches.create(
                    input_file_id=file.file_id or "", endpoint=_URL, completion_window="24h"
                )
        return self._note(index, replace(file, batch_id=batch.id))

    async def _status(self) -> tuple[BatchStatus, ...]:
        async with client(self._annotator.options) as server:
            return tuple([await self._status_of(file, server) for file in self._files])

    async def _status_of(self, file: RequestFile, server: openai.AsyncOpenAI) -> BatchStatus:
        requests = len(file.keys)
        if file.batch_id is None:
            return BatchStatus(batch=None, requests=requests, fetched=file.fetched, status="not sent")
        with self._reporting():
            batch = await server.batches.retrieve(file.batch_id)
        counts = batch.request_counts
        faults = batch.errors.data or [] if batch.errors else []
        return BatchStatus(
            batch=file.batch_id,
            requests=requests,
            fetched=file.fetched,
            status=batch.status,
            completed=counts.completed if counts else 0,
            failed=counts.failed if counts else 0,
            why=self._secrets.short("; ".join(fault.message or "" for fault in faults)) or None,
        )

    async def _fetch(self) -> None:
        unfinished: list[str] = []
        async with client(self._annotator.options, most_bytes=_MOST_REPLIES) as server:
            for index, file in enumerate(self._files):
                if file.fetched:
                    continue
                if file.batch_id is None:
                    unfinished.append(f"{file.name} is not sent")
                    continue
                with self._reporting():
                    batch = await server.batches.retrieve(file.batch_id)
                    if batch.status not in ENDED:
                        unfinished.append(f"{file.batch_id} is {batch.status}")
                        continue
                    # A completed batch without an output file lists every request in its error file.
                    for file_id, kind in ((batch.output_file_id, "output"), (batch.error_file_id, "errors")):
                        if file_id is not None:
                            content = await server.files.content(file_id)
                            replies = self._secrets.reply(content.content.decode("utf-8", "replace"))
                            files.write(self._folder / f"{file.name}.{kind}.jsonl", replies)
                self._note(index, replace(file, fetched=True))
                for key, reply in replies_in(self._folder, file.name, self._secrets):
                    if key in file.keys:
                        self._annotator.cache.count(reply.spent)
                self._annotator.cache.flush()
        if unfinished:
            raise PartialError(
                f"{len(unfinished)} of {len(self._files)} batches have not ended",
                why=unfinished[0],
                hint="Fetch again later. Show their progress with --batch status.",
            )
        if not self._files:
            raise StoreError("no batch was submitted", where=str(self._folder), hint="Run --batch submit first.")

    def _replies(self) -> dict[str, BatchReply]:
        """Return all fetched replies by custom id. A completion replaces a fault."""
        replies: dict[str, BatchReply] = {}
        for file in self._files:
            for key, reply in replies_in(self._folder, file.name, self._secrets) if file.fetched else ():
                if key not in replies or reply.completion is not None:
                    replies[key] = reply
        return replies

    def _reporting(self) -> _Reporting:
        return _Reporting(self._annotator.options.shown_url, self._secrets)

    def _note(self, index: int, file: RequestFile) -> RequestFile:
        self._files[index] = file
        self._save()
        return file

    def _load(self) -> list[RequestFile]:
        if not self._state.exists():
            return []
        try:
            rows = json.loads(self._state.read_bytes())["parts"]
            return [RequestFile(**{**row, "keys": tuple(row["keys"])}) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                "the record of batches is damaged",
                where=str(self._state),
                why=str(error),
                hint="Delete this file, then run --batch submit again.",
            ) from None

    def _save(self) -> None:
        files.write(self._state, json.dumps({"parts": [asdict(file) for file in self._files]}))


class _Reporting:
    """Turns the client library's errors into one `ServerError`."""

    def __init__(self, where: str, secrets: Secrets) -> None:
        self._where = where
        self._secrets = secrets

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, openai.APIStatusError):
            why = f"status {error.status_code}"
        elif isinstance(error, openai.APIConnectionError):
            why = self._secrets.short(str(error.__cause__ or error))
        elif isinstance(error, BodyError):
            why = f"the reply {self._secrets.short(str(error))}"
        elif isinstance(error, openai.OpenAIError | AttributeError | UnicodeError):  # an answer of another form
            why = self._secrets.short(f"{type(error).__name__}: {error}")
        else:
            return
        hint = "Finished steps are kept. Run the same command again."
        message = "the Batch API refused the request, or the connection broke"
        raise ServerError(message, where=self._where, why=why, hint=hint) from None


__all__ = ["BatchStatus", "JudgeBatches", "RequestFile", "SentBatch"]
