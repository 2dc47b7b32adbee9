"""A long text in pieces that end where sentences end, with some text before each repeated for context."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SENTENCE_END: Final = re.compile(r"(?:[.!?…][\"'”’»)\]]*|[。！？｡][」』”]*)\s*|\n\s*")
_WORD_END: Final = re.compile(r"\s+")
_JOINER: Final = "\u200d"


def chunks(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    """Ranges of at most `size` code points that together cover the text.

    A range ends at the end of a sentence where one is in its second half, else after white space, else where need be,
    but never between a character and its combining marks. The next begins up to `overlap` code points before that, at
    the beginning of a sentence or a word.

    Args:
        text: the text.
        size: the longest range, at least 2 * overlap and at least 16.
        overlap: how much is repeated at most.

    Raises:
        ValueError: if `size` is too small for `overlap`.
    """
    if size < max(16, 2 * overlap) or overlap < 0:
        raise ValueError(f"size {size} is too small for an overlap of {overlap}")
    ranges: list[tuple[int, int]] = []
    start = end = 0
    while end < len(text):
        end = len(text) if len(text) - start <= size else _end(text, start, start + size)
        ranges.append((start, end))
        start = _start(text, end - overlap, end)
    return ranges


def _end(text: str, start: int, limit: int) -> int:
    half = start + (limit - start) // 2
    for pattern in (_SENTENCE_END, _WORD_END):
        ends = [match.end() for match in pattern.finditer(text, half, limit)]
        # A match that reaches the limit may be cut short, such as the dot in 3.5.
        whole = [at for at in ends if at < limit and (text[at - 1].isspace() or ord(text[at - 1]) > 0x2FFF)]
        if whole:
            return whole[-1]
    end = limit
    while end > half and _inside(text, end):
        end -= 1
    return end if end > half else limit


def _start(text: str, earliest: int, end: int) -> int:
    for pattern in (_SENTENCE_END, _WORD_END):
        for match in pattern.finditer(text, earliest, end):
            if match.end() < end and (text[match.end() - 1].isspace() or ord(text[match.end() - 1]) > 0x2FFF):
                return match.end()
    return end


def _inside(text: str, at: int) -> bool:
    return text[at - 1] == _JOINER or text[at] == _JOINER or unicodedata.category(text[at]).startswith("M")


__all__ = ["chunks"]
