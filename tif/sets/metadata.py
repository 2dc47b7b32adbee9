"""Metadata of a stored set: JSON in the parquet file's own metadata, repeated in a sidecar.

pandas and HF datasets drop parquet metadata. The sidecar identifies a file that lost it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tif import __version__, seal
from tif.errors import InputError, StoreError
from tif.spans import Dataset, Provenance, SavedSet, Version

SCHEMA: Final = 2
"""Version of the layout that this tif writes. It also reads version 1, which has no seal."""

KEY: Final = b"tif"
"""Key of the JSON in the parquet file's own key-value metadata."""

AUTHOR_ENV: Final = ("TIF_AUTHOR", "USER", "USERNAME")
"""Environment variables that name the author of a version; the first that is set counts."""


def of(annotations: SavedSet, *, spans_only: bool = False) -> dict[str, object]:
    """Return the metadata of a saved set, sealed, for the parquet file and its sidecar."""
    content = {
        "schema": SCHEMA,
        **version_json(annotations.version),
        "offset_unit": "codepoint",
        "dataset": asdict(annotations.provenance.dataset),
        "method": dict(annotations.provenance.method),
        "counts": annotations.counts(),
        "tif": __version__,
    }
    return seal.sealed(content | {"spans_only": True} if spans_only else content)


def version_json(version: Version) -> dict[str, object]:
    """Return a version as plain JSON values; its number has the key `version`."""
    fields = asdict(version)
    return {"version": fields.pop("number"), **fields}


def version_entry(version: Version, provenance: Provenance) -> dict[str, object]:
    """Return a version with its method as plain JSON values, for `tif spans log`."""
    return {**version_json(version), "method": dict(provenance.method)}


def version_line(version: Version, provenance: Provenance) -> str:
    """Return a version in one line: number, digest, time, author, method, message."""
    parts = (provenance.method.get(key) for key in ("name", "model"))
    method = " ".join(part for part in parts if isinstance(part, str) and part)
    row = (f"{version.number:>4}", version.digest[:12], version.created, version.author or "-", method or "-")
    return "  ".join([*row, version.message]).rstrip()


def sidecar(path: Path) -> Path:
    """Return the path of a head's sidecar, which repeats its provenance."""
    return path.with_name(path.name + ".meta.json")


def parse(raw: bytes, path: Path) -> tuple[Version, Provenance]:
    """Read version and provenance from the JSON that `of` made.

    Raises:
        StoreError: if it is damaged, was changed, or has another schema version.
    """
    try:
        meta = json.loads(raw)
        if not isinstance(meta, dict):
            raise ValueError("not an object")
        if meta.get("schema") not in (1, SCHEMA):
            raise StoreError(
                f"has schema version {meta.get('schema')!r}; this tif reads 1 and {SCHEMA}",
                where=str(path),
                hint="Install the tif version that wrote it, or a newer one.",
            )
        meta = seal.unsealed(meta, required=meta["schema"] == SCHEMA)
        number, digest, parent = meta["version"], meta["digest"], meta["parent"]
        if type(number) is not int or number < 1 or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"version {number!r}, digest {str(digest)[:20]!r}")
        if parent is not None and not re.fullmatch("[0-9a-f]{64}", parent):
            raise ValueError(f"parent {str(parent)[:20]!r}")
        version = Version(
            number=number,
            digest=digest,
            parent=parent,
            created=str(meta["created"]),
            message=str(meta["message"]),
            author=str(meta["author"]),
        )
        return version, Provenance(_dataset(dict(meta["dataset"])), dict(meta["method"]))
    except InputError as error:
        raise StoreError(f"the tif metadata {error.what}", where=str(path), why=error.why, hint=error.hint) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise StoreError("the tif metadata cannot be read", where=str(path), why=why) from None


def _dataset(recorded: dict[str, object]) -> Dataset:
    id_, split, fingerprint = (str(recorded.get(name, "")) for name in ("id", "split", "fingerprint"))
    examples = recorded.get("examples", 0)
    if type(examples) is not int:
        raise ValueError(f"examples {examples!r}")
    return Dataset(id=id_, split=split, fingerprint=fingerprint, examples=examples)


__all__ = ["AUTHOR_ENV", "KEY", "SCHEMA", "of", "parse", "sidecar", "version_entry", "version_json", "version_line"]
