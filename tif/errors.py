"""Every error that tif raises on purpose, and how it reads.

    TifError                 exit code 1: a known failure, told in one line
    |-- InputError           a file, record or field that cannot be used as it is
    |   `-- WriteError       a file or folder that cannot be written
    |-- StoreError           an annotation set on disk: damaged, missing, not tif's
    |   `-- StaleHeadError   somebody else saved since this set was loaded
    |-- MaskError            spans that the tokenizer cannot carry over to tokens
    |-- ServerError          a judge's endpoint that answers wrongly, or not at all
    |-- MissingError         a model, a package or data that is not installed here
    `-- UsageError           exit code 2: the command line or a config asks for what cannot be
    PartialError             exit code 3: finished, but some records failed

The raiser says what, where, why and what to do next; the command line turns that into one line and an exit code.
"""

from __future__ import annotations

from typing import Self

_LONGEST = 600
"""Characters of an error line that are shown at most: a reader needs the place, not the payload."""


class TifError(Exception):
    """A known failure.

    Args:
        what: what is wrong, without a full stop.
        where: the place, outermost part first, e.g. `("a.jsonl", "line 3", "spans[0].end")`.
        why: the reason, when `what` does not hold it.
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
        """The same error, seen from further out: `outer` is put before `where`."""
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
    """Raised when a file, a record or a field cannot be used as it is."""


class WriteError(InputError):
    """Raised when a file or folder cannot be written."""


class StoreError(TifError):
    """Raised when an annotation set on disk is missing, damaged or not one of tif's."""


class StaleHeadError(StoreError):
    """Raised when saving would overwrite a version that the saver has not seen."""


class MaskError(TifError):
    """Raised when spans and tokens do not agree, so that training would be on the wrong tokens."""


class ServerError(TifError):
    """Raised when a judge's endpoint refuses, or answers in a way that no retry can mend."""


class MissingError(TifError):
    """Raised when a model, a package or data is needed and not installed here."""


class UsageError(TifError):
    """Raised when options, or a config, contradict each other or ask for what cannot be."""

    exit_code = 2


class PartialError(TifError):
    """Raised after all work is saved, when some records failed."""

    exit_code = 3


__all__ = [
    "InputError",
    "MaskError",
    "MissingError",
    "PartialError",
    "ServerError",
    "StaleHeadError",
    "StoreError",
    "TifError",
    "UsageError",
    "WriteError",
]
