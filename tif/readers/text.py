"""Text files, read without changes."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import Final

from tif.console import warn
from tif.errors import InputError

_GZIP: Final = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """Return the text of a file unchanged, without a byte-order mark at its start. A gzip file is unpacked.

    The file is UTF-8, or UTF-16 with a byte-order mark, which a warning tells. Other encodings are never guessed.

    Raises:
        InputError: for a missing file, a folder, a damaged gzip file, or another encoding, naming line and encoding.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = data.decode("utf-16")
            warn(f"{path} is read as UTF-16, as its first bytes say")
            return text
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("is a folder", where=str(path)) from None
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-16"):
            raise InputError("is damaged UTF-16", where=str(path), why=f"byte {error.start}: {error.reason}") from None
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"is not UTF-8, but probably {_encoding(error.object)}",
            where=(str(path), f"line {line}"),
            why=error.reason,
            hint="Save it as UTF-8; Excel calls this 'CSV UTF-8'.",
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError("is a damaged gzip file", where=str(path), why=str(error)[:160]) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _encoding(data: bytes) -> str:
    """Return the likely name of an encoding that is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        return "UTF-16"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "another 8-bit encoding, or damaged"
    return "Windows-1252"


__all__ = ["read_text"]
