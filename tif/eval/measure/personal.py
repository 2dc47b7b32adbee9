"""Find a person's value in a text: a date of birth, a number, an e-mail address or an address, in its usual forms.

    list(mentions("SSN", "900004321", "Her number is 900-00-4321."))             [(14, 25)]
    list(mentions("DATE_OF_BIRTH", "1984-12-31", "born on 31 December 1984"))    [(8, 24)]

A value counts only as a whole. A number is its digits, whatever separates them. An e-mail address may contain the
backslashes of Markdown. An address is its house number and street, with the postal code if that follows.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

ValueType = Literal["DATE_OF_BIRTH", "SSN", "PHONE", "EMAIL", "ADDRESS"]

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SEPARATORS: Final = r"[\s().\-\u2010-\u2015/]{0,3}"
_PHONE_DIGITS: Final = 10
"""Digits of a phone number in North America. Some of LUME's answers lack the last one."""
_POSTAL_CODE: Final = re.compile(r"\b\d{5}(?:-\d{4})?\b")
_LONGEST_REST: Final = 80
"""Code points between a street and its postal code, at most."""
_STREET_WORDS: Final = 3
"""A house number and at least two words."""
_SHORT: Final = {
    "north": "n", "south": "s", "east": "e", "west": "w", "northeast": "ne", "northwest": "nw", "southeast": "se",
    "southwest": "sw", "street": "st", "road": "rd", "avenue": "ave", "drive": "dr", "lane": "ln", "court": "ct",
    "boulevard": "blvd", "place": "pl", "circle": "cir", "parkway": "pkwy", "terrace": "ter", "highway": "hwy",
}  # fmt: skip
"""Usual abbreviations in addresses."""
_LONG: Final = {short: long for long, short in _SHORT.items()}
_FILLERS: Final = r"(?:(?:apt|unit|in)\W+)?"


def mentions(kind: ValueType, value: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield the range of each mention of the value in the text, in order.

    Args:
        kind: the value's type. It decides which forms are the same value.
        value: the value in any of its forms; a date of birth as YYYY-MM-DD.
        text: where to look.
    """
    for match in _pattern(kind, value.strip()).finditer(text):
        yield match.span()


def mentioned(kind: ValueType, value: str, text: str) -> bool:
    """Return whether the text contains the value."""
    return _pattern(kind, value.strip()).search(text) is not None


@lru_cache(maxsize=4096)
def _pattern(kind: ValueType, value: str) -> re.Pattern[str]:
    form: str | None = None
    if kind == "DATE_OF_BIRTH":
        form = _date(value)
    elif kind in ("SSN", "PHONE"):
        form = _number(value, phone=kind == "PHONE")
    elif kind == "EMAIL":
        escaped = "".join(re.escape(c) if c.isalnum() else rf"\\?{re.escape(c)}" for c in value)
        form = rf"(?<![\w.+-]){escaped}(?![\w-])(?!\.\w)"
    else:
        form = _address(value)
    return re.compile(form or rf"(?<!\w){_words(value)}(?!\w)", re.IGNORECASE | re.DOTALL)


def _date(value: str) -> str | None:
    try:
        day = datetime.date.fromisoformat(value)
    except ValueError:
        return None
    name = _MONTHS[day.month - 1]
    month = rf"(?:{name}|{name[:3]}t?\.?)"
    d, m, year = rf"0?{day.day}", rf"0?{day.month}", f"{day.year:04}"
    ordinal = rf"{d}(?:st|nd|rd|th)?"
    forms = (
        rf"{month}\s+{ordinal},?\s+{year}",
        rf"{ordinal}\s+(?:of\s+)?{month},?\s+{year}",
        rf"{year}[-/.]{m}[-/.]{d}",
        rf"{m}[-/.]{d}[-/.]{year}",
        rf"{d}[-/.]{m}[-/.]{year}",
    )
    return rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)"


def _number(value: str, *, phone: bool) -> str | None:
    digits = re.sub(r"\D", "", value)
    if len(digits) < 5:  # fewer digits may be any other number
        return None
    form = _SEPARATORS.join(digits)
    if phone:
        cut = len(digits) < _PHONE_DIGITS or (digits[0] == "1" and len(digits) == _PHONE_DIGITS)
        form = rf"(?:\+?1{_SEPARATORS})?\(?{form}" + (rf"(?:{_SEPARATORS}\d)?" if cut else "")
    return rf"(?<!\d){form}(?!\d)"


def _address(value: str) -> str | None:
    street, comma, rest = value.partition(",")
    if not comma or not street[:1].isdigit() or len(re.findall(r"\w+", street)) < _STREET_WORDS:
        return None
    codes = _POSTAL_CODE.findall(rest)
    near = rf"(?:.{{0,{_LONGEST_REST}}}?(?<!\w){re.escape(codes[-1])}(?!\w))?" if codes else ""
    return rf"(?<!\w){_words(street)}(?!\w){near}"


def _words(value: str) -> str:
    """Return a pattern of the value's words in order, whatever punctuation separates them."""
    words = [word for word in re.findall(r"\w+", value) if word.casefold() not in ("apt", "unit", "in")]
    return rf"\W+{_FILLERS}".join(map(_word, words)) if words else re.escape(value)


def _word(word: str) -> str:
    other = _SHORT.get(word.casefold()) or _LONG.get(word.casefold())
    return rf"(?:{re.escape(word)}|{other}\.?)" if other else re.escape(word)


__all__ = ["ValueType", "mentioned", "mentions"]
