"""Annotation sets as versioned parquet: the head is a plain file, every version stays beside it.

    annotations/tofu10.parquet                          the newest version, always whole
    annotations/tofu10.parquet.meta.json                its provenance again, for tools that drop parquet metadata
    annotations/.versions/tofu10/0001-<digest12>.parquet  every version ever saved, immutable
    annotations/.versions/tofu10/.lock                  held while saving

A save writes the version first and then swaps the head (temporary file, fsync, rename, directory fsync), so that a
crash at any point leaves the old head or the new one. `FILE@3` and `FILE@<digest prefix>` name versions.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.console import warn
from tif.errors import InputError, StaleHeadError, StoreError, UsageError
from tif.sets import metadata, rows
from tif.spans import AnnotationSet, Provenance, Version

_LOCK_SECONDS = 60.0
_VERSION_FILE = re.compile(r"^(\d{4,})-([0-9a-f]{12})\.parquet$")
_UNSET: Final = "\0unset"


# --- reading -----------------------------------------------------------------------------------------------------


def load(ref: str | Path) -> AnnotationSet:
    """The set that `ref` names: `path`, `path@3` or `path@<digest prefix of 7 or more>`.

    Everything is checked: schema, offsets, the hash of each text, the digest of the whole.

    Raises:
        StoreError: for a missing, damaged or foreign file, naming the record where there is one.
    """
    path, version = resolve(ref)
    return _read(path if version is None else _version_file(path, version))


def resolve(ref: str | Path) -> tuple[Path, str | None]:
    """Head path and version part of `path[@version]`; a file whose name really holds an `@` wins."""
    text = str(ref)
    match = re.fullmatch(r"(.+)@([0-9]{1,6}|[0-9a-f]{7,64})", text)
    if match and not Path(text).exists():
        return Path(match[1]), match[2]
    return Path(text), None


def versions(ref: str | Path) -> list[Version]:
    """All versions of the set, oldest first; of `path@3` those up to the one that it names.

    Raises:
        StoreError: if there is no such set or version, or a version's metadata cannot be read.
    """
    path, named = resolve(ref)
    head = _version_of(path)
    found = {head.number: head}
    for number, file in _version_files(path):
        if number != head.number:
            version = _version_of(file)
            if not _unfinished(version, head):
                found[number] = version
    last = max(found) if named is None else _version_of(_version_file(path, named)).number
    return [found[number] for number in sorted(found) if number <= last]


def head_version(path: str | Path) -> Version | None:
    """The version of the head, read from its metadata alone; None where there is no file.

    Raises:
        StoreError: if the file is there and is not one of tif's.
    """
    path = Path(path)
    return _version_of(path) if path.exists() else None


def folder(path: str | Path) -> Path:
    """Where versions, journals and the lock of the set at `path` live."""
    path = Path(path)
    return path.parent / ".versions" / path.stem


# --- writing -----------------------------------------------------------------------------------------------------


def save(
    annotations: AnnotationSet, path: str | Path, *, message: str = "", author: str = "", base: str | None = _UNSET
) -> AnnotationSet:
    """Save a new version and make it the head. The same content as the head's makes no version.

    Args:
        annotations: what to save.
        path: the head, ending in `.parquet`.
        message: why, for `tif spans log`.
        author: who.
        base: digest of the head that `annotations` was made from, None where no head may exist yet; by default the
            digest of `annotations.version`.

    Returns:
        The set with the version it was saved as.

    Raises:
        StaleHeadError: if the head is not `base`, because somebody else saved in between.
        UsageError: for a path that does not end in `.parquet`.
    """
    path = Path(path)
    if path.suffix != ".parquet" or not path.stem:
        raise UsageError(f"{path} does not end in .parquet", hint="Name the set annotations/NAME.parquet.")
    if base == _UNSET:
        base = annotations.version.digest if annotations.version else None
    digest = annotations.digest
    with _locked(path):
        head = _checked_head(path)
        if head is not None and head.digest == digest:
            return replace(annotations, version=head)
        if (head.digest if head else None) != base:
            raise StaleHeadError(
                "has changed since it was loaded" if head and base else "exists already" if head else "is gone",
                where=str(path),
                why=f"head is version {head.number}, {head.digest[:12]}" if head else None,
                hint=f"See `tif spans log {path}`; save under another name and `tif spans merge` the two.",
            )
        saved = [_version_of(file) for _, file in _version_files(path)]
        before = head or (saved[-1] if saved else None)
        # On top of the head lies what a killed save left, or a version whose head somebody put back from a copy: the
        # same content takes its place, any other comes after it, and nothing is deleted.
        left = [v for v in saved if head and v.digest == digest and _unfinished(v, head)]
        number = left[0].number if left else max([v.number for v in saved] + [head.number if head else 0]) + 1
        version = Version(number, digest, before.digest if before else None, _now(), message, author)
        _write(replace(annotations, version=version), path)
    return replace(annotations, version=version)


def restore(ref: str, *, message: str = "", author: str = "") -> AnnotationSet:
    """Make an old version the newest one again, as a new version.

    Raises:
        UsageError: if `ref` names no version.
    """
    path, version = resolve(ref)
    if version is None:
        raise UsageError(f"{ref} names no version", hint=f"Say which: {path}@1. `tif spans log {path}` lists them.")
    old = load(ref)
    assert old.version is not None
    message = message or f"restore version {old.version.number}"
    head: Version | None = None
    if path.exists():
        try:
            head = _read(path).version
        except StoreError as error:
            aside = path.with_name(f"{path.stem}.damaged-{_now().replace(':', '')}.parquet")
            path.rename(aside)
            warn(f"{error.what}: the damaged head is kept as {aside}, whose edits `tif spans import` can bring in")
    return save(old, path, message=message, author=author, base=head.digest if head else None)


# --- how ---------------------------------------------------------------------------------------------------------


def _write(annotations: AnnotationSet, path: Path) -> None:
    assert annotations.version is not None
    meta = metadata.of(annotations)
    blob = json.dumps(meta, ensure_ascii=False, allow_nan=False)
    sink = pa.BufferOutputStream()
    schema = rows.SCHEMA.with_metadata({metadata.KEY: blob})
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in rows.batches(annotations):
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    data = sink.getvalue()
    name = f"{annotations.version.number:04d}-{annotations.version.digest[:12]}.parquet"
    files.write(folder(path) / name, data)
    files.write(path, data)
    files.write(metadata.sidecar(path), json.dumps(meta, ensure_ascii=False, indent=2))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    busy = StoreError("is being saved by another process", where=str(path), hint="Try again in a moment.")
    with files.locked(folder(path) / ".lock", seconds=_LOCK_SECONDS, busy=busy):
        # Whoever holds the lock is the only writer, so temporary files are a killed writer's.
        files.clear_temporaries(folder(path))
        files.clear_temporaries(path.parent, path.name)
        yield


def _checked_head(path: Path) -> Version | None:
    """The head's version, if the head is as tif saved it: a save must not bury what another tool wrote into it.

    Comparing bytes with the head's own version file is enough, and spares reading a large set once more.
    """
    head = head_version(path)
    if head is None:
        return None
    twin = folder(path) / f"{head.number:04d}-{head.digest[:12]}.parquet"
    if not (twin.exists() and filecmp.cmp(twin, path, shallow=False)):
        _read(path)
    return head


def _version_files(path: Path) -> list[tuple[int, Path]]:
    place = folder(path)
    if not place.is_dir():
        return []
    found = [(int(m[1]), file) for file in place.iterdir() if (m := _VERSION_FILE.match(file.name))]
    return sorted(found)


def _version_file(path: Path, version: str) -> Path:
    by_number = len(version) < 7
    for number, file in _version_files(path):
        if by_number and number == int(version):
            return file
        if not by_number and _version_of(file).digest.startswith(version):
            return file
    head = head_version(path)
    if head is None:
        raise StoreError("no such annotation set", where=str(path))
    if (by_number and head.number == int(version)) or (not by_number and head.digest.startswith(version)):
        return path
    raise StoreError(
        f"no version {version}",
        where=str(path),
        hint=f"`tif spans log {path}` lists those that are here; the head is version {head.number}.",
    )


def _unfinished(version: Version, head: Version) -> bool:
    """Whether a version file is what a killed save left: written on top of `head`, never made the head."""
    return version.number > head.number and version.parent == head.digest


def _version_of(path: Path) -> Version:
    try:
        raw = (pq.read_schema(path).metadata or {}).get(metadata.KEY)
    except FileNotFoundError:
        raise StoreError("no such annotation set", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None
    if raw is None:
        version = _read(path).version
        assert version is not None
        return version
    return _parsed(raw, path, path)[0]


def _parsed(raw: bytes, where: Path, path: Path) -> tuple[Version, Provenance]:
    try:
        return metadata.parse(raw, where)
    except StoreError as error:
        raise StoreError(error.what, where=error.where, why=error.why, hint=error.hint or _mend(path)) from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterator[pa.RecordBatch], bytes | None]]:
    """The rows of a stored set, in pieces, and its metadata. The file is open once, so that both are of one version."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise StoreError("no such annotation set", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None
    with file:
        _check_columns(path, file.schema_arrow.names)
        yield _batches(path, file), (file.schema_arrow.metadata or {}).get(metadata.KEY)


