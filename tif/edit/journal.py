"""The append-only file of manual edits: each line is on disk before the page shows "saved".

    {"tif_edit": 1, "base": "<digest of the corrected version>", "flagged": ["<id>", ...], "sources": ["ner:x", ...]}
    {"id": "...", "op": "put", "by": "...", "at": "...", "why": "toggle", "status": "auto", "error": null,
     "spans": [[start, end, label, source, score], ...]}   (one line)
    {"id": "...", "op": "undo", ...}

A line cut off by a crash was never acknowledged, so it is dropped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tif import files
from tif.edit.session import Event, Session
from tif.errors import InputError, StoreError

FORMAT = 1

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal."""

    base: str
    """Digest of the edited version."""
    flagged: tuple[str, ...]
    """Ids of the records that were flagged before this journal began."""
    sources: tuple[str, ...]
    """Sources in the order in which the page first showed them."""


class Journal:
    """Edits that are in no version yet. The caller must hold the set's edit lock.

    Args:
        path: the file, made by `start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self) -> Header | None:
        """Return the header; None if there is no journal.

        Raises:
            StoreError: for a file that is not a journal.
        """
        rows = self._rows()
        if not rows:
            return None
        head = rows[0]
        base, lists = head.get("base"), [head.get("flagged"), head.get("sources", [])]
        texts = all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists)
        if head.get("tif_edit") != FORMAT or not isinstance(base, str) or not _DIGEST.fullmatch(base) or not texts:
            raise self._damaged(1, "the header has another format")
        flagged, sources = lists
        return Header(base, tuple(flagged), tuple(sources))

    def replay(self, session: Session) -> int:
        """Apply all edits to a session, oldest first, and return their number.

        Raises:
            StoreError: naming the first line that is not an edit of the set.
        """
        rows = self._rows()[1:]
        for number, row in enumerate(rows, start=2):
            try:
                session.apply(Event.from_json(row, session.at_base))
            except InputError as error:
                raise self._damaged(number, str(error)) from None
        return len(rows)

    def start(self, header: Header) -> None:
        """Start a new journal. The write is atomic: a crash leaves the old journal or the new one."""
        files.write(self.path, _line({"tif_edit": FORMAT, **asdict(header)}))

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
        try:
            if not self.path.is_file():
                raise OSError("not a file")
            data = self.path.read_bytes()
        except OSError as error:
            raise StoreError("this journal of edits cannot be read", where=str(self.path), why=str(error)) from None
        complete = data.rfind(b"\n") + 1
        if complete < len(data):
            with files.writing(self.path):
                os.truncate(self.path, complete)
        rows = []
        for number, line in enumerate(data[:complete].split(b"\n")[:-1], start=1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError) as error:
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


__all__ = ["Header", "Journal"]
