"""The LLM judge: any OpenAI-compatible chat model says which words of a sample are unwanted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, get_args

from tif.annotate.align import Mentions, align
from tif.annotate.chunks import chunks
from tif.annotate.judge.cache import JudgeCache, Usage, digest
from tif.annotate.judge.prompt import POLICY, VERSION, JudgePrompt, Message, again
from tif.annotate.judge.reply import ReplyError, read
from tif.annotate.judge.settings import Settings
from tif.errors import MissingError, TifError, UsageError
from tif.packages import install_hint
from tif.spans import Example, Span, sha256

try:
    from tif.annotate.judge.client import Asker, AskError, Endpoint, GarbledError, short
except ModuleNotFoundError as error:
    raise MissingError(
        "the LLM judge needs a package that is not installed", why=str(error), hint=install_hint("llm")
    ) from None

_ECHO: Final = 4_000
"""Characters of an unusable reply that are shown to the judge again, at most."""

_FLUSH: Final = 0.2
"""Seconds after which replies are written down though no example is finished: those to a long text's other pieces."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of one passage."""

    spans: tuple[Span, ...] = ()
    complaints: tuple[str, ...] = ()
    """What is wrong with the reply."""
    failed: bool = False
    """Whether nothing in the reply could be used."""
    reply: str | None = None
    """The reply to show when asking again; None when there is none."""
    hopeless: bool = False
    """Whether asking again is in vain."""


