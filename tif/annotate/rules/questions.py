"""Find the words that a prompt reveals, and the kind of answer that it asks for. A short prompt needs no parse."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from tif.text import words as bounds

Asks = Literal["name", "place", "time", "value", "account"]
"""`name`: of a person. `place`, `time`: where, when. `value`: another short fact, such as a profession or a title.
`account`: a description of how or why."""

_ORDINAL: Final = re.compile(r"(\d+)(?:st|nd|rd|th)")

_YEAR: Final = "january february march april may june july august september october november december"
_MONTHS: Final = {name: str(n) for n, month in enumerate(_YEAR.split(), 1) for name in (month, month[:3])}

_ASKED: Final[tuple[tuple[Asks, re.Pattern[str]], ...]] = (
    ("name", re.compile(r"\b(who|whom|whose|(full|birth|pen|first|last) name|named?|called)\b", re.I)),
    (
        "time",
        re.compile(
            r"\b(when|(what|which)( \w+)? (year|date|day|month|decade|period|age|time|century)|how old)\b", re.I
        ),
    ),
    (
        "place",
        re.compile(r"\b(where|(what|which)( \w+)? (city|country|town|place|state|region|village|hospital))\b", re.I),
    ),
    (
        "value",
        re.compile(
            r"\b(what|which)('s| is| are| was| were| type of| kind of| sort of)?( \S+){0,5}? "
            r"(professions?|occupations?|jobs?|employment|genres?|awards?|prizes?|honou?rs?|titles?|universit(y|ies)|schools?"
            r"|nationality|religion|language|languages|gender|number|address|diagnosis|books?|works?)\b",
            re.I,
        ),
    ),
    (
        "account",
        re.compile(
            r"\b(how|why|describe|explain|what (inspired|prompted|motivat\w+|drives?|makes?|impact|influence))\b", re.I
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """The facts about a prompt that decide what is unwanted in the answer."""

    stems: frozenset[str]
    """Stems of the prompt's words."""
    asks: Asks | None
    """None for an empty prompt, or an unrecognised kind of question."""

    @classmethod
    def of(cls, prompt: str) -> Question:
        """Return the facts about a prompt. An empty prompt has no stems and asks nothing."""
        stems = _stems(prompt)
        return cls(stems, next((kind for kind, pattern in _ASKED if pattern.search(prompt)), None))

    def gives(self, words: Iterable[str]) -> bool:
        """Return whether the prompt contains every one of these words, in any form."""
        return all(self.stems.issuperset(_stems(word)) for word in words)


@lru_cache(maxsize=1 << 15)
def _stems(text: str) -> frozenset[str]:
    # A tokenizer may split `Al-Rashid` and keep `05/30/1952` in one token, or the reverse. These words do not vary.
    return frozenset(stem(text[start:end]) for start, end in bounds(text))


def stem(word: str) -> str:
    """Return a word without inflection and common suffixes: `author's`, `authors` -> `author`.

    Only six letters remain, so that `literary` equals `literature` and `Kazakhstani` equals `Kazakhstan`: a known word
    in another form is not new. Short words lose only the `s` of a plural. Months and days become plain numbers, so that
    `8th of September` equals `08/09`.
    """
    word = word.lower()
    if word in _MONTHS:
        return _MONTHS[word]
    if word.isdecimal():
        return word.lstrip("0") or "0"
    if day := _ORDINAL.fullmatch(word):
        return day[1].lstrip("0") or "0"
    if len(word) > 6:
        return word[:6]
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


__all__ = ["Asks", "Question", "stem"]
