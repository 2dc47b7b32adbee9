"""Recognise the format of an annotation file from its content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, get_args

from tif.errors import InputError
from tif.readers import Place, is_parquet, read_text
from tif.readers.json import json_values
from tif.readers.parquet import parquet_records

FormatName = Literal["tif", "prodigy", "doccano", "label-studio", "spacy", "inline", "tpo"]
UnwantedIn = Literal["targets", "complement"]
"""For `tpo`: whether the target words are unwanted, or everything except the common words."""

_ZLIB: Final = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
"""First bytes of a file compressed by zlib, such as spaCy's `DocBin`."""


def recognise(path: Path) -> FormatName:
    """Return the format of a file, or of a folder that `save_to_disk` made.

    Raises:
        InputError: if the format is unknown, or the file cannot be read.
    """
    hint = f"Name its format: --format {', '.join(get_args(FormatName))}."
    if path.is_dir():
        if any(path.glob("data-*.arrow")):
            return "tpo"
        raise InputError("is a folder without data-*.arrow", where=str(path), why="its format is not recognised")
    if is_compressed(path):
        return "spacy"
    values: Iterator[tuple[Place, object]]
    if is_parquet(path):
        values = parquet_records(path)
    else:
        text = read_text(path)
        if text.lstrip().startswith(("% tif inline", "=== ")):
            return "inline"
        values = json_values(path, text)
    place, first = next(values, (str(path), None))
    if first is None:
        raise InputError("contains no records", where=str(path))
    name = _of_record(first)
    if name is None:
        fields = f"fields: {', '.join(map(str, first)) or 'none'}" if isinstance(first, dict) else None
        raise InputError("the format is not recognised", where=place, why=fields, hint=hint)
    return name


def _of_record(record: object) -> FormatName | None:
    """Return the format of a file's first record. Fields that only one tool writes are tested first."""
    if isinstance(record, list):
        return "spacy" if len(record) == 2 and isinstance(record[0], str) and isinstance(record[1], dict) else None
    if not isinstance(record, dict):
        return None
    if isinstance(record.get("data"), dict) and ("annotations" in record or "predictions" in record):
        return "label-studio"
    if "target_words" in record or "common_words" in record:
        return "tpo"
    if "text" not in record:
        return None
    lists = [name for name in ("label", "labels", "entities") if isinstance(record.get(name), list)]
    if "tif_offset_unit" in record or lists:
        return "doccano"
    if "ents" in record or isinstance(record.get("spans"), dict):
        return "spacy"
    if "offset_unit" in record:
        return "tif"
    if "tokens" in record or "answer" in record or "_task_hash" in record:
        return "prodigy"
    return "tif"


def is_compressed(path: Path) -> bool:
    """Whether zlib compressed the file, as spaCy's `DocBin` is."""
    try:
        with path.open("rb") as file:
            return file.read(2) in _ZLIB
    except OSError:
        return False


__all__ = ["FormatName", "UnwantedIn", "is_compressed", "recognise"]
