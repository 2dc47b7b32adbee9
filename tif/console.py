"""The only module that writes to the terminal: data to stdout, messages and progress to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

# With FORCE_COLOR, rich treats a CI log as a terminal and floods it with progress frames.
_INTERACTIVE = False if os.environ.get("CI") else None

_EVERY = 10.0
"""Seconds between progress lines without a terminal."""


def stderr() -> Console:
    """The console for everything that is not data. Built at each call, so that a redirected stderr is used."""
    return Console(stderr=True, force_interactive=_INTERACTIVE, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """The console for data that a person reads, coloured only on a terminal."""
    return Console(force_interactive=_INTERACTIVE, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line to stderr, without markup."""
    stderr().print(Text(line))


def warn(line: str) -> None:
    """Print one line to stderr that begins with `warning:`."""
    stderr().print(Text.assemble(("warning: ", "yellow"), line))


def emit(line: str = "", *, now: bool = False) -> None:
    """Write one line of data to stdout, byte for byte. `now` flushes it, for a reader that waits for it."""
    sys.stdout.write(line + "\n")
    if now:
        sys.stdout.flush()


def emit_json(value: Any) -> None:
    """Write one JSON document to stdout. NaN and infinity are not JSON: callers write null and the reason."""
    emit(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


class Advance(Protocol):
    """The function that a unit of work calls to advance the progress."""

    def __call__(self, by: int = 1, *, note: str | None = None) -> None:
        """Count `by` more units as done, and show `note` after the bar."""


@contextmanager
def progress(what: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar on a terminal; elsewhere a line every few seconds.

    Args:
        what: the name of the work, e.g. `annotating`.
        total: number of units; None if unknown.
        done: number of units that an earlier run finished.
    """
    console = stderr()
    if console.is_interactive and console.is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total, completed=done, note="")

            def advance(by: int = 1, *, note: str | None = None) -> None:
                bar.advance(task, by)
                if note is not None:
                    bar.update(task, note=note)

            yield advance
        return

    count, spoke, last_note = done, time.monotonic(), ""

    def advance_quietly(by: int = 1, *, note: str | None = None) -> None:
        nonlocal count, spoke, last_note
        count += by
        last_note = note if note is not None else last_note
        if time.monotonic() - spoke >= _EVERY:
            spoke = time.monotonic()
            say(f"{what}: {count}{f'/{total}' if total is not None else ''} {last_note}".rstrip())

    yield advance_quietly


__all__ = ["Advance", "emit", "emit_json", "progress", "say", "stderr", "stdout", "warn"]
