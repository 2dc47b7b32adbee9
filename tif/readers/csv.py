"""Records of CSV with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from tif.errors import InputError
from tif.readers.row import Place, Row


def csv_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each line.

    Raises:
        InputError: for invalid CSV, or a line with another number of fields than the header, naming the line.
    """
    # Texts can be longer than the module's default limit of 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"has two columns {twice[0]!r}", where=f"{path}, line 1", hint="Rename one of them.")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"does not have the header's {len(names)} columns", where=place)
            yield place, row
    except csv.Error as error:
        raise InputError("is not CSV", where=f"{path}, line {reader.reader.line_num}", why=str(error)) from None


__all__ = ["csv_records"]
