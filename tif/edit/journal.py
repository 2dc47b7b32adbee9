"""The append-only file of what was done by hand: each line is on the disk before the page says "saved".

    {"tif_edit": 1, "base": "<digest of the version that is corrected>", "flagged": ["<id>", ...]}
    {"id": "...", "op": "put", "by": "...", "at": "...", "why": "toggle", "status": "auto", "error": null,
     "spans": [[start, end, label, source, score], ...]}   (one line)
    {"id": "...", "op": "undo", ...}

A line that a crash tore was never acknowledged, and is dropped.
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
    """Edits that are on no version yet. The caller holds the lock of the set's correction.

    Args:
        path: the file; `start` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self) -> tuple[str, list[str]] | None:
        """Digest of the version that the edits are of, and the flagged ids; None where there is no journal.

        Raises:
            StoreError: for a file that is no journal.
        """
        rows = self._rows()
        if not rows:
            return None
        head = rows[0]
        if head.get("tif_edit") != FORMAT or not isinstance(head.get("base"), str):
            raise self._damaged(1, "the header has another format")
        return head["base"], list(head["flagged"])

    def events(self, base: Mapping[str, Example]) -> list[Event]:
        """All edits, oldest first.

        Raises:
            StoreError: naming the first line that is no edit of the set.
        """
        found = []
        for number, row in enumerate(self._rows()[1:], start=2):
            try:
                found.append(Event.from_json(row, base))
            except InputError as error:
                raise self._damaged(number, str(error)) from None
        return found

    def start(self, base: str, flagged: Iterable[str]) -> None:
        """Begin anew, on a version: swapped in whole, so that a crash leaves the old journal or the new one."""
        files.write(self.path, _line({"tif_edit": FORMAT, "base": base, "flagged": list(flagged)}))

    def add(self, event: Event) -> None:
        """Write one edit, and return when it is on the disk.

        Raises:
            WriteError: if it cannot be written; nothing of it is left in the file then.
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
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        rows = []
        for number, line in enumerate(data[:whole].splitlines(), start=1):
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


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


__all__ = ["Journal"]
