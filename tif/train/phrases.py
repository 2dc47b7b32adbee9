"""Unwanted phrases: unbroken runs of unwanted tokens, and how probable they are.

Most tokens of a name follow from its first ones, so a model that never saw the name gives them a high probability, too.
A phrase is written by one random answer with the product of its tokens' probabilities, given the words before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from tif.tokens.masks import Encoded, Kind

RESOLUTION: Final = 0.01
"""Probabilities of phrases far below this count as equal: one answer in a hundred has such a phrase."""


@dataclass(frozen=True, slots=True)
class Level:
    """How probable the unwanted words of some samples are."""

    phrase: float
    """Mean over phrases of the product of their tokens' probabilities."""
    token: float
    """Mean over tokens of their probability."""

    def distance(self, aim: Level) -> float:
        """How far the phrases are from an aim: |log((u + r) / (u* + r))|, r the `RESOLUTION`."""
        return abs(math.log((self.phrase + RESOLUTION) / (aim.phrase + RESOLUTION)))


def numbered(pushed: Tensor, row: Tensor, position: Tensor) -> Tensor:
    """[n] int64: the phrase of each token, counted from 0, and -1 outside phrases.

    Args:
        pushed: [n] bool, the tokens of phrases.
        row: [n], the example of each token.
        position: [n], its index in the example. A token that is left out ends a phrase.
    """
    goes_on = torch.zeros_like(pushed)
    goes_on[1:] = pushed[:-1] & (row[1:] == row[:-1]) & (position[1:] == position[:-1] + 1)
    return torch.where(pushed, (pushed & ~goes_on).cumsum(0) - 1, -1)


def sums(values: Tensor, phrase: Tensor) -> Tensor:
    """[number of phrases]: the sum of `values` over each phrase. `phrase` is that of `numbered`."""
    inside = phrase >= 0
    count = int(phrase.max()) + 1 if len(phrase) else 0
    return values.new_zeros(count).index_add(0, phrase[inside], values[inside])


def at_floor(logprob: Tensor, floor: Tensor, phrase: Tensor) -> Tensor:
    """[number of phrases] bool: whether a phrase's summed log-probability is at or below that of its floors."""
    return sums(logprob, phrase) <= sums(floor, phrase)


def fallen(logprob: Tensor, floor: Tensor, phrase: Tensor) -> Tensor:
    """[n] bool: the tokens of the phrases that are at their floor."""
    inside = phrase >= 0
    result = torch.zeros_like(inside)
    result[inside] = at_floor(logprob, floor, phrase)[phrase[inside]]
    return result


def of_item(item: Encoded) -> Tensor:
    """[k] int64: the phrase of each supervised token of an example, as by `numbered`."""
    position = torch.tensor([t for t, kind in enumerate(item.kinds) if kind != Kind.PROMPT], dtype=torch.int64)
    unwanted = torch.tensor(item.pushed("uw"), dtype=torch.bool)
    return numbered(unwanted, torch.zeros_like(position), position)


def level(items: Sequence[Encoded], logprobs: Sequence[Tensor]) -> Level:
    """How probable the unwanted words of examples are.

    Args:
        items: examples with at least one unwanted token between them.
        logprobs: for each of them, [k], of its supervised tokens.
    """
    tokens, phrases = [], []
    for item, logprob in zip(items, logprobs, strict=True):
        phrase, exact = of_item(item), logprob.double()
        tokens.append(exact[phrase >= 0])
        phrases.append(sums(exact, phrase))
    return Level(*(torch.cat(each).exp().mean().item() for each in (phrases, tokens)))


__all__ = ["RESOLUTION", "Level", "at_floor", "fallen", "level", "numbered", "of_item", "sums"]
