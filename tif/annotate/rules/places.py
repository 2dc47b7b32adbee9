"""A place is a range of a text with the type of what it contains. Layers of places become a list without overlaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tif.annotate.rules.fields import says_nothing

Range = tuple[int, int]

BLANK = "-"
"""Label of a range that no later layer may mark."""


class Place(NamedTuple):
    """A range of a text, in code points, and its entity type; "" if it has none."""

    start: int
    end: int
    label: str = ""

    @classmethod
    def of(cls, span: Range, label: str) -> Place:
        """Return the place of a match."""
        return cls(span[0], span[1], label)


def layered(text: str, *layers: Iterable[Place]) -> list[Place]:
    """Return the union of all places, without overlaps, in order.

    Args:
        text: the text that the places index.
        layers: groups of places. An earlier layer keeps its places complete; a later layer keeps the rest of its own.
            Within a layer, the longer place wins.

    Returns:
        Places that begin and end with a letter, a digit or a sign that belongs to a word.
    """
    ordered = [place for layer in layers for place in sorted(layer, key=_rank)]
    owner = [-1] * len(text)
    for number in range(len(ordered) - 1, -1, -1):
        start, end, _ = ordered[number]
        owner[start:end] = [number] * (end - start)
    result: list[Place] = []
    start = 0
    while start < len(text):
        number = owner[start]
        end = start + 1
        while end < len(text) and owner[end] == number:
            end += 1
        if number >= 0 and ordered[number].label != BLANK:
            kept = ordered[number]
            left, right = start, end
            if start != kept.start or end != kept.end:  # a remainder: its edges were chosen by another place
                left, right = _words(text, start, end)
                if says_nothing(text[left:right]):
                    right = left
            if left < right and any(map(str.isalnum, text[left:right])):
                result.append(Place(left, right, kept.label))
        start = end
    return result


def _rank(place: Place) -> tuple[bool, int, int]:
    return place.label == BLANK, place.start - place.end, place.start


def _words(text: str, start: int, end: int) -> Range:
    """Return a range without the signs and spaces at its edges."""
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return start, end


__all__ = ["BLANK", "Place", "Range", "layered"]
