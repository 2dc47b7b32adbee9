"""Find contact data, identifiers, times and codes by their form, in any language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tif.annotate.rules.fields import field_type, names_field
from tif.annotate.rules.identifiers import encodes_text, identifier, is_iban, is_ip
from tif.annotate.rules.places import BLANK, Place

_MAIL_CHARACTER: Final = r"[\w.+\\\u200b-\u200d\u2060-]"
"""A character of an address before the @. Markdown writes `_` as `\\_`, and invisible characters may hide in it."""

_AT: Final = r"(?:[@＠]|%40|[ ]?[\[(][ ]?(?:at|AT|@)[ ]?[\])][ ]?)"
_DOT: Final = r"(?:\.|[ ]?[\[(][ ]?(?:dot|DOT|\.)[ ]?[\])][ ]?)"

_EMAIL: Final = re.compile(
    # From inside a run of an address's characters, a search looks at 64 only, the most before an @.
    rf"(?:(?<!{_MAIL_CHARACTER}){_MAIL_CHARACTER}++|{_MAIL_CHARACTER}{{1,64}}){_AT}[\w-]++(?:{_DOT}[\w-]++)++"
)

_URL: Final = re.compile(r"(?:\bhttps?://|\bwww\.)[^\s<>\"')\]]*[^\s<>\"')\].,;:!?]")

_PAIR: Final = re.compile(
    r"[?&](?P<key>[\w.-]{1,40})="
    # A value with spaces is only clear if another pair follows.
    r"(?P<value>[^&?\s\"'<>]++(?:[ ][^&?\s\"'<>]++){1,4}(?=&)|[^&?\s\"'<>]++(?:[ ]\p{Lu}[\w'’-]{1,30}){0,3})".replace(
        r"\p{Lu}", "[A-ZÀ-ÖØ-Þ]"
    )
)
"""A pair of a query, as in `?name=Ann&mail=ann@example.org`."""

_TIME: Final = re.compile(
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z\b|[ ]?[+-]\d\d:?\d\d\b)?)?"
    r"|\b\d\d?[:.]\d\d(?::\d\d)?[ ]?(?:[ap]\.?m\b\.?|Uhr\b|h\b)"
)

_IBAN: Final = re.compile(r"\b[A-Z]{2}\d\d(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b")

_ADDRESS_OF_MACHINE: Final = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)|\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b"
)

_IPV6: Final = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")

_KEY: Final = re.compile(r"(?<![\w-])(?=[A-Za-z_-]*+\d)(?=[\d_-]*+[A-Za-z])[\w-]{12,}+")
"""Keys, tokens and hashes: long words of letters and digits."""

_NUMBER: Final = re.compile(
    r"(?:\+|\()?\d[\d()/. -]{6,}\d(?:[ ]?(?:x|ext\.?[ ]?)\d{1,6}\b)?"  # telephone and account numbers, dates in digits
)

_CODE: Final = re.compile(
    # Codes, times, measurements: one word with a digit in it.
    r"\b(?=\w*\d|\w*+-\w*\d)(?:[A-Za-z]+-)*[A-Z0-9][\w:/.,-]*\w"
    r"|\b\d\b"
)

_ENCODED: Final = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{12,}+={0,2}(?![A-Za-z0-9+/=])")


def contacts(text: str, *, language: str = "en") -> list[Place]:
    """Return contact data, identifiers, dates in digits and times. They may overlap: earlier ones are more certain.

    Args:
        text: any text.
        language: the text's language. Its countries' forms of numbers are tried first.
    """
    places = [Place.of(match.span(), "EMAIL") for match in _EMAIL.finditer(text)]
    queries: list[Place] = []
    for match in _PAIR.finditer(text):
        if names_field(match["key"]):
            queries.append(Place.of(match.span("value"), field_type(match["key"]) or "OTHER"))
            places.append(Place.of(match.span("key"), BLANK))
    places += queries
    at = 0
    for match in _URL.finditer(text):
        while at < len(queries) and queries[at].end <= match.start():
            at += 1
        # The values of a query are the data. The address before it is the service's.
        query = at < len(queries) and queries[at].start < match.end()
        places.append(Place.of(match.span(), BLANK if query else "NETWORK"))
    places += [Place.of(match.span(), "DATE") for match in _TIME.finditer(text)]
    places += [Place.of(match.span(), "ACCOUNT") for match in _IBAN.finditer(text) if is_iban(match[0])]
    places += [Place.of(match.span(), "NETWORK") for match in _ADDRESS_OF_MACHINE.finditer(text)]
    places += [Place.of(match.span(), "NETWORK") for match in _IPV6.finditer(text) if is_ip(match[0])]
    places += [Place.of(m.span(), identifier(text, *m.span(), language=language)) for m in _KEY.finditer(text)]
    places += [Place.of(match.span(), "OTHER") for match in _ENCODED.finditer(text) if encodes_text(match[0])]
    places += [
        Place.of(match.span(), identifier(text, *match.span(), language=language)) for match in _NUMBER.finditer(text)
    ]
    return places


def codes(text: str, *, language: str = "en") -> Iterator[Place]:
    """Yield each single word with a digit: codes, amounts, years, digits alone."""
    for match in _CODE.finditer(text):
        yield Place.of(match.span(), identifier(text, *match.span(), language=language))


__all__ = ["codes", "contacts"]
