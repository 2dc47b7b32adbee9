"""Every rule about characters: clusters that readers see as one character, words, and ends of sentences.

All code that cuts a text uses these rules, so that every part of tif cuts alike. Offsets are code points. No text is
normalised.

A **cluster** is an extended grapheme cluster of Unicode (UAX 29), as the `regex` package's `\\X` matches it: a letter
with its marks, a conjunct such as `क्ष`, an emoji with its modifiers, a flag, a line end of two characters.

A **word** is a run of letters and digits. It may contain underscores and invisible format characters, such as a soft
hyphen, between two of them. In a script without spaces between words, each cluster is a word. This needs no dictionary
and never cuts a character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

import regex

Range = tuple[int, int]
"""First code point, and one past the last."""

UNSPACED: Final = (
    "Han",
    "Hiragana",
    "Katakana",
    "Bopomofo",
    "Yi",
    "Hangul",
    "Thai",
    "Lao",
    "Khmer",
    "Myanmar",
    "Tibetan",
    "Tai_Le",
    "New_Tai_Lue",
    "Tai_Tham",
    "Tai_Viet",
)
"""Scripts that write words, or in Korean a noun and its particles, without a space between them."""

_KANA: Final = "\u3006\u3031-\u3035\u303c\u30fc\uff70\uff9e\uff9f"
"""Letters that both Japanese syllabaries use, such as the long-vowel mark. Unicode gives them no script."""

_PREPENDED: Final = r"\p{GCB=Prepend}"
"""Signs that belong to the character after them, such as the Arabic number sign."""
_LETTER: Final = rf"(?={_PREPENDED}*[\p{{L}}\p{{N}}])"
_SCRIPTS: Final = "".join(rf"\p{{Script={script}}}" for script in UNSPACED)
_UNSPACED: Final = rf"(?={_PREPENDED}*(?!\p{{Nd}})[{_SCRIPTS}{_KANA}])"
# Some vowel signs of Myanmar are clusters of their own. They still belong to the word before.
_MARKS: Final = r"(?:(?=\p{M})\X)*+"
_SPACED_LETTER: Final = rf"(?:{_LETTER}(?!{_UNSPACED})\X{_MARKS})"
_UNSPACED_LETTER: Final = rf"(?:{_LETTER}{_UNSPACED}\X{_MARKS})"
_UNDERSCORE: Final = r"(?:(?=_)\X)"
# A zero-width space is a format character too, but separates words.
_FORMAT: Final = r"(?:(?!\u200b)(?=\p{Cf})\p{GCB=Control})"
# `str.isspace` counts four separators of ASCII as white space, `regex` does not.
_SPACE: Final = r"[\s\x1c-\x1f]"
# \X includes a space after a prepended sign. Here, no cluster may contain white space.
# For each letter of a flag, \X counts all such letters before it.
_FLAG: Final = r"\p{GCB=Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+"
_CLUSTER: Final = rf"(?:{_FLAG}|{_PREPENDED}++(?={_SPACE})|(?!{_SPACE})\X)"

_FEW: Final = 50
"""As many quotes are found sooner one by one."""

_CLOSING: Final = r"[\"'\p{Pe}\p{Pf}]*+"
_SENTENCE_END: Final = (
    # A run of them ends once: another try from inside the run would only find the same end.
    rf"(?:(?<![.!?…])|\G)[.!?…]++{_CLOSING}{_SPACE}++"
    # Full stops of other scripts end a sentence without a space: numbers and abbreviations do not use them.
    rf"|(?![!?])\p{{Sentence_Break=STerm}}{_CLOSING}{_SPACE}*+"
    rf"|\n{_SPACE}*+"
)


@lru_cache(maxsize=16)
def clusters(text: str) -> tuple[Range, ...]:
    """Return the characters as a reader sees them, without white space."""
    return tuple(match.span() for match in _compiled(_CLUSTER).finditer(text))


@lru_cache(maxsize=16)
def cluster_starts(text: str) -> tuple[int, ...]:
    """Return where each character as a reader sees it begins, white space included, and then the text's length."""
    return (*(match.start() for match in _compiled(r"\X").finditer(text)), len(text))


def words(text: str, *, inside_words: str = "", inside_numbers: str = "") -> Iterator[Range]:
    """Yield the range of every word, in order.

    Args:
        text: any text.
        inside_words: characters that belong to a word between two letters or digits, e.g. `"'’-"`.
        inside_numbers: characters that belong to a number between two digits, e.g. `".,"`.
    """
    return (match.span() for match in _pieces(inside_words, inside_numbers).finditer(text) if match["word"])


def pieces(
    text: str, cuts: Iterable[int] = (), *, inside_words: str = "", inside_numbers: str = ""
) -> tuple[Range, ...]:
    """Return every word, and every other cluster by itself. White space is left out.

    Args:
        text: any text.
        cuts: further places to cut at. If these include the edges of a span, the span is a run of complete pieces.
        inside_words: as in `words`.
        inside_numbers: as in `words`.
    """
    uncut = _uncut(text, inside_words, inside_numbers)
    inner = sorted(set(cuts))
    if not inner:
        return uncut
    parts: list[Range] = []
    at = 0
    for start, end in uncut:
        while at < len(inner) and inner[at] <= start:
            at += 1
        bounds = [start]
        while at < len(inner) and inner[at] < end:
            bounds.append(inner[at])
            at += 1
        parts += pairwise([*bounds, end])
    return tuple(parts)


