"""Conversion between examples and rows of an Arrow table: the schema that every parquet reader sees."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa

from tif.errors import InputError, kind_of
from tif.spans import AnnotationSet, Example, Span, sha256

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("text_sha256", pa.string(), nullable=False),
        pa.field(
            "spans",
            pa.list_(
                pa.struct(
                    [
                        pa.field("start", pa.int32(), nullable=False),
                        pa.field("end", pa.int32(), nullable=False),
                        pa.field("label", pa.string(), nullable=False),
                        pa.field("source", pa.string(), nullable=False),
                        pa.field("score", pa.float64()),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
)


BATCH: Final = 8192
"""Number of rows converted at a time, to limit memory."""


def table(annotations: AnnotationSet) -> pa.Table:
    """Return the set as the stored table, without metadata."""
    return pa.Table.from_batches(batches(annotations), schema=SCHEMA)


def batches(annotations: AnnotationSet) -> Iterator[pa.RecordBatch]:
    """Yield the stored table in batches."""
    for at in range(0, len(annotations), BATCH):
        yield _batch(annotations.examples[at : at + BATCH])


def _batch(examples: tuple[Example, ...]) -> pa.RecordBatch:
    columns = [
        [e.id for e in examples],
        [e.prompt for e in examples],
        [e.text for e in examples],
        [e.text_sha256 for e in examples],
        [[asdict(s) for s in e.spans] for e in examples],
        [e.status for e in examples],
        [e.error for e in examples],
    ]
    arrays = [pa.array(values, type=f.type) for values, f in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A stored row, with its example or its errors."""

    id: object
    """The value of the column `id`."""
    example: Example | None
    """None if the row has errors."""
    errors: tuple[InputError, ...] = ()
    """All errors of the row, naming the record."""

    def checked(self) -> Example:
        """Return the example.

        Raises:
            InputError: the first error of the row.
        """
        if self.example is None:
            raise self.errors[0]
        return self.example


def raw(columns: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yield the rows of batches as plain values, with one batch in memory at a time."""
    for batch in columns:
        yield from batch.to_pylist()


def read_row(row: Mapping[str, Any], *, strict: bool = True) -> StoredRow:
    """Read a stored row as an example, or collect all of its errors.

    Args:
        row: a row of a table with the columns of `SCHEMA`.
        strict: refuse NaN as a score. pandas writes NaN for a missing score, in files that lost their metadata.
    """
    where = f"record {row['id']!r}"
    if not isinstance(row["spans"], list):
        fault = InputError(f"is {kind_of(row['spans'])}, not a list", where=(where, "spans"))
        return StoredRow(row["id"], None, (fault,))
    errors: list[InputError] = []
    spans: list[Span] = []
    for index, item in enumerate(row["spans"]):
        place = (where, f"spans[{index}]")
        try:
            if not isinstance(item, dict):
                raise InputError(f"is {kind_of(item)}, not an object")
            score = item["score"]
            if not strict and score is not None and score != score:
                score = None
            span = Span(item["start"], item["end"], _shared(item["label"]), _shared(item["source"]), score)
            # Check each span alone, so that one bad span does not hide the next.
            Example("one", "", row["text"], (span,))
            spans.append(span)
        except KeyError as error:
            errors.append(InputError(f"span has no field {error}", where=place))
        except InputError as error:
            errors.append(InputError(error.what, where=place, why=error.why, hint=error.hint))
    example = None
    try:
        example = Example(row["id"], row["prompt"], row["text"], tuple(spans), _shared(row["status"]), row["error"])
        if row["text_sha256"] != sha256(example.text):
            errors.append(InputError("text does not match its hash", where=where, why="the text was changed"))
    except InputError as error:
        errors.append(error if error.where and error.where[0] == where else error.within(where))
    return StoredRow(row["id"], None if errors else example, tuple(errors))


def _shared(value: Any) -> Any:
    """Return one object for all equal strings: millions of spans share few labels and sources."""
    return sys.intern(value) if type(value) is str else value


__all__ = ["BATCH", "SCHEMA", "StoredRow", "batches", "raw", "read_row", "table"]
