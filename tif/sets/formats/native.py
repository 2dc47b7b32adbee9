"""`tif`: our own JSONL, which loses nothing. Each line also names the exported version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.records import (
    Record,
    base_of,
    id_field,
    in_order,
    need_list,
    need_text,
    parsed,
    proven_unit,
    row_of,
    span_of,
    stated_unit,
    status_field,
    text_field,
)
from tif.spans import AnnotationSet

OPTIONS: Final = ("offset_unit",)


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one JSON object per line."""
    base = base_of(annotations)
    for example in annotations:
        yield json.dumps({**row_of(example), "offset_unit": "codepoint", "base": base}, ensure_ascii=False)


def read(path: Path, offset_unit: OffsetUnit | None = None, encoding: str | None = None) -> Iterator[Record]:
    """Yield the records of JSONL; only `text` and `spans` are required.

    Args:
        path: the file.
        offset_unit: the unit of the offsets; None takes the record's `offset_unit`, else code points.
        encoding: the file's encoding, if it is not UTF-8.
    """
    yield from parsed(read_records(path, encoding=encoding), lambda where, row: _record(where, row, offset_unit))


def _record(where: str, row: Row, unit: OffsetUnit | None) -> Record:
    stated = stated_unit(row, "offset_unit")
    unit = unit or stated
    text = need_text(row, "text")
    if row.get("answer") in ("accept", "reject", "ignore"):
        raise InputError(
            "is a task of Prodigy", where="answer", hint="Use --format prodigy, so that its answer counts."
        )
    values = need_list(row, "spans", hint=_quotes_hint(row))
    spans = [span_of(span, text, f"spans[{i}]", source="manual", unit=unit) for i, span in enumerate(values)]
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(row),
        prompt=text_field(row, "prompt"),
        status=status_field(row),
        error=text_field(row, "error"),
        base=text_field(row, "base"),
        unit=stated or proven_unit(values),
    )


def _quotes_hint(row: Row) -> str:
    if "quotes" in row:
        return "`tif annotate --method manual` reads quotes."
    return 'Write "spans": [] for a record without unwanted words.'
