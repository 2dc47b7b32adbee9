"""`tif`: our own JSONL, which loses nothing. Each line also names the exported version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.records import (
    Record,
    base_of,
    id_field,
    in_order,
    list_field,
    need_text,
    row_of,
    span_of,
    status_field,
    text_field,
)
from tif.spans import AnnotationSet

OPTIONS: Final[tuple[str, ...]] = ()


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one JSON object per line."""
    base = base_of(annotations)
    for example in annotations:
        yield json.dumps({**row_of(example), "offset_unit": "codepoint", "base": base}, ensure_ascii=False)


def read(path: Path) -> Iterator[Record]:
    """Yield the records of JSONL; only `text` is required."""
    for where, row in read_records(path):
        try:
            record = _record(where, row)
        except InputError as error:
            raise error.within(where) from None
        yield record


def _record(where: str, row: Row) -> Record:
    unit = text_field(row, "offset_unit", "codepoint")
    if unit != "codepoint":
        raise InputError(f"offsets are in {unit!r}", where="offset_unit", why="this format counts code points")
    text = need_text(row, "text")
    spans = [span_of(span, text, f"spans[{i}]", source="manual") for i, span in enumerate(list_field(row, "spans"))]
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(row),
        prompt=text_field(row, "prompt"),
        status=status_field(row),
        error=text_field(row, "error"),
        base=text_field(row, "base"),
    )
