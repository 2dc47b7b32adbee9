"""The person that each record of a file of gold spans is about."""

from __future__ import annotations

from pathlib import Path

from tif.errors import InputError, UsageError
from tif.readers import read_records

FIELD = "subject"
"""Name of the field, unless the user gives another."""


def subjects(file: str | Path, field: str | None = None, *, encoding: str | None = None) -> dict[str, str]:
    """Return the person of each record with an id; nothing for a file that names none.

    Args:
        file: the gold file. An annotation set names no person.
        field: the field with the person's name or number; None for `subject`, if the records have it.
        encoding: of a text file that is neither UTF-8 nor UTF-16 with a byte-order mark.

    Raises:
        UsageError: if `field` is given and no record has it.
    """
    path = Path(file)
    by_id: dict[str, str] = {}
    if path.is_file() and path.suffix.lower() != ".parquet":
        try:
            for _, row in read_records(path, encoding=encoding):
                value = row.get(field or FIELD)
                if isinstance(value, str | int) and str(value).strip() and row.get("id") is not None:
                    by_id[str(row["id"])] = str(value)
        except InputError:
            by_id = {}  # a format whose records are no rows, such as text with brackets
    if field is not None and not by_id:
        raise UsageError(
            f"no record has an id and the field {field!r}",
            where="--subject",
            hint="Name a field of the gold file, or leave the option out to count documents.",
        )
    return by_id


__all__ = ["FIELD", "subjects"]
