"""Ctrl-C: every command ends with exit code 130, without a traceback, whatever it is doing at that moment.

A command is interrupted by `KeyboardInterrupt`, so that files are closed and locks are freed. Before and after it,
while Python only imports or cleans up, the process ends at once. This module imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import FrameType
from typing import Final

EXIT_CODE: Final = 130

_REPEAT_SECONDS: Final = 0.02

_seen = False


@cache
def begin() -> None:
    """Take Ctrl-C over, at the start of the process."""
    end_at_once()
    atexit.register(_last)


def end_at_once() -> None:
    """From now on, Ctrl-C ends the process at once."""
    _handle(_end)


def raise_in_command() -> None:
    """From now on, Ctrl-C raises `KeyboardInterrupt` in the main thread."""
    global _seen
    _seen = False
    sys.unraisablehook = _repeat(sys.unraisablehook)
    _handle(_raise)


def seen() -> bool:
    """Whether Ctrl-C came since `raise_in_command`, also if a library caught its exception."""
    return _seen


def _handle(handler: object) -> None:
    # A process in the background has Ctrl-C switched off, and keeps it so.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


def _last() -> None:
    """Keep Python from ending itself by the signal, which gives another exit code. This is its last exit function."""
    if _seen:
        os._exit(EXIT_CODE)
    _handle(signal.SIG_IGN)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)


def _raise(_number: int, _frame: FrameType | None) -> None:
    global _seen
    _seen = True
    raise KeyboardInterrupt


def _repeat(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return a hook that repeats a `KeyboardInterrupt` that came in a callback of Python, where it would be lost."""

    def handle(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)
            return
        with suppress(RuntimeError):  # Python is ending
            threading.Thread(target=_again, daemon=True).start()

    return handle


def _again() -> None:
    time.sleep(_REPEAT_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


__all__ = ["EXIT_CODE", "begin", "end_at_once", "raise_in_command", "seen"]
