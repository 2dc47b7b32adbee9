"""Ctrl-C and SIGTERM: every command ends with exit code 130, without a traceback, whatever it is doing at that moment.

A command is interrupted by `KeyboardInterrupt`, so that files are closed and locks are freed. Before and after it,
while Python only imports or cleans up, the process ends at once. This module takes the signals over before anything
else is imported, so it imports only what Python itself has loaded by then.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Final

EXIT_CODE: Final = 130

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_REPEAT_SECONDS: Final = 0.02

_begun = False
_seen = False
_process = os.getpid()


def begin() -> None:
    """Take the signals over, at the start of the process."""
    global _begun
    if not _begun:
        _begun = True
        end_at_once()
        atexit.register(_last)


def end_at_once() -> None:
    """From now on, a signal ends the process at once."""
    _handle(_end)


def raise_in_command() -> None:
    """From now on, a signal raises `KeyboardInterrupt` in the main thread."""
    global _seen, _process
    _seen, _process = False, os.getpid()
    sys.unraisablehook = _repeat(sys.unraisablehook)
    _handle(_raise)


def seen() -> bool:
    """Whether a signal came since `raise_in_command`, also if a library caught its exception."""
    return _seen


def _handle(handler: object) -> None:
    for number in _SIGNALS:
        # A process in the background has Ctrl-C switched off, and keeps it so.
        if signal.getsignal(number) != signal.SIG_IGN:
            try:
                signal.signal(number, handler)  # type: ignore[arg-type]
            except ValueError:  # only the main thread may
                return


def _last() -> None:
    """Keep Python from ending itself by the signal, which gives another exit code. This is its last exit function."""
    if _seen:
        os._exit(EXIT_CODE)
    _handle(signal.SIG_IGN)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)


def _raise(number: int, _frame: FrameType | None) -> None:
    global _seen
    if number == signal.SIGTERM and os.getpid() != _process:  # a library ends a process that it forked
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _seen = True
    raise KeyboardInterrupt


def _repeat(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return a hook that repeats a `KeyboardInterrupt` that came in a callback of Python, where it would be lost."""
    import threading

    def handle(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        try:
            threading.Thread(target=_again, daemon=True).start()
        except RuntimeError:  # Python is ending
            return

    return handle


def _again() -> None:
    time.sleep(_REPEAT_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


__all__ = ["EXIT_CODE", "begin", "end_at_once", "raise_in_command", "seen"]
