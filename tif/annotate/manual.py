"""Read the spans of the dataset's own records: `spans` by offsets, `quotes` by words, or words of the TIF release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from tif.annotate.align import Quote, align
from tif.annotate.base import Workspace
from tif.console import say, warn
from tif.errors import InputError, UsageError
from tif.options import Option, Options
from tif.readers import is_parquet
from tif.sets import formats
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.recognise import ReadFormat, UnwantedIn
from tif.sets.formats.records import (
    Maker,
    Record,
    Skipped,
    an_object,
    in_order,
    list_field,
    need_text,
    proven_unit,
    span_of,
    stated_unit,
    status_field,
    text_field,
)
from tif.sets.formats.tpo import Words
from tif.sets.formats.units import read_in_its_unit
from tif.sets.makers import signed_by_machine
from tif.sets.overlaps import OverlapsByLabel
from tif.sources import Source
from tif.spans import UW, AnnotationSet, Example, Span, canonical

SOURCE = "manual"


def _only_with_spans(options: ManualOptions, _context: object) -> str | None:
    return None if options.spans is not None else "it describes the file of --spans"


class ManualOptions(Options):
    """Options of `manual`. The records contain the spans, or a file beside them."""

    spans: Annotated[
        Path | None,
        Option(
            "File with the spans of the samples, in a format of `tif spans import`.",
            otherwise="the dataset's own records",
        ),
    ] = None
    format: Annotated[
        ReadFormat | None,
        Option("Format of the --spans file.", otherwise="recognised from its content", idle=_only_with_spans),
    ] = None
    spans_encoding: Annotated[
        str | None,
        Option(
            "Encoding of the --spans file, such as cp1252 for Windows.",
            metavar="NAME",
            otherwise="that of --encoding, else UTF-8",
            idle=_only_with_spans,
        ),
    ] = None
    uw: Annotated[
        UnwantedIn | None,
        Option(
            "In data of the TIF release: take the target words, or everything except the common words.",
            otherwise="the targets, if there are any",
        ),
    ] = None
    offset_unit: Annotated[
        OffsetUnit | None,
        Option("Unit of the spans' offsets.", otherwise="the one that a record names, else code points"),
    ] = None
    made_by: Annotated[
        Maker | None,
        Option(
            "Who made the spans of records without a status. A person's are accepted, a machine's are auto.",
            otherwise="a machine, if spans have scores or sources",
        ),
    ] = None

    def reads_encoding(self) -> bool:
        """Return whether `--encoding` tells the encoding of the --spans file."""
        file = self.spans
        return file is not None and self.spans_encoding is None and file.is_file() and not is_parquet(file)


class ManualAnnotator:
    """Takes the spans from the dataset's own records.

    A record has `spans: [{"start", "end", "label", "text"?}]`, or `quotes: ["..."]` (also
    `{"text", "occurrence"?, "label"?}`), or both. An empty list says that nothing is unwanted; a record with
    neither is `auto` and named in a warning. Records of the TIF release have `target_words`, `common_words` or both.

    A record may have a `status`. Without one, spans count as `accepted` if a person made them, and as `auto` if a
    machine did: spans with scores or sources, and the words of the TIF release.

    Raises:
        InputError: for the first invalid record, with file, line and field, before anything is saved.
        UsageError: for `uw` without words of the TIF release.
    """

    name = SOURCE

    def __init__(self, source: Source, options: ManualOptions | None = None, encoding: str | None = None) -> None:
        options = options or ManualOptions()
        self._done: dict[str, Example] = {}
        of_release = any(not _RELEASE.isdisjoint(row) for row in source.rows)
        if options.uw is not None and not of_release and options.spans is None:
            why = "no record has target_words or common_words"
            raise UsageError("has no effect", where="--uw", why=why, hint="Leave it out.")
        unit = options.offset_unit
        rows: Sequence[Record | Skipped]
        if options.spans is not None:
            rows = _of_file(source, options.spans, options, encoding)
        elif of_release:
            rows = _of_release(source, options.uw, unit)
        elif unit is not None:
            rows = list(_records(source, unit))
        else:
            rows = read_in_its_unit(lambda tried: list(_records(source, tried)))
        maker = options.made_by or _maker(rows)
        content = hashlib.sha256()
        undecided = 0
        for example, row in zip(source.examples, rows, strict=True):
            try:
                done = _annotated(example, row, maker if options.made_by else _maker_of(row) or maker)
            except InputError as error:
                raise error.within(row.where) from None
            self._done[example.id] = done
            content.update(canonical(done))
            undecided += done.status == "auto" and isinstance(row, Record) and row.status is None
        self._digest = content.hexdigest()
        silent = [row for row in rows if isinstance(row, Skipped)]
        if silent:
            warn(
                f"{len(silent)} of {len(rows)} records have neither spans nor quotes, so they are `auto` without "
                f'spans (first {silent[0].where}); "spans": [] says that nothing is unwanted'
            )
        if undecided and options.made_by is None:
            say("a machine made these spans, so they are `auto` (if a person made them: --made-by person)")

    @classmethod
    def from_workspace(cls, options: ManualOptions, workspace: Workspace) -> Self:
        """Return the annotator for a run's samples."""
        return cls(workspace.source, options, workspace.encoding)

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: the digest of the file's content."""
        return {"name": self.name, "version": 1, "content_sha256": self._digest}

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example with the spans of its record."""
        for example in examples:
            yield self._done[example.id]


def _maker(rows: Iterable[Record | Skipped]) -> Maker:
    """Return who made the spans of records that do not tell it. One machine's span is enough for the file."""
    records = [row for row in rows if isinstance(row, Record)]
    signed = any(r.maker == "machine" or (r.maker is None and signed_by_machine(r.spans)) for r in records)
    return "machine" if signed else "person"


