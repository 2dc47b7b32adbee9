"""Records of CSV with a header line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers.row import Place, Row

DECLARED: Final = re.compile(r"sep=(.)\r?\n")
"""The first line in which Excel declares the character between columns."""
_OTHERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each line. Columns have commas between them, or what the line `sep=;` declares.

    In a `.tsv` file they have tabs.

    Raises:
        InputError: for invalid CSV, other separators, or a line with another number of fields than the header, naming
            the line.
    """
    # Texts can be longer than the module's default limit of 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    declared = DECLARED.match(text)
    separator = declared[1] if declared else "\t" if ".tsv" in path.name.lower() else ","
    content, skipped = (text[declared.end() :], 1) if declared else (text, 0)
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True, delimiter=separator)
    try:
        names = reader.fieldnames or []
        _check_header(names, f"{path}, line {1 + skipped}")
        for row in reader:
            place = f"{path}, line {reader.line_num + skipped}"
            if None in row or None in row.values():
                raise InputError(f"does not have the header's {len(names)} columns", where=place)
            yield place, row
    except csv.Error as error:
        line = reader.reader.line_num + skipped
        raise InputError("is not CSV", where=f"{path}, line {line}", why=str(error)) from None


def _check_header(names: Sequence[str], where: str) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"has two columns {twice[0]!r}", where=where, hint="Rename one of them.")
    if len(names) == 1:
        for separator, called in _OTHERS.items():
            if separator in names[0]:
                hint = (
                    "Name the file .tsv." if separator == "\t" else f"Put the line sep={separator} before the header."
                )
                raise InputError(f"has {called} in place of commas between the columns", where=where, hint=hint)


__all__ = ["csv_records"]
