"""`doccano`: JSONL, `{"text", "label": [[start, end, "UW"]]}`.

doccano's page marks text by JavaScript, so its offsets are UTF-16 units; each exported line records this in
`tif_offset_unit`. doccano keeps unknown columns as metadata and exports them again: `tif_id`, `tif_prompt`,
`tif_status` and `tif_base` identify a record. Its own `id` is a database number, which tif ignores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, get_args

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
    status_field,
    text_field,
)
from tif.spans import AnnotationSet, Span

OPTIONS: Final = ("offset_unit",)

Unit = Literal["utf16", "codepoint"]


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one document per line."""
    base = base_of(annotations)
    for example in annotations:
        units = Utf16(example.text)
        label = [[units.from_point(s.start), units.from_point(s.end), s.label] for s in example.spans]
        row = {
            "text": example.text,
            "label": label,
            "tif_id": example.id,
            "tif_prompt": example.prompt,
            "tif_status": example.status,
            "tif_error": example.error,
            "tif_base": base,
            "tif_offset_unit": "utf16",
        }
        yield json.dumps(row, ensure_ascii=False)


def read(path: Path, offset_unit: Unit | None = None) -> Iterator[Record]:
    """Yield records of documents with `label`, `labels` (older exports) or `entities` (exports with relations).

    Args:
        path: the file.
        offset_unit: `utf16` or `codepoint`; None takes the record's `tif_offset_unit`, else UTF-16.
    """
    for where, row in read_records(path):
        try:
            record = _record(where, row, offset_unit)
        except InputError as error:
            raise error.within(where) from None
        yield record


def _record(where: str, row: Row, offset_unit: Unit | None) -> Record:
    text = need_text(row, "text")
    unit = offset_unit or text_field(row, "tif_offset_unit", "utf16")
    if unit not in get_args(Unit):
        raise InputError(f"unknown unit {unit!r}", where="tif_offset_unit", hint=f"Known: {', '.join(get_args(Unit))}.")
    units = Utf16(text) if unit == "utf16" else None
    spans = []
    for name in ("label", "labels", "entities"):
        for index, value in enumerate(list_field(row, name)):
            try:
                spans.append(_span(value, text, units))
            except InputError as error:
                raise error.within(f"{name}[{index}]") from None
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(row, "tif_id"),
        prompt=text_field(row, "tif_prompt"),
        status=status_field(row, "tif_status"),
        error=text_field(row, "tif_error"),
        base=text_field(row, "tif_base"),
    )


def _span(value: object, text: str, units: Utf16 | None) -> Span:
    if isinstance(value, list):
        if len(value) != 3:
            raise InputError(f"has {len(value)} parts, not [start, end, label]")
        start, end, label = value
    else:
        row = an_object(value, "")
        start, end, label = row.get("start_offset"), row.get("end_offset"), row.get("label")
    if units is not None:
        start, end = units.to_point(start, "start"), units.to_point(end, "end")
    return checked(a_span(start, end, label, "doccano"), text)
