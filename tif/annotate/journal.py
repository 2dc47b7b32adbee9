"""An append-only file of finished examples, so that a crash loses no finished work.

Each finished example is one JSON line with a seal. It goes to the operating system at once, so `kill -9` loses nothing.
The file is synced to the disk about once a second, so a power cut loses at most one second of work. A damaged or
incomplete line is skipped, and its example is annotated again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tif import files
from tif.console import warn
from tif.errors import InputError, StoreError
from tif.seal import sealed_line, unsealed_line
from tif.spans import Example, Span

_EVERY = 1.0
"""Seconds between two fsyncs. An fsync for each example would take most of a fast annotator's time."""


class AnnotationJournal:
    """Finished examples of one annotator with one set of settings.

    Examples are identified by id, prompt and text. A run on a larger dataset, or with a higher `--limit`, therefore
    continues the shorter run. Use as a context manager; only one process at a time may hold it.

    Args:
        folder: the folder of journals, created if missing.
        method: the settings that change the outcome. Other settings have another journal.

    Raises:
        StoreError: on entering, if another process holds the journal.
    """

    def __init__(self, folder: Path, method: Mapping[str, object]) -> None:
        self.key = hashlib.sha256(_json(method)).hexdigest()
        self.path = folder / f"journal-{self.key[:16]}.jsonl"
        self._method = method
        self._held = ExitStack()
        self._file = -1
        self._synced = 0.0

    def __enter__(self) -> Self:
        busy = StoreError(
            "another run with these settings is annotating this set",
            where=str(self.path),
            hint="Wait for that run, or give this run another --out.",
        )
        with ExitStack() as held:
            held.enter_context(files.locked(Path(f"{self.path}.lock"), seconds=0, busy=busy))
            with files.writing(self.path):
                self._open()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held, files.writing(self.path):
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)

    def read(self, examples: Iterable[Example]) -> dict[str, Example]:
        """Return the finished ones among the examples, by id. The last try of each counts."""
        wanted = {_key(example): example for example in examples}
        finished: dict[str, Example] = {}
        damaged = 0
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    row = unsealed_line(line)
                except InputError:
                    damaged += bool(line.strip())
                    continue
                # The header, and examples of another dataset, have no key of these.
                if (example := wanted.get(str(row.get("key")))) is not None:
                    finished[example.id] = _example(row, example)
        if damaged:
            what = "1 line is" if damaged == 1 else f"{damaged} lines are"
            warn(f"{self.path}: {what} cut off or damaged, and not used")
        return finished

    def add(self, example: Example) -> None:
        """Record that an example is finished, or failed.

        Raises:
            WriteError: if it cannot be written; then no part of it stays in the file.
        """
        spans = [[s.start, s.end, s.label, s.source, s.score] for s in example.spans]
        self._write(
            {"key": _key(example), "id": example.id, "spans": spans, "status": example.status, "error": example.error}
        )

    def clear(self) -> None:
        """Remove every finished example."""
        with files.writing(self.path):
            os.ftruncate(self._file, 0)
        self._write({"tif_journal": 1, "method": self._method})

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._file).st_size
        if not size:
            self._write({"tif_journal": 1, "method": self._method})
        elif os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def _write(self, row: Mapping[str, object]) -> None:
        line = memoryview(sealed_line(row))
        with files.writing(self.path):
            size = os.fstat(self._file).st_size
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError:
                os.ftruncate(self._file, size)
                raise
            if time.monotonic() - self._synced >= _EVERY:
                os.fsync(self._file)
                self._synced = time.monotonic()


def _example(row: Mapping[str, Any], example: Example) -> Example:
    spans = tuple(Span(*span) for span in row["spans"])
    return Example(example.id, example.prompt, example.text, spans, row["status"], row["error"])


def _key(example: Example) -> str:
    return hashlib.sha256(_json([example.id, example.prompt, example.text])).hexdigest()[:32]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


__all__ = ["AnnotationJournal"]
