"""Results of other people's recognisers: lists of offsets, read by one table of field names.

    presidio           lists of `{entity_type, start, end, score}`, one for each text; code points
    presidio-research  `{full_text, spans: [{entity_type, entity_value, start_position, end_position}]}`; code points
    gliner             lists of `{start, end, text, label, score}`, or by type as GLiNER2; code points
    langextract        `{text, extractions: [{extraction_class, char_interval: {start_pos, end_pos}}]}`; code points
    tab                `{doc_id, text, annotations: {NAME: {entity_mentions: [...]}}}`; code points, made by people
    comprehend         AWS: `{Entities: [{Type, BeginOffset, EndOffset, Score}]}`; code points; or a batch's
    azure              `{documents: [{id, entities: [{category, offset, length, text}]}]}`; the unit of the request
    dlp                Google: `{findings: [{infoType: {name}, location: {codepointRange}}]}`; code points, else bytes
    hf                 lists of `{entity_group, score, start, end}` of a transformers pipeline; code points

Labels become canonical types (`tif.entities`); a type that the crosswalk does not know keeps its name.
Several of them give no text. Their records belong to the samples of a set: by id, else by order. Overlapping spans of
one type are united. These formats are only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tif.console import warn
from tif.entities import label_of
from tif.errors import InputError
from tif.readers import Row
from tif.sets.formats import answers
from tif.sets.formats.answers import values
from tif.sets.formats.offsets import Offsets, OffsetUnit
from tif.sets.formats.profiles import LISTS, PROFILES, Profile, RecogniserFormat, at_path
from tif.sets.formats.records import Record, Skipped, a_span, an_object, checked, id_field, list_field, text_field
from tif.spans import AnnotationSet, Example, Span, tidy
from tif.text import divides

OPTIONS: Final = ("offset_unit",)
_IDS: Final = ("id", "record_id", "document_id", "doc_id")


def read(
    path: Path,
    name: RecogniserFormat,
    samples: AnnotationSet | None = None,
    offset_unit: OffsetUnit | None = None,
    encoding: str | None = None,
) -> Iterator[Record | Skipped]:
    """Yield the records of a file.

    Args:
        path: JSONL, a JSON array, or one JSON object.
        name: the recogniser.
        samples: the samples that records without a text belong to.
        offset_unit: the unit of the offsets; None for the recogniser's own.
        encoding: the file's encoding, if it is not UTF-8.

    Raises:
        InputError: naming record and field; or for records without text that fit no sample.
    """
    rows = [(where, row) for where, value in values(path, name, encoding) for row in _rows(value, name, where)]
    # Only batches of AWS number the texts that they did not read.
    count = sum(name == "comprehend" or not isinstance(row, Skipped) for _, row in rows)
    texts = _Texts(count, PROFILES[name], samples)
    left_out: list[str] = []
    for number, (where, row) in enumerate(rows):
        if isinstance(row, Skipped):
            yield row
            continue
        try:
            sample, text = texts.of(number, row)
            spans = _spans(row, text, name, offset_unit, left_out)
        except InputError as error:
            raise error.within(where) from None
        yield Record(
            where=where,
            text=text,
            spans=tidy(text, spans),
            id=sample.id if sample else _id(row),
            maker=PROFILES[name].maker,
        )
    if left_out:
        warn(f"{path}: {len(left_out)} spans without exact offsets are left out, first {left_out[0]}")


def _rows(value: object, name: RecogniserFormat, where: str) -> Iterator[Row | Skipped]:
    try:
        yield from answers.rows(value, name, where)
    except InputError as error:
        raise error if error.where[:1] == (where,) else error.within(where) from None


class _Texts:
    """Finds the text of each record: its own, or that of a sample."""

    def __init__(self, count: int, profile: Profile, samples: AnnotationSet | None) -> None:
        self._profile = profile
        self._by_id = samples.by_id() if samples is not None else {}
        self._in_order = tuple(samples) if samples is not None else ()
        self._of_file = count

    def of(self, number: int, row: Row) -> tuple[Example | None, str]:
        for field in self._profile.texts:
            if (text := text_field(row, field)) is not None:
                return self._by_id.get(_id(row) or ""), text
        if (sample := self._by_id.get(_id(row) or "")) is not None:
            return sample, sample.text
        if len(self._in_order) == self._of_file:
            return self._in_order[number], self._in_order[number].text
        if not self._in_order:
            raise InputError(
                "has no text", why="this format gives only offsets", hint="Import it into a set of its texts."
            )
        raise InputError(
            "has neither a text nor the id of a sample",
            why=f"the file has {self._of_file} records, the set {len(self._in_order)}: their order says nothing",
        )


def _id(row: Row) -> str | None:
    return next((id_field(row, name) for name in _IDS if row.get(name) is not None), None)


def _spans(row: Row, text: str, name: RecogniserFormat, unit: OffsetUnit | None, left_out: list[str]) -> list[Span]:
    profile = PROFILES[name]
    field = next((field for field in profile.lists if row.get(field) is not None), None)
    if field is None:
        fields = f"fields: {', '.join(map(str, row)) or 'none'}"
        raise InputError(f"has none of the fields {', '.join(profile.lists)}", why=fields)
    values = [an_object(value, f"{field}[{i}]") for i, value in enumerate(list_field(row, field))]
    if name == "langextract":
        exact = [v for v in values if isinstance(v.get("char_interval"), dict) and v.get("alignment_status") in _EXACT]
        left_out += [repr(v.get("extraction_text")) for v in values if v not in exact]
        values = exact
    units = (unit,) if unit is not None else profile.units
    for tried in units:
        offsets = Offsets(text, tried)
        spans = []
        try:
            for index, value in enumerate(values):
                try:
                    spans.append(_span(value, text, offsets, name))
                except InputError as error:
                    raise error.within(f"{field}[{index}]") from None
        except InputError:
            if tried == units[-1]:
                raise
            continue
        break
    if name == "comprehend" and spans and all(_is_short(text, span.end) for span in spans):
        hint = "Add 1 to each EndOffset."
        raise InputError("every span ends one character before its word", why="the ends seem inclusive", hint=hint)
    return spans


_EXACT: Final = (None, "match_exact")


def _is_short(text: str, end: int) -> bool:
    return divides(text, end) and not divides(text, end + 1)


def _span(value: Row, text: str, offsets: Offsets, name: RecogniserFormat) -> Span:
    profile = PROFILES[name]
    start_path, end_path = profile.start, profile.end
    if name == "dlp" and at_path(value, end_path) is None and at_path(value, "location.byteRange.end") is not None:
        start_path, end_path = "location.byteRange.start", "location.byteRange.end"
        offsets = Offsets(text, "utf8")
    start, end = _number(at_path(value, start_path)), _number(at_path(value, end_path))
    if name == "dlp" and start is None and end is not None:
        start = 0  # Google leaves a start of 0 out
    if profile.end.endswith("length") and type(start) is int and type(end) is int:
        end += start
    if name == "hf" and start is None and "start" in value:
        hint = "Use the model's fast tokenizer, or tif annotate --method hf."
        raise InputError("has no offsets", where="start", why="a slow tokenizer gives none", hint=hint)
    if name == "hf" and "entity_group" not in value and "entity" in value:
        hint = 'Give the pipeline aggregation_strategy="simple".'
        raise InputError("marks tokens, not spans", where="entity", why="the pipeline did not group them", hint=hint)
    label = next((found for path in profile.labels if (found := at_path(value, path)) is not None), None)
    if not isinstance(label, str):
        raise InputError("has no label", where=profile.labels[0])
    label = label_of(label, profile.scheme)
    score = next((given for path in profile.scores if (given := at_path(value, path)) is not None), None)
    begin, stop = offsets.to_point(start, start_path), offsets.to_point(end, end_path)
    quote = at_path(value, profile.quote) if profile.quote else None
    if name == "langextract" and isinstance(quote, str) and _folded(quote) == _folded(text[begin:stop]):
        quote = None  # it compares words, without case and white space
    return checked(a_span(begin, stop, label, name, score), text, quote=quote if isinstance(quote, str) else None)


def _folded(words: str) -> str:
    return "".join(words.split()).casefold()


def _number(value: object) -> object:
    """Return an integer that is written as a string, as protocol buffers do in JSON."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else value


