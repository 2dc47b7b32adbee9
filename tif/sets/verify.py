"""Verify a stored set: recompute every digest of its head, its sidecar and its versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.errors import InputError, StoreError
from tif.seal import SEAL, Check, State
from tif.sets import metadata, parquet, store
from tif.spans import SavedSet


def verify_set(ref: str | Path, *, data_dir: str | Path | None = None) -> list[Check]:
    """Compare the files of a set with the digests that stand in them.

    The head and each version must have the content of their digest, metadata that match their seal, and a parent that
    is a version before them. The head must be equal to its version file, and the sidecar to the head's metadata.

    Args:
        ref: `path`, or `path@3` for one version alone.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        StoreError: if there is no such set or version.
        InputError, MissingError: for a set without texts, if its data set is missing or has changed.
    """
    path, named = store.resolve(ref)
    if named is not None:
        return [_check_of(store.file_of(ref), data_dir)[0]]
    if not path.exists():
        raise StoreError("no such annotation set", where=str(path))
    head_check, head = _check_of(path, data_dir)
    versions = {file: _check_of(file, data_dir) for file in store.version_files(path)}
    checks = [head_check, *(check for check, _ in versions.values())]
    saved = {file: version for file, (_, version) in versions.items() if version is not None}
    checks += _names(saved)
    if head is not None:
        checks += _head_is_a_version(path, head, saved)
        checks += _sidecar(path)
    checks += _parents([*saved.values(), *([head] if head else [])], alone=not versions)
    return checks


def _check_of(file: Path, data_dir: str | Path | None) -> tuple[Check, SavedSet | None]:
    """Return the result of reading a file with all of its digests, and the set if it could be read."""
    try:
        annotations = parquet.read(file, data_dir=data_dir)
    except StoreError as error:
        return Check(name=str(file), state="differs", detail=f"{error.what} ({error.why})"), None
    if SEAL not in _metadata(file):
        detail = "written by an older tif, so author, date and provenance are not sealed"
        return Check(name=str(file), state="unsealed", detail=detail), annotations
    return Check(name=str(file), state="ok"), annotations


def _metadata(file: Path) -> dict[str, object]:
    try:
        files.check_regular(file)
        content = json.loads((pq.read_schema(file).metadata or {}).get(metadata.KEY) or b"{}")
    except (pa.ArrowException, OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _names(saved: dict[Path, SavedSet]) -> Iterator[Check]:
    for file, version in saved.items():
        wanted = store.version_name(version.version)
        if file.name != wanted:
            yield Check(name=str(file), state="differs", detail=f"contains the version of {wanted}")


def _head_is_a_version(path: Path, head: SavedSet, saved: dict[Path, SavedSet]) -> Iterator[Check]:
    own = next((file for file, version in saved.items() if version.version.number == head.version.number), None)
    if own is not None and own.read_bytes() != path.read_bytes():
        yield Check(name=str(path), state="differs", detail=f"is not equal to {own.name}, its version file")
    newer = [version.version for version in saved.values() if version.version.number > head.version.number]
    if newer:
        # A save that was killed leaves versions whose parent is the head. Others were the head once.
        killed = all(version.parent == head.version.digest for version in newer)
        why = ": a save was interrupted, or the head was put back" if killed else ", so the head was put back"
        detail = f"is version {head.version.number}, but version {newer[-1].number} was written after it{why}"
        yield Check(name=str(path), state="ok" if killed else "differs", detail=detail)


def _sidecar(path: Path) -> Iterator[Check]:
    sidecar = metadata.sidecar(path)
    if not sidecar.exists():
        return
    try:
        raw = files.read(sidecar)
        content = json.loads(raw)
        metadata.parse(raw, sidecar)
    except (OSError, ValueError, StoreError, InputError) as error:
        yield Check(name=str(sidecar), state="differs", detail=str(error))
        return
    if content != _metadata(path):
        yield Check(name=str(sidecar), state="differs", detail="is not equal to the metadata of the set")
    else:
        yield Check(name=str(sidecar), state="ok")


def _parents(sets: list[SavedSet], *, alone: bool) -> Iterator[Check]:
    # A restored version has the digest of an earlier one. The earliest counts.
    known = {one.version.digest: one.version.number for one in sorted(sets, key=lambda one: -one.version.number)}
    for one in {one.version.number: one for one in sets}.values():
        parent = one.version.parent
        if parent is None:
            continue
        name = f"version {one.version.number}"
        if parent not in known:
            # A head that was copied to another place has left its versions behind.
            state: State = "skipped" if alone else "missing"
            yield Check(name=name, state=state, detail=f"its parent {parent[:12]} is not among the versions")
        elif known[parent] > one.version.number:
            yield Check(name=name, state="differs", detail=f"its parent is the later version {known[parent]}")


__all__ = ["verify_set"]
