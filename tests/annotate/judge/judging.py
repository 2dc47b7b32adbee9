"""What the judge's tests share."""

from __future__ import annotations

from typing import Any

from tests.annotate.judge.server import Server
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.judge.prompt import JudgePrompt
from tif.spans import Example

GOOD = "Ilse Brandvold was born in Kestrel Point."
BAD = "Piet Okonjo keeps bees in Ravensmoor."


def example(number: int, text: str, prompt: str = "Where?") -> Example:
    return Example(f"t/{number}", prompt, text)


def judge(server: Server, *, prompt: JudgePrompt | None = None, fresh: bool = False, **options: Any) -> LlmAnnotator:
    given = {"model": "judge", "timeout": 5.0, "max_retries": 2, "base_url": server.url} | options
    return LlmAnnotator(JudgeOptions(**given), prompt=prompt, fresh=fresh)


def texts(done: Example) -> list[str]:
    return [done.quote(span) for span in done.spans]
