"""The append-only file of manual edits: each line is on disk before the page shows "saved".

    {"tif_edit": 1, "base": "<digest of the corrected version>", "flagged": ["<id>", ...]}
    {"id": "...", "op": "put", "by": "...", "at": "...", "why": "toggle", "status": "auto", "error": null,
     "spans": [[start, end, label, source, score], ...]}   (one line)
    {"id": "...", "op": "undo", ...}

A line cut off by a crash was never acknowledged, so it is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tif import files
from tif.edit.session import Event
from tif.errors import InputError, StoreError
from tif.spans import Example

FORMAT = 1


class Journal:
    """Edits that are in no version yet. The caller must hold the set's edit lock.

    Args:
        path: the file, made by `start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self) -> tuple[str, list[str]] | None:
        """Return the digest of the edited version and the flagged ids; None if there is no journal.

        Raises:
            StoreError: for a file that is not a journal.
        """
        rows = self._rows()
        if not rows:
            return None
        head = rows[0]
        if head.get("tif_edit") != FORMAT or not isinstance(head.get("base"), str):
            raise self._damaged(1, "the header has another format")
        return head["base"], list(head["flagged"])

    def events(self, base: Mapping[str, Example]) -> list[Event]:
        """Return all edits, oldest first.

        Raises:
            StoreError: naming the first line that is not an edit of the set.
        """
        events = []
        for number, row in enumerate(self._rows()[1:], start=2):
            try:
                events.append(Event.from_json(row, base))
            except InputError as error:
                raise self._damaged(number, str(error)) from None
        return events

    def start(self, base: str, flagged: Iterable[str]) -> None:
        """Start a new journal on a version. The write is atomic: a crash leaves the old journal or the new one."""
        files.write(self.path, _line({"tif_edit": FORMAT, "base": base, "flagged": list(flagged)}))

    def add(self, event: Event) -> None:
        """Write one edit, and return when it is on disk.

        Raises:
            WriteError: if it cannot be written; then no part of it stays in the file.
        """
        line = memoryview(_line(event.to_json()))
        with files.writing(self.path), self.path.open("r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def _rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        complete = data.rfind(b"\n") + 1
        if complete < len(data):
            os.truncate(self.path, complete)
        rows = []
        for number, line in enumerate(data[:complete].splitlines(), start=1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except ValueError as error:
                raise self._damaged(number, str(error)) from None
            rows.append(row)
        return rows

    def _damaged(self, number: int, why: str) -> StoreError:
        return StoreError(
            "this journal of edits cannot be read",
            where=(str(self.path), f"line {number}"),
            why=why,
            hint="Correct the line, or move the file away to continue without its edits.",
        )


def _line(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


__all__ = ["Journal"]
