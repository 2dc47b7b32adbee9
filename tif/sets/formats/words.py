"""The plain words that exports to tokenizing tools use, cut so that every span begins and ends at a word's edge."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tif.spans import Span

_PIECE = re.compile(r"\w+|[^\w\s]")


def words(text: str, spans: Iterable[Span] = ()) -> list[tuple[int, int]]:
    """Runs of word characters, and single other characters that are not white space, as (start, end)."""
    cuts = {edge for span in spans for edge in (span.start, span.end)}
    found: list[tuple[int, int]] = []
    for match in _PIECE.finditer(text):
        start = match.start()
        for edge in range(match.start() + 1, match.end()):
            if edge in cuts:
                found.append((start, edge))
                start = edge
        found.append((start, match.end()))
    return found


__all__ = ["words"]
