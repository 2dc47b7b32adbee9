"""`doccano`: JSONL, `{"text", "label": [[start, end, "UW"]]}`.

doccano's page marks text by JavaScript, so its offsets are UTF-16 units; each exported line records this in
`tif_offset_unit`. A project that counts graphemes needs `--offset-unit grapheme`. doccano keeps unknown columns as
metadata and exports them again: `tif_id`, `tif_prompt`, `tif_status` and `tif_base` identify a record. Its own `id` is
a database number, which tif ignores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.offsets import Offsets, OffsetUnit
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
    parsed,
    stated_unit,
    status_field,
    text_field,
)
from tif.spans import AnnotationSet, Span

OPTIONS: Final = ("offset_unit",)

_KEYS: Final = ("label", "labels", "entities", "annotations")
"""Fields with spans: today's exports, older ones, those with relations, and the oldest."""


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one document per line."""
    base = base_of(annotations)
    for example in annotations:
        units = Offsets(example.text, "utf16")
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


def read(path: Path, offset_unit: OffsetUnit | None = None, encoding: str | None = None) -> Iterator[Record]:
    """Yield records of documents with `label`, `labels`, `entities` or `annotations`.

    Args:
        path: the file.
        offset_unit: the unit of the offsets; None takes the record's `tif_offset_unit`, else UTF-16.
        encoding: the file's encoding, if it is not UTF-8.
    """
    yield from parsed(read_records(path, encoding=encoding), lambda where, row: _record(where, row, offset_unit))


def _record(where: str, row: Row, unit: OffsetUnit | None) -> Record:
    text = need_text(row, "text")
    stated = stated_unit(row, "tif_offset_unit")
    offsets = Offsets(text, unit or stated or "utf16")
    keys = [name for name in _KEYS if row.get(name) is not None]
    if not keys:
        why = f"fields: {', '.join(map(str, row)) or 'none'}"
        raise InputError(f"has none of the fields {', '.join(_KEYS)}", why=why)
    spans = []
    for name in keys:
        for index, value in enumerate(list_field(row, name)):
            try:
                spans.append(_span(value, text, offsets))
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
        maker="person",
        unit=stated,
    )


def _span(value: object, text: str, offsets: Offsets) -> Span:
    if isinstance(value, list):
        if len(value) != 3:
            raise InputError(f"has {len(value)} parts, not [start, end, label]")
        start, end, label = value
    else:
        row = an_object(value, "")
        start, end, label = row.get("start_offset"), row.get("end_offset"), row.get("label")
    if type(label) is int:
        raise InputError(
            f"label {label} is a number of doccano's database, not a name",
            where="label",
            hint="Export from doccano as JSONL with text labels.",
        )
    start, end = offsets.to_point(start, "start"), offsets.to_point(end, "end")
    return checked(a_span(start, end, label, "doccano"), text)
