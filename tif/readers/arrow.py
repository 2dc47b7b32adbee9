"""Records of a folder that `save_to_disk` of the datasets package made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tif.errors import InputError
from tif.readers.json import read_json
from tif.readers.row import Place, Row
from tif.readers.unpacked import check_dictionaries


def is_arrow_folder(path: str | Path) -> bool:
    """Whether a path is a folder of Arrow files, or of splits with such files."""
    path = Path(path)
    return path.is_dir() and (any(path.glob("data-*.arrow")) or (path / "dataset_dict.json").is_file())


def arrow_records(path: Path) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each row.

    Raises:
        InputError: for a folder without Arrow files or with several splits, or a file that cannot be read.
    """
    import pyarrow as pa

    number = 0
    path = _only_split(path)
    arrows = sorted(path.glob("data-*.arrow"))
    if not arrows:
        raise InputError("contains no data-*.arrow file", where=str(path), why="`save_to_disk` writes at least one")
    for file in arrows:
        try:
            with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
                table = stream.read_all()
                table.validate(full=True)
                check_dictionaries(table, file)
                rows = table.to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError("cannot be read as an Arrow stream", where=str(file), why=str(error)[:160]) from None
        for row in rows:
            number += 1
            yield f"{path}, record {number}", row


def _only_split(path: Path) -> Path:
    index = path / "dataset_dict.json"
    if not index.is_file():
        return path
    document = read_json(index)
    splits = document.get("splits") if isinstance(document, dict) else None
    names = [str(name) for name in splits] if isinstance(splits, list) else []
    if len(names) == 1:
        return path / names[0]
    raise InputError(
        f"has {len(names)} splits", where=str(path), why=", ".join(names) or None, hint="Name the folder of one split."
    )


__all__ = ["arrow_records", "is_arrow_folder"]
