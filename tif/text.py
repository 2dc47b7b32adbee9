"""What belongs to a word, in any script: marks on a letter and joiners are inside it. Offsets are code points."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

JOINERS: Final = "\u200c\u200d"
"""ZWNJ and ZWJ: inside words of Persian and of Indian scripts."""


def continues(char: str) -> bool:
    """Whether a character belongs to the one before it: combining marks, vowel signs, joiners."""
    return unicodedata.category(char)[0] == "M" or char in JOINERS


def starts(char: str) -> bool:
    """Whether a character is a letter, a digit or an underscore."""
    return char.isalnum() or char == "_"


def divides(text: str, at: int) -> bool:
    """Whether a cut at `at` goes through a word, or through a character and its marks."""
    if not 0 < at < len(text):
        return False
    if continues(text[at]):
        return not text[at - 1].isspace()
    return text[at].isalnum() and _base(text, at - 1)


def words(text: str, joiners: str = "") -> Iterator[tuple[int, int]]:
    """(start, end) of every run of letters and digits with their marks.

    Args:
        text: any text.
        joiners: characters that belong to a word between two letters or digits, e.g. `"'’-"`.
    """
    at, n = 0, len(text)
    while at < n:
        if not starts(text[at]):
            at += 1
            continue
        start = at
        while at < n:
            at += 1
            while at < n and continues(text[at]):
                at += 1
            if at < n and starts(text[at]):
                continue
            if at + 1 < n and text[at] in joiners and starts(text[at + 1]):
                continue
            break
        yield start, at


def _base(text: str, at: int) -> bool:
    """Whether the character at `at`, or the one that its marks stand on, is a letter or a digit."""
    while at > 0 and continues(text[at]):
        at -= 1
    return text[at].isalnum()


__all__ = ["continues", "divides", "starts", "words"]
