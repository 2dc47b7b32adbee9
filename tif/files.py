"""Files and folders on disk: atomic writes (a crash leaves the old or the new content), locks, the cache folder.

A link is followed: its target is replaced, and the link stays. Every failure of the disk or its permissions raises
`WriteError`, "cannot be written".
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout
from platformdirs import user_cache_path
from safetensors import SafetensorError

from tif.errors import TifError, WriteError, reason

if TYPE_CHECKING:
    import pyarrow as pa

_HINT: Final = "Check the permissions and the free space of its folder, or choose another path."

MOST_BYTES: Final = 2 * 2**30
"""The most bytes of a file that is read at once."""
MOST_BY_HAND: Final = 64 * 2**20
"""The most bytes of a file that a person writes, such as options, a policy or patterns."""
_MOST_PIPED: Final = 64 * 2**20
_PIPE_SECONDS: Final = 5.0
"""How long to wait for the next bytes of a pipe."""

_TWO_TRIES: Final = 0.2
"""Seconds in which a lock is tried more than once."""

# What a file system answers to a request that it does not know: Lustre and FUSE to flock, CIFS and VirtualBox to fsync
# of a folder.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})


@contextmanager
def writing(path: str | Path, what: str = "cannot be written") -> Iterator[None]:
    """Turn system errors during a write of `path` into `WriteError`.

    Raises:
        WriteError: naming `path` and the reason.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_system(error):
            raise
        why = reason(error)
        raise WriteError(what, where=str(path), why=why, hint=_HINT) from None


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, and check that it is writable.

    Raises:
        WriteError: if the folder cannot be made or is not writable.
    """
    path = Path(path)
    with writing(path, "cannot be written to"):
        _make(path)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path


def check_regular(path: Path) -> None:
    """Make sure that reading a file ends: a pipe without a writer, or a terminal, would be waited for.

    Raises:
        OSError: if the path is a pipe, a socket or a device.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read(path: str | Path, *, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file, or of a pipe that somebody writes to. It ends, and its memory is bounded.

    Args:
        path: the file.
        most: the most bytes that the file may have.

    Raises:
        OSError: if it cannot be read, is a folder, a socket or a device, or has too many bytes.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISFIFO(status.st_mode):
            return _piped(file.fileno(), min(most, _MOST_PIPED), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a device or a socket, not a file", str(path))
        if status.st_size > most:
            raise _too_large(most, str(path))
        content: bytes = file.readall()
        return content


def write(path: str | Path, data: str | bytes | pa.Buffer) -> None:
    """Replace the file `path` by `data`. Text is written as UTF-8, without translating line ends.

    Raises:
        WriteError: if it cannot be written; the old file is left as it was.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; at the end it replaces the file `path`, if nothing failed.

    For libraries that write files themselves. Parent folders are made.

    Raises:
        WriteError: if it cannot be written; the old file is left as it was.
    """
    with writing(path):
        path = _target(Path(path))
        temporary = _beside(path)
        try:
            _make(path.parent)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; at the end it replaces the folder `path`, if nothing failed.

    Raises:
        WriteError: if it cannot be written; the old folder is left as it was.
    """
    with writing(path):
        path = _target(Path(path))
        temporary, old = _beside(path), _beside(path, "old")
        try:
            _make(path.parent)
            _clear_left(path)
            temporary.mkdir()
            yield temporary
            sync(temporary)
            # Two renames, because a folder cannot be renamed onto one that holds files.
            if path.is_dir():
                path.rename(old)
            temporary.rename(path)
            _sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
            elif old.exists():
                old.rename(path)


def sync(folder: Path) -> None:
    """Flush everything under a folder to disk."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


@contextmanager
def locked(path: Path, *, seconds: float, busy: TifError) -> Iterator[None]:
    """Hold the lock file `path`. Only one process at a time can hold it.

    Where the file system has no `flock`, the file `path` plus `.held` is the lock as long as it exists. One that a
    killed process left is taken over on the same machine.

    Args:
        path: the lock file; made with its folder if missing. Some versions of `filelock` delete it at the end.
        seconds: how long to wait for the lock.
        busy: the error to raise if another process holds the lock all that time.

    Raises:
        WriteError: if the lock file cannot be made.
    """
    with writing(path):
        _make(path.parent)
        lock = _lock(path)
        try:
            # Some versions of `filelock` only remove a killed process's file at the first try. The next takes the lock.
            lock.acquire(timeout=max(seconds, _TWO_TRIES) if isinstance(lock, SoftFileLock) else seconds)
        except Timeout:
            raise busy from None
    try:
        yield
    finally:
        lock.release()


def aside(path: Path) -> Path:
    """Make an empty file in the same folder, under a name that no file had, and return its path.

    Damaged content goes there: `bees.parquet` is kept as `bees.damaged-20260131T120000.parquet`.

    Raises:
        WriteError: if the file cannot be made.
    """
    stem = f"{path.stem}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    number = 1
    while True:
        free = path.with_name(f"{stem}{f'-{number}' if number > 1 else ''}{path.suffix}")
        with writing(free), suppress(FileExistsError):
            free.open("xb").close()
            return free
        number += 1


def clear_temporaries(folder: Path, name: str | None = None) -> None:
    """Delete temporary files of killed writers. The caller must hold the lock that all writers of the folder take.

    Args:
        folder: the folder to clear.
        name: only temporaries of the file with this name, or with this name plus a suffix.

    Raises:
        WriteError: if a file cannot be deleted.
    """
    with writing(folder):
        for left in folder.glob(f".{'*' if name is None else escape(name)}.*.tmp"):
            left.unlink(missing_ok=True)


def cache_folder(*parts: str) -> Path:
    """Return the folder for results that can be recomputed: `~/.cache/tif` on Linux, else the system's own place."""
    return user_cache_path("tif", appauthor=False).joinpath(*parts)


def _piped(descriptor: int, most: int, path: str) -> bytes:
    content = bytearray()
    while True:
        if not select.select([descriptor], [], [], _PIPE_SECONDS)[0]:
            why = f"it is a pipe, and nothing came from it for {_PIPE_SECONDS:g} s"
            raise OSError(errno.ETIMEDOUT, why, path)
        chunk = os.read(descriptor, 2**16)
        if not chunk:
            return bytes(content)
        content += chunk
        if len(content) > most:
            raise _too_large(most, path)


def _too_large(most: int, path: str) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most // 2**20} MiB", path)


def _is_of_system(error: Exception) -> bool:
    """Whether an error is one of the system. safetensors and tokenizers have their own errors for a full disk."""
    return isinstance(error, OSError | SafetensorError) or (type(error) is Exception and "(os error " in str(error))


def _lock(path: Path) -> BaseFileLock:
    """Return a lock that this file system can hold.

    `FileLock` itself falls back to the lock file's existence. The file that a finished save left would then be a lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which has locks of its own
        return FileLock(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return SoftFileLock(path.with_name(f"{path.name}.held"))
    finally:
        os.close(descriptor)  # frees the lock
    return FileLock(path)


def _target(path: Path) -> Path:
    """Return the file or folder that a link leads to, or the path itself.

    Raises:
        OSError: if the link leads in a circle, or to a file that is read-only. Data managers keep shared content in
            such files, so replacing one would change it for every user of it.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.is_file() and not target.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EACCES, f"it is a link to the read-only file {target}")
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def _beside(path: Path, kind: str = "tmp") -> Path:
    """Return a hidden path of this process in the same folder, so that renaming is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _clear_left(path: Path) -> None:
    """Delete folders that killed writers of `path` left (a model takes gigabytes). Restore an old one first."""
    for left in (p for kind in ("old", "tmp") for p in path.parent.glob(f".{escape(path.name)}.*.{kind}")):
        process = left.name.split(".")[-2]
        if not process.isdigit() or _runs(int(process)):
            continue
        if left.suffix == ".old" and not path.exists():
            left.rename(path)
        else:
            shutil.rmtree(left)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot flush a folder. The files in it are flushed all the same.
        if not (path.is_dir() and error.errno in _UNSUPPORTED):
            raise
    finally:
        os.close(descriptor)


__all__ = [
    "MOST_BY_HAND",
    "aside",
    "cache_folder",
    "check_regular",
    "clear_temporaries",
    "locked",
    "make_folder",
    "read",
    "replacing",
    "replacing_folder",
    "sync",
    "write",
    "writing",
]
