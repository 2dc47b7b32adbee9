"""Let the most certain of overlapping spans keep its words."""

from __future__ import annotations

from collections.abc import Iterable

from tif.spans import Span, tidy


def without_overlaps(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans without overlaps that mark the same letters and digits.

    The span with the highest score keeps its characters, of equal scores the longer. Another keeps the rest of its own,
    if that contains a letter or a digit.

    Args:
        text: the text that the spans mark.
        spans: in any order. Those of one label that overlap are united first.
    """
    united = tidy(text, spans)
    owner: list[Span | None] = [None] * max((span.end for span in united), default=0)
    for span in sorted(united, key=lambda span: (span.score or 0.0, span.end - span.start)):
        owner[span.start : span.end] = [span] * (span.end - span.start)
    kept: list[Span] = []
    start = 0
    while start < len(owner):
        winner, end = owner[start], start + 1
        while end < len(owner) and owner[end] is winner:
            end += 1
        if winner is not None:
            kept += _part(text, winner, start, end)
        start = end
    return tidy(text, kept)


def _part(text: str, span: Span, start: int, end: int) -> list[Span]:
    if (start, end) == (span.start, span.end):
        return [span]
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return [Span(start, end, span.label, span.source, span.score)] if start < end else []


__all__ = ["without_overlaps"]
