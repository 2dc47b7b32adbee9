"""Where the files of a stored set are, and how they are named."""

from __future__ import annotations

import re
from pathlib import Path

from tif.spans import Version

_VERSION_FILE = re.compile(r"^(\d{4,})-([0-9a-f]{12})\.parquet$")


def folder(path: str | Path) -> Path:
    """Return the folder with the versions, journals and lock of the set at `path`."""
    path = Path(path)
    return path.parent / ".versions" / path.stem


def version_name(version: Version) -> str:
    """Return the name of a version's file."""
    return f"{version.number:04d}-{version.digest[:12]}.parquet"


def named(file: Path) -> tuple[int, str]:
    """Return number and first twelve digits of the digest from the name of a version's file."""
    match = _VERSION_FILE.match(file.name)
    assert match is not None
    return int(match[1]), match[2]


def version_files(path: Path) -> list[tuple[int, Path]]:
    """Return number and file of all versions, oldest first, also of those that a killed save left."""
    versions = folder(path)
    if not versions.is_dir():
        return []
    return sorted((int(m[1]), file) for file in versions.iterdir() if (m := _VERSION_FILE.match(file.name)))


__all__ = ["folder", "named", "version_files", "version_name"]
