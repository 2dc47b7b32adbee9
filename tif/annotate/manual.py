"""Read spans that a person wrote: JSONL with `spans` by offsets, or `quotes` by words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tif.annotate.align import Quote, align
from tif.annotate.base import Workspace
from tif.errors import InputError
from tif.options import Options
from tif.sets.formats.records import (
    an_object,
    in_order,
    list_field,
    need_text,
    span_of,
    status_field,
    text_field,
)
from tif.sources import Source
from tif.spans import UW, Example, Span, canonical

SOURCE = "manual"


class ManualOptions(Options):
    """Options of `manual`. It has none: the records contain everything."""


class ManualAnnotator:
    """Takes the spans from the dataset's own records.

    A record has `spans: [{"start", "end", "label", "text"?}]`, or `quotes: ["..."]` (also
    `{"text", "occurrence"?, "label"?}`), or both. It may have a `status`; without one it counts as `accepted`. A
    record with neither has no unwanted words.

    Raises:
        InputError: for the first invalid record, with file, line and field, before anything is saved.
    """

    name = SOURCE

    def __init__(self, source: Source) -> None:
        self._done: dict[str, Example] = {}
        content = hashlib.sha256()
        for example, row, place in zip(source.examples, source.rows, source.places, strict=True):
            try:
                done = _annotated(example, row)
            except InputError as error:
                raise error.within(place) from None
            self._done[example.id] = done
            content.update(canonical(done))
        self._digest = content.hexdigest()

    @classmethod
    def from_workspace(cls, _options: ManualOptions, workspace: Workspace) -> Self:
        """Return the annotator for a run's samples."""
        return cls(workspace.source)

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: the digest of the file's content."""
        return {"name": self.name, "version": 1, "content_sha256": self._digest}

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example with the spans of its record."""
        for example in examples:
            yield self._done[example.id]


def _annotated(example: Example, row: Mapping[str, object]) -> Example:
    text = example.text
    spans = [span_of(span, text, f"spans[{i}]", source=SOURCE) for i, span in enumerate(list_field(row, "spans"))]
    quotes = [_quote(quote, f"quotes[{i}]") for i, quote in enumerate(list_field(row, "quotes"))]
    aligned = align(text, quotes, source=SOURCE)
    if aligned.unplaced:
        first = aligned.unplaced[0]
        raise InputError(str(first), where=f"quotes[{quotes.index(first.quote)}]")
    status = status_field(row) or "accepted"
    return Example(example.id, example.prompt, text, _united(spans, aligned.spans), status, text_field(row, "error"))


def _united(spans: list[Span], quoted: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return both kinds of spans. Words that are quoted and also marked by offsets get one span."""
    return in_order([*spans, *(q for q in quoted if not any(q.label == s.label and q.overlaps(s) for s in spans))])


def _quote(value: Any, where: str) -> Quote:
    if isinstance(value, str):
        return Quote(value)
    try:
        row = an_object(value, "")
        occurrence = row.get("occurrence")
        if occurrence is not None and (type(occurrence) is not int or occurrence < 0):
            raise InputError(f"{occurrence!r} is not a whole number from 0", where="occurrence")
        label = text_field(row, "label", UW) or UW
        if label != label.strip():
            raise InputError(f"{label!r} begins or ends with white space", where="label")
        return Quote(need_text(row, "text"), occurrence, label)
    except InputError as error:
        raise error.within(where) from None


__all__ = ["SOURCE", "ManualAnnotator", "ManualOptions"]
