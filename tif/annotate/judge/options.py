"""Options of the LLM judge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from tif.annotate.align import Mentions
from tif.errors import UsageError
from tif.options import Option, Options, needs

OPENAI: Final = "https://api.openai.com/v1"

Form = Literal["json_schema", "json_object", "text"]
"""How a server can be made to answer in JSON, the surest first."""

BatchStep = Literal["submit", "status", "fetch"]


def _beside_batch(reason: str) -> Any:
    """No effect together with `--batch`."""
    return lambda options, _: reason if options.batch is not None else None


class JudgeOptions(Options):
    """Options of `llm`."""

    model: Annotated[str, Option("The judge's name, as its server knows it, such as gpt-4o.")]
    base_url: Annotated[
        str | None, Option("OpenAI-compatible endpoint.", otherwise="the variable OPENAI_BASE_URL, else OpenAI")
    ] = None
    concurrency: Annotated[int, Option("Requests that run at the same time.", least=1)] = 8
    policy: Annotated[
        Path | None, Option("Text file that defines which words are unwanted.", otherwise="the built-in policy")
    ] = None
    examples: Annotated[
        Path | None, Option("Solved samples to show to the judge, JSONL: prompt, text, quotes.", otherwise="built-in")
    ] = None
    mentions: Annotated[Mentions, Option("Which mentions of a quote are marked.")] = "first"
    fuzzy: Annotated[bool, Option("Accept words that resemble the quoted ones.")] = False
    timeout: Annotated[float, Option("Seconds for one try.", above=0)] = 60.0
    max_retries: Annotated[int, Option("Tries after the first.", least=0)] = 5
    temperature: Annotated[float | None, Option("Sampling temperature.", least=0, most=2)] = 0.0
    response_format: Annotated[
        Form | None, Option("How the judge is made to answer in JSON.", otherwise="the surest that the server takes")
    ] = None
    max_reply_tokens: Annotated[int, Option("Tokens of a reply, at most.", least=1)] = 2048
    max_tokens_total: Annotated[
        int | None,
        Option(
            "Send no new request after this many tokens.",
            least=1,
            idle=_beside_batch("a batch is submitted as one; use --limit instead"),
        ),
    ] = None
    chunk_chars: Annotated[int, Option("Longer texts are judged in pieces of this many characters.")] = 6_000
    overlap_chars: Annotated[int, Option("Characters before a piece that are repeated in it.", least=0)] = 300
    cache: Annotated[Path | None, Option("File for replies.", otherwise="beside the set's versions")] = None
    dry_run: Annotated[
        bool,
        Option(
            "Count requests and tokens, send nothing.",
            idle=_beside_batch("it goes before --batch submit, not with --batch"),
        ),
    ] = False
    price_in: Annotated[float | None, Option("Price of a million prompt tokens.", least=0, idle=needs("dry_run"))] = (
        None
    )
    price_out: Annotated[float | None, Option("Price of a million reply tokens.", least=0, idle=needs("dry_run"))] = (
        None
    )
    batch: Annotated[BatchStep | None, Option("Use the Batch API: submit, look at the status, fetch the replies.")] = (
        None
    )

    def check(self) -> None:
        """Refuse an empty name, an address that is none, and pieces shorter than their overlap."""
        if not self.model.strip():
            raise UsageError("is empty", where="--model", hint="Name the judge, such as --model gpt-4o.")
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UsageError(f"{self.shown_url!r} is no http address", where="--base-url")
        if self.chunk_chars < max(16, 2 * self.overlap_chars):
            why = f"a piece needs at least 16 characters, and twice its overlap of {self.overlap_chars}"
            raise UsageError(f"{self.chunk_chars} is too small", where="--chunk-chars", why=why)

    @property
    def url(self) -> str:
        """The endpoint."""
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI

    @property
    def shown_url(self) -> str:
        """The endpoint without the user name, password or query that an address may hold."""
        url = urlsplit(self.url)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


__all__ = ["OPENAI", "BatchStep", "Form", "JudgeOptions"]
