"""One stored file of an annotation set: parquet with `tif` metadata, read and checked row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.console import warn
from tif.errors import InputError, StoreError, reason
from tif.readers.unpacked import check_unpacked
from tif.sets import layout, metadata, rows, spans_only
from tif.spans import AnnotationSet, Example, Provenance, SavedSet, Version


def lacks_texts(path: Path) -> bool:
    """Whether a file contains spans without their texts. False for a file that cannot be read at all."""
    try:
        files.check_regular(path)
        return spans_only.lacks_texts(pq.read_schema(path).names)
    except (pa.ArrowException, OSError, ValueError):
        return False


def content(annotations: SavedSet) -> pa.Buffer:
    """Return the bytes of the parquet file."""
    blob = json.dumps(metadata.of(annotations), ensure_ascii=False, allow_nan=False)
    sink = pa.BufferOutputStream()
    schema = rows.SCHEMA.with_metadata({metadata.KEY: blob})
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in rows.batches(annotations):
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    return sink.getvalue()


def version_of(path: Path) -> Version:
    """Read the version of a file as `version_and_provenance` does."""
    return version_and_provenance(path)[0]


def version_and_provenance(path: Path) -> tuple[Version, Provenance]:
    """Read version and provenance of a file from its metadata only.

    Raises:
        StoreError: if the file is missing, or is not an annotation set.
    """
    try:
        files.check_regular(path)
        raw = (pq.read_schema(path).metadata or {}).get(metadata.KEY)
    except FileNotFoundError:
        raise StoreError("no such annotation set", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None
    if raw is None:
        saved = read(path)
        return saved.version, saved.provenance
    return metadata.parse(raw, path)


def read(path: Path, *, dataset: str | None = None, data_dir: str | Path | None = None) -> SavedSet:
    """Read the set in a file, and check columns, every row, and the digest of the content.

    Args:
        path: the file.
        dataset: for a file without texts: the data set with the texts. By default the one that the file names.
        data_dir: for a file without texts: folder with local copies of benchmark files.

    Raises:
        StoreError: if the file is missing, damaged, or not an annotation set.
        InputError, MissingError: for a file without texts, if its data set is missing or has changed.
    """
    with _opened(path) as opened:
        texts = _texts(path, opened, dataset, data_dir)
        try:
            annotations = AnnotationSet(tuple(_examples(opened, texts)))
        except InputError as error:
            if texts is not None:
                raise error.within(str(path)) from None
            raise StoreError(error.what, where=(str(path), *error.where), why=error.why) from None
        except (pa.ArrowException, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise StoreError("a column has the wrong type", where=str(path), why=str(error)[:200]) from None
    version, provenance = _identify(path, opened.raw, annotations)
    return SavedSet(annotations.examples, provenance, version=version)


def read_rows(path: Path, *, data_dir: str | Path | None = None) -> Iterator[rows.StoredRow]:
    """Yield every row of a file, each with all of its errors.

    Raises:
        StoreError, InputError, MissingError: as `read`, for errors of the file itself.
    """
    with _opened(path) as opened:
        yield from _rows(opened, _texts(path, opened, None, data_dir))


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file. Rows and metadata come from one version, even if another is saved meanwhile."""

    columns: list[str]
    batches: Iterator[pa.RecordBatch]
    raw: bytes | None
    """The metadata; None if another tool dropped it."""


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    try:
        files.check_regular(path)
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise StoreError("no such annotation set", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None
    with file:
        try:
            check_unpacked(file, path)
        except InputError as error:
            raise StoreError(error.what, where=str(path), hint=error.hint) from None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _no_parquet(path, error) from None
        names = file.schema_arrow.names
        needed = spans_only.COLUMNS if spans_only.lacks_texts(names) else tuple(rows.SCHEMA.names)
        if missing := [name for name in needed if name not in names]:
            raise StoreError(f"has no column {missing[0]!r}", where=str(path), why="is it an annotation set?")
        yield _Opened(names, _batches(path, file, needed), (file.schema_arrow.metadata or {}).get(metadata.KEY))


def _batches(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in file.iter_batches(rows.BATCH):
            batch.validate(full=True)
            yield batch.select(list(columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None


def _texts(
    path: Path, opened: _Opened, dataset: str | None, data_dir: str | Path | None
) -> Mapping[str, Example] | None:
    """Return the samples of a file without texts; None for a file with texts."""
    if not spans_only.lacks_texts(opened.columns):
        return None
    if opened.raw is None:
        raise StoreError("contains spans without their texts, and no tif metadata", where=str(path))
    recorded = metadata.parse(opened.raw, path)[1].dataset
    return spans_only.samples(path, recorded, dataset=dataset, data_dir=data_dir)


def _rows(opened: _Opened, texts: Mapping[str, Example] | None) -> Iterator[rows.StoredRow]:
    for row in rows.raw(opened.batches):
        if texts is None:
            yield rows.read_row(row, strict=opened.raw is not None)
        else:
            yield spans_only.read_row(row, texts)


def _examples(opened: _Opened, texts: Mapping[str, Example] | None) -> Iterator[Example]:
    return (row.checked() for row in _rows(opened, texts))


def _identify(path: Path, raw: bytes | None, annotations: AnnotationSet) -> tuple[Version, Provenance]:
    """Return version and provenance, after checking that they belong to the content."""
    if raw is not None:
        version, provenance = metadata.parse(raw, path)
        if version.digest != annotations.digest:
            raise StoreError(
                "content does not match its digest",
                where=str(path),
                why="it was changed outside tif",
                hint=f"Run `tif spans restore {path}@{version.number}` to get the saved version back. Edit sets with "
                "`tif spans export` and `tif spans import`.",
            )
        return version, provenance
    # pandas and datasets drop metadata. The sidecar counts only if its digest matches the content.
    sidecar = metadata.sidecar(path)
    try:
        if not sidecar.exists():
            raise StoreError("has no tif metadata and no sidecar", where=str(path))
        version, provenance = metadata.parse(files.read(sidecar), sidecar)
        matches = version.digest == annotations.digest
    except StoreError:
        if (saved := _same_version(path, annotations.digest)) is None:
            raise
        matches = False
    else:
        saved = None if matches else _same_version(path, annotations.digest)
    if saved is not None:
        file, identity = saved
        warn(f"{path}: another tool dropped its metadata; used {file.name}, whose digest matches")
        return identity
    if not matches:
        raise StoreError(
            "has no tif metadata, and its sidecar describes other content",
            where=str(path),
            why="another tool rewrote it; a restore keeps this file, so that `tif spans import` can read its edits",
        )
    warn(f"{path}: another tool dropped its metadata; used {sidecar.name}, whose digest matches")
    return version, provenance


def _same_version(path: Path, digest: str) -> tuple[Path, tuple[Version, Provenance]] | None:
    """Return the newest version of the set with this content, if there is one. A save may have failed to write the
    sidecar."""
    for _, file in reversed(layout.version_files(path)):
        if layout.named(file)[1] == digest[:12]:
            with suppress(StoreError):
                identity = version_and_provenance(file)
                if identity[0].digest == digest:
                    return file, identity
    return None


def _no_parquet(path: Path, error: Exception) -> StoreError:
    if path.is_dir():
        return StoreError("is a folder, not a parquet file", where=str(path))
    return StoreError("cannot be read as parquet", where=str(path), why=reason(error)[:160])


__all__ = ["content", "lacks_texts", "read", "read_rows", "version_of"]
