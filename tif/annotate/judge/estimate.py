"""What a judge's run will cost, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tif.annotate.judge.cache import digest
from tif.spans import Example

if TYPE_CHECKING:
    from tif.annotate.judge.annotator import LlmAnnotator

_BYTES_A_TOKEN: Final = 4
"""UTF-8 bytes: about right for English prose with today's tokenizers, and too many tokens for few languages."""

_REPLY_TOKENS: Final = 40


@dataclass(frozen=True, slots=True)
class Estimate:
    """Requests and tokens of a run in which every reply is usable at once."""

    examples: int
    requests: int
    cached: int
    """Replies that are known already and cost nothing."""
    prompt_tokens: int
    completion_tokens: int

    def price(self, per_million_in: float, per_million_out: float) -> float:
        """In the currency of the two prices, which are for a million tokens."""
        return (self.prompt_tokens * per_million_in + self.completion_tokens * per_million_out) / 1e6

    def row(self, price_in: float | None, price_out: float | None) -> dict[str, Any]:
        """As JSON; `price` is null unless a price is known."""
        known = price_in is not None or price_out is not None
        return {
            "examples": self.examples,
            "requests": self.requests,
            "cached": self.cached,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "price": round(self.price(price_in or 0.0, price_out or 0.0), 4) if known else None,
            "note": "estimated at 4 bytes a token; replies that must be asked for twice come on top",
        }


def estimate(annotator: LlmAnnotator, examples: Iterable[Example]) -> Estimate:
    """Count what would be sent, piece by piece, without sending it. A reply is taken for half as long as its text."""
    count = requests = cached = sent = received = 0
    for example in examples:
        count += 1
        for _, text in annotator.passages(example):
            messages = annotator.prompt.messages(example.prompt, text)
            if annotator.cache.get(digest({**annotator.reply_key, "messages": messages})) is not None:
                cached += 1
                continue
            requests += 1
            sent += -(-len(json.dumps(messages, ensure_ascii=False).encode()) // _BYTES_A_TOKEN)
            tokens = -(-len(text.encode()) // _BYTES_A_TOKEN)
            received += min(annotator.settings.max_reply_tokens, _REPLY_TOKENS + tokens // 2)
    return Estimate(count, requests, cached, sent, received)


__all__ = ["Estimate", "estimate"]
