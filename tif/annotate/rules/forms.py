"""Find the values that the layout of a text shows: names after titles and salutations, fields, letterheads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Final

import regex

from tif.annotate.rules.fields import PARTIES, field_type, says_nothing
from tif.annotate.rules.jobs import HEADS
from tif.annotate.rules.lexicon import words
from tif.annotate.rules.places import Place

_NAME: Final = r"\p{Lu}[\p{L}\p{M}'’-]{1,30}+|\p{Lu}\."
_NAMES: Final = rf"(?:{_NAME})(?:[ ](?:{_NAME}|(?:de|del|la|van|von|der|den|di|da|al|bin|ibn)\b)){{0,3}}"

_AFTER_TITLE: Final = regex.compile(
    rf"\b(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Hon|Judge|Justice|Sir|Dame|Mme|Mlle|Monsieur|Madame|Herr|Frau|Sra?|Señora?|Doña)\b"
    rf"\.?[ ](?P<value>{_NAMES})"
)
_SALUTATION: Final = regex.compile(
    rf"\b(?:Dear|Hi|Hello|Chère?|Bonjour|Liebe[rs]?|Hallo|Sehr[ ]geehrte[rs]?|Estimad[oa]|Querid[oa]|Hola)[ ]"
    rf"(?:(?:Mr|Mrs|Ms|Dr|Herr|Frau|Sra?|Mme|M)\b\.?[ ])?(?P<value>{_NAMES})(?=[ ]?[,:!\n]|$)"
)
_NOBODY: Final = words(
    "Sir Madam All Team Everyone Everybody Colleague Colleagues Customer Customers Friends Damen Sirs"
)

_FIELD: Final = regex.compile(
    r"^[ \t]{0,20}+(?P<key>\p{Lu}\p{L}{1,20}+(?:[ ]\p{L}{1,20}+){0,2}):[ \t]{1,4}"
    rf"(?P<value>{_NAMES})[ \t]*+$",
    regex.MULTILINE,
)
_FREE_FIELDS: Final = words(
    "subject re title type status topic category note priority betreff objet asunto action result format language"
)
"""Fields whose values are often ordinary words with a capital."""

_ORGANISATIONS: Final = words("bank company employer firm school hospital clinic university organisation organization")

_VERSUS: Final = regex.compile(rf"(?P<value>{_NAMES})[ ]{{1,4}}vs?\.[ ]{{1,4}}(?P<other>{_NAMES})")

_LINE: Final = regex.compile(r"[^\n]+")
_MOST_WORDS: Final = 7
_CONTACT: Final = ("ADDRESS", "PHONE", "EMAIL")


def forms(text: str) -> list[Place]:
    """Return names after titles and salutations, values of fields, and the parties of a case. They may overlap."""
    places = [
        Place.of(match.span("value"), "PERSON")
        for pattern in (_AFTER_TITLE, _SALUTATION)
        for match in pattern.finditer(text)
        if match["value"].split()[0] not in _NOBODY
    ]
    for match in _FIELD.finditer(text):
        if match["key"].lower().split()[-1] not in _FREE_FIELDS and not says_nothing(match["value"]):
            places.append(Place.of(match.span("value"), _value_type(match["key"])))
    for match in _VERSUS.finditer(text):
        places += [Place.of(match.span(group), "OTHER") for group in ("value", "other")]
    return places


def _value_type(key: str) -> str:
    """Return the type of a value that is a name, by the field before it."""
    last = key.lower().split()[-1]
    if last in PARTIES or field_type(last) in ("PERSON", "RECORD_ID"):
        return "PERSON"  # `Patient: Ann Bo`. Its number would be one of a record.
    return "ORG" if last in _ORGANISATIONS else field_type(last) or "OTHER"


def around(named: list[Place], values: list[Place]) -> tuple[list[Place], list[Place], list[Place]]:
    """Return the layers of names: people whom a form shows, the pipeline's entities, the other values of forms."""
    known = [place for place in named if place.label == "PERSON"]
    covered = bytearray(max((place.end for place in (*known, *values)), default=0))
    for place in known:
        covered[place.start : place.end] = b"\1" * (place.end - place.start)
    # `Mr Lee` of the pipeline stays complete.
    people = [v for v in values if v.label == "PERSON" and not all(covered[v.start : v.end])]
    return people, named, [v for v in values if v.label != "PERSON"]


def letterheads(text: str, marked: Iterable[Place]) -> Iterator[Place]:
    """Yield the unmarked lines of each block of short lines that contains contact data, as on a visiting card.

    Job titles are yielded also where a part of them is marked.

    Args:
        text: any text.
        marked: the places that are known already, in order and without overlaps.
    """
    places = list(marked)
    block: list[tuple[int, int]] = []
    at = 0
    for match in _LINE.finditer(text):
        start, end = match.span()
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start == end:
            continue
        line = text[start:end]
        if line.endswith((".", ",", "!", "?", ";", ":", '"')) and not line.endswith(("Inc.", "Ltd.", "Co.")):
            short = False
        else:
            short = len(line.split(None, _MOST_WORDS)) <= _MOST_WORDS
        if short:
            block.append((start, end))
            continue
        at = yield from _lines(text, block, places, at)
        block = []
    yield from _lines(text, block, places, at)


def _lines(text: str, block: list[tuple[int, int]], places: list[Place], at: int) -> Generator[Place, None, int]:
    """Yield the free lines of one block, and return the number of places that end before the block does."""
    if not block:
        return at
    first, last = block[0][0], block[-1][1]
    while at < len(places) and places[at].end <= first:
        at += 1
    inside = []
    while at < len(places) and places[at].start < last:
        inside.append(places[at])
        at += 1
    if len(block) < 3 or not any(place.label in _CONTACT for place in inside):
        return at
    known = iter(inside)
    place = next(known, None)
    for number, (start, end) in enumerate(block):
        while place is not None and place.end <= start:
            place = next(known, None)
        line = text[start:end]
        free = place is None or place.start >= end
        if _is_job(line):
            yield Place(start, end, "OCCUPATION")
        elif free and ":" not in line and not any(map(says_nothing, line.split())) and any(map(str.isalpha, line)):
            plain = any(word.islower() for word in line.split()) and not line.islower()
            yield Place(start, end, "OCCUPATION" if plain else "ORG" if number else "PERSON")
    return at


def _is_job(line: str) -> bool:
    return ":" not in line and line.rsplit(None, 1)[-1].lower() in HEADS


__all__ = ["around", "forms", "letterheads"]
