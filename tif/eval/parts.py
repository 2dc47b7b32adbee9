"""Parts cache: finished parts of an evaluation on disk.

A killed evaluation continues from them, and metrics can be computed again without a model. Each part is one parquet
file. Its metadata contains the key of its inputs (model digest, settings, data) and a digest of its content. A part
with another key, or a damaged one, is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tif import files
from tif.console import warn
from tif.errors import InputError, WriteError
from tif.eval import processes
from tif.eval.measure.score import Scored, from_table, table
from tif.readers.parquet import read_table

_KEY: Final = b"tif.eval.key"
_CONTENT: Final = b"tif.eval.content"


@dataclass(frozen=True, slots=True)
class PartsCache:
    """A folder of finished parts."""

    folder: Path | None
    """None keeps nothing."""
    model: str
    """Digest of the evaluated model, part of every key."""

    def scores(self, name: str, key: Any, make: Callable[[], list[Scored]]) -> dict[str, Scored]:
        """Return scores by id, from disk if the key matches; else call `make` and keep its result."""
        return from_table(self._part(name, key, lambda: table(make())))

    def texts(self, name: str, key: Any, make: Callable[[], list[str]]) -> list[str]:
        """Return texts in order, from disk if the key matches; else call `make` and keep its result."""
        part = self._part(name, key, lambda: pa.table({"text": pa.array(make(), type=pa.string())}))
        return [str(text) for text in part["text"].to_pylist()]

    def values(self, name: str, key: Any, make: Callable[[], Mapping[str, list[float]]]) -> dict[str, list[float]]:
        """Return columns of numbers, from disk if the key matches; else call `make` and keep its result."""
        part = self._part(name, key, lambda: pa.table(dict(make())))
        return {column: part[column].to_pylist() for column in part.column_names}

    def _part(self, name: str, key: Any, make: Callable[[], pa.Table]) -> pa.Table:
        if self.folder is None:
            return make()
        inputs = json.dumps([self.model, key], sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(inputs.encode()).hexdigest()
        path = self.folder / f"{name}.parquet"
        # Only the main process checks the cache. If processes disagreed, the gather would deadlock.
        stored = processes.agree(_stored(path, digest) if processes.main() else None)
        if stored is not None:
            return stored
        part = make()
        if not processes.main():
            return part
        sink = pa.BufferOutputStream()
        labelled = part.replace_schema_metadata({_KEY: digest, _CONTENT: _content_digest(part)})
        pq.write_table(labelled, sink, compression="zstd")
        files.write(path, sink.getvalue())
        return part

    def check(self) -> None:
        """Make the folder, so that an unwritable folder fails before any computation.

        Raises:
            WriteError: if the folder cannot be created or written to.
        """
        if self.folder is not None and processes.main():
            files.make_folder(self.folder)


def shared_cache(name: str) -> PartsCache:
    """Return a cache of all evaluations of this user, for readings of models beside the evaluated one.

    A cache that cannot be written keeps nothing.
    """
    shared = PartsCache(files.cache_folder(name), "")
    try:
        shared.check()
        writable = True
    except WriteError:
        writable = False
    return shared if processes.agree(writable) else PartsCache(None, "")


def _stored(path: Path, digest: str) -> pa.Table | None:
    """Return the table on disk if its key matches and it is as it was written."""
    if not path.is_file():
        return None
    try:
        stored = read_table(path)
        stored.validate(full=True)
        known = stored.schema.metadata or {}
        if known.get(_KEY) != digest.encode():
            return None
        intact = known.get(_CONTENT) == _content_digest(stored).encode()
    except (pa.ArrowException, InputError, OSError, ValueError, OverflowError):
        intact = False
    if not intact:
        warn(f"{path}: is damaged, and computed again")
        return None
    return stored


def _content_digest(table: pa.Table) -> str:
    """Return the SHA-256 over names and values. The same values can have other bytes in memory."""
    return hashlib.sha256(json.dumps(table.to_pydict(), sort_keys=True).encode()).hexdigest()


__all__ = ["PartsCache", "shared_cache"]
