"""Cut a long text into overlapping windows of words, and choose among the spans that a model finds in them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from operator import attrgetter

from tif.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of a text a window has."""

    words: int
    """The most words."""
    tokens: int | None
    """The most tokens of these words; None if nothing limits them."""
    overlap: int
    """Words that two windows share, at most half a window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordWindow:
    """Words of a text that the model reads together, as numbers of words."""

    first: int
    end: int
    """One past the last word."""
    own_first: int
    """The first word that this window decides: of an overlap, each window decides the half that is further inside."""
    own_end: int

    def owns(self, first: int, last: int) -> bool:
        """Return whether the middle of a span is this window's."""
        return self.own_first <= (first + last) / 2 < self.own_end


def word_windows(tokens: Sequence[int], room: Room) -> list[WordWindow]:
    """Return the windows of a text. A word with more tokens than a window has one of its own.

    Args:
        tokens: how many tokens each word has.
        room: the size of a window.
    """
    bounds = list(_bounds(tokens, room))
    cuts = [0, *(ceil((end + first) / 2) for (_, end), (first, _) in pairwise(bounds)), len(tokens)]
    return [
        WordWindow(first=first, end=end, own_first=own_first, own_end=own_end)
        for (first, end), own_first, own_end in zip(bounds, cuts, cuts[1:], strict=False)
    ]


def _bounds(tokens: Sequence[int], room: Room) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(tokens):
        end, used = first, 0
        while end < min(first + room.words, len(tokens)):
            used += tokens[end]
            if room.tokens is not None and used > room.tokens and end > first:
                break
            end += 1
        yield first, end
        if end == len(tokens):
            return
        first = end - min(room.overlap, (end - first) // 2)


def chosen(spans: Iterable[tuple[bool, Span]]) -> list[Span]:
    """Return the spans that stay, sorted. None overlap.

    Those that their window owns come first, then the higher score wins. Another window's span stays where nothing else
    is: it may be a part of an entity that a window's edge cuts.

    Args:
        spans: each span, and whether the window that gives it owns it.
    """
    kept: list[Span] = []
    for _, span in sorted(spans, key=lambda pair: (not pair[0], -(pair[1].score or 0.0), pair[1].key)):
        at = bisect_left(kept, span.key, key=attrgetter("key"))
        if not any(span.overlaps(other) for other in kept[max(at - 1, 0) : at + 1]):
            kept.insert(at, span)
    return kept


__all__ = ["Room", "WordWindow", "chosen", "word_windows"]
