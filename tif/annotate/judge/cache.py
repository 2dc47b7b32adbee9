"""Keep the judge's replies and usage in one SQLite file, so that no reply is paid for twice.

Write-ahead logging lets several runs share the file. It contains no API key and no header.

Each reply has a seal. A reply that does not match its seal is requested again. Usage that does not match its seal
starts again at 0, with a warning.

Replies stay in memory until `flush`. So the thread of the requests does not wait for the disk, and replies that arrive
together share a transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Final

from tif.annotate.judge.prompt import Message
from tif.console import warn
from tif.errors import StoreError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, content TEXT NOT NULL, finish TEXT NOT NULL, seal TEXT
);
CREATE TABLE IF NOT EXISTS spent (
    run TEXT PRIMARY KEY, requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, cached_replies INTEGER NOT NULL, seal TEXT
);
"""
_TABLES: Final = ("replies", "spent")
_UNREADABLE: Final = "\ufffd"
"""What stands for a byte that is not UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Requests and tokens over all tries. A server that reports no token counts adds no tokens."""

    requests: int = 0
    """Answered requests. A request that the client library retried counts once."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_replies: int = 0
    """Replies from this file, which cost nothing."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: count + getattr(other, name) for name, count in asdict(self).items()})

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: count - getattr(other, name) for name, count in asdict(self).items()})

    @property
    def tokens(self) -> int:
        """Prompt tokens plus completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def to_json(self) -> dict[str, int]:
        """Return the counts as JSON, for the set's provenance."""
        return asdict(self)


