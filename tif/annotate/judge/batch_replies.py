"""The replies in a batch's downloaded files, and a judge that is answered from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.client import Answer, AskError, Completion, Observed, short
from tif.annotate.judge.prompt import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReply:
    """A batch's answer to one request: a completion, or a fault."""

    completion: Completion | None = None
    fault: str = ""
    """Why there is no completion."""

    @classmethod
    def of(cls, row: Mapping[str, object]) -> BatchReply:
        """Read a line of an output or error file."""
        response = row.get("response")
        body = response.get("body") if isinstance(response, dict) else None
        if isinstance(response, dict) and response.get("status_code") == 200:
            try:
                return cls(completion=Completion.model_validate(body))
            except ValidationError:
                pass
        reason = json.dumps(row.get("error") or body, ensure_ascii=False)
        return cls(fault=f"the batch has an error for this: {short(reason)}")


def replies_in(folder: Path, name: str) -> Iterator[tuple[str, BatchReply]]:
    """The replies to one submitted file, by custom id. There may be several to one request.

    Args:
        folder: where the downloaded files are.
        name: of the submitted file, without its suffix.
    """
    for kind in ("output", "errors"):
        path = folder / f"{name}.{kind}.jsonl"
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # a torn line is a missing reply, and is reported as one
            if isinstance(row, dict) and isinstance(row.get("custom_id"), str):
                yield row["custom_id"], BatchReply.of(row)


class BatchAsker:
    """Answers from fetched batches, then from the cache. It sends nothing.

    Args:
        annotator: whose questions are answered.
        replies: by custom id.
        batches: where the replies are from.
    """

    def __init__(self, annotator: LlmAnnotator, replies: Mapping[str, BatchReply], batches: Sequence[str]) -> None:
        self._annotator = annotator
        self._replies = replies
        self._batches = tuple(batches)

    async def ask(self, messages: list[Message]) -> Answer:
        """The reply to these messages. Raises `AskError` if there is none."""
        key = self._annotator.reply_key.of(messages)
        reply = self._replies.get(key, BatchReply(fault="no batch has a reply to this"))
        if reply.completion is not None:
            return reply.completion.answer()
        if (cached := self._annotator.cache.get(key)) is not None:
            return Answer(*cached)
        raise AskError(reply.fault)

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Nothing: the files are kept."""

    def observed(self) -> Observed:
        """The server's address and the batches."""
        return Observed(base_url=self._annotator.options.shown_url, batches=self._batches)

    async def close(self) -> None:
        """Nothing to close."""


__all__ = ["BatchAsker", "BatchReply", "replies_in"]
