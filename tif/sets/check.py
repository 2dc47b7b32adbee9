"""All findings in a stored set: errors that make it unusable, and warnings that deserve a second look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tif.errors import InputError, TifError
from tif.sets import rows, store
from tif.spans import Example, Span
from tif.text import divides, mentions, words

LONG_SHARE = 0.8
"""A span over more than this share of a text leaves hardly any general words, and is reported."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem."""

    level: Literal["error", "warning"]
    """`error`: the set cannot be used as it is. `warning`: it can, but somebody should look."""
    kind: str
    """Short and stable, to count and to grep by."""
    where: str
    what: str


def check(ref: str | Path) -> list[Finding]:
    """All findings in the set that `ref` names: errors first, then warnings, each in the set's order."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    seen: dict[str, int] = {}
    try:
        for number, row in enumerate(store.read_rows(ref), start=1):
            example, found = rows.read_row(row)
            errors += [Finding("error", "invalid", ", ".join(e.where), _told(e)) for e in found]
            id_ = repr(row["id"])
            if id_ in seen:
                errors.append(Finding("error", "id-twice", f"record {id_}", f"row {number} repeats row {seen[id_]}"))
            seen.setdefault(id_, number)
            if example is not None:
                warnings += _look_at(example)
    except TifError as error:
        return [*errors, Finding("error", "unreadable", ", ".join(error.where), _told(error))]
    if not errors:
        try:
            store.load(ref)
        except TifError as error:
            errors.append(Finding("error", "unreadable", ", ".join(error.where), _told(error)))
    return errors + warnings


def _look_at(example: Example) -> Iterator[Finding]:
    where = f"record {example.id!r}"
    if example.status == "failed":
        yield Finding("warning", "failed", where, example.error or "no reason given")
    elif example.status == "conflict":
        yield Finding("warning", "conflict", where, example.error or "two people disagree")
    elif not example.spans:
        yield Finding("warning", "no-spans", where, "nothing is marked as unwanted")
    elif example.error:
        yield Finding("warning", "noted", where, example.error)
    text = example.text
    for span in example.spans:
        quote = example.quote(span)
        if divides(text, span.start) or divides(text, span.end):
            yield Finding("warning", "cuts-word", where, f"{quote!r} ({span.start}-{span.end}) cuts a word")
        if not any(c.isalnum() for c in quote):
            yield Finding("warning", "no-word", where, f"{quote!r} ({span.start}-{span.end}) has no letter or digit")
        if span.end - span.start > LONG_SHARE * len(text.strip()) and len(list(words(text))) > 3:
            yield Finding("warning", "nearly-all", where, f"{span.start}-{span.end} marks nearly all of the text")
        for at in _unmarked(example, span, quote):
            yield Finding("warning", "unmarked-mention", where, f"{quote!r} is not marked at {at}")


def _unmarked(example: Example, span: Span, quote: str) -> Iterator[int]:
    """Where a span's words occur again outside every span of its label: often a miss.

    Each phrase is reported once, for its first span.
    """
    same = [s for s in example.spans if s.label == span.label]
    if len(quote) < 3 or next(s for s in same if example.quote(s) == quote) != span:
        return
    for at in mentions(example.text, quote):
        here = Span(at, at + len(quote), span.label)
        if not any(s.overlaps(here) for s in same):
            yield at


def _told(error: TifError) -> str:
    return str(InputError(error.what, why=error.why, hint=error.hint))


__all__ = ["LONG_SHARE", "Finding", "check"]
