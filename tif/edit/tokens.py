"""Where a hand may cut a text: clusters that look like one character, and words made of them.

Pure and without any model's tokenizer, so that the same text is cut the same way for whoever corrects it. Offsets are
code points, as everywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final

Range = tuple[int, int]
"""First code point and one past the last."""

_ZWJ: Final = "\u200d"
_INSIDE_WORDS: Final = "'’"
_INSIDE_NUMBERS: Final = ".,"
_UNSPACED: Final = ((0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF), (0x0E00, 0x0EFF))
"""Scripts written without spaces (Chinese, Japanese, Thai, Lao): there a character is the best word there is."""


@lru_cache(maxsize=64)
def clusters(text: str) -> tuple[Range, ...]:
    """Characters as a reader sees them, white space left out: letter and accents, emoji and modifiers, flags."""
    found: list[Range] = []
    start, flags = -1, 0
    for i, char in enumerate(text):
        flag = 0x1F1E6 <= ord(char) <= 0x1F1FF
        if start >= 0 and not char.isspace() and (_extends(char) or text[i - 1] == _ZWJ or (flag and flags == 1)):
            flags += flag
            continue
        if start >= 0:
            found.append((start, i))
        start, flags = (-1, 0) if char.isspace() else (i, int(flag))
    if start >= 0:
        found.append((start, len(text)))
    return tuple(found)


@lru_cache(maxsize=64)
def words(text: str) -> tuple[Range, ...]:
    """Runs of letters and digits, and every other cluster by itself: `O'Neill`, `3.5`, `,`, `👩‍🚀`."""
    units = clusters(text)
    joins = [_is_word(text[start]) or _bridges(text, units, i) for i, (start, _) in enumerate(units)]
    found: list[Range] = []
    for i, (start, end) in enumerate(units):
        if i and joins[i] and joins[i - 1] and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def pieces(text: str, cuts: Iterable[int] = ()) -> tuple[Range, ...]:
    """Words, cut further at `cuts`: with the edges of all spans as cuts, every span is a run of whole pieces."""
    inner = sorted(set(cuts))
    if not inner:
        return words(text)
    found: list[Range] = []
    at = 0
    for start, end in words(text):
        while at < len(inner) and inner[at] <= start:
            at += 1
        bounds = [start]
        while at < len(inner) and inner[at] < end:
            bounds.append(inner[at])
            at += 1
        found += pairwise([*bounds, end])
    return tuple(found)


def _extends(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "M" or category == "Cf" or 0x1F3FB <= ord(char) <= 0x1F3FF


def _is_word(char: str) -> bool:
    return (char.isalnum() or char == "_") and not any(low <= ord(char) <= high for low, high in _UNSPACED)


def _bridges(text: str, units: tuple[Range, ...], index: int) -> bool:
    """Whether a unit of punctuation stands inside a word or number, not at its end."""
    if not 0 < index < len(units) - 1:
        return False
    (_, left), (start, end), (right, _) = units[index - 1 : index + 2]
    if left != start or right != end or end - start != 1:
        return False
    before, char, after = text[units[index - 1][0]], text[start], text[right]
    if char in _INSIDE_WORDS:
        return before.isalpha() and after.isalpha() and _is_word(before) and _is_word(after)
    return char in _INSIDE_NUMBERS and before.isdigit() and after.isdigit()


__all__ = ["Range", "clusters", "pieces", "words"]
