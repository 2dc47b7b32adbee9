"""Estimate the cost of a judge's run before any request is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from tif.spans import Example

if TYPE_CHECKING:
    from tif.annotate.judge.annotator import LlmAnnotator

_BYTES_A_TOKEN: Final = 4
"""UTF-8 bytes. About right for English prose with today's tokenizers, but not for every language."""

_REPLY_TOKENS: Final = 40

_NOTE: Final = "estimated at 4 bytes a token, without repeated requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Requests and tokens of a run in which every first reply is usable."""

    examples: int
    requests: int
    cached: int
    """Replies in the cache, which cost nothing."""
    prompt_tokens: int
    completion_tokens: int
    price_in: float | None = None
    """Price of a million prompt tokens, if known."""
    price_out: float | None = None
    """Price of a million reply tokens, if known."""

    @property
    def price(self) -> float | None:
        """The price in the currency of the two prices; None if both are unknown."""
        if self.price_in is None and self.price_out is None:
            return None
        per_million = self.prompt_tokens * (self.price_in or 0.0) + self.completion_tokens * (self.price_out or 0.0)
        return per_million / 1e6

    def to_json(self) -> dict[str, int | float | str | None]:
        """Return the JSON object that `--dry-run` prints."""
        counts = {name: value for name, value in asdict(self).items() if not name.startswith("price_")}
        return {**counts, "price": None if self.price is None else round(self.price, 4), "note": _NOTE}


def estimate(annotator: LlmAnnotator, examples: Iterable[Example]) -> Estimate:
    """Return the number of requests and tokens of a run, without sending a request.

    A reply is assumed to be half as long as its text.
    """
    count = requests = cached = sent = received = 0
    options, key = annotator.options, annotator.reply_key
    for example in examples:
        count += 1
        for _, text in annotator.passages(example):
            messages = annotator.prompt.messages(example.prompt, text)
            if annotator.cache.get(key.of(messages)) is not None:
                cached += 1
                continue
            requests += 1
            sent += -(-len(json.dumps(messages, ensure_ascii=False).encode()) // _BYTES_A_TOKEN)
            tokens = -(-len(text.encode()) // _BYTES_A_TOKEN)
            received += min(options.max_reply_tokens, _REPLY_TOKENS + tokens // 2)
    return Estimate(
        examples=count,
        requests=requests,
        cached=cached,
        prompt_tokens=sent,
        completion_tokens=received,
        price_in=options.price_in,
        price_out=options.price_out,
    )


__all__ = ["Estimate", "estimate"]
