"""Text files, read without changes."""

from __future__ import annotations

import codecs
import zlib
from pathlib import Path
from typing import Final

from tif import files
from tif.console import warn
from tif.errors import InputError, UsageError, reason
from tif.readers.compressed import is_gzip, unpack

_WINDOWS: Final = "Windows-1252"
_MARKS: Final = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def check_encoding(encoding: str) -> None:
    """Refuse a name that is not an encoding of text.

    Raises:
        UsageError: with examples of names.
    """
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise UsageError(
            f"{encoding!r} is not an encoding that Python knows",
            where="--encoding",
            hint="Use for example cp1252 (Windows), latin-1, mac-roman or utf-16-le.",
        ) from None


def read_text(path: Path, encoding: str | None = None) -> str:
    """Return the text of a file unchanged, without a byte-order mark at its start. A gzip file is unpacked.

    The file is UTF-8, or UTF-16 with a byte-order mark, which a warning tells. Other encodings are never guessed.

    Args:
        path: the file.
        encoding: its encoding, if it has another one. A file that is also valid UTF-8 is read with a warning.

    Raises:
        InputError: for a missing file, a folder, a gzip file that is damaged or unpacks to more than the limit, or
            another encoding, naming line and encoding.
    """
    try:
        data = files.read(path)
        if is_gzip(data):
            data = unpack(data, path)
        if encoding is not None:
            return _decoded(path, data, encoding)
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
        probable = _encoding(error.object)
        named = " Or read it as it is: --encoding cp1252." if probable == _WINDOWS else ""
        raise InputError(
            f"is not UTF-8, but probably {probable}",
            where=(str(path), f"line {line}"),
            why=error.reason,
            hint=f"Save it as UTF-8; Excel calls this 'CSV UTF-8'.{named}",
        ) from None
    except (EOFError, zlib.error) as error:
        raise InputError("is a damaged gzip file", where=str(path), why=str(error)[:160]) from None
    except OSError as error:
        raise InputError(f"cannot be read: {reason(error)}", where=str(path)) from None


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    """Return the text in the encoding that the user named.

    Raises:
        InputError: for a file in another encoding.
    """
    utf = codecs.lookup(encoding).name.startswith("utf")
    mark = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if mark is not None and not utf:
        raise InputError(
            f"is not {encoding}", where=str(path), why=f"its first bytes say {mark}", hint="Leave --encoding out."
        )
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        where = (
            (str(path), f"line {data[: error.start].count(10) + 1}") if isinstance(error, UnicodeDecodeError) else ()
        )
        raise InputError(
            f"is not {encoding}",
            where=where or str(path),
            why=str(error)[:160],
            hint="Give the right --encoding, or leave it out for UTF-8.",
        ) from None
    if not utf and not data.isascii() and _is_utf8(data):
        warn(f"{path} is read as {encoding}, but it is also valid UTF-8. If letters look wrong, leave --encoding out")
    return text.removeprefix("\ufeff")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoding(data: bytes) -> str:
    """Return the likely name of an encoding that is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        return "UTF-16"
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "another 8-bit encoding, or damaged"
    return _WINDOWS


__all__ = ["check_encoding", "read_text"]