def _batches(path: Path, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    try:
        for batch in file.iter_batches(rows.BATCH):
            batch.validate(full=True)
            yield batch.select(rows.SCHEMA.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from None


def _check_columns(path: Path, names: list[str]) -> None:
    if "prompt_sha256" in names and "text" not in names:
        hint = f"`tif spans join {path} --out FULL.parquet` brings the texts back from the data set."
        raise StoreError("holds spans without their texts", where=str(path), hint=hint)
    for name in rows.SCHEMA.names:
        if name not in names:
            raise StoreError(f"has no column {name!r}", where=str(path), hint="Is it an annotation set? " + _mend(path))


def _read(path: Path) -> AnnotationSet:
    try:
        with _opened(path) as (columns, raw):
            examples = tuple(rows.examples(columns, strict=raw is not None))
        found = AnnotationSet(examples)
    except InputError as error:
        raise StoreError(error.what, where=(str(path), *error.where), why=error.why, hint=_mend(path)) from None
    except (pa.ArrowException, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise StoreError(
            "a column has the wrong type", where=str(path), why=str(error)[:200], hint=_mend(path)
        ) from None
    if raw is not None:
        version, provenance = _parsed(raw, path, path)
        if version.digest != found.digest:
            raise StoreError(
                "content does not match its digest",
                where=str(path),
                why="it was changed outside tif",
                hint=f"`tif spans restore {path}@{version.number}` brings the saved version back; edits go through "
                "`tif spans export` and `tif spans import`.",
            )
        return replace(found, provenance=provenance, version=version)
    return _from_sidecar(found, path)


def _from_sidecar(found: AnnotationSet, path: Path) -> AnnotationSet:
    """A file whose metadata another tool dropped is taken only if the sidecar vouches for its content."""
    beside = metadata.sidecar(path)
    if not beside.exists():
        raise StoreError("carries no tif metadata, and no sidecar lies beside it", where=str(path), hint=_mend(path))
    version, provenance = _parsed(beside.read_bytes(), beside, path)
    if version.digest != found.digest:
        raise StoreError(
            "carries no tif metadata, and its sidecar is of other content",
            where=str(path),
            why="another tool rewrote it",
            hint=f"{_mend(path)} This file is kept beside it, so that `tif spans import` can bring its edits in.",
        )
    warn(f"{path}: another tool dropped its metadata; taken from {beside.name}, which matches")
    return replace(found, provenance=provenance, version=version)


def read_rows(ref: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a stored set as they are, unchecked: for whoever wants to tell all that is wrong with them.

    Raises:
        StoreError: if the file cannot be read as parquet or lacks a column.
    """
    path, version = resolve(ref)
    with _opened(path if version is None else _version_file(path, version)) as (columns, _):
        yield from rows.raw(columns)


def _no_parquet(path: Path, error: Exception) -> StoreError:
    if path.is_dir():
        return StoreError("is a folder, not a parquet file", where=str(path))
    return StoreError("cannot be read as parquet", where=str(path), why=str(error)[:160], hint=_mend(path))


def _mend(path: Path) -> str:
    saved = _version_files(path)
    if saved:
        return f"`tif spans restore {path}@{saved[-1][0]}` brings back the newest saved version."
    return "Annotation sets are made by `tif annotate` or `tif spans import`."


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


__all__ = [
    "folder",
    "head_version",
    "load",
    "read_rows",
    "resolve",
    "restore",
    "save",
    "versions",
]