def _maker_of(row: Record | Skipped) -> Maker | None:
    return row.maker if isinstance(row, Record) else None


def _annotated(example: Example, row: Record | Skipped, maker: Maker) -> Example:
    """Return the sample with the spans of its record, and the status that they deserve."""
    if isinstance(row, Skipped):
        return Example(example.id, example.prompt, example.text)
    status = row.status or ("auto" if maker == "machine" else "accepted")
    return Example(example.id, example.prompt, example.text, row.spans, status, row.error)


_HINT = "Give spans or quotes, or use `tif spans import`, which reads files of other tools."
_OTHERS = ("label", "labels", "entities", "ents", "annotations", "completions", "predictions", "results", "extractions")
"""Fields where other tools write spans."""
_RELEASE = frozenset({"target_words", "common_words"})
"""Fields of the TIF release's data."""


def _of_release(source: Source, uw: UnwantedIn | None, unit: OffsetUnit | None) -> list[Record]:
    words = Words(source.rows, source.id, uw, unit)
    records = []
    for example, row, place in zip(source.examples, source.rows, source.places, strict=True):
        try:
            spans = words.spans(row, example.text)
        except InputError as error:
            raise error.within(place) from None
        records.append(Record(where=place, text=example.text, spans=spans, status=status_field(row), maker="machine"))
    words.tell()
    return records


def _of_file(source: Source, file: Path, options: ManualOptions, encoding: str | None) -> list[Record | Skipped]:
    """Return the records of a file for the samples, in their order."""
    samples = AnnotationSet(source.examples)
    encoding = options.spans_encoding or (encoding if options.reads_encoding() else None)
    try:
        records = formats.read(
            file, options.format, samples=samples, encoding=encoding, uw=options.uw, offset_unit=options.offset_unit
        )
    except UsageError as error:
        if options.spans_encoding is None or error.where != ("--encoding",):
            raise
        raise UsageError(error.what, where="--spans-encoding", why=error.why, hint=error.hint) from None
    examples = formats.resolve(records, samples)
    by_id = {e.id: replace(record, spans=e.spans) for record, e in zip(records, examples, strict=True)}
    places = zip(source.examples, source.places, strict=True)
    return [by_id.get(e.id) or Skipped(where=place, why="the file has no record of it") for e, place in places]


def _records(source: Source, unit: OffsetUnit | None) -> Iterator[Record | Skipped]:
    for example, row, place in zip(source.examples, source.rows, source.places, strict=True):
        try:
            record = _record(place, example.text, row, unit)
        except InputError as error:
            raise error.within(place) from None
        yield record


def _record(where: str, text: str, row: Mapping[str, object], unit: OffsetUnit | None) -> Record | Skipped:
    stated = stated_unit(row, "offset_unit")
    values = list_field(row, "spans")
    if row.get("spans") is None and row.get("quotes") is None:
        if fields := [name for name in _OTHERS if isinstance(row.get(name), list | dict)]:
            raise InputError("has neither spans nor quotes", why=f"another tool wrote {fields[0]!r}", hint=_HINT)
        return Skipped(where=where, why="it has neither spans nor quotes")
    spans = [span_of(v, text, f"spans[{i}]", source=SOURCE, unit=unit or stated) for i, v in enumerate(values)]
    quotes = [_quote(quote, f"quotes[{i}]") for i, quote in enumerate(list_field(row, "quotes"))]
    aligned = align(text, quotes, source=SOURCE)
    if aligned.unplaced:
        first = aligned.unplaced[0]
        raise InputError(str(first), where=f"quotes[{quotes.index(first.quote)}]")
    return Record(
        where=where,
        text=text,
        spans=_united(spans, aligned.spans),
        status=status_field(row),
        error=text_field(row, "error"),
        unit=stated or proven_unit(values),
    )


def _united(spans: list[Span], quoted: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return both kinds of spans. Words that are quoted and also marked by offsets get one span."""
    marked = OverlapsByLabel(spans)
    return in_order([*spans, *(q for q in quoted if not marked.of(q))])


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
