"""Split a long text into chunks that end where sentences end. Each chunk repeats the text before it for context."""

from __future__ import annotations

from tif.text import Range, divides, divides_cluster, sentence_ends, space_ends


def chunks(text: str, size: int, overlap: int) -> list[Range]:
    """Return ranges of at most `size` code points that together cover the text.

    A range ends at the last end of a sentence in its second half. Without one it ends after white space, else between
    two words, else between two clusters. Only a cluster longer than that half is cut. The next range begins up to
    `overlap` code points before this end, at the beginning of a sentence or a word.

    Args:
        text: the text.
        size: the longest range, at least 2 * overlap and at least 16.
        overlap: the most code points that are repeated.

    Raises:
        ValueError: if `size` is too small for `overlap`.
    """
    if size < max(16, 2 * overlap) or overlap < 0:
        raise ValueError(f"size {size} is too small for an overlap of {overlap}")
    ranges: list[Range] = []
    start = end = 0
    while end < len(text):
        end = len(text) if len(text) - start <= size else _end(text, start, start + size)
        ranges.append((start, end))
        start = _start(text, end - overlap, end)
    return ranges


def _end(text: str, start: int, limit: int) -> int:
    half = start + (limit - start) // 2
    for ends in (sentence_ends, space_ends):
        if places := ends(text, half, limit):
            return places[-1]
    for cuts in (divides, divides_cluster):
        for at in range(limit, half, -1):
            if not cuts(text, at):
                return at
    return limit


def _start(text: str, earliest: int, end: int) -> int:
    for ends in (sentence_ends, space_ends):
        if places := ends(text, earliest, end):
            return places[0]
    return next((at for at in range(earliest, end) if not divides(text, at)), end)


__all__ = ["chunks"]
