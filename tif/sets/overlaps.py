"""Which spans of an example overlap a range, without comparing the range with every span."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from operator import attrgetter

from tif.spans import Span


class Overlaps:
    """Spans of one text in an order that finds those at a place in logarithmic time.

    Args:
        spans: in any order; they may overlap each other.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=attrgetter("start", "end", "label"))
        self._starts = [span.start for span in self._spans]
        self._reach = list(accumulate((span.end for span in self._spans), max))
        """The furthest end among each span and those before it."""

    def at(self, start: int, end: int) -> list[Span]:
        """Return the spans that overlap a range, in the text's order."""
        at = bisect_left(self._starts, end)
        here = []
        while at and self._reach[at - 1] > start:
            at -= 1
            if self._spans[at].end > start:
                here.append(self._spans[at])
        return here[::-1]


class OverlapsByLabel:
    """As `Overlaps`, but only spans of one label are compared.

    Args:
        spans: in any order, of any labels.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        groups: dict[str, list[Span]] = {}
        for span in spans:
            groups.setdefault(span.label, []).append(span)
        self._groups = {label: Overlaps(group) for label, group in groups.items()}

    def of(self, span: Span) -> list[Span]:
        """Return the spans of the same label that overlap `span`, in the text's order."""
        group = self._groups.get(span.label)
        return group.at(span.start, span.end) if group else []


__all__ = ["Overlaps", "OverlapsByLabel"]
