"""The judge through a Batch API: half the price, within a day; submit, look, fetch.

Each step writes down what it did before the next begins, so that any of them can be killed and called again: nothing
is sent twice, nothing that was paid for is lost. A request's `custom_id` is the digest of its content, so replies,
which come in any order, find their records, and only what has no reply yet is ever submitted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import openai
from pydantic import ValidationError

from tif import files
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.cache import digest
from tif.annotate.judge.client import Answer, AskError, Completion, Endpoint, client, short
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.settings import Dialect
from tif.errors import PartialError, ServerError, StoreError
from tif.spans import Example

MOST_REQUESTS: Final = 50_000
MOST_BYTES: Final = 190_000_000
"""A file may hold 50,000 requests and 200 MB; some room is left."""

ENDED: Final = ("completed", "failed", "expired", "cancelled")
_URL: Final = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Part:
    """One submitted file. `batch_id` is None until the server took it, `fetched` tells that its replies are here."""

    name: str
    keys: tuple[str, ...]
    file_id: str | None = None
    batch_id: str | None = None
    fetched: bool = False


class Batch:
    """The batches of one annotation set.

    Args:
        annotator: whose questions are asked.
        folder: where requests, replies and the state are kept.
        most_requests: requests in one file.
        most_bytes: size of one file.
    """

    def __init__(
        self,
        annotator: LlmAnnotator,
        folder: Path,
        *,
        most_requests: int = MOST_REQUESTS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._judge = annotator
        self._folder = folder
        self._limits = (most_requests, most_bytes)
        self._state = folder / "judge-batch.json"
        self._parts = self._load()

    def submit(self, examples: Iterable[Example]) -> list[dict[str, Any]]:
        """Send everything that has no reply yet and is in no open batch.

        The first record is asked directly, at the full price: a wrong key, model or option shows now, not tomorrow.

        Returns:
            For each part that this call sent, its `batch` and the number of its `requests`. Parts that an earlier call
            had prepared and not sent are among them.

        Raises:
            ServerError: if the server does not take it. The next call goes on from there.
        """
        waiting = {key for part in self._parts if not part.fetched for key in part.keys}
        known = self._replies()
        todo: dict[str, list[Message]] = {}
        for example in examples:
            for _, text in self._judge.passages(example):
                messages = self._judge.prompt.messages(example.prompt, text)
                key = self._key(messages)
                answered = key in known and "error" not in known[key]
                if key not in waiting and not answered and self._judge.cache.get(key) is None:
                    todo[key] = messages
        if todo:
            dialect = asyncio.run(self._probe(next(iter(todo.values()))))
            for lines in self._files(todo, dialect):
                self._prepare(lines)
        sent: list[dict[str, Any]] = []
        for index, part in enumerate(self._parts):
            if part.batch_id is None and not part.fetched:
                done = asyncio.run(self._send(index))
                sent.append({"batch": done.batch_id, "requests": len(done.keys)})
        return sent

    def status(self) -> list[dict[str, Any]]:
        """What the server says of each part: `batch`, `status`, `requests`, `completed`, `failed`."""
        return asyncio.run(self._status())

    def fetch(self) -> None:
        """Download the replies of all batches that have ended.

        Raises:
            PartialError: if some have not.
        """
        asyncio.run(self._fetch())

    def judge(self) -> LlmAnnotator:
        """The same annotator, but answered from what was fetched: it sends nothing."""
        ids = [part.batch_id for part in self._parts if part.fetched and part.batch_id]
        return self._judge.answered_by(Replies(self._judge, self._replies(), ids))

    async def _probe(self, messages: list[Message]) -> Dialect:
        endpoint = Endpoint(self._judge.settings, self._judge.cache, self._judge.reply_key)
        try:
            await endpoint.learn(messages)
        except AskError as error:
            raise ServerError(
                "the first record, asked directly, failed", where=self._judge.settings.shown_url, why=str(error)
            ) from None
        finally:
            await endpoint.close()
            self._judge.cache.flush()
        assert endpoint.dialect is not None
        return endpoint.dialect

    def _files(self, todo: dict[str, list[Message]], dialect: Dialect) -> Iterator[dict[str, bytes]]:
        lines: dict[str, bytes] = {}
        size = 0
        for key, messages in todo.items():
            body = self._judge.settings.body(messages, dialect)
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
        name = f"judge-batch-{len(self._parts) + 1:04}"
        files.write(self._folder / f"{name}.jsonl", b"".join(lines.values()))
        self._parts.append(Part(name, tuple(lines)))
        self._save()

    async def _send(self, index: int) -> Part:
        part = self._parts[index]
        async with client(self._judge.settings) as server:
            with self._telling():
                if part.file_id is None:
                    path = self._folder / f"{part.name}.jsonl"
                    uploaded = await server.files.create(file=path, purpose="batch")
                    part = self._note(index, replace(part, file_id=uploaded.id))
                else:
                    # A run that was killed between the server's yes and our note of it must not order twice.
                    async for batch in server.batches.list(limit=100):
                        if batch.input_file_id == part.file_id:
                            return self._note(index, replace(part, batch_id=batch.id))
                batch = await server.batches.create(
                    input_file_id=part.file_id or "", endpoint=_URL, completion_window="24h"
                )
        return self._note(index, replace(part, batch_id=batch.id))

    async def _status(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        async with client(self._judge.settings) as server:
            for part in self._parts:
                row: dict[str, Any] = {"batch": part.batch_id, "requests": len(part.keys), "fetched": part.fetched}
                if part.batch_id is None:
                    rows.append({**row, "status": "not sent", "completed": 0, "failed": 0, "why": None})
                    continue
                with self._telling():
                    batch = await server.batches.retrieve(part.batch_id)
                counts = batch.request_counts
                faults = batch.errors.data or [] if batch.errors else []
                rows.append(
                    {
                        **row,
                        "status": batch.status,
                        "completed": counts.completed if counts else 0,
                        "failed": counts.failed if counts else 0,
                        "why": short("; ".join(fault.message or "" for fault in faults)) or None,
                    }
                )
        return rows

    async def _fetch(self) -> None:
        open_: list[str] = []
        async with client(self._judge.settings) as server:
            for index, part in enumerate(self._parts):
                if part.fetched:
                    continue
                if part.batch_id is None:
                    open_.append(f"{part.name} is not sent")
                    continue
                with self._telling():
                    batch = await server.batches.retrieve(part.batch_id)
                    if batch.status not in ENDED:
                        open_.append(f"{part.batch_id} is {batch.status}")
                        continue
                    # A batch may be completed with no output at all: every request is in the error file then.
                    for file_id, kind in ((batch.output_file_id, "output"), (batch.error_file_id, "errors")):
                        if file_id is not None:
                            content = await server.files.content(file_id)
                            files.write(self._folder / f"{part.name}.{kind}.jsonl", content.content)
                self._note(index, replace(part, fetched=True))
                rows = self._rows(part.name)
                for completion in filter(None, (_completion(row) for key, row in rows if key in part.keys)):
                    self._judge.cache.count(completion.spent())
                self._judge.cache.flush()
        if open_:
            raise PartialError(
                f"{len(open_)} of {len(self._parts)} batches have not ended",
                why=open_[0],
                hint="Fetch again later; --batch status shows how far they are.",
            )
        if not self._parts:
            raise StoreError("no batch was submitted", where=str(self._folder), hint="--batch submit sends one.")

    def _replies(self) -> dict[str, dict[str, Any]]:
        """Rows of all fetched files by custom id; one with a reply counts before one with an error."""
        found: dict[str, dict[str, Any]] = {}
        for part in self._parts:
            for key, row in self._rows(part.name) if part.fetched else ():
                if key not in found or _completion(row) is not None:
                    found[key] = (
                        {"response": row["response"]} if _completion(row) is not None else {"error": _fault(row)}
                    )
        return found

    def _rows(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind in ("output", "errors"):
            path = self._folder / f"{name}.{kind}.jsonl"
            for line in path.read_bytes().split(b"\n") if path.exists() else ():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # a torn line is a reply that is missing, and is reported as such
                if isinstance(row, dict) and isinstance(row.get("custom_id"), str):
                    yield row["custom_id"], row

    def _key(self, messages: list[Message]) -> str:
        return digest({**self._judge.reply_key, "messages": messages})

    def _telling(self) -> _Telling:
        return _Telling(self._judge.settings.shown_url)

    def _note(self, index: int, part: Part) -> Part:
        self._parts[index] = part
        self._save()
        return part

    def _load(self) -> list[Part]:
        if not self._state.exists():
            return []
        try:
            rows = json.loads(self._state.read_bytes())["parts"]
            return [Part(**{**row, "keys": tuple(row["keys"])}) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError("the record of batches is damaged", where=str(self._state), why=str(error)) from None

    def _save(self) -> None:
        files.write(self._state, json.dumps({"parts": [asdict(part) for part in self._parts]}))


class Replies:
    """Answers from fetched batches, then from the cache; asks nobody."""

    def __init__(self, annotator: LlmAnnotator, rows: dict[str, dict[str, Any]], batches: list[str]) -> None:
        self._judge = annotator
        self._rows = rows
        self._batches = batches

    async def ask(self, messages: list[Message]) -> Answer:
        """The reply to these messages. Raises `AskError` if there is none."""
        key = digest({**self._judge.reply_key, "messages": messages})
        row = self._rows.get(key)
        completion = _completion(row) if row is not None else None
        if completion is not None:
            return completion.answer()
        if (cached := self._judge.cache.get(key)) is not None:
            return Answer(*cached)
        raise AskError(row["error"] if row is not None else "no batch has a reply to this")

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Nothing: the files are kept."""

    def observed(self) -> dict[str, Any]:
        """The batches."""
        return {"base_url": self._judge.settings.shown_url, "batches": self._batches}

    async def close(self) -> None:
        """Nothing to close."""


class _Telling:
    """The client library's errors as one line of ours."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, openai.APIStatusError):
            why = f"status {error.status_code}"
        elif isinstance(error, openai.APIConnectionError):
            why = str(error.__cause__ or error)
        else:
            return
        hint = "What is done is noted; the same command goes on from there."
        raise ServerError("the Batch API refused or broke off", where=self._where, why=why, hint=hint) from None


def _completion(row: dict[str, Any]) -> Completion | None:
    response = row.get("response")
    if not isinstance(response, dict) or response.get("status_code") != 200:
        return None
    try:
        return Completion.model_validate(response.get("body"))
    except ValidationError:
        return None


def _fault(row: dict[str, Any]) -> str:
    response = row.get("response")
    told = row.get("error") or (response.get("body") if isinstance(response, dict) else None)
    return f"the batch has an error for this: {short(json.dumps(told, ensure_ascii=False))}"


__all__ = ["Batch", "Part", "Replies"]