class LlmAnnotator:
    """Ask a judge for quotes, and find them in the text.

    A reply that cannot be used, or that quotes what the text does not hold, is asked for once more, naming the fault.
    What still has no place is noted in the example's `error`, for the reviewer; an example of which nothing can be
    used comes back as `failed`.

    Args:
        settings: model, endpoint and limits.
        prompt: policy and examples.
        mentions: `first` marks one place a quote, `all` every place where its words stand.
        fuzzy: whether words that merely look like the quoted ones will do; such spans' source ends in `~fuzzy`.
        chunk_chars: texts longer than this are judged in pieces.
        overlap_chars: how much of the text before a piece is repeated in it.
        cache: the file for replies and usage; None keeps them in memory.
        fresh: whether to ask again what the cache knows.

    Raises:
        UsageError: for settings that make no sense, or a key that is missing.
    """

    name = "llm"

    def __init__(
        self,
        settings: Settings,
        *,
        prompt: JudgePrompt | None = None,
        mentions: Mentions = "first",
        fuzzy: bool = False,
        chunk_chars: int = 6_000,
        overlap_chars: int = 300,
        cache: Path | None = None,
        fresh: bool = False,
    ) -> None:
        if chunk_chars < max(16, 2 * overlap_chars) or overlap_chars < 0:
            why = f"the overlap is {overlap_chars}"
            raise UsageError(f"pieces of {chunk_chars} characters are too short", where="--chunk-chars", why=why)
        if mentions not in get_args(Mentions):
            raise UsageError(f"unknown {mentions!r}", where="--mentions", hint="Known: first, all.")
        self.settings = settings
        self.prompt = prompt or JudgePrompt()
        self._mentions = mentions
        self._fuzzy = fuzzy
        self._chunking = (chunk_chars, overlap_chars)
        self._cache_path = cache
        self._fresh = fresh
        self._asker: Asker | None = None
        self._observed: dict[str, Any] = {}

    def answered_by(self, asker: Asker) -> LlmAnnotator:
        """The same annotator, but with somebody else than the endpoint to ask, e.g. a finished batch."""
        other = copy(self)
        other._asker = asker
        return other

    def describe(self) -> dict[str, Any]:
        """Everything the outcome depends on; under `usage` what all runs with these settings have spent."""
        usage = self.cache.usage() if self._cache_path is None or self._cache_path.exists() else Usage()
        return {**self._method(), "usage": asdict(usage), "observed": self._observed}

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield examples as their verdicts come in, `concurrency` of them under way at once.

        Raises:
            ServerError: when no request can succeed. Everything finished has been yielded by then.
        """
        cache = self.cache
        finished: SimpleQueue[Example | None] = SimpleQueue()
        failure: list[BaseException] = []
        loop = asyncio.new_event_loop()
        work = loop.create_task(self._all(iter(examples), finished.put))

        # In a thread of its own, so that requests go on while the caller writes down what it has.
        def run() -> None:
            try:
                loop.run_until_complete(work)
            except BaseException as error:
                failure.append(error)
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()
                finished.put(None)

        thread = threading.Thread(target=run, name="judge", daemon=True)
        thread.start()
        try:
            while True:
                try:
                    example = finished.get(timeout=_FLUSH)
                except Empty:
                    cache.flush()
                    continue
                # What an example cost is on the disk before the example counts as done.
                cache.flush()
                if example is None:
                    break
                yield example
        finally:
            with suppress(RuntimeError):  # the loop is closed: all work is done
                loop.call_soon_threadsafe(work.cancel)
            thread.join()
            cache.flush()
        if failure:
            raise _first(failure[0])

    def passages(self, example: Example) -> list[tuple[int, str]]:
        """The pieces of an example's text, each with its offset. A text of white space has none."""
        if not example.text.strip():
            return []
        return [(start, example.text[start:end]) for start, end in chunks(example.text, *self._chunking)]

    @cached_property
    def cache(self) -> JudgeCache:
        """Replies and usage."""
        return JudgeCache(self._cache_path, digest(self._method()), fresh=self._fresh)

    @property
    def reply_key(self) -> dict[str, Any]:
        """What a cached reply depends on, besides the messages."""
        return {**self.settings.outcome(), "prompt_sha256": self.prompt.sha256}

    def _method(self) -> dict[str, Any]:
        policy = self.prompt.policy
        return {
            "name": self.name,
            "version": 1,
            "model": self.settings.model,
            "prompt_version": VERSION,
            "prompt_sha256": self.prompt.sha256,
            "policy": "built-in" if policy == POLICY else policy,
            "policy_sha256": sha256(policy),
            "parameters": {
                **{key: value for key, value in self.settings.outcome().items() if key != "model"},
                "mentions": self._mentions,
                "fuzzy": self._fuzzy,
                "chunk_chars": self._chunking[0],
                "overlap_chars": self._chunking[1],
            },
        }

    async def _all(self, examples: Iterator[Example], finished: Callable[[Example], None]) -> None:
        asker = self._asker or Endpoint(self.settings, self.cache, self.reply_key)

        async def worker() -> None:
            for example in examples:
                finished(await self._judge(asker, example))

        try:
            async with asyncio.TaskGroup() as workers:
                # Half as many again have their next question ready when an answer comes in; the asker counts requests.
                for _ in range(self.settings.concurrency * 3 // 2):
                    workers.create_task(worker())
        finally:
            self._observed = asker.observed()
            await asker.close()

    async def _judge(self, asker: Asker, example: Example) -> Example:
        passages = self.passages(example)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._passage(asker, example.prompt, text)) for _, text in passages]
        spans: list[Span] = []
        notes: list[str] = []
        for (start, text), task in zip(passages, tasks, strict=True):
            verdict = task.result()
            spans += [span.move(start) for span in verdict.spans]
            where = f"characters {start}-{start + len(text)}: " if len(passages) > 1 else ""
            notes += [where + complaint for complaint in verdict.complaints]
        failed = any(task.result().failed for task in tasks)
        error = short("; ".join(notes), 1_000) if notes else None
        return example.with_spans(spans, status="failed" if failed else "auto", error=error)

    async def _passage(self, asker: Asker, prompt: str, text: str) -> _Verdict:
        messages = self.prompt.messages(prompt, text)
        first = await self._once(asker, messages, text)
        if first.hopeless or not first.complaints:
            return first
        if first.reply is not None:
            messages = [*messages, {"role": "assistant", "content": first.reply[:_ECHO]}, again(first.complaints)]
        second = await self._once(asker, messages, text)
        if second.failed:
            return second if first.failed and not second.hopeless else first
        # Nothing new the second time: the judge has dropped what it quoted wrongly, and a reviewer should know.
        complaints = second.complaints or (() if set(second.spans) - set(first.spans) else first.complaints)
        return _Verdict((*first.spans, *second.spans), complaints)

    async def _once(self, asker: Asker, messages: list[Message], text: str) -> _Verdict:
        try:
            answer = await asker.ask(messages)
        except AskError as error:
            return _Verdict(complaints=(str(error),), failed=True, hopeless=not isinstance(error, GarbledError))
        try:
            reply = read(answer.content)
        except ReplyError as error:
            why = f"{error}; it was cut off at the token limit" if answer.finish == "length" else str(error)
            return _Verdict(complaints=(why,), failed=True, reply=answer.content or None)
        if reply.complete:
            asker.keep(messages, answer)
        placed = align(
            text, reply.quotes, mentions=self._mentions, source=f"llm:{self.settings.model}", fuzzy=self._fuzzy
        )
        complaints = [str(unplaced) for unplaced in placed.not_found]
        if not reply.complete:
            complaints.append(f"the reply broke off after {len(reply.quotes)} quotes")
        return _Verdict(placed.spans, tuple(complaints), reply=answer.content)


def _first(error: BaseException) -> BaseException:
    """The known failure inside a group of failures, else the first."""
    while isinstance(error, BaseExceptionGroup):
        error = (error.subgroup(TifError) or error).exceptions[0]
    return error


__all__ = ["LlmAnnotator"]
