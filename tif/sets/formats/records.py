"""The common part of all formats: a record of a file, and how it becomes an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal, TypeVar

from tif.errors import InputError, kind_of, short
from tif.readers import Row
from tif.sets.compare import first_difference
from tif.sets.formats.offsets import UNITS, Offsets, OffsetUnit
from tif.spans import STATUSES, UW, AnnotationSet, Example, Span, Status, is_status, tidy

V = TypeVar("V")
R = TypeVar("R")

BASE_LENGTH = 12
"""Number of hex digits of the exported version's digest in a file."""

Maker = Literal["person", "machine"]
"""Who marked a record's spans. Only a person's spans are a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a file. A field that the tool dropped is None; the base version supplies it."""

    where: str
    """E.g. `fix.jsonl, line 3`."""
    text: str
    spans: tuple[Span, ...]
    id: str | None = None
    prompt: str | None = None
    status: Status | None = None
    error: str | None = None
    base: str | None = None
    """First digits of the exported version's digest."""
    labelled: bool = True
    """Whether the format has labels. If not, spans with the base's bounds get the base's labels."""
    maker: Maker | None = None
    """Who marked the spans, if the file or its format says so."""
    unit: OffsetUnit | None = None
    """The unit of the offsets, if the record itself names or proves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A record of a file that carries no annotation, so that it says nothing about its sample."""

    where: str
    why: str


def resolve(records: Sequence[Record], base: AnnotationSet | None = None, *, name: str = "record") -> list[Example]:
    """Turn records into examples, matched to the base by id, or else by their exact text.

    Without a base, the record's own id and prompt are used; a record without id is numbered, `name/0007`. A span that
    is also in the base keeps the base's source and score, which most formats drop.

    Raises:
        InputError: for a repeated id, a text that differs from the base's, or one that occurs in it several times.
    """
    at_base = base.by_id() if base is not None else {}
    by_text: dict[str, list[Example]] = {}
    for example in at_base.values():
        by_text.setdefault(example.text, []).append(example)
    examples: dict[str, Example] = {}
    first: dict[str, str] = {}
    for index, record in enumerate(records):
        try:
            old = _old(record, at_base, by_text) if base is not None else None
            id_ = old.id if old else record.id or f"{name}/{index:04d}"
            if id_ in examples:
                hint = "Keep one of the two records."
                raise InputError(f"id {id_!r} occurs twice", why=f"first at {first[id_]}", hint=hint)
            prompt = record.prompt if record.prompt is not None else old.prompt if old else ""
            spans = record.spans if record.labelled or old is None else _with_labels(record.spans, old)
            spans = _with_sources(spans, old.spans if old else ())
            status = record.status or (old.status if old else "auto")
            examples[id_] = Example(id_, prompt, record.text, spans, status, record.error)
        except InputError as error:
            raise error.within(record.where) from None
        first[id_] = record.where
    return list(examples.values())


def _old(record: Record, at_base: Mapping[str, Example], by_text: Mapping[str, list[Example]]) -> Example:
    if record.id is not None and record.id in at_base:
        old = at_base[record.id]
        if old.text != record.text:
            raise InputError(
                f"the text of {old.id!r} was changed",
                why=first_difference(old.text, record.text),
                hint="Edit only spans: offsets index the exact text.",
            )
        return old
    same = [e for e in by_text.get(record.text, []) if record.prompt in (None, e.prompt)]
    if len(same) == 1:
        return same[0]
    matches = "no record" if not same else f"{len(same)} records"
    raise InputError(
        f"the set has {matches} with this text", why=f"and none with the id {record.id!r}" if record.id else None
    )


def _with_labels(spans: Sequence[Span], old: Example) -> tuple[Span, ...]:
    """Return unlabelled spans with the labels of the base. Overlapping spans of several labels were exported as one."""
    labelled: list[Span] = []
    for span in spans:
        inside = [s for s in old.spans if s.start >= span.start and s.end <= span.end]
        united = tidy(old.text, [replace(s, label=UW) for s in inside])
        same = [(s.start, s.end) for s in united] == [(span.start, span.end)]
        labelled += inside if same else [span]
    return tidy(old.text, labelled)


def _with_sources(spans: Iterable[Span], old: Iterable[Span]) -> tuple[Span, ...]:
    known = {span.key: span for span in old}
    return tuple(known.get(span.key, span) for span in spans)


def row_of(example: Example) -> dict[str, object]:
    """Return an example as a row of our JSONL."""
    return {
        "id": example.id,
        "prompt": example.prompt,
        "text": example.text,
        "spans": [
            {
                "start": s.start,
                "end": s.end,
                "label": s.label,
                "text": example.quote(s),
                "source": s.source,
                "score": s.score,
            }
            for s in example.spans
        ],
        "status": example.status,
        "error": example.error,
    }


# --- reading a row's fields --------------------------------------------------------------------------------------


def text_field(row: Row, name: str, default: str | None = None) -> str | None:
    """Return a text field, or the default if it is missing or null.

    Raises:
        InputError: if the value is not text.
    """
    value = row.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise InputError(f"is {kind_of(value)}, not text", where=name)
    return value


def need_text(row: Row, name: str) -> str:
    """Return a required text field."""
    value = text_field(row, name)
    if value is None:
        raise InputError(f"no field {name!r}", why=f"fields: {', '.join(map(str, row)) or 'none'}")
    return value


