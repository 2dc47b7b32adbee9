"""Options of the LLM judge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from tif.annotate.align import Mentions
from tif.annotate.judge.address import Address
from tif.annotate.judge.secrets import Secrets
from tif.errors import UsageError
from tif.options import Idle, Option, Options, needs

OPENAI: Final = "https://api.openai.com/v1"

Form = Literal["json_schema", "json_object", "text"]
"""Ways to make a server answer in JSON, the most reliable first."""

BatchStep = Literal["submit", "status", "fetch"]


def _without_batch(reason: str) -> Idle:
    """Return the rule that an option has no effect together with `--batch`."""
    return lambda options, _: reason if options.batch is not None else None


class JudgeOptions(Options):
    """Options of `llm`."""

    model: Annotated[str, Option("The judge's model name on its server, such as gpt-4o.")]
    base_url: Annotated[
        str | None, Option("OpenAI-compatible endpoint.", otherwise="the variable OPENAI_BASE_URL, else OpenAI")
    ] = None
    concurrency: Annotated[int, Option("Requests that run at the same time.", least=1)] = 8
    policy: Annotated[
        Path | None, Option("Text file that defines which words are unwanted.", otherwise="the built-in policy")
    ] = None
    examples: Annotated[
        Path | None,
        Option("JSONL file of solved samples for the judge's prompt: prompt, text, quotes.", otherwise="built-in"),
    ] = None
    types: Annotated[bool, Option("Ask the judge for the entity type of each quote, too.")] = False
    mentions: Annotated[Mentions, Option("Mentions of each quote to mark: the first, or all.")] = "first"
    fuzzy: Annotated[bool, Option("Accept words that resemble a quote.")] = False
    timeout: Annotated[float, Option("Seconds for each try of a request.", above=0)] = 60.0
    max_retries: Annotated[int, Option("Tries of a request after the first.", least=0)] = 5
    temperature: Annotated[float | None, Option("Sampling temperature.", least=0, most=2)] = 0.0
    response_format: Annotated[
        Form | None,
        Option("How to make the judge answer in JSON.", otherwise="the most reliable way that the server accepts"),
    ] = None
    max_reply_tokens: Annotated[int, Option("The most tokens of a reply.", least=1)] = 2048
    max_tokens_total: Annotated[
        int | None,
        Option(
            "Send no new request after this many tokens.",
            least=1,
            idle=_without_batch("a batch is submitted as one; use --limit instead"),
        ),
    ] = None
    chunk_chars: Annotated[int, Option("Judge longer texts in pieces of this many characters.")] = 6_000
    overlap_chars: Annotated[int, Option("Characters that a piece repeats from the one before.", least=0)] = 300
    cache: Annotated[Path | None, Option("File for replies.", otherwise="in the folder of the set's versions")] = None
    dry_run: Annotated[
        bool,
        Option(
            "Count requests and tokens without sending a request.",
            idle=_without_batch("run it before --batch submit, without --batch"),
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
        """Refuse an empty name, an invalid address, and pieces that are too short for their overlap."""
        if not self.model.strip():
            raise UsageError("is empty", where="--model", hint="Name the judge, such as --model gpt-4o.")
        _ = self.address
        if self.chunk_chars < max(16, 2 * self.overlap_chars):
            why = f"a piece needs at least 16 characters, and twice its overlap of {self.overlap_chars}"
            raise UsageError(f"{self.chunk_chars} is too small", where="--chunk-chars", why=why)

    @property
    def address(self) -> Address:
        """The endpoint.

        Raises:
            UsageError: if it is not an http address.
        """
        if self.base_url:
            return Address.of(self.base_url, "--base-url")
        if given := os.environ.get("OPENAI_BASE_URL", "").strip():
            return Address.of(given, "OPENAI_BASE_URL")
        return Address.of(OPENAI, "--base-url")

    @property
    def shown_url(self) -> str:
        """The endpoint without user name, password, query and fragment."""
        return self.address.shown

    @property
    def secrets(self) -> Secrets:
        """The values that no file and no message may contain."""
        return Secrets.of(self.base_url or "")


__all__ = ["OPENAI", "BatchStep", "Form", "JudgeOptions"]
