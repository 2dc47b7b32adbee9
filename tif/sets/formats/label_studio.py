"""`label-studio`: a JSON array of tasks. A machine's spans are `predictions`, a person's are `annotations`.

Before version 1.0, `annotations` were `completions`. The export JSON-MIN has one flat object for each task.

Offsets are UTF-16 units, as its page counts them. `value.text` may be missing or have collapsed white space, so white
space is ignored when it is compared. If only code points agree with it, offsets are read as code points. Regions of
HTML count characters of the page (`globalOffsets`); they are read if their words are at these offsets of the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.offsets import Offsets, OffsetUnit
from tif.sets.formats.records import (
    Record,
    Skipped,
    a_span,
    an_object,
    base_of,
    checked,
    id_field,
    in_order,
    list_field,
    need_list,
    need_text,
    object_field,
    parsed,
    status_field,
    text_field,
)
from tif.spans import DECIDED, AnnotationSet, Example, Span

OPTIONS: Final = ("offset_unit",)

_TYPES: Final = ("labels", "hypertextlabels")
"""Types of regions that mark characters of one text."""
_DECISIONS: Final = ("annotations", "completions")


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield a JSON array, one task per line. The labeling config needs `<Labels name="label" toName="text">`."""
    base = base_of(annotations)
    last = len(annotations) - 1
    yield "["
    for number, example in enumerate(annotations):
        yield json.dumps(_task(number + 1, example, base), ensure_ascii=False) + ("," if number < last else "")
    yield "]"


def _task(number: int, example: Example, base: str | None) -> dict[str, object]:
    units = Offsets(example.text, "utf16")
    result = []
    for index, span in enumerate(example.spans):
        region: dict[str, object] = {
            "id": f"{number}-{index}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {
                "start": units.from_point(span.start),
                "end": units.from_point(span.end),
                "text": example.quote(span),
                "labels": [span.label],
            },
            "meta": {"source": span.source},
        }
        if span.score is not None:
            region["score"] = span.score
        result.append(region)
    decided = example.status in DECIDED
    data = {
        "text": example.text,
        "prompt": example.prompt,
        "tif_id": example.id,
        "tif_status": example.status,
        "tif_error": example.error,
        "tif_base": base,
    }
    return {
        "id": number,
        "data": data,
        "annotations": [{"was_cancelled": False, "ground_truth": False, "result": result}] if decided else [],
        "predictions": [] if decided else [{"model_version": "tif", "result": result}],
    }


def read(path: Path, offset_unit: OffsetUnit | None = None, encoding: str | None = None) -> Iterator[Record | Skipped]:
    """Yield records of tasks from `Export > JSON` or `JSON-MIN`. A task that nobody annotated is skipped.

    The annotation used is the ground truth, else the last one that was not cancelled, else the last prediction.

    Args:
        path: the file.
        offset_unit: the unit of the offsets; None for UTF-16, or code points where only these agree with `value.text`.
        encoding: the file's encoding, if it is not UTF-8.
    """
    yield from parsed(
        read_records(path, encoding=encoding),
        lambda where, row: (_record if "data" in row else _minimal)(where, row, offset_unit),
    )


def _record(where: str, row: Row, unit: OffsetUnit | None) -> Record | Skipped:
    data = object_field(row, "data")
    try:
        text = need_text(data, "text")
        id_, prompt = id_field(data, "tif_id"), text_field(data, "prompt")
        status, base = status_field(data, "tif_status"), text_field(data, "tif_base")
        note = text_field(data, "tif_error")
    except InputError as error:
        raise error.within("data") from None
    result = _chosen(row)
    if isinstance(result, str):
        return Skipped(where=where, why=result)
    spans: list[Span] = []
    try:
        values = need_list(result.row, "result")
        regions = [an_object(region, f"result[{index}]") for index, region in enumerate(values)]
        for index, region in enumerate(regions):
            spans += _spans(region, regions, text, unit, f"result[{index}]")
    except InputError as error:
        raise error.within(result.name) from None
    if result.by_person and status not in DECIDED:
        status, note = "accepted", None
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_,
        prompt=prompt,
        status=status,
        error=note,
        base=base,
        maker="person" if result.by_person else "machine",
        unit=_proven(object_field(region, "value") for region in regions if region.get("type") in _TYPES),
    )


@dataclass(frozen=True, slots=True)
class _Result:
    """The annotation or prediction of a task that counts."""

    row: Row
    name: str
    by_person: bool