def list_field(row: Row, name: str) -> list[object]:
    """Return a list field; an empty list if it is missing or null."""
    value = row.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"is {kind_of(value)}, not a list", where=name)
    return value


def need_list(row: Row, name: str, *, hint: str | None = None) -> list[object]:
    """Return a required list field. A missing field is no empty list: the record says nothing about its spans.

    Raises:
        InputError: if the field is missing, null or no list.
    """
    value = row.get(name)
    if value is None:
        fields = f"fields: {', '.join(map(str, row)) or 'none'}"
        if name in row:
            raise InputError("is null, not a list", where=name, why=fields, hint=hint)
        raise InputError(f"no field {name!r}", why=fields, hint=hint)
    return list_field(row, name)


def object_field(row: Row, name: str) -> Row:
    """Return an object field; an empty object if it is missing or null."""
    value = row.get(name)
    return {} if value is None else an_object(value, name)


def an_object(value: object, where: str) -> Row:
    """Return the value, if it is a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"is {kind_of(value)}, not an object", where=where)
    return value


def status_field(row: Row, name: str = "status") -> Status | None:
    """Return a status field, or None if it is missing."""
    value = text_field(row, name)
    if value is not None and not is_status(value):
        raise InputError(f"unknown status {value!r}", where=name, hint=f"Known: {', '.join(STATUSES)}.")
    return value


def stated_unit(row: Row, name: str) -> OffsetUnit | None:
    """Return the unit that a record names for its offsets, or None."""
    value = text_field(row, name)
    if value is None:
        return None
    for unit in UNITS:
        if value == unit:
            return unit
    raise InputError(f"unknown unit {value!r}", where=name, hint=f"Known: {', '.join(UNITS)}.")


def proven_unit(spans: Iterable[object]) -> OffsetUnit | None:
    """Return code points if every span has the words that it marks, because these were compared with the text."""
    return "codepoint" if all(isinstance(s, dict) and s.get("text") is not None for s in spans) else None


def id_field(row: Row, name: str = "id") -> str | None:
    """Return an id field, which is text or an integer."""
    value = row.get(name)
    return str(value) if type(value) is int else text_field(row, name)


def span_of(
    value: object,
    text: str,
    where: str,
    *,
    source: str,
    start: object = None,
    end: object = None,
    unit: OffsetUnit | None = None,
) -> Span:
    """Read a span from `{start, end, label, text?, source?, score?}`, check it against the text, and trim it.

    Args:
        value: the span as read from a file.
        text: the text that the span indexes.
        where: the place, for an error line.
        source: the source of a span that names none.
        start: the start, if it is not the span's own field.
        end: likewise.
        unit: the unit of the offsets; None for code points.

    Raises:
        InputError: for offsets outside the text, or a `text` field that differs from the text there.
    """
    row = an_object(value, where)
    try:
        start, end = row.get("start") if start is None else start, row.get("end") if end is None else end
        if unit is not None and unit != "codepoint":
            offsets = Offsets(text, unit)
            start, end = offsets.to_point(start, "start"), offsets.to_point(end, "end")
        label = text_field(row, "label", UW) or ""
        span = a_span(start, end, label, text_field(row, "source", source) or "", row.get("score"))
        return checked(span, text, quote=text_field(row, "text"))
    except InputError as error:
        raise error.within(where) from None


def a_span(start: object, end: object, label: object, source: str, score: object = None) -> Span:
    """Make a span from unchecked values of a file; `Span` refuses values of a wrong type."""
    return Span(start, end, label, source, score)  # type: ignore[arg-type]  # Span checks them


def checked(span: Span, text: str, *, quote: str | None = None) -> Span:
    """Return the span without outer white space, after checking it against the text.

    Args:
        span: the span as read from a file.
        text: the text that the span indexes.
        quote: the words that the span marks according to the file.

    Raises:
        InputError: if the span ends beyond the text, marks other words than `quote`, or only white space.
    """
    if span.end > len(text):
        raise InputError(f"end {span.end} is beyond the text's {len(text)} characters", where="end")
    words = text[span.start : span.end]
    if quote is not None and quote != words:
        raise InputError(
            f"the offsets select {short(words)}, but the text is {short(quote)}",
            where="text",
            why="offsets count Unicode code points from 0, end exclusive",
        )
    trimmed = tidy(text, [span])
    if not trimmed:
        raise InputError("marks only white space")
    return trimmed[0]


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sort spans as an example requires, and drop duplicates. `Example` itself refuses overlaps."""
    return tuple(sorted(dict.fromkeys(spans), key=attrgetter("key")))


def base_of(annotations: AnnotationSet) -> str | None:
    """Return the short digest that a file carries of the exported version."""
    return annotations.base.digest[:BASE_LENGTH] if annotations.base else None


def parsed(rows: Iterable[tuple[str, V]], parse: Callable[[str, V], R]) -> Iterator[R]:
    """Yield the result of `parse` for the place and the value of each record. An error names the place."""
    for where, value in rows:
        try:
            record = parse(where, value)
        except InputError as error:
            raise error.within(where) from None
        yield record


__all__ = [
    "BASE_LENGTH",
    "Maker",
    "Record",
    "Skipped",
    "a_span",
    "an_object",
    "base_of",
    "checked",
    "id_field",
    "in_order",
    "list_field",
    "need_list",
    "need_text",
    "object_field",
    "parsed",
    "proven_unit",
    "resolve",
    "row_of",
    "span_of",
    "stated_unit",
    "status_field",
    "text_field",
]
