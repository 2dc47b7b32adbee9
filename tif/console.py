"""The only module that writes to the terminal: data to stdout, messages and progress to stderr.

All text is written with its control characters as visible escapes: samples, names and server replies are data. A
message that cannot be written is lost, and the work goes on. Data that cannot be written is an error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.text import Text

from tif.errors import ReaderGoneError, WriteError, reason
from tif.escape import visible, visible_line

# With FORCE_COLOR, rich treats a CI log as a terminal and floods it with progress frames.
_INTERACTIVE = False if os.environ.get("CI") else None

_EVERY = 10.0
"""Seconds between progress lines without a terminal."""


Styled = tuple[str, str]
"""A piece of text and its style, such as `bold red`; an empty style for plain text."""

_COLOURS = {"error": "bold red", "hint": "yellow", "interrupted": "yellow", "warning": "yellow"}


def stderr() -> Console:
    """The console for everything that is not data. Built at each call, so that a redirected stderr is used."""
    return Console(stderr=True, force_interactive=_INTERACTIVE, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """The console for data that a person reads, coloured only on a terminal."""
    return Console(force_interactive=_INTERACTIVE, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line to stderr, without markup."""
    _message((line, ""))


def warn(line: str) -> None:
    """Print one line to stderr that begins with `warning:`."""
    complain("warning", line)


def complain(kind: Literal["error", "hint", "interrupted", "warning"], line: str) -> None:
    """Print one line to stderr that begins with its kind, such as `error:`."""
    _message((f"{kind}: ", _COLOURS[kind]), (line, ""))


def emit(line: str = "", *, now: bool = False) -> None:
    """Write one line of data that a person reads to stdout. `now` flushes it, for a reader that waits for it.

    Raises:
        WriteError: if stdout is closed or full.
        ReaderGoneError: if the reader of a pipe is gone.
    """
    _write(visible_line(line) + "\n")
    if now:
        flush()


def emit_text(text: str) -> None:
    """Write data of several lines that a person reads to stdout, and end the last line.

    Raises:
        WriteError, ReaderGoneError: as `emit`.
    """
    _write(visible(text) + "\n")


def emit_styled(*pieces: Styled) -> None:
    """Write text with styles to stdout, coloured only on a terminal, and end the last line.

    Raises:
        WriteError, ReaderGoneError: as `emit`.
    """
    _write(_drawn(stdout(), *((visible(text), style) for text, style in pieces)))


def emit_data(line: str) -> None:
    """Write one line that a program reads to stdout: byte for byte, unless stdout is a terminal.

    Raises:
        WriteError, ReaderGoneError: as `emit`.
    """
    _write((visible(line) if stdout().is_terminal else line) + "\n")


def emit_json(value: Any) -> None:
    """Write one JSON document to stdout. NaN and infinity are not JSON: callers write null and the reason.

    Raises:
        WriteError, ReaderGoneError: as `emit`.
    """
    _write(visible(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)) + "\n")


def flush() -> None:
    """Write what stdout holds back.

    Raises:
        WriteError, ReaderGoneError: as `emit`.
    """
    _write("", hold=False)


def _write(text: str, *, hold: bool = True) -> None:
    where = "stdout"
    try:
        if sys.stdout is None:
            if text:
                raise WriteError("cannot be written", where=where, why="it is closed", hint="Leave it open.")
            return
        sys.stdout.write(text)
        if not hold:
            sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGoneError("the reader of stdout closed the pipe") from None
    except (OSError, UnicodeError) as error:
        why = reason(error)
        hint = "Send the output to a place with free space." if isinstance(error, OSError) else None
        raise WriteError("cannot be written", where=where, why=why, hint=hint) from None


def _message(*pieces: Styled) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(_drawn(stderr(), *((visible_line(text), style) for text, style in pieces)))
            sys.stderr.flush()


def _drawn(console: Console, *pieces: Styled) -> str:
    """Return styled text as the console would print it. rich itself ends the process if a pipe is closed."""
    with console.capture() as capture:
        console.print(Text.assemble(*pieces))
    return capture.get()


class Advance(Protocol):
    """The function that a unit of work calls to advance the progress."""

    def __call__(self, by: int = 1, *, note: str | None = None) -> None:
        """Count `by` more units as done, and show `note` after the bar."""


_bars: list[object] = []
"""The bar on the terminal. An older rich cannot show a second one."""


@contextmanager
def progress(what: str, total: int | None, *, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar on a terminal; elsewhere, and inside another bar, a line every few seconds.

    Args:
        what: the name of the work, e.g. `annotating`.
        total: number of units; None if unknown.
        done: number of units that an earlier run finished.
    """
    console = stderr()
    if console.is_interactive and console.is_terminal and not _bars:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(visible_line(what), total=total, completed=done, note="")

            def advance(by: int = 1, *, note: str | None = None) -> None:
                bar.advance(task, by)
                if note is not None:
                    bar.update(task, note=visible_line(note))

            _bars.append(bar)
            try:
                yield advance
            finally:
                _bars.remove(bar)
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


__all__ = [
    "Advance",
    "Styled",
    "complain",
    "emit",
    "emit_data",
    "emit_json",
    "emit_styled",
    "emit_text",
    "flush",
    "progress",
    "say",
    "stderr",
    "stdout",
    "warn",
]
