"""Replies that were paid for once, and what has been paid, in one SQLite file.

Write-ahead logging lets several runs share the file. Values are JSON; nothing in it is a key or a header.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


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
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            # The judge works in a thread of its own, and its usage is asked for from the caller's, after that is over.
            self._db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            if fresh:
                self._db.execute("DELETE FROM spent WHERE run = ?", (run,))
                (self._old_rows,) = self._db.execute("SELECT coalesce(max(rowid), 0) FROM replies").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from None

    def get(self, key: str) -> tuple[str, str] | None:
        """A reply's text and finish reason."""
        query = "SELECT content, finish FROM replies WHERE key = ? AND rowid > ?"
        row = self._execute(query, (key, self._old_rows)).fetchone()
        return (str(row[0]), str(row[1])) if row else None

    def put(self, key: str, content: str, finish: str) -> None:
        """Keep a reply."""
        self._execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, content, finish))

    def count(self, spent: Usage) -> None:
        """Add to the run's usage."""
        changes = ", ".join(f"{name} = {name} + excluded.{name}" for name in asdict(Usage()))
        self._execute(
            f"INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET {changes}",
            (self._run, *asdict(spent).values()),
        )

    def usage(self) -> Usage:
        """What all runs with these settings have spent."""
        names = ", ".join(asdict(Usage()))
        row = self._execute(f"SELECT {names} FROM spent WHERE run = ?", (self._run,)).fetchone()
        return Usage(*row) if row else Usage()

    def _execute(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from None

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
