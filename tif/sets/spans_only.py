"""Sets without their text: ids, hashes and spans alone, for data that may not be passed on.

`strip` leaves the text out; `join` brings it back from the data set and refuses unless every hash, and the digest of
the whole, are what they were. `load` does so by itself where the file names a public source.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files, sources
from tif.errors import InputError, StoreError, UsageError
from tif.sets import metadata, rows, store
from tif.sources import Source
from tif.spans import AnnotationSet, sha256

_PROMPT_HASH = "prompt_sha256"
_LEFT_OUT = ("prompt", "text")


def strip(ref: str, out: Path) -> None:
    """Write the set that `ref` names to `out` without prompts and texts.

    Raises:
        UsageError: if `out` does not end in `.parquet`, or is the set itself.
    """
    path, _ = store.resolve(ref)
    if out.suffix != ".parquet":
        raise UsageError(f"{out} does not end in .parquet")
    if out.exists() and path.exists() and out.samefile(path):
        raise UsageError(f"{out} is the set itself", hint="Its texts would be gone: give another --out.")
    annotations = store.load(ref)
    table = rows.table(annotations)
    hashes = pa.array([sha256(e.prompt) for e in annotations], pa.string())
    table = table.drop_columns(list(_LEFT_OUT)).append_column(_PROMPT_HASH, hashes)
    meta = json.dumps({**metadata.of(annotations), "spans_only": True}, ensure_ascii=False)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({metadata.KEY: meta}), sink, compression="zstd")
    files.write(out, sink.getvalue())


def join(path: Path, source: Source) -> AnnotationSet:
    """The set whose spans are in `path` and whose samples are `source`.

    Returns:
        The set as it was before `strip`, with its version.

    Raises:
        StoreError: for a file that `strip` did not write.
        InputError: for a sample that is missing, or whose text is not what it was.
    """
    raw, table = _read(path)
    samples = {e.id: e for e in source.examples}
    full = []
    for row in table.to_pylist():
        where = (str(path), f"record {row['id']!r}")
        sample = samples.get(row["id"])
        if sample is None:
            raise InputError("is not in the data set", where=where, why=f"{source.id} {source.split}".strip())
        if sha256(sample.prompt) != row.pop(_PROMPT_HASH):
            raise InputError("the prompt is not what it was", where=where, why="its hash differs")
        example, found = rows.read_row({**row, "prompt": sample.prompt, "text": sample.text})
        if found or example is None:
            raise found[0].within(str(path))
        full.append(example)
    version, provenance = metadata.parse(raw, path)
    joined = AnnotationSet(tuple(full), provenance, version)
    if joined.digest != version.digest:
        raise StoreError("is not the set that its metadata describes", where=str(path), why="the digests differ")
    return joined


def load(ref: str | Path, *, data_dir: str | Path | None = None, dataset: str | None = None) -> AnnotationSet:
    """`store.load`, and for a set without texts also the join with the data set that it names.

    Args:
        ref: `path`, `path@3` or `path@<digest prefix>`.
        data_dir: folder with local copies of benchmark files.
        dataset: where the samples are; by default what the file says.

    Raises:
        StoreError, InputError, MissingError: as `store.load`, `sources.load` and `join` do.
    """
    path, version = store.resolve(ref)
    if not is_stripped(path):
        return store.load(ref)
    spec = dataset or sources.spec_of(metadata.parse(_read(path)[0], path)[1].dataset)
    if spec is None:
        hint = f"`tif spans join {path} --dataset SRC --out FULL.parquet` says where they are."
        raise StoreError("holds spans without their texts", where=str(path), hint=hint)
    joined = join(path, sources.load(spec, data_dir=data_dir))
    assert joined.version is not None
    if version is not None and version != str(joined.version.number) and not joined.version.digest.startswith(version):
        raise StoreError(f"no version {version}", where=str(path), why=f"it is version {joined.version.number} alone")
    return joined


def save_joined(path: Path, out: Path, dataset: str | None, data_dir: str | Path | None) -> AnnotationSet:
    """Join, and save the result as a set of its own.

    Raises:
        StaleHeadError: if there is another set at `out` already.
    """
    joined = load(path, data_dir=data_dir, dataset=dataset)
    return store.save(replace(joined, version=None), out, message=f"join {path.name}", base=None)


def is_stripped(path: Path) -> bool:
    """Whether a file holds spans without their texts."""
    try:
        return path.is_file() and _PROMPT_HASH in pq.read_schema(path).names
    except (pa.ArrowException, OSError, ValueError):
        return False  # Not parquet at all: `store.load` says so best.


def _read(path: Path) -> tuple[bytes, pa.Table]:
    if not is_stripped(path):
        raise StoreError("is no set without texts", where=str(path), hint="`tif spans export --spans-only` makes one.")
    try:
        with pq.ParquetFile(path) as file:  # opened once, like `store` does: a save may swap the file at any time
            table = file.read()
        raw = (table.schema.metadata or {})[metadata.KEY]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise StoreError("cannot be read", where=str(path), why=str(error)[:160]) from None
    wanted = {_PROMPT_HASH, *rows.SCHEMA.names} - set(_LEFT_OUT)
    if missing := wanted - set(table.column_names):
        raise StoreError(f"has no column {min(missing)!r}", where=str(path))
    return raw, table.replace_schema_metadata(None)


__all__ = ["is_stripped", "join", "load", "save_joined", "strip"]
