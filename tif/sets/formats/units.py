"""Tell whether a file counts its offsets in another unit than its format does.

Spans that cut words are the sign. A few of them are also in sound files, so the units are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
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

    A warning shows both readings if every span is complete words in another unit too.

    Args:
        read: reads the file with its offsets in a unit; None is the unit of the format.

    A text in ASCII without CRLF has the same offsets in every unit, so that it says nothing.

    Raises:
        InputError: as `read`; or if spans cut words, and far fewer do in another unit.
    """
    try:
        rows = read(None)
    except InputError as error:
        fitting = [unit for unit, other in _others(read) if 4 * len(_cut(other)) <= len(_telling(other))]
        if error.hint is not None or not fitting:
            raise
        raise InputError(error.what, where=error.where, why=error.why, hint=_hint(fitting)) from None
    if cut := _cut(rows):
        _check(cut, {unit: len(_cut(other)) for unit, other in _others(read)})
    elif _telling(rows):
        _warn_of_another_reading(rows, read)
    _warn_of_cuts(rows)
    return rows


def _check(cut: Sequence[tuple[Record, Span]], counts: Mapping[OffsetUnit, int]) -> None:
    """Refuse a file whose spans cut words, if at most a quarter as many do in another unit.

    Args:
        cut: the spans that cut words.
        counts: how many do so in each unit.

    Raises:
        InputError: that names the unit.
    """
    fewest = min(counts.values(), default=len(cut))
    if 4 * fewest > len(cut):
        return
    record, span = cut[0]
    fitting = [unit for unit, count in counts.items() if count == fewest]
    verb = "does" if fewest < 2 else "do"
    raise InputError(
        f"the span {record.text[span.start : span.end]!r} cuts a word",
        where=record.where,
        why=f"{len(cut)} spans cut words, and {fewest or 'none'} {verb} if offsets are in {' or '.join(fitting)}",
        hint=_hint(fitting),
    )


def _warn_of_another_reading(rows: Rows, read: Callable[[OffsetUnit | None], Rows]) -> None:
    """Warn if the spans are other complete words in another unit: then the file does not tell which unit is right."""
    for unit, other in _others(read):
        if len(other) != len(rows) or _cut(other):
            continue
        for (record, span), (_, another) in zip(_telling(rows), _telling(other), strict=False):
            words, others = (record.text[one.start : one.end] for one in (span, another))
            if words != others:
                warn(
                    f"{record.where}: the offsets select {words!r}, but {others!r} if they are in {unit}, and no span "
                    "tells which is right: name the unit by --offset-unit"
                )
                return


def _hint(fitting: Sequence[OffsetUnit]) -> str:
    return f"If the offsets are in another unit, name it: --offset-unit {' or '.join(fitting)}."


def _others(read: Callable[[OffsetUnit | None], Rows]) -> Iterator[tuple[OffsetUnit, Rows]]:
    """Yield the units in which the file can be read, and its records."""
    for unit in UNITS:
        with suppress(InputError):
            yield unit, read(unit)


def _telling(rows: Rows) -> list[tuple[Record, Span]]:
    """Return the spans whose offsets may differ between units, in records whose unit is open."""
    return [(row, span) for row in _open(rows) if not _same_in_all_units(row.text) for span in row.spans]


def _cut(rows: Rows) -> list[tuple[Record, Span]]:
    """Return the spans that begin or end inside a word, in records whose unit is open."""
    return [(row, span) for row, span in _telling(rows) if _cuts(row.text, span)]


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
