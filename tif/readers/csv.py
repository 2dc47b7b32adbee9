"""Records of CSV with a header line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tif.console import warn
from tif.errors import InputError
from tif.readers.row import Place, Row

DECLARED: Final = re.compile(r"sep=(.)\r?\n")
"""The first line in which Excel declares the character between columns."""
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_OTHERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each line. Columns have commas between them, or what the line `sep=;` declares.

    In a `.tsv` file they have tabs. If the header has no comma, but semicolons, tabs or bars of one kind, these are
    between the columns, as a warning tells: Excel writes semicolons in many countries.

    Raises:
        InputError: for invalid CSV, other separators, or a line with another number of fields than the header, naming
            the line.
    """
    # Texts can be longer than the module's default limit of 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    declared = DECLARED.match(text)
    separator = declared[1] if declared else "\t" if ".tsv" in path.name.lower() else ","
    content, skipped = (text[declared.end() :], 1) if declared else (text, 0)
    if not declared and (found := _separator(content, separator)) is not None:
        separator = found
        warn(f"{path} is read with {_OTHERS[found]} between its columns, as its header has no other sign")
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True, delimiter=separator)
    try:
        names = reader.fieldnames or []
        _check_header(names, [] if declared else _shown(content), f"{path}, line {1 + skipped}")
        for row in reader:
            place = f"{path}, line {reader.line_num + skipped}"
            if None in row or None in row.values():
                raise InputError(f"does not have the header's {len(names)} columns", where=place)
            yield place, row
    except csv.Error as error:
        line = reader.reader.line_num + skipped
        raise InputError("is not CSV", where=f"{path}, line {line}", why=str(error)) from None


def _check_header(names: Sequence[str], shown: Sequence[str], where: str) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"has two columns {twice[0]!r}", where=where, hint="Rename one of them.")
    if len(names) == 1 and shown:
        called = " and ".join(_OTHERS[separator] for separator in shown)
        hint = f"Put the line sep={shown[0]} before the header, with the right separator."
        raise InputError(f"has {called} in place of commas between the columns", where=where, hint=hint)


def _separator(content: str, usual: str) -> str | None:
    """Return the separator that the header shows if the usual one is not in it; None if it shows none or several."""
    shown = _shown(content)
    return shown[0] if usual not in _header(content) and len(shown) == 1 else None


def _shown(content: str) -> list[str]:
    """Return the unusual separators in the header, outside quotes."""
    return [separator for separator in _OTHERS if separator in _header(content)]


def _header(content: str) -> str:
    return _QUOTED.sub("", content.split("\n", 1)[0])


__all__ = ["csv_records"]