def divides(text: str, at: int) -> bool:
    """Return whether a cut at `at` divides a word or a cluster."""
    if not 0 < at < len(text):
        return False
    pair = text[at - 1 : at + 1]
    if pair.isascii() and "_" not in pair:  # decides most cuts without reading the full text
        return pair.isalnum() or pair == "\r\n"
    return _inside(text)[at] > 0


def divides_cluster(text: str, at: int) -> bool:
    """Return whether a cut at `at` divides a character as a reader sees it."""
    return 0 < at < len(text) and _inside(text)[at] == _IN_CLUSTER


def mentions(text: str, quote: str) -> Iterator[int]:
    """Yield the start of each mention of a quote that does not begin or end inside a longer word or cluster."""
    at = text.find(quote) if quote else -1
    while at >= 0:
        end = at + len(quote)
        if divides(text, at) or divides(text, end):
            at = text.find(quote, at + 1)
        else:
            yield at
            at = text.find(quote, end)


def all_mentions(text: str, quotes: Collection[str]) -> dict[str, list[int]]:
    """Return the mentions of each quote, as `mentions` yields them.

    Many quotes are looked up at each place where one may begin, by their length. So the time does not grow with the
    number of quotes times the length of the text.
    """
    if len(quotes) <= _FEW:
        return {quote: list(mentions(text, quote)) for quote in quotes}
    lengths = sorted({len(quote) for quote in quotes} - {0})
    places: dict[str, list[int]] = {quote: [] for quote in quotes}
    bounds = [not divides(text, at) for at in range(len(text) + 1)]
    for at in (at for at, bound in enumerate(bounds) if bound):
        for length in lengths:
            end = at + length
            if end >= len(bounds):
                break
            if bounds[end] and (here := places.get(text[at:end])) is not None and not (here and here[-1] + length > at):
                here.append(at)
    return places


def sentence_ends(text: str, start: int, end: int) -> list[int]:
    """Return the ends of sentences between two places, both excluded. White space after a sentence belongs to it."""
    return _ends(_SENTENCE_END, text, start, end)


def space_ends(text: str, start: int, end: int) -> list[int]:
    """Return the ends of white space between two places, both excluded."""
    return _ends(rf"{_SPACE}+", text, start, end)


def is_punctuation(character: str) -> bool:
    """Return whether a character is punctuation or a symbol."""
    return unicodedata.category(character)[0] in "PS"


def separates(piece: str) -> bool:
    """Return whether a piece is only punctuation between words. Signs such as `%`, `&` and `#` belong to words."""
    return all(unicodedata.category(c)[0] == "P" and c not in "%‰&@#*" for c in piece)


def trimmed(text: str, start: int, end: int) -> Range:
    """Return a range without the white space at its edges. It is empty if the range holds only white space."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _ends(pattern: str, text: str, start: int, end: int) -> list[int]:
    ends = (match.end() for match in _compiled(pattern).finditer(text, start, end))
    return [at for at in ends if at < end and not divides(text, at)]


@lru_cache(maxsize=16)
def _uncut(text: str, inside_words: str, inside_numbers: str) -> tuple[Range, ...]:
    return tuple(match.span() for match in _pieces(inside_words, inside_numbers).finditer(text))


@cache
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)


@cache
def _pieces(inside_words: str, inside_numbers: str) -> Any:
    """Return the pattern of pieces. Its group `word` matches if the piece is a word."""
    inside = [f"(?:{_UNDERSCORE}|{_FORMAT})++"]
    if inside_words:
        inside.append(f"[{regex.escape(inside_words, special_only=False)}]")
    if inside_numbers:
        inside.append(rf"(?<=\p{{Nd}})[{regex.escape(inside_numbers, special_only=False)}](?=\p{{Nd}})")
    run = rf"{_SPACED_LETTER}++(?:(?:{'|'.join(inside)}){_SPACED_LETTER}++)*+"
    return regex.compile(rf"(?P<word>{run}|{_UNSPACED_LETTER}|{_UNDERSCORE}++)|{_CLUSTER}")


_IN_WORD: Final = 1
_IN_CLUSTER: Final = 2


@lru_cache(maxsize=16)
def _inside(text: str) -> bytes:
    """Return for each place in the text whether it is inside a word, inside a cluster, or (0) between two of them."""
    inside = bytearray(len(text) + 1)
    for start, end in pieces(text):
        inside[start + 1 : end] = bytes([_IN_WORD]) * (end - start - 1)
    for match in _compiled(rf"\r\n|{_CLUSTER}").finditer(text):
        start, end = match.span()
        if end - start > 1:
            inside[start + 1 : end] = bytes([_IN_CLUSTER]) * (end - start - 1)
    return bytes(inside)


__all__ = [
    "UNSPACED",
    "Range",
    "all_mentions",
    "cluster_starts",
    "clusters",
    "divides",
    "divides_cluster",
    "is_punctuation",
    "mentions",
    "pieces",
    "sentence_ends",
    "separates",
    "space_ends",
    "trimmed",
    "words",
]
