"""Read the replies in a batch's downloaded files, and answer a judge's questions from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.cache import Usage
from tif.annotate.judge.client import Answer, AskError, Observed
from tif.annotate.judge.completion import Completion, CompletionError, usage_of
from tif.annotate.judge.prompt import Message
from tif.annotate.judge.secrets import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReply:
    """A batch's answer to one request: a completion, or a fault."""

    completion: Completion | None = None
    fault: str = ""
    """Why there is no completion."""
    spent: Usage = field(default_factory=Usage)
    """The usage of an answered request, whether or not the answer can be used."""

    @classmethod
    def of(cls, row: Mapping[str, object], secrets: Secrets | None = None) -> BatchReply:
        """Return the reply in a line of an output or error file.

        Args:
            row: the line's JSON object.
            secrets: the values that a fault must not contain; by default those of the environment.
        """
        response = row.get("response")
        body = response.get("body") if isinstance(response, dict) else None
        used = Usage()
        if isinstance(response, dict) and response.get("status_code") == 200:
            used = usage_of(body)
            try:
                return cls(completion=Completion.of(body), spent=used)
            except CompletionError:
                pass
        reason = json.dumps(row.get("error") or body, ensure_ascii=False)
        return cls(fault=f"the request failed in the batch: {(secrets or Secrets.of('')).short(reason)}", spent=used)


def replies_in(folder: Path, name: str, secrets: Secrets) -> Iterator[tuple[str, BatchReply]]:
    """Yield the replies to one submitted file, with their custom ids. A request may have several replies.

    Args:
        folder: the folder of the downloaded files.
        name: the name of the submitted file, without its suffix.
        secrets: the values that a fault must not contain.
    """
    for kind in ("output", "errors"):
        path = folder / f"{name}.{kind}.jsonl"
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue  # an incomplete line is reported as a missing reply
            if isinstance(row, dict) and isinstance(row.get("custom_id"), str):
                yield row["custom_id"], BatchReply.of(row, secrets)


class BatchAsker:
    """Answers from fetched batches, then from the cache. It sends no request.

    Args:
        annotator: the judge that asks the questions.
        replies: the replies by custom id.
        batches: the ids of the replies' batches.
    """

    def __init__(self, annotator: LlmAnnotator, replies: Mapping[str, BatchReply], batches: Sequence[str]) -> None:
        self._annotator = annotator
        self._replies = replies
        self._secrets = annotator.options.secrets
        self._batches = tuple(batches)

    async def ask(self, messages: list[Message]) -> Answer:
        """Return the reply to these messages.

        Raises:
            AskError: if there is no reply.
        """
        key = self._annotator.reply_key.of(messages)
        reply = self._replies.get(key, BatchReply(fault="no batch has a reply to this request"))
        if reply.completion is not None:
            return Answer.of(reply.completion, self._secrets)
        if (cached := self._annotator.cache.get(key)) is not None:
            return Answer(*cached)
        raise AskError(reply.fault)

    def keep(self, messages: list[Message], answer: Answer) -> None:
        """Do nothing: the downloaded files keep the answers."""

    def observed(self) -> Observed:
        """Return the server's address and the batches."""
        return Observed(base_url=self._annotator.options.shown_url, batches=self._batches)

    async def close(self) -> None:
        """Do nothing: no connection is open."""


__all__ = ["BatchAsker", "BatchReply", "replies_in"]