def recognised(record: object) -> RecogniserFormat | None:
    """Return the recogniser that wrote a record, if its field names tell."""
    if isinstance(record, list):
        return recognised(record[0]) if record and isinstance(record[0], dict) else None
    if not isinstance(record, dict):
        return None
    if {"start", "end", "label", "score", "text"} == record.keys() - {"class_probs"}:
        return "gliner"
    if isinstance(record.get("entities"), dict):
        return "gliner"  # GLiNER2: spans by type
    if {"entity", "index", "word", "start", "end"} <= record.keys():
        return "hf"  # its tokens, which `read` refuses
    for name, sign in _SIGNS.items():
        if any(at_path(record, path) is not None for path in sign):
            return name
    return next((found for field in LISTS if (found := _in_list(field, record.get(field))) is not None), None)


def _in_list(field: str, value: object) -> RecogniserFormat | None:
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return None
    if {"category", "offset", "length"} <= first.keys():
        return "azure"
    if "entity_type" in first or "entity_group" in first:
        return "presidio" if "entity_type" in first else "hf"
    return "gliner" if field != "spans" and {"start", "end", "label", "score"} <= first.keys() else None


_SIGNS: Final[Mapping[RecogniserFormat, tuple[str, ...]]] = {
    "presidio-research": ("full_text",),
    "langextract": ("extractions",),
    "comprehend": ("Entities", "BeginOffset", "ResultList"),
    "azure": ("results.documents", "redactedText", "confidenceScore"),
    "dlp": ("result.findings", "findings", "infoType.name"),
    "hf": ("entity_group",),
    "presidio": ("entity_type",),
}
"""Fields that only one recogniser writes."""


__all__ = ["read", "recognised"]
