"""Text files, read without changes."""

from __future__ import annotations

from pathlib import Path

from tif.errors import InputError


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file unchanged, without a byte-order mark at its start.

    Raises:
        InputError: for a missing file, a folder, or invalid UTF-8, naming the line.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("is a folder", where=str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError("is not UTF-8", where=(str(path), f"line {line}"), why=error.reason) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None


__all__ = ["read_text"]
