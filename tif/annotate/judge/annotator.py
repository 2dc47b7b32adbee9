"""The LLM judge: any OpenAI-compatible chat model quotes the unwanted words of a sample."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Self

from tif.annotate.align import align
from tif.annotate.base import Workspace
from tif.annotate.chunks import chunks
from tif.annotate.judge.cache import JudgeCache, ReplyKey, Usage, digest
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.judge.prompt import POLICY, VERSION, JudgePrompt, Message, again
from tif.annotate.judge.reply import ReplyError, read
from tif.errors import MissingError, TifError
from tif.packages import install_hint
from tif.spans import Example, Span, sha256

try:
    from tif.annotate.judge.client import Answer, Asker, AskError, Endpoint, GarbledError, Observed
except ModuleNotFoundError as error:
    raise MissingError(
        "the LLM judge needs a package that is not installed", why=str(error), hint=install_hint("llm")
    ) from None

_ECHO: Final = 4_000
"""The most characters of an unusable reply that the judge sees again."""

_FLUSH: Final = 0.2
"""Seconds between two flushes while no example is finished: a long text's pieces have replies of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """The judge's answer about one passage."""

    spans: tuple[Span, ...] = ()
    complaints: tuple[str, ...] = ()
    """The faults of the reply."""
    failed: bool = False
    """Whether the reply is unusable."""
    reply: str | None = None
    """The reply to show when asking again; None without a reply."""
    hopeless: bool = False
    """Whether asking again cannot help."""


class LlmAnnotator:
    """Asks a judge for quotes, and locates them in the text.

    If a reply cannot be used, or quotes words that are not in the text, the judge is asked once more and sees the
    fault. Quotes that still have no place go into the example's `error`, for the reviewer. An example without any
    usable reply comes back as `failed`.

    Args:
        options: model, endpoint, limits, and how replies become spans. `dry_run` and `batch` are ignored.
        prompt: policy and examples; by default those of the options.
        cache: the file for replies and usage; by default that of the options. None keeps them in memory.
        fresh: whether to ignore cached replies and ask again.

    Raises:
        InputError: for a policy or examples that cannot be used.
    """

    name = "llm"

    def __init__(
        self,
        options: JudgeOptions,
        *,
        prompt: JudgePrompt | None = None,
        cache: Path | None = None,
        fresh: bool = False,
    ) -> None:
        self.options = options
        self.prompt = prompt or JudgePrompt.of(options.policy, options.examples, types=options.types)
        self._cache_path = cache or options.cache
        self._fresh = fresh
        self._secrets = options.secrets
        self._asker: Asker | None = None
        self._observed: Observed | None = None

    @classmethod
    def from_workspace(cls, options: JudgeOptions, workspace: Workspace) -> Self:
        """Return the annotator of a run, with replies in `options.cache` or in the folder of the set's versions."""
        return cls(options, cache=options.cache or workspace.folder / "judge.sqlite", fresh=workspace.fresh)

    def answered_by(self, asker: Asker) -> LlmAnnotator:
        """Return this annotator with another source of answers than the endpoint, such as a finished batch."""
        other = copy(self)
        other._asker = asker
        return other

    def describe(self) -> dict[str, object]:
        """Return all that the outcome depends on. `usage` is the total of all runs with these settings."""
        usage = self.cache.usage() if self._cache_path is None or self._cache_path.exists() else Usage()
        observed = self._observed.to_json() if self._observed is not None else {}
        return {**self._method(), "usage": usage.to_json(), "observed": observed}

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield each example when its verdict arrives. `concurrency` requests run at the same time.

        Raises:
            ServerError: when no request can succeed. Every finished example has been yielded by then.
        """
        cache = self.cache
        finished: SimpleQueue[Example | None] = SimpleQueue()
        failure: list[BaseException] = []
        loop = asyncio.new_event_loop()
        work = loop.create_task(self._all(iter(examples), finished.put))

        # A thread of its own lets requests continue while the caller writes its examples to disk.
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
                # The cost of an example is on disk before the example counts as finished.
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
        """Return the pieces of an example's text, each with its offset. A text of white space has no piece."""
        if not example.text.strip():
            return []
        size, overlap = self.options.chunk_chars, self.options.overlap_chars
        return [(start, example.text[start:end]) for start, end in chunks(example.text, size, overlap)]

    @cached_property
    def cache(self) -> JudgeCache:
        """The cache of replies and usage."""
        return JudgeCache(self._cache_path, digest(self._method()), fresh=self._fresh)

    @cached_property
    def reply_key(self) -> ReplyKey:
        """The settings that a cached reply depends on besides the messages."""
        return ReplyKey(
            model=self.options.model,
            max_reply_tokens=self.options.max_reply_tokens,
            temperature=self.options.temperature,
            response_format=self.options.response_format or "auto",
            prompt_sha256=self.prompt.sha256,
        )

    def _method(self) -> dict[str, object]:
        key, policy = self.reply_key, self.prompt.policy
        return {
            "name": self.name,
            "version": 1,
            "model": key.model,
            "prompt_version": VERSION,
            "prompt_sha256": key.prompt_sha256,
            "policy": "built-in" if policy == POLICY else policy,
            "policy_sha256": sha256(policy),
            "parameters": {
                "max_reply_tokens": key.max_reply_tokens,
                "temperature": key.temperature,
                "response_format": key.response_format,
                "mentions": self.options.mentions,
                "fuzzy": self.options.fuzzy,
                "chunk_chars": self.options.chunk_chars,
                "overlap_chars": self.options.overlap_chars,
            },
        }

    async def _all(self, examples: Iterator[Example], finished: Callable[[Example], None]) -> None:
        asker = self._asker or Endpoint(self.options, self.cache, self.reply_key)

        async def worker() -> None:
            for example in examples:
                finished(await self._judge(asker, example))

        try:
            async with asyncio.TaskGroup() as workers:
                # The extra workers have a question ready when an answer arrives. The asker limits open requests.
                for _ in range(self.options.concurrency * 3 // 2):
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
        error = self._secrets.short("; ".join(notes), 1_000) if notes else None
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
        # If the second reply adds nothing, the judge only dropped its wrong quotes. The reviewer must see them.
        complaints = second.complaints or (() if set(second.spans) - set(first.spans) else first.complaints)
        return _Verdict(spans=(*first.spans, *second.spans), complaints=complaints)

    async def _once(self, asker: Asker, messages: list[Message], text: str) -> _Verdict:
        try:
            answer = await asker.ask(messages)
            return self._verdict(asker, messages, answer, text)
        except TifError:
            raise
        except AskError as error:
            return _Verdict(complaints=(str(error),), failed=True, hopeless=not isinstance(error, GarbledError))
        except Exception as error:  # one reply fails one record, whatever is in it
            why = f"the reply could not be handled: {type(error).__name__}: {error}"
            return _Verdict(complaints=(self._secrets.short(why),), failed=True, hopeless=True)

    def _verdict(self, asker: Asker, messages: list[Message], answer: Answer, text: str) -> _Verdict:
        try:
            reply = read(answer.content, types=self.prompt.types)
        except ReplyError as error:
            why = f"{error}; it was cut off at the token limit" if answer.finish == "length" else str(error)
            return _Verdict(complaints=(why,), failed=True, reply=answer.content or None)
        if reply.complete:
            asker.keep(messages, answer)
        elif not reply.quotes:
            why = "the reply broke off before its first quote"
            return _Verdict(complaints=(why,), failed=True, reply=answer.content)
        options = self.options
        placed = align(
            text, reply.quotes, mentions=options.mentions, source=f"llm:{options.model}", fuzzy=options.fuzzy
        )
        complaints = [str(unplaced) for unplaced in placed.unplaced]
        if not reply.complete:
            complaints.append(f"the reply broke off after {len(reply.quotes)} quotes")
        return _Verdict(spans=placed.spans, complaints=tuple(complaints), reply=answer.content)


def _first(error: BaseException) -> BaseException:
    """Return the first `TifError` inside a group of failures, else its first failure."""
    while isinstance(error, BaseExceptionGroup):
        error = (error.subgroup(TifError) or error).exceptions[0]
    return error


__all__ = ["LlmAnnotator"]
