"""What the judge's tests share."""

from __future__ import annotations

from typing import Any

from tests.annotate.judge.server import Server
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.settings import Settings
from tif.spans import Example

GOOD = "Ilse Brandvold was born in Kestrel Point."
BAD = "Piet Okonjo keeps bees in Ravensmoor."


def example(number: int, text: str, prompt: str = "Where?") -> Example:
    return Example(f"t/{number}", prompt, text)


def judge(server: Server, **options: Any) -> LlmAnnotator:
    names = {"concurrency", "timeout", "max_retries", "temperature", "response_format", "max_tokens_total", "model"}
    given = {"model": "judge", "timeout": 5.0, "max_retries": 2} | {k: options.pop(k) for k in names & set(options)}
    return LlmAnnotator(Settings(base_url=server.url, **given), **options)


def texts(found: Example) -> list[str]:
    return [found.quote(span) for span in found.spans]
