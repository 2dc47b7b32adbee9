"""The files beside a head that repeat it: its sidecar and its version file. A failed save may leave them behind.

They are written again from the head as soon as the set is opened or saved.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.console import warn
from tif.errors import StoreError, WriteError
from tif.sets import layout, metadata, parquet
from tif.spans import Version


def write_sidecar(path: Path, content: dict[str, object]) -> None:
    """Write the sidecar of the head at `path`.

    Raises:
        WriteError: if it cannot be written; the old one is left as it was.
    """
    files.write(metadata.sidecar(path), json.dumps(content, ensure_ascii=False, indent=2))


def is_stale(path: Path) -> bool:
    """Whether the head at `path` has the sidecar of another save. A damaged or edited sidecar is not stale."""
    sidecar = metadata.sidecar(path)
    if not sidecar.exists() or parquet.lacks_texts(path):
        return False
    content = _metadata(path)
    try:
        raw = files.read(sidecar)
        metadata.parse(raw, sidecar)
        return content is not None and json.loads(raw) != content
    except (OSError, StoreError, RecursionError):
        return False


def renew_sidecar(path: Path) -> bool:
    """Write a stale sidecar again, and return whether that was done. The caller must hold the set's lock.

    Raises:
        WriteError: if it cannot be written.
    """
    content = _metadata(path) if is_stale(path) else None
    if content is None:
        return False
    write_sidecar(path, content)
    warn(f"{metadata.sidecar(path)} did not match the set, and was written again")
    return True


def renew_version_file(path: Path, version: Version) -> None:
    """Write the head's version file again if it exists and cannot be read. The caller must hold the set's lock.

    Args:
        path: the head, which must be undamaged.
        version: its version.

    Raises:
        WriteError: if it cannot be written.
    """
    file = layout.folder(path) / layout.version_name(version)
    if not file.exists() or _metadata(path) is None:
        return
    try:
        parquet.read(file)
    except StoreError as error:
        files.write(file, path.read_bytes())
        warn(f"{file} was damaged ({error.what}), and was written again from {path}")


def tell_unwritten_sidecar(path: Path, version: Version, error: WriteError) -> None:
    """Warn that a version was saved, but not its sidecar."""
    warn(
        f"{path} is saved as version {version.number}, but {metadata.sidecar(path).name} cannot be written "
        f"({error.why}). The next command that opens the set writes it."
    )


def _metadata(path: Path) -> dict[str, object] | None:
    """Return the metadata in a file; None if it has none, or they cannot be read."""
    try:
        files.check_regular(path)
        raw = (pq.read_schema(path).metadata or {}).get(metadata.KEY)
        if raw is None:
            return None
        metadata.parse(raw, path)
        content: dict[str, object] = json.loads(raw)
    except (pa.ArrowException, OSError, ValueError, StoreError):
        return None
    return content


__all__ = ["is_stale", "renew_sidecar", "renew_version_file", "tell_unwritten_sidecar", "write_sidecar"]
