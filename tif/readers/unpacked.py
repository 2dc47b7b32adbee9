"""The memory that a file of Arrow or parquet needs. A text that is repeated a million times is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif.errors import InputError
from tif.readers.compressed import MOST_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_RATIO: Final = 4
"""A large file may unpack to more than `MOST_BYTES`, up to so many times its own size."""

_ROWS: Final = 1024
_OFFSET: Final = 4
_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


def check_unpacked(file: pq.ParquetFile, path: Path) -> None:
    """Refuse a file that unpacks to more than the memory should hold.

    Args:
        file: the open file.
        path: its path.

    Raises:
        InputError: for more than `MOST_BYTES`, and more than 4 times the size of the file.
        pyarrow.ArrowException, OSError: if a column cannot be read.
    """
    groups = range(file.metadata.num_row_groups)
    _check(sum(file.metadata.row_group(group).total_byte_size for group in groups), path)
    # pyarrow ends the process if the metadata of a column is damaged. Here it raises an error instead.
    file.scan_contents()
    size, repeated = _known(file)
    _check(size, path)
    if repeated:
        for more in _texts(path, repeated):
            size += more
            _check(size, path)


def check_dictionaries(table: pa.Table, path: Path) -> None:
    """Refuse a table whose dictionaries stand for more than the memory should hold.

    Raises:
        InputError: as `check_unpacked`.
    """
    _check(sum(_size(chunk) for column in table.columns for chunk in column.chunks), path)


def _check(size: int, path: Path) -> None:
    most = max(MOST_BYTES, _RATIO * path.stat().st_size)
    if size > most:
        raise InputError(
            f"is larger than {most // 2**20} MiB after decompression",
            where=str(path),
            hint="Split it if it is as large as it should be.",
        )


def _known(file: pq.ParquetFile) -> tuple[int, list[str]]:
    """Return the bytes that the metadata tell, and the columns of texts that may be repeated often."""
    size = 0
    longest: dict[str, int] = {}
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            stored = column.total_uncompressed_size
            width = _WIDTHS.get(column.physical_type)
            size += max(stored, column.num_values * (_OFFSET if width is None else width))
            if width is None:
                most = column.num_values * stored
                longest[column.path_in_schema] = longest.get(column.path_in_schema, 0) + most
    return size, [name for name, most in longest.items() if most > MOST_BYTES]


def _texts(path: Path, columns: list[str]) -> Iterator[int]:
    """Yield the bytes of texts. As dictionaries they are read without repeating them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, read_dictionary=columns) as file:
        for batch in file.iter_batches(_ROWS, columns=columns):
            for column in batch.columns:
                yield _size(column)


def _size(array: pa.Array) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    if pa.types.is_struct(array.type):
        return sum(_size(field) for field in array.flatten())
    if pa.types.is_nested(array.type):
        return _size(array.flatten())
    return int(array.nbytes)


__all__ = ["check_dictionaries", "check_unpacked"]
