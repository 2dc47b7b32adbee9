"""`label-studio`: a JSON array of tasks. A machine's spans are `predictions`, a person's are `annotations`.

Offsets are UTF-16 units, as its page counts them. `value.text` may be missing or have collapsed white space, so white
space is ignored when it is compared. If only code points agree with it, offsets are read as code points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.offsets import Utf16
from tif.sets.formats.records import (
    Record,
    a_span,
    an_object,
    base_of,
    checked,
    id_field,
    in_order,
    list_field,
    need_text,
    object_field,
    status_field,
    text_field,
)
from tif.spans import DECIDED, AnnotationSet, Example, Span

OPTIONS: Final[tuple[str, ...]] = ()


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield a JSON array, one task per line. The labeling config needs `<Labels name="label" toName="text">`."""
    base = base_of(annotations)
    last = len(annotations) - 1
    yield "["
    for number, example in enumerate(annotations):
        yield json.dumps(_task(number + 1, example, base), ensure_ascii=False) + ("," if number < last else "")
    yield "]"


def _task(number: int, example: Example, base: str | None) -> dict[str, object]:
    units = Utf16(example.text)
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


def read(path: Path) -> Iterator[Record]:
    """Yield records of tasks from `Export > JSON`, without skipped tasks.

    The annotation used is the ground truth, else the last one that was not cancelled, else the last prediction.
    """
    for where, row in read_records(path):
        try:
            record = _record(where, row)
        except InputError as error:
            raise error.within(where) from None
        if record is not None:
            yield record


def _record(where: str, row: Row) -> Record | None:
    data = object_field(row, "data")
    try:
        text = need_text(data, "text")
        id_, prompt = id_field(data, "tif_id"), text_field(data, "prompt")
        status, base = status_field(data, "tif_status"), text_field(data, "tif_base")
        note = text_field(data, "tif_error")
    except InputError as error:
        raise error.within("data") from None
    annotations = [an_object(a, f"annotations[{i}]") for i, a in enumerate(list_field(row, "annotations"))]
    predictions = [an_object(p, f"predictions[{i}]") for i, p in enumerate(list_field(row, "predictions"))]
    chosen: Row
    kept = [(i, a) for i, a in enumerate(annotations) if not a.get("was_cancelled")]
    if annotations and not kept:
        return None
    if kept:
        index, chosen = next(((i, a) for i, a in kept if a.get("ground_truth")), kept[-1])
        name = f"annotations[{index}]"
        if status not in DECIDED:
            status, note = "accepted", None
    elif predictions:
        chosen, name = predictions[-1], f"predictions[{len(predictions) - 1}]"
    else:
        chosen, name = {}, "annotations"
    units, spans = Utf16(text), []
    try:
        for index, region in enumerate(list_field(chosen, "result")):
            spans += _spans(an_object(region, f"result[{index}]"), text, units, f"result[{index}]")
    except InputError as error:
        raise error.within(name) from None
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_,
        prompt=prompt,
        status=status,
        error=note,
        base=base,
    )


def _spans(region: Row, text: str, units: Utf16, where: str) -> list[Span]:
    if region.get("type") != "labels":
        return []
    try:
        value = object_field(region, "value")
        claimed = text_field(value, "text")
        start, end = value.get("start"), value.get("end")
        by_points = claimed is not None and _is(claimed, text, start, end)
        if not (by_points and not _agrees(claimed, text, units, start, end)):
            start, end = units.to_point(start, "start"), units.to_point(end, "end")
        spans = []
        for label in list_field(value, "labels"):
            source = text_field(object_field(region, "meta"), "source", "label-studio") or ""
            span = a_span(start, end, label, source, region.get("score"))
            if claimed is not None and not _is(claimed, text, span.start, span.end):
                quote = text[span.start : span.end]
                raise InputError(f"the offsets select {quote[:60]!r}, but the text is {claimed[:60]!r}", where="text")
            spans.append(checked(span, text))
        return spans
    except InputError as error:
        raise error.within(where, "value") from None


def _agrees(claimed: str | None, text: str, units: Utf16, start: object, end: object) -> bool:
    try:
        return _is(claimed or "", text, units.to_point(start, "start"), units.to_point(end, "end"))
    except InputError:
        return False


def _is(claimed: str, text: str, start: object, end: object) -> bool:
    """Whether the text at the offsets equals the words, ignoring white space."""
    return type(start) is int and type(end) is int and claimed.split() == text[start:end].split()
