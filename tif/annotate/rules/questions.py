"""What a prompt gives away, and what kind of answer it asks for. Read off its words alone: prompts are short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tif.text import words as bounds

Asks = Literal["name", "place", "time", "value", "account"]
"""`name`: of a person. `place`, `time`: where, when. `value`: another short fact, such as a profession or a title.
`account`: how and why, which only a description answers."""

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
    """A prompt, as far as it bears on what is unwanted in the answer."""

    stems: frozenset[str]
    """Stems of the words that the prompt itself says."""
    asks: Asks | None
    """None where the prompt asks nothing that is recognised, or is empty."""

    @classmethod
    def of(cls, prompt: str) -> Question:
        """Read a prompt; "" asks nothing and gives nothing away."""
        stems = frozenset(_stems(prompt))
        return cls(stems, next((kind for kind, pattern in _ASKED if pattern.search(prompt)), None))

    def gives(self, words: Iterable[str]) -> bool:
        """Whether every one of these words is in the prompt, in this or another form."""
        return all(self.stems.issuperset(_stems(word)) for word in words)


def _stems(text: str) -> Iterator[str]:
    # A tokenizer may split `Al-Rashid` and keep `05/30/1952` in one token, or the reverse: these words are the same.
    return (stem(text[start:end]) for start, end in bounds(text))


def stem(word: str) -> str:
    """A word without what inflection and common derivation add: `author's`, `authors` -> `author`.

    Six letters are kept, which joins `literary` with `literature` and `Kazakhstani` with `Kazakhstan`: an answer that
    says the same in another form says nothing new. Short words lose a plural's `s` only. Months and days become plain
    numbers, so that `8th of September` equals `08/09`.
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
