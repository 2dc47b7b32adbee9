"""Read records from JSON lines, a JSON array, CSV, parquet, text files, or a folder of text files or of
`save_to_disk`. The content decides, not only the name.

Files are read without changing a character: no newline translation, no normalising.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tif.readers.arrow import arrow_records, is_arrow_folder
from tif.readers.csv import csv_records
from tif.readers.folder import TEXT_SUFFIXES, is_text_folder, text_records
from tif.readers.json import json_records, parse_json, read_json
from tif.readers.parquet import is_parquet, parquet_records
from tif.readers.row import Place, Row
from tif.readers.text import check_encoding, read_text
from tif.readers.words import is_word_file, word_records


def read_records(path: str | Path, *, encoding: str | None = None) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of a file, e.g. `("a.jsonl, line 3", {...})`.

    Args:
        path: the file or folder.
        encoding: of a text file that is neither UTF-8 nor UTF-16 with a byte-order mark.

    Raises:
        InputError: if the file cannot be read, naming file and line or record.
    """
    path = Path(path)
    if is_arrow_folder(path):
        yield from arrow_records(path)
        return
    if is_text_folder(path):
        yield from text_records(path, encoding)
        return
    if path.suffix.lower() == ".parquet" or is_parquet(path):
        yield from parquet_records(path)
        return
    text = read_text(path, encoding)
    # A CSV header never begins like JSON.
    if {".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes} and text.lstrip()[:1] not in ("[", "{"):
        yield from csv_records(path, text)
    elif is_word_file(text):
        yield from word_records(path, text)
    elif path.suffix.lower() in TEXT_SUFFIXES and text.lstrip()[:1] not in ("[", "{"):
        yield str(path), {"text": text}
    else:
        yield from json_records(path, text)


__all__ = [
    "Place",
    "Row",
    "check_encoding",
    "is_arrow_folder",
    "is_parquet",
    "is_text_folder",
    "parse_json",
    "read_json",
    "read_records",
    "read_text",
]
