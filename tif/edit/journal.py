"""The append-only file of manual edits: each line is on disk before the page shows "saved".

    {"tif_edit": 2, "base": "<digest of the corrected version>", "flagged": ["<id>", ...], "sources": ["ner:x", ...]}
    {"id": "...", "op": "put", "by": "...", "at": "...", "why": "toggle", "status": "auto", "error": null,
     "spans": [[start, end, label, source, score], ...]}   (one line)
    {"id": "...", "op": "undo", ...}

Each line has a seal. Each edit also has `base`, so that it can be used without the header, and `n`, the number of
earlier edits of its record, so that a missing one is noticed. A damaged line is left out and reported, and the rest is
used. A line cut off by a crash was never acknowledged, so it is dropped. Journals of format 1 have neither seals nor
these fields.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tif import files
from tif.console import warn
from tif.edit.session import Event, Session
from tif.errors import InputError, StoreError, first_of, kind_of, reason
from tif.seal import sealed_line, unsealed_line

FORMAT: Final = 2

_OLDER: Final = 1
"""Format of journals without seals."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The content of a journal, with the lines that can be read."""

    header: Header
    rows: tuple[tuple[int, Mapping[str, Any]], ...]
    """Edits with their line numbers."""
    damage: tuple[str, ...]
    """What is wrong with each of the other lines."""
    sealed: bool
    """False for a journal of an older tif."""


class Journal:
    """Edits that are in no version yet. The caller must hold the set's edit lock.

    Args:
        path: the file, made by `start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._base = ""
        self._edits: Counter[str] = Counter()

    def read(self) -> Recorded | None:
        """Return what the journal contains; None if there is no journal, or none of its lines can be read.

        Raises:
            StoreError: for a file that cannot be read.
        """
        data = self._bytes()
        if not data:
            if self.path.exists():
                warn(f"{self.path} is empty: edits that it contained are lost")
            return None
        lines = data.split(b"\n")
        older = _is_older(lines[0])
        damage: list[str] = []
        rows: list[tuple[int, Mapping[str, Any]]] = []
        header: Header | None = None
        for number, line in enumerate([*lines[:-1], *_complete(lines[-1])], start=1):
            try:
                row = _row(line) if older else unsealed_line(line)
                if number == 1:
                    header = _header(row, _OLDER if older else FORMAT)
                else:
                    rows.append((number, row))
            except InputError as error:
                damage.append(f"line {number} {error.what}" + (f" ({error.why})" if error.why else ""))
        if header is None and not damage:
            damage.append("line 1 is cut off")
        elif lines[-1] and not _complete(lines[-1]):
            warn(f"{self.path}: the last line is cut off and left out; the page never showed it as saved")
        if header is None:
            base = next((row["base"] for _, row in rows if isinstance(row.get("base"), str)), None)
            if base is None:
                self._keep_damaged(data, damage)
                return None
            header = Header(base, (), ())
        return Recorded(header=header, rows=tuple(rows), damage=tuple(damage), sealed=not older)

    def replay(self, recorded: Recorded, session: Session) -> int:
        """Apply the edits to a session, oldest first, and return their number.

        If lines are damaged, the file is kept under another name, a warning names the lines, and the journal continues
        with the others.
        """
        header, damage = recorded.header, list(recorded.damage)
        done: list[Event] = []
        edits: Counter[str] = Counter()
        incomplete: dict[str, None] = {}
        for number, row in recorded.rows:
            try:
                event = Event.from_json(row, session.at_base)
                if row.get("n", edits[event.id]) != edits[event.id]:
                    incomplete[event.id] = None
                if event.id in incomplete and event.op in ("undo", "redo"):
                    raise InputError(f"is an {event.op} of an edit that is missing")
                session.apply(event)
            except InputError as error:
                damage.append(f"line {number}: {error}")
            else:
                edits[event.id] = row.get("n", edits[event.id]) + 1
                done.append(event)
        self._base, self._edits = header.base, Counter(event.id for event in done)
        if damage:
            self._keep_damaged(self._bytes(), damage, list(incomplete))
        if damage or incomplete or not recorded.sealed or not self._bytes().endswith(b"\n"):
            files.write(self.path, b"".join(self._lines(header, done)))
        return len(done)

    def start(self, header: Header) -> None:
        """Start a new journal. The write is atomic: a crash leaves the old journal or the new one."""
        files.write(self.path, b"".join(self._lines(header, ())))
        self._base, self._edits = header.base, Counter()

    def add(self, event: Event) -> None:
        """Write one edit, and return when it is on disk.

        Raises:
            WriteError: if it cannot be written; then no part of it stays in the file.
        """
        line = memoryview(self._line(event, self._edits[event.id]))
        with files.writing(self.path), self.path.open("r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        self._edits[event.id] += 1

    def _lines(self, header: Header, events: Iterable[Event]) -> Iterator[bytes]:
        yield sealed_line({"tif_edit": FORMAT, **asdict(header)})
        edits: Counter[str] = Counter()
        for event in events:
            yield self._line(event, edits[event.id])
            edits[event.id] += 1

    def _line(self, event: Event, number: int) -> bytes:
        return sealed_line({**event.to_json(), "base": self._base, "n": number})

    def _bytes(self) -> bytes:
        if not self.path.exists():
            return b""
        try:
            if not self.path.is_file():
                raise OSError("not a file")
            return self.path.read_bytes()
        except OSError as error:
            why = reason(error)
            raise StoreError("this journal of edits cannot be read", where=str(self.path), why=why) from None

    def _keep_damaged(self, data: bytes, damage: list[str], incomplete: list[str] | None = None) -> None:
        kept = files.aside(self.path)
        files.write(kept, data)
        lines = "1 line is" if len(damage) == 1 else f"{len(damage)} lines are"
        look = f" Edits are missing before the last ones of {first_of(incomplete)}: look at them." if incomplete else ""
        first = damage[0] if len(damage) == 1 else f"the first: {damage[0]}"
        warn(f"{self.path}: {lines} damaged and left out ({first}). The file is kept as {kept}.{look}")


def _is_older(line: bytes) -> bool:
    try:
        row = _row(line)
    except InputError:
        return False
    return row.get("tif_edit") == _OLDER and "seal" not in row


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", why=str(error)) from None
    if not isinstance(row, dict):
        raise InputError(f"is {kind_of(row)}, not an object")
    return row


def _header(row: Mapping[str, Any], known: int) -> Header:
    base, lists = row.get("base"), [row.get("flagged"), row.get("sources", [])]
    texts = all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists)
    if row.get("tif_edit") != known or not isinstance(base, str) or not _DIGEST.fullmatch(base) or not texts:
        raise InputError("is a header of another format")
    flagged, sources = lists
    return Header(base, tuple(flagged), tuple(sources))


def _complete(tail: bytes) -> list[bytes]:
    """Return the bytes after the last line break if only that line's own break is missing or damaged; else nothing."""
    for line in (tail, tail[:-1]):
        try:
            unsealed_line(line)
        except InputError:
            continue
        return [line]
    return []


__all__ = ["Header", "Journal", "Recorded"]
