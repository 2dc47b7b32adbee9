"""Records of CSV with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tif.errors import InputError
from tif.readers.row import Place, Row


def csv_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """(place, record) of each line.

    Raises:
        InputError: for what is not CSV, or a line without as many fields as the header, naming the line.
    """
    # Texts are longer than the 128 KiB that the module takes for a mistake.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"has two columns {twice[0]!r}", where=f"{path}, line 1", hint="Rename one of them.")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"has not {len(names)} columns like the header", where=place)
            yield place, row
    except csv.Error as error:
        raise InputError("is not CSV", where=f"{path}, line {reader.reader.line_num}", why=str(error)) from None


__all__ = ["csv_records"]
