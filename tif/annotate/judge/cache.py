"""Replies that were paid for once, and what has been paid, in one SQLite file.

Write-ahead logging lets several runs share the file. Values are JSON; nothing in it is a key or a header.

What comes in is kept in memory until `flush`, so that the thread that talks to the server need not wait for the disk,
and replies that come at once share a transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tif.errors import StoreError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, content TEXT NOT NULL, finish TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spent (
    run TEXT PRIMARY KEY, requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, cached_replies INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent, over all tries. Servers that do not say their token counts add none."""

    requests: int = 0
    """Answered requests. Those that the client library sent again after a refusal are counted once."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_replies: int = 0
    """Replies that came from this file and cost nothing."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


_COUNTS: Final = tuple(field.name for field in fields(Usage))
"""Columns of `spent`."""


class JudgeCache:
    """Replies by content, and usage by run.

    Args:
        path: the file, made if need be; None for one in memory that ends with the process.
        run: whose usage is counted: a digest of the settings, so that a resumed run goes on counting.
        fresh: neither use old replies nor count old usage.

    Raises:
        StoreError: if the file is no database, or cannot be written.
    """

    def __init__(self, path: Path | None, run: str, *, fresh: bool = False) -> None:
        self._path = str(path) if path is not None else ":memory:"
        self._run = run
        self._old_rows = 0
        self._replies: dict[str, tuple[str, str]] = {}
        self._written, self._spent = Usage(), Usage()
        # Held for a few instructions only: whoever talks to the server must never wait for the disk.
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._connect()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            # A connection is one thread's at a time: with one for both, reading would wait for writing to end.
            self._reading = self._db if path is None else self._connect()
            if fresh:
                self._db.execute("DELETE FROM spent WHERE run = ?", (run,))
                (self._old_rows,) = self._db.execute("SELECT coalesce(max(rowid), 0) FROM replies").fetchone()
            row = self._db.execute(f"SELECT {', '.join(_COUNTS)} FROM spent WHERE run = ?", (run,)).fetchone()
            self._written = Usage(*row) if row else Usage()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from None

    def get(self, key: str) -> tuple[str, str] | None:
        """A reply's text and finish reason."""
        if (fresh := self._replies.get(key)) is not None:
            return fresh
        query = "SELECT content, finish FROM replies WHERE key = ? AND rowid > ?"
        try:
            row = self._reading.execute(query, (key, self._old_rows)).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from None
        return (str(row[0]), str(row[1])) if row else None

    def put(self, key: str, content: str, finish: str) -> None:
        """Keep a reply."""
        self._replies[key] = (content, finish)

    def count(self, spent: Usage) -> None:
        """Add to the run's usage."""
        with self._lock:
            self._spent += spent

    def usage(self) -> Usage:
        """What all runs with these settings have spent; those of other processes as of the last `flush`."""
        with self._lock:
            return self._written + self._spent

    def flush(self) -> None:
        """Write down everything that came in. Called by one thread only, whichever the others are.

        Raises:
            StoreError: if the file cannot be written.
        """
        replies = self._replies.copy()
        with self._lock:
            spent = self._spent
        if not replies and spent == Usage():
            return
        changes = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
        try:
            with self._db:  # which commits, or rolls back
                self._db.execute("BEGIN IMMEDIATE")
                rows = [(key, *reply) for key, reply in replies.items()]
                self._db.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", rows)
                (total,) = self._db.execute(
                    f"INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET {changes} "
                    f"RETURNING {', '.join(_COUNTS)}",
                    (self._run, *astuple(spent)),
                ).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from None
        with self._lock:
            self._written, self._spent = Usage(*total), self._spent - spent
        for key in replies:  # not before: a reply must be found at any moment
            del self._replies[key]

    def _connect(self) -> sqlite3.Connection:
        # The judge works in a thread of its own, and its usage is asked for from the caller's.
        return sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)

    def _failed(self, error: Exception) -> StoreError:
        return StoreError(
            "the judge's cache cannot be used",
            where=self._path,
            why=str(error),
            hint="Delete it, or name another: --cache.",
        )


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


__all__ = ["JudgeCache", "Usage", "digest"]
