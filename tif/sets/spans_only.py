"""Sets without their texts: only ids, hashes and spans, for data that may not be shared.

`write` leaves out prompts and texts. `tif.sets.store.load` takes them from the data set, and refuses the set unless
every hash and the digest of the content match.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files, sources
from tif.errors import InputError, StoreError, TifError
from tif.sets import metadata, rows
from tif.spans import AnnotationSet, Dataset, Example, SavedSet, sha256

PROMPT_HASH: Final = "prompt_sha256"
_LEFT_OUT: Final = ("prompt", "text")

COLUMNS: Final = (*(name for name in rows.SCHEMA.names if name not in _LEFT_OUT), PROMPT_HASH)
"""Columns of a file without texts."""


def write(annotations: SavedSet, out: Path) -> None:
    """Write a set to `out` without prompts and texts.

    Raises:
        WriteError: if `out` cannot be written.
    """
    meta = json.dumps(metadata.of(annotations, spans_only=True), ensure_ascii=False)
    sink = pa.BufferOutputStream()
    pq.write_table(table(annotations).replace_schema_metadata({metadata.KEY: meta}), sink, compression="zstd")
    files.write(out, sink.getvalue())


def table(annotations: AnnotationSet) -> pa.Table:
    """Return the rows of a set without prompts and texts."""
    hashes = pa.array([sha256(e.prompt) for e in annotations], pa.string())
    full = rows.table(annotations).drop_columns(list(_LEFT_OUT)).append_column(PROMPT_HASH, hashes)
    return full.replace_schema_metadata(None)


def lacks_texts(columns: Collection[str]) -> bool:
    """Whether these are the columns of a file without texts."""
    return PROMPT_HASH in columns and "text" not in columns


def samples(path: Path, recorded: Dataset, *, dataset: str | None, data_dir: str | Path | None) -> dict[str, Example]:
    """Return the samples that the spans in `path` belong to, by id.

    Args:
        path: the file, for the error line.
        recorded: the data set that the file names.
        dataset: the data set with the samples; by default the recorded one.
        data_dir: folder with local copies of benchmark files.

    Raises:
        StoreError: if the file names a local data set, and `dataset` is not given.
        InputError, MissingError, UsageError: as `sources.load` does.
    """
    spec = dataset or sources.spec_of(recorded)
    if spec is None:
        raise StoreError(
            "contains spans without their texts",
            where=str(path),
            why=f"the texts are in {recorded.id!r}",
            hint=f"Run `tif spans join {path} --dataset {recorded.id} --out FULL.parquet` to make a full set.",
        )
    try:
        return {e.id: e for e in sources.load(spec, data_dir=data_dir).examples}
    except TifError as error:
        raise error.within(str(path)) from None


def read_row(row: Mapping[str, Any], texts: Mapping[str, Example]) -> rows.StoredRow:
    """Read a row with its text, or collect its errors: the sample is missing or has changed."""
    where = f"record {row['id']!r}"
    sample = texts.get(row["id"])
    if sample is None:
        return rows.StoredRow(row["id"], None, (InputError("is not in the data set", where=where),))
    if sha256(sample.prompt) != row[PROMPT_HASH]:
        changed = InputError("the prompt has changed", where=where, why="its hash differs")
        return rows.StoredRow(row["id"], None, (changed,))
    return rows.read_row({**row, "prompt": sample.prompt, "text": sample.text})


__all__ = ["COLUMNS", "PROMPT_HASH", "lacks_texts", "read_row", "samples", "table", "write"]
