"""The field names of other people's recognisers, by format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tif.entities import Scheme
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.records import Maker

RecogniserFormat = Literal[
    "presidio", "presidio-research", "gliner", "langextract", "tab", "comprehend", "azure", "dlp", "hf"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The field names of one recogniser. A path such as `location.codepointRange` leads into objects."""

    lists: tuple[str, ...]
    """Fields with a record's spans, tried in order."""
    start: str
    end: str
    """The end; the length if the path ends in `length`."""
    labels: tuple[str, ...]
    scores: tuple[str, ...] = ()
    """Fields with the score, tried in order."""
    quote: str | None = None
    """The words that the span marks, to check the offsets."""
    scheme: Scheme | None = None
    """Whose names the labels are."""
    texts: tuple[str, ...] = ("text",)
    maker: Maker = "machine"
    units: tuple[OffsetUnit, ...] = ("codepoint",)
    """The unit of the offsets; of several, the first in which all words are at their offsets."""


LISTS: Final = ("entities", "results", "spans", "predictions")
"""Fields in which users of a library save its lists of spans."""

PROFILES: Final[Mapping[RecogniserFormat, Profile]] = {
    "presidio": Profile(
        lists=LISTS, start="start", end="end", labels=("entity_type",), scores=("score",), scheme="presidio"
    ),
    "presidio-research": Profile(
        scheme="presidio",
        lists=("spans",),
        start="start_position",
        end="end_position",
        labels=("entity_type",),
        quote="entity_value",
        texts=("full_text",),
    ),
    "gliner": Profile(
        lists=LISTS,
        start="start",
        end="end",
        labels=("label",),
        scores=("score", "confidence"),
        quote="text",
        scheme="gliner",
    ),
    "langextract": Profile(
        lists=("extractions",),
        start="char_interval.start_pos",
        end="char_interval.end_pos",
        labels=("extraction_class",),
        quote="extraction_text",
    ),
    "tab": Profile(
        scheme="tab",
        lists=("entity_mentions",),
        start="start_offset",
        end="end_offset",
        labels=("entity_type",),
        quote="span_text",
        maker="person",
    ),
    "comprehend": Profile(
        scheme="comprehend",
        lists=("Entities",),
        start="BeginOffset",
        end="EndOffset",
        labels=("Type",),
        scores=("Score",),
        texts=("Text", "text"),
    ),
    "azure": Profile(
        scheme="azure",
        lists=("entities",),
        start="offset",
        end="length",
        labels=("category",),
        scores=("confidenceScore", "confidence_score"),
        quote="text",
        units=("codepoint", "utf16", "grapheme"),
    ),
    "dlp": Profile(
        scheme="dlp",
        lists=("findings",),
        start="location.codepointRange.start",
        end="location.codepointRange.end",
        labels=("infoType.name",),
        quote="quote",
    ),
    "hf": Profile(lists=LISTS, start="start", end="end", labels=("entity_group",), scores=("score",), scheme="hf"),
}


def at_path(row: object, path: str) -> object:
    """Return the value that a path with dots leads to; None if there is none."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


__all__ = ["LISTS", "PROFILES", "Profile", "RecogniserFormat", "at_path"]
