"""Folders of text files, and a single text file: each file is one plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.console import warn
from tif.errors import InputError
from tif.readers.row import Place, Row
from tif.readers.text import read_text

TEXT_SUFFIXES: Final = (".txt", ".md", ".markdown")
_TABLES: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")


def is_text_folder(path: str | Path) -> bool:
    """Whether a path is a folder with text files, at any depth."""
    if not str(path).strip():
        return False
    path = Path(path)
    return path.is_dir() and any(file.suffix.lower() in TEXT_SUFFIXES for file in _files(path))


def text_records(path: Path, encoding: str | None = None) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each text file of a folder, sorted by name. Its path in the folder is the record's id.

    Files that are empty or have another suffix are left out, with a warning that names them.

    Raises:
        InputError: for a file that cannot be read, or a folder that also contains data files.
    """
    files = _files(path)
    texts = [file for file in files if file.suffix.lower() in TEXT_SUFFIXES]
    tables = [file for file in files if file.suffix.lower() in _TABLES]
    if tables:
        raise InputError(
            f"contains {len(texts)} text files and {len(tables)} data files",
            where=str(path),
            why=f"such as {tables[0].name}",
            hint="Name the data file itself, or move the text files into a folder of their own.",
        )
    empty: list[Path] = []
    for file in texts:
        text = read_text(file, encoding)
        if text.strip():
            yield str(file), {"id": file.relative_to(path).as_posix(), "text": text}
        else:
            empty.append(file)
    if empty:
        warn(f"{path}: {len(empty)} empty files are left out, first {empty[0].name}")
    if others := [file for file in files if file not in texts]:
        warn(f"{path}: {len(others)} files that are neither .txt nor .md are left out, first {others[0].name}")


def _files(path: Path) -> list[Path]:
    """Return the files of a folder, at any depth, without hidden ones."""
    inside = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))


__all__ = ["TEXT_SUFFIXES", "is_text_folder", "text_records"]
