"""Refuse to replace files that an export did not write, or that somebody has edited since."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from tif.errors import StoreError, TifError, UsageError
from tif.readers.parquet import read_table
from tif.sets import formats, parquet, spans_only, store
from tif.sets.formats import FormatName
from tif.sets.formats.tpo import write_folder
from tif.spans import SavedSet


def check_file(out: Path, ref: str, annotations: SavedSet, format_: FormatName) -> None:
    """Raise unless `out` is free, or contains an unedited export of a version of the set that `ref` names.

    Args:
        out: the file, or for `tpo` the folder, that an export is to write.
        ref: the set.
        annotations: the set that is exported.
        format_: the format of the export.

    Raises:
        UsageError: if the export would overwrite something else.
    """
    if format_ == "tpo" and not out.suffix:
        if out.is_dir() and not any(out.iterdir()):
            return
        _check(out, ref, annotations, lambda version: _same_folder(out, version))
    else:
        content = out.read_bytes() if out.is_file() else None
        _check(out, ref, annotations, lambda version: _text(version, format_) == content)


def check_spans_only(out: Path, ref: str, annotations: SavedSet) -> None:
    """Raise unless `out` is free, or contains the unedited spans of a version of the set that `ref` names.

    Raises:
        UsageError: if the export would overwrite something else.
    """
    own = _table(out) if parquet.lacks_texts(out) else None
    _check(out, ref, annotations, lambda version: own is not None and own.equals(spans_only.table(version)))


def _check(out: Path, ref: str, annotations: SavedSet, same: Callable[[SavedSet], bool]) -> None:
    # A pipe or a device is no file that could be lost.
    if not out.exists() or not (out.is_file() or out.is_dir()):
        return
    path, _ = store.resolve(ref)
    for version in _versions(path, annotations):
        # A format may be unable to represent an older version.
        with suppress(TifError):
            if same(version):
                return
    raise UsageError(
        f"{out} exists, and is not an unedited export of {path}",
        hint=f"To use its edits, run `tif spans import {out} --into {path}` first. Otherwise give another --out, or "
        "--force to overwrite it.",
    )


def _versions(path: Path, annotations: SavedSet) -> Iterator[SavedSet]:
    """Yield the exported set, and then the other versions, newest first."""
    yield annotations
    for file in (path, *reversed(store.version_files(path))):
        with suppress(StoreError):
            version = parquet.read(file)
            if version.digest != annotations.digest:
                yield version


def _text(annotations: SavedSet, format_: FormatName) -> bytes:
    return "".join(f"{line}\n" for line in formats.write(annotations, format_)).encode()


def _table(path: Path) -> pa.Table | None:
    try:
        return read_table(path).replace_schema_metadata(None)
    except (pa.ArrowException, TifError, OSError, ValueError):
        return None


def _same_folder(out: Path, annotations: SavedSet) -> bool:
    with tempfile.TemporaryDirectory() as temporary:
        write_folder(annotations, Path(temporary) / "export")
        return _files(Path(temporary) / "export") == _files(out)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


__all__ = ["check_file", "check_spans_only"]
