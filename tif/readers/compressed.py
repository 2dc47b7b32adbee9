"""Compressed files, unpacked up to a limit: a small file may unpack to more than the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tif.errors import InputError

MOST_BYTES: Final = 512 * 2**20
"""The most bytes that a compressed file may unpack to."""

_GZIP: Final = b"\x1f\x8b"
_CHUNK: Final = 2**14
"""The compressed bytes that are unpacked at a time: deflate unpacks to at most a thousand times as many."""

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


def is_gzip(data: bytes) -> bool:
    """Whether gzip compressed a file with these bytes."""
    return data.startswith(_GZIP)


def unpack(data: bytes, path: Path) -> bytes:
    """Return the content of a file that gzip compressed.

    Args:
        data: the compressed bytes.
        path: the file, for the error.

    Raises:
        InputError: for more than `MOST_BYTES`.
        EOFError, zlib.error: for damaged data.
    """
    content = bytearray()
    for piece in _pieces(data, path):
        content += piece
    return bytes(content)


def check_size(data: bytes, path: Path) -> None:
    """Refuse a file that zlib compressed and whose content is too large. Damage is left to the reader of the file.

    Raises:
        InputError: as `unpack`.
    """
    with suppress(EOFError, zlib.error):
        for _ in _pieces(data, path):
            pass


def _pieces(data: bytes, path: Path) -> Iterator[bytes]:
    decoder, size, ended = zlib.decompressobj(_GZIP_OR_ZLIB), 0, False
    for start in range(0, len(data), _CHUNK):
        rest = data[start : start + _CHUNK]
        while rest:
            if ended:  # a file may have several parts, and zeros at its end
                if not (rest := rest.lstrip(b"\0")):
                    break
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            piece = decoder.decompress(rest)
            size += len(piece)
            if size > MOST_BYTES:
                raise InputError(
                    f"is larger than {MOST_BYTES // 2**20} MiB after decompression",
                    where=str(path),
                    hint="Unpack it yourself if it is as large as it should be.",
                )
            yield piece
            rest, ended = decoder.unused_data, decoder.eof
    if not ended:
        raise EOFError("it breaks off")


__all__ = ["MOST_BYTES", "check_size", "is_gzip", "unpack"]
