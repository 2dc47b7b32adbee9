"""Every error that tif raises on purpose, and how it reads.

    TifError                 exit code 1: a known failure, shown as one line
    |-- InputError           an unusable file, record or field
    |   `-- WriteError       a file or folder that cannot be written
    |-- StoreError           an annotation set on disk: damaged, missing, not tif's
    |   `-- StaleHeadError   another save came in since this set was loaded
    |-- MaskError            spans that the tokenizer cannot carry over to tokens
    |-- ServerError          a judge's endpoint with a wrong answer or none
    |-- MissingError         a model, a package or data that is not installed
    `-- UsageError           exit code 2: wrong or contradictory options
    PartialError             exit code 3: finished, but some records failed
    ReaderGoneError          exit code 141, without a line: the reader of stdout closed the pipe

The raiser gives what, where, why and what to do next. The command line prints that as one line and sets the exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

_LONGEST = 600
"""Longest error line in characters: a reader needs the place, not the payload."""


class TifError(Exception):
    """A known failure.

    Args:
        what: what is wrong, without a full stop.
        where: the place, outermost part first, e.g. `("a.jsonl", "line 3", "spans[0].end")`.
        why: the reason, unless `what` gives it.
        hint: what to do next: a command, an option, a fix.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str | tuple[str, ...] = (), why: str | None = None, hint: str | None = None
    ) -> None:
        self.what = what
        self.where = (where,) if isinstance(where, str) else tuple(where)
        self.why = why
        self.hint = hint
        super().__init__(what)

    def within(self, *outer: str) -> Self:
        """Return the same error with `outer` put before `where`."""
        return type(self)(self.what, where=(*outer, *self.where), why=self.why, hint=self.hint)

    def __str__(self) -> str:
        line = f"{', '.join(self.where)}: {self.what}" if self.where else self.what
        if self.why:
            line += f" ({self.why})"
        line = " ".join(line.split())
        if len(line) > _LONGEST:
            line = line[:_LONGEST] + " ..."
        return f"{line}. {' '.join(self.hint.split())}" if self.hint else line


class InputError(TifError):
    """Raised when a file, a record or a field is unusable."""


class WriteError(InputError):
    """Raised when a file or folder cannot be written."""


class StoreError(TifError):
    """Raised when an annotation set on disk is missing, damaged or not one of tif's."""


class StaleHeadError(StoreError):
    """Raised when a save would overwrite a version that the caller has not loaded."""


class MaskError(TifError):
    """Raised when spans and tokens disagree, so that training would use the wrong tokens."""


class ServerError(TifError):
    """Raised when a judge's endpoint refuses, or answers in a way that no retry can fix."""


class DivergedError(TifError):
    """Raised when training ends in a loss or a weight that is not a finite number."""


class MissingError(TifError):
    """Raised when a model, a package or data is needed but not installed."""


class UsageError(TifError):
    """Raised when options or a config are wrong or contradict each other."""

    exit_code = 2


class PartialError(TifError):
    """Raised after all work is saved, when some records failed."""

    exit_code = 3


class ReaderGoneError(TifError):
    """Raised when the reader of stdout closed the pipe, as `head` does."""

    exit_code = 141


def first_of(ids: Sequence[str]) -> str:
    """Return the first three ids, and the number of the others."""
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def kind_of(value: object) -> str:
    """The kind of a JSON value in words, for an error line: `a list`, `an object`, `text`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__


def reason(error: BaseException) -> str:
    """Return why something failed, without the number and the name of the file that errors of the system have."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def short(value: object) -> str:
    """Return a value as an error line quotes it: its `repr`, cut to 60 characters."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


__all__ = [
    "DivergedError",
    "InputError",
    "MaskError",
    "MissingError",
    "PartialError",
    "ReaderGoneError",
    "ServerError",
    "StaleHeadError",
    "StoreError",
    "TifError",
    "UsageError",
    "WriteError",
    "first_of",
    "kind_of",
    "reason",
    "short",
]
