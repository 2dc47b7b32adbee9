"""Finished parts of an evaluation on disk: a killed run goes on where it stopped, and metrics rerun without a model.

Each part is one parquet file whose metadata holds the key it was made for (model digest, settings, data). Another key
means that it is made again.
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
from tif.eval import processes
from tif.eval.measure.score import Scored, from_table, table

_KEY: Final = b"tif.eval.key"


@dataclass(frozen=True, slots=True)
class PartsCache:
    """A folder of finished parts; None keeps nothing."""

    folder: Path | None
    model: str
    """Digest of the model that everything here is of."""

    def scores(self, name: str, key: Any, make: Callable[[], list[Scored]]) -> dict[str, Scored]:
        """Scores by id: those on disk if they are of this key, else made and kept."""
        return from_table(self._part(name, key, lambda: table(make())))

    def texts(self, name: str, key: Any, make: Callable[[], list[str]]) -> list[str]:
        """Texts in order: those on disk if they are of this key, else made and kept."""
        found = self._part(name, key, lambda: pa.table({"text": pa.array(make(), type=pa.string())}))
        return [str(text) for text in found["text"].to_pylist()]

    def values(self, name: str, key: Any, make: Callable[[], Mapping[str, list[float]]]) -> dict[str, list[float]]:
        """Columns of numbers: those on disk if they are of this key, else made and kept."""
        found = self._part(name, key, lambda: pa.table(dict(make())))
        return {column: found[column].to_pylist() for column in found.column_names}

    def _part(self, name: str, key: Any, make: Callable[[], pa.Table]) -> pa.Table:
        if self.folder is None:
            return make()
        said = json.dumps([self.model, key], sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(said.encode()).hexdigest()
        path = self.folder / f"{name}.parquet"
        # One process looks: the others would find the file or not, as chance has it, and wait for each other for ever.
        stored = processes.agree(_stored(path, digest) if processes.main() else None)
        if stored is not None:
            return stored
        made = make()
        if not processes.main():
            return made
        sink = pa.BufferOutputStream()
        pq.write_table(made.replace_schema_metadata({_KEY: digest}), sink, compression="zstd")
        files.write(path, sink.getvalue())
        return made

    def check(self) -> None:
        """See that parts can be kept, before there is one.

        Raises:
            WriteError: if the folder cannot be made or written to.
        """
        if self.folder is not None and processes.main():
            files.make_folder(self.folder)


def _stored(path: Path, digest: str) -> pa.Table | None:
    """The table on disk if it is of this key."""
    if not path.is_file():
        return None
    try:
        stored = pq.read_table(path)
    except (pa.ArrowException, OSError):
        return None  # damaged: it is made again
    return stored if (stored.schema.metadata or {}).get(_KEY) == digest.encode() else None


__all__ = ["PartsCache"]
