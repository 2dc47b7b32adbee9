"""Run code of a model's files, such as a chat template, within a limit of time and of memory.

A template is a program. Its sandbox keeps it from files and from the network, but not from running for ever.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_EVERY: Final = 0.1
"""Seconds between two looks at the clock."""


class TooLongError(Exception):
    """Raised when the time is up."""


class _TimeIsUp(BaseException):
    """What is raised inside the running code. No `except Exception` of that code catches it."""


class _Watch:
    """A thread that raises an error in those threads whose time is up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[int, float] = {}
        self._process: int | None = None

    def begin(self, seconds: float) -> None:
        """Begin the time of this thread."""
        with self._lock:
            self._until[threading.get_ident()] = time.monotonic() + seconds
            if self._process != os.getpid():  # a forked process has no threads but its own
                self._process = os.getpid()
                threading.Thread(target=self._look, name="tif-watch", daemon=True).start()

    def end(self) -> None:
        """End the time of this thread. An error that is on its way does not arrive any more."""
        thread = threading.get_ident()
        with self._lock:
            if self._until.pop(thread, None) is None:
                _raise_in(thread, None)

    def _look(self) -> None:
        while True:
            time.sleep(_EVERY)
            with self._lock:
                for thread in [thread for thread, until in self._until.items() if time.monotonic() > until]:
                    del self._until[thread]
                    _raise_in(thread, _TimeIsUp)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)


_WATCH: Final = _Watch()


@contextmanager
def bounded(*, seconds: float, memory: int) -> Iterator[None]:
    """Limit the code inside. Time is only looked at between two steps of Python.

    Args:
        seconds: how long it may run.
        memory: how many bytes the process may grow by, where the system can limit that.

    Raises:
        TooLongError: if it ran longer.
        MemoryError: if it needed more.
    """
    try:
        with _MEMORY.limited(memory):
            try:
                _WATCH.begin(seconds)
                yield
            finally:
                _WATCH.end()
    except _TimeIsUp:
        raise TooLongError(f"took more than {seconds:g} seconds") from None


class _Memory:
    """The process's limit of memory while any thread runs limited code.

    The system has one limit for all threads. The first one in sets it, and the last one out restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = (0, 0)

    @contextmanager
    def limited(self, more: int) -> Iterator[None]:
        """Limit how many bytes the process may grow by. Does nothing where the system cannot."""
        try:
            import resource

            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            now = pages * resource.getpagesize()
        except (ImportError, OSError):  # not Linux
            yield
            return
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = resource.getrlimit(resource.RLIMIT_AS)
                soft, hard = self._before
                limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
                resource.setrlimit(resource.RLIMIT_AS, (min([now + more, *limits]), hard))
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    resource.setrlimit(resource.RLIMIT_AS, self._before)


_MEMORY: Final = _Memory()


__all__ = ["TooLongError", "bounded"]