def _chosen(row: Row) -> _Result | str:
    """Return the annotation or prediction that counts, or why there is none."""
    for key in _DECISIONS:
        annotations = [an_object(a, f"{key}[{i}]") for i, a in enumerate(list_field(row, key))]
        kept = [(i, a) for i, a in enumerate(annotations) if not (a.get("was_cancelled") or a.get("skipped"))]
        if annotations and not kept:
            return "it was skipped in Label Studio"
        if kept:
            truth = ((i, a) for i, a in kept if a.get("ground_truth") or a.get("honeypot"))
            index, annotation = next(truth, kept[-1])
            return _Result(annotation, f"{key}[{index}]", True)
    # An ordinary export has only the numbers of the predictions.
    predictions = [(i, p) for i, p in enumerate(list_field(row, "predictions")) if type(p) is not int]
    if predictions:
        index, prediction = predictions[-1]
        return _Result(an_object(prediction, f"predictions[{index}]"), f"predictions[{index}]", False)
    if list_field(row, "drafts"):
        return "it has only a draft, which nobody submitted"
    return "nobody annotated it"


def _minimal(where: str, row: Row, unit: OffsetUnit | None) -> Record | Skipped:
    """Read a task of JSON-MIN: its data, and the spans in a field with the name of the labels' tag."""
    text = need_text(row, "text")
    keys = [key for key, value in row.items() if _has_regions(value)]
    if not keys:
        if "annotation_id" in row or "annotator" in row:
            return Skipped(where=where, why="its annotation marks nothing")
        why = f"fields: {', '.join(map(str, row)) or 'none'}"
        raise InputError("has neither data with annotations nor a field with spans", why=why)
    spans: list[Span] = []
    for key in keys:
        for index, value in enumerate(list_field(row, key)):
            region = {"type": "labels", "value": value}
            spans += _spans(region, [], text, unit, f"{key}[{index}]")
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(row, "tif_id"),
        prompt=text_field(row, "prompt"),
        status="accepted",
        base=text_field(row, "tif_base"),
        maker="person",
        unit=_proven(an_object(value, key) for key in keys for value in list_field(row, key)),
    )


def _proven(values: Iterable[Row]) -> OffsetUnit | None:
    """Return the usual unit if every region has the words that it marks, because these were compared."""
    return "utf16" if all(value.get("text") is not None for value in values) else None


def _has_regions(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) and "start" in v for v in value)


def _spans(region: Row, regions: list[Row], text: str, unit: OffsetUnit | None, where: str) -> list[Span]:
    """Return the spans of a region, one for each label.

    Raises:
        InputError: for a region that marks words but cannot be read as spans.
    """
    value = object_field(region, "value")
    kind = region.get("type")
    if kind not in _TYPES:
        # Choices, ratings, comments and relations mark no words. Some repeat the bounds of a region with labels.
        same = region.get("id") is not None and any(
            other.get("id") == region["id"] and other.get("type") in _TYPES for other in regions
        )
        if same or "start" not in value:
            return []
        raise InputError(f"a region of type {kind!r} cannot be read", where=where, why=f"tif reads {', '.join(_TYPES)}")
    try:
        claimed = text_field(value, "text")
        labels = list_field(value, "labels" if value.get("labels") is not None else str(kind))
        if not labels:
            marked = f"marks {claimed[:60]!r} " if claimed else ""
            raise InputError(
                f"a region {marked}without a label", hint="Choose its label in Label Studio, or delete it."
            )
        start, end = _points(value, text, claimed, unit, on_page=kind == "hypertextlabels")
        source = text_field(object_field(region, "meta"), "source", "label-studio") or ""
        spans = []
        for label in labels:
            span = a_span(start, end, label, source, region.get("score"))
            if claimed is not None and not _is(claimed, text, span.start, span.end):
                quote = text[span.start : span.end]
                raise InputError(f"the offsets select {quote[:60]!r}, but the text is {claimed[:60]!r}", where="text")
            spans.append(checked(span, text))
        return spans
    except InputError as error:
        raise error.within(where, "value") from None


def _points(
    value: Row, text: str, claimed: str | None, unit: OffsetUnit | None, *, on_page: bool
) -> tuple[object, object]:
    """Return start and end in code points."""
    start, end = value.get("start"), value.get("end")
    if on_page or not (type(start) is int and type(end) is int):
        bounds = object_field(value, "globalOffsets")
        if not bounds or claimed is None:
            raise InputError("an HTML region needs globalOffsets and text", why="a path in the page is no offset")
        start, end = bounds.get("start"), bounds.get("end")
    utf16 = Offsets(text, "utf16")
    in_points = unit is None and claimed is not None and _is(claimed, text, start, end)
    if in_points and not _agrees(claimed, text, utf16, start, end):
        return start, end
    offsets = utf16 if unit is None else Offsets(text, unit)
    return offsets.to_point(start, "start"), offsets.to_point(end, "end")


def _agrees(claimed: str | None, text: str, offsets: Offsets, start: object, end: object) -> bool:
    try:
        return _is(claimed or "", text, offsets.to_point(start, "start"), offsets.to_point(end, "end"))
    except InputError:
        return False


def _is(claimed: str, text: str, start: object, end: object) -> bool:
    """Whether the text at the offsets equals the words, ignoring white space."""
    return type(start) is int and type(end) is int and claimed.split() == text[start:end].split()