_COUNTS: Final = tuple(field.name for field in fields(Usage))
"""Columns of the table `spent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyKey:
    """The settings that a reply depends on besides the messages.

    These names and values identify cached replies and requests of batches. A changed value finds none of the old ones.
    """

    model: str
    max_reply_tokens: int
    temperature: float | None
    response_format: str
    """`auto` if the server decides."""
    prompt_sha256: str

    def of(self, messages: Sequence[Message]) -> str:
        """Return the key of the reply to these messages."""
        return digest({**asdict(self), "messages": list(messages)})


class JudgeCache:
    """Replies by content, and usage by run.

    Args:
        path: the file, created if missing; None keeps everything in memory until the process ends.
        run: the run whose usage is counted, as a digest of its settings. A resumed run has the same digest.
        fresh: whether to ignore old replies and reset the run's usage.

    Raises:
        StoreError: if the file is not a database, or cannot be written.
    """

    def __init__(self, path: Path | None, run: str, *, fresh: bool = False) -> None:
        self._path = str(path) if path is not None else ":memory:"
        self._run = run
        self._old_rows = 0
        self._replies: dict[str, tuple[str, str]] = {}
        self._written, self._spent = Usage(), Usage()
        self._connections: list[sqlite3.Connection] = []
        # Held for a few instructions only: the thread of the requests must never wait for the disk.
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._connect()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._add_seals()
            self._check_tables()
            # One thread at a time can use a connection. With a single one, reads would wait for writes.
            self._reading = self._db if path is None else self._connect()
            if fresh:
                self._db.execute("DELETE FROM spent WHERE run = ?", (run,))
                (self._old_rows,) = self._db.execute("SELECT coalesce(max(rowid), 0) FROM replies").fetchone()
            self._remove_damaged_usage()
            self._written = self._on_disk()
        except (sqlite3.Error, OSError, UnicodeError) as error:  # SQLite's own message may repeat damaged bytes
            self.close()
            raise self._failed(error) from None

    def get(self, key: str) -> tuple[str, str] | None:
        """Return a reply's text and finish reason, or None for an unknown key or a damaged reply."""
        if (fresh := self._replies.get(key)) is not None:
            return fresh
        query = "SELECT content, finish, seal FROM replies WHERE key = ? AND rowid > ?"
        try:
            row = self._reading.execute(query, (key, self._old_rows)).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from None
        if row is None:
            return None
        content, finish, seal = row
        if not (isinstance(content, str) and isinstance(finish, str)):
            return None
        if seal is None:  # of an older tif
            return None if _UNREADABLE in content else (content, finish)
        return (content, finish) if seal == digest([key, content, finish]) else None

    def put(self, key: str, content: str, finish: str) -> None:
        """Keep a reply."""
        self._replies[key] = (content, finish)

    def count(self, spent: Usage) -> None:
        """Add to the run's usage."""
        with self._lock:
            self._spent += spent

    def usage(self) -> Usage:
        """Return the usage of all runs with these settings. That of other processes is as of the last `flush`."""
        with self._lock:
            return self._written + self._spent

    def flush(self) -> None:
        """Write all new replies and usage to the file. Only one thread may call this.

        Raises:
            StoreError: if the file cannot be written.
        """
        replies = self._replies.copy()
        with self._lock:
            spent = self._spent
        if not replies and spent == Usage():
            return
        try:
            with self._db:  # commits, or rolls back
                self._db.execute("BEGIN IMMEDIATE")
                rows = [(key, *reply, digest([key, *reply])) for key, reply in replies.items()]
                self._db.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", rows)
                total = self._on_disk() + spent
                row = (self._run, *astuple(total))
                self._db.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?, ?)", (*row, digest(list(row))))
        except sqlite3.Error as error:
            raise self._failed(error) from None
        with self._lock:
            self._written = total
            self._spent -= spent
        for key in replies:  # only after the commit: `get` must find each reply at any moment
            del self._replies[key]

    def close(self) -> None:
        """Close the file. Replies and usage since the last `flush` are lost."""
        for connection in self._connections:
            connection.close()

    def _add_seals(self) -> None:
        """Make room for the seals of new rows in a file of an older tif, whose own rows have none."""
        for table in _TABLES:
            if "seal" not in {column[1] for column in self._db.execute(f"PRAGMA table_info({table})")}:
                try:
                    self._db.execute(f"ALTER TABLE {table} ADD COLUMN seal TEXT")
                except sqlite3.OperationalError as error:
                    if "duplicate column" not in str(error):  # another process was faster
                        raise

    def _check_tables(self) -> None:
        """Make sure that no damage hides the usage: its row, or the name of its table.

        Raises:
            sqlite3.DatabaseError: for a table that tif did not make, or a damaged one.
        """
        names = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if others := sorted(names - set(_TABLES)):
            raise sqlite3.DatabaseError(f"it has a table {others[0]!r}, which tif does not know")
        (result,) = self._db.execute("PRAGMA integrity_check(spent)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)

    def _remove_damaged_usage(self) -> None:
        for rowid, *row in self._db.execute("SELECT rowid, * FROM spent").fetchall():
            if _usage(row) is None:
                self._db.execute("DELETE FROM spent WHERE rowid = ?", (rowid,))
                whose = "this run" if row[0] == self._run else "another run"
                warn(f"{self._path}: the requests and tokens of {whose} are damaged, and are counted from 0 again")

    def _on_disk(self) -> Usage:
        row = self._db.execute("SELECT * FROM spent WHERE run = ?", (self._run,)).fetchone()
        return (_usage(row) or self._written) if row else Usage()

    def _connect(self) -> sqlite3.Connection:
        # The judge runs in a thread of its own, and the caller's thread reads the usage.
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.text_factory = _decoded
        self._connections.append(connection)
        return connection

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(
            "the judge's cache cannot be used",
            where=self._path,
            why=str(error),
            hint="Delete this file, or choose another with --cache.",
        )


def _usage(row: Sequence[object]) -> Usage | None:
    """Return the usage in a row of `spent`; None for a damaged row. Rows of an older tif have no seal."""
    run, *counts, seal = row
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    if seal is not None and seal != digest([run, *counts]):
        return None
    return Usage(**dict(zip(_COUNTS, counts, strict=True)))  # type: ignore[arg-type]


def _decoded(data: bytes) -> str:
    """Return text of the file. Damaged text matches no seal, and must not fail the run."""
    return data.decode(errors="replace")


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON value. The order of its keys has no effect."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


__all__ = ["JudgeCache", "ReplyKey", "Usage", "digest"]
