"""Records of parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tif import files
from tif.errors import InputError, reason
from tif.readers.row import Place, Row
from tif.readers.unpacked import check_unpacked

if TYPE_CHECKING:
    import pyarrow as pa


def is_parquet(path: str | Path) -> bool:
    """Whether a file begins with the magic bytes of parquet."""
    try:
        if not Path(path).is_file():  # a pipe can be read only once, and one without a writer is waited for
            return False
        with Path(path).open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a parquet file as a table. Its memory is bounded.

    Args:
        path: the file, or a folder of parts as Spark and polars write.
        columns: those to read; None for all.

    Raises:
        InputError: if the file unpacks to more than the limit.
        pyarrow.ArrowException, OSError, ValueError: if it cannot be read.
    """
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    for part in _parts(path):
        files.check_regular(part)
        with pq.ParquetFile(part) as file:
            check_unpacked(file, part)
            if part == path:
                return file.read(columns=wanted)
    return pq.read_table(path, columns=wanted)


def _parts(path: Path) -> list[Path]:
    """Return the files of a table: the path, or all that pyarrow reads in a folder. Hidden names are left out."""
    if not path.is_dir():
        return [path]
    names = [part for part in sorted(path.rglob("*")) if not part.is_dir()]
    return [part for part in names if not any(n.startswith(("_", ".")) for n in part.relative_to(path).parts)]


def parquet_records(path: Path) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each row.

    Raises:
        InputError: if the file cannot be read as parquet.
    """
    import pyarrow as pa

    try:
        table = read_table(path)
        table.validate(full=True)
        batches = [batch.to_pylist() for batch in table.to_batches()]
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError("cannot be read as parquet", where=str(path), why=reason(error)[:160]) from None
    for number, row in enumerate((row for batch in batches for row in batch), start=1):
        yield f"{path}, record {number}", row


__all__ = ["is_parquet", "parquet_records", "read_table"]
