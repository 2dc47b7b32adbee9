"""Tell whether a file counts its offsets in another unit than its format does: spans that cut words are the sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tif.console import warn
from tif.errors import InputError
from tif.sets.formats.offsets import UNITS, OffsetUnit
from tif.sets.formats.records import Record, Skipped
from tif.spans import Span
from tif.text import divides

Rows = Sequence[Record | Skipped]
Read = TypeVar("Read", bound=Rows)


def read_in_its_unit(read: Callable[[OffsetUnit | None], Read]) -> Read:
    """Read a file in the unit of its format, unless another unit fits better: then the user has to name it.

    Args:
        read: reads the file with its offsets in a unit; None is the unit of the format.

    A text in ASCII without CRLF has the same offsets in every unit, so that it says nothing.

    Raises:
        InputError: as `read`; or if spans cut words that they do not cut in another unit.
    """
    try:
        rows = read(None)
    except InputError as error:
        fitting = list(_fitting(read)) if error.hint is None else []
        if not fitting:
            raise
        raise InputError(error.what, where=error.where, why=error.why, hint=_hint(fitting)) from None
    cut = _cut(rows)
    if cut:
        record, span = cut[0]
        if fitting := list(_fitting(read)):
            raise InputError(
                f"the span {record.text[span.start : span.end]!r} cuts a word",
                where=record.where,
                why=f"{len(cut)} spans cut words, and none does if offsets are in {' or '.join(fitting)}",
                hint=_hint(fitting),
            )
    _warn_of_cuts(rows)
    return rows


def _hint(fitting: Sequence[OffsetUnit]) -> str:
    return f"If the offsets are in another unit, name it: --offset-unit {' or '.join(fitting)}."


def _fitting(read: Callable[[OffsetUnit | None], Rows]) -> Iterator[OffsetUnit]:
    """Yield the units in which the file can be read and no span cuts a word."""
    for unit in UNITS:
        try:
            rows = read(unit)
        except InputError:
            continue
        if not _cut(rows):
            yield unit


def _cut(rows: Rows) -> list[tuple[Record, Span]]:
    """Return the spans that begin or end inside a word, in records whose unit is open."""
    return [
        (row, span)
        for row in _open(rows)
        if not _same_in_all_units(row.text)
        for span in row.spans
        if _cuts(row.text, span)
    ]


def _open(rows: Rows) -> Iterator[Record]:
    """Yield the records that neither name their unit nor prove it."""
    return (row for row in rows if isinstance(row, Record) and row.unit is None and row.base is None)


def _same_in_all_units(text: str) -> bool:
    return text.isascii() and "\r\n" not in text


def _cuts(text: str, span: Span) -> bool:
    return divides(text, span.start) or divides(text, span.end)


def _warn_of_cuts(rows: Rows) -> None:
    spans = [(row, span) for row in _open(rows) for span in row.spans]
    cut = [(record, span) for record, span in spans if _cuts(record.text, span)]
    if len(cut) > 1 and 2 * len(cut) > len(spans):
        record, span = cut[0]
        warn(
            f"{len(cut)} of {len(spans)} spans cut words, first {record.text[span.start : span.end]!r} "
            f"at {record.where}: check that starts count from 0 and ends are exclusive"
        )


__all__ = ["read_in_its_unit"]
