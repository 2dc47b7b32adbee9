"""Recognise the format of an annotation file from its content."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final, Literal, get_args

from tif.errors import InputError
from tif.readers import Place, is_arrow_folder, is_parquet, parse_json, read_text
from tif.readers.json import json_values
from tif.readers.parquet import parquet_records
from tif.readers.words import is_word
from tif.sets.formats.profiles import RecogniserFormat
from tif.sets.formats.recognisers import recognised

FormatName = Literal["tif", "prodigy", "doccano", "label-studio", "spacy", "inline", "tpo"]
ReadFormat = Literal[FormatName, RecogniserFormat]
"""The formats that tif reads; `FormatName` are those that it also writes."""
UnwantedIn = Literal["targets", "complement"]
"""For `tpo`: whether the target words are unwanted, or everything except the common words."""

_ZLIB: Final = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
"""First bytes of a file compressed by zlib, such as spaCy's `DocBin`."""

_LOOKED_AT: Final = 100
"""Number of records that are looked at."""

_LABEL_STUDIO: Final = {"annotations", "completions", "predictions", "drafts"}
"""Fields of a task beside its data."""


def recognise(path: Path, encoding: str | None = None) -> ReadFormat:
    """Return the format of a file, or of a folder that `save_to_disk` made.

    Raises:
        InputError: if the format is unknown, or the file cannot be read.
    """
    hint = f"Name its format: --format {', '.join(get_args(ReadFormat))}."
    if path.is_dir():
        if is_arrow_folder(path):
            return "tpo"
        raise InputError("is a folder without data-*.arrow", where=str(path), why="its format is not recognised")
    if is_compressed(path):
        return "spacy"
    values: Iterator[tuple[Place, object]]
    if is_parquet(path):
        values = parquet_records(path)
    else:
        text = read_text(path, encoding)
        if text.lstrip().startswith(("% tif inline", "=== ")):
            return "inline"
        values = _one_object(path, text) or json_values(path, text)
    values = islice(values, _LOOKED_AT)
    place, first = next(values, (str(path), None))
    if first is None:
        raise InputError("contains no records", where=str(path))
    # The first records may lack the fields that tell the format, such as tasks that nobody annotated.
    for record in chain([first], (value for _, value in values)):
        if (name := _of_record(record)) is not None:
            return name
    fields = f"fields: {', '.join(map(str, first)) or 'none'}" if isinstance(first, dict) else None
    if isinstance(first, dict) and "quotes" in first:
        hint = "`tif annotate --method manual` reads quotes."
    raise InputError("the format is not recognised", where=place, why=fields, hint=hint)


def _one_object(path: Path, text: str) -> Iterator[tuple[Place, object]] | None:
    """Return the record of a file that is one JSON object over several lines, as servers answer."""
    if not text.lstrip().startswith("{") or "\n" not in text.strip():
        return None
    try:
        return iter([(f"{path}, record 1", parse_json(text))])
    except InputError:
        return None


def _of_record(record: object) -> ReadFormat | None:
    """Return the format of a file's first record. Fields that only one tool writes are tested first."""
    if is_word(record):
        return "tpo"
    if (recogniser := recognised(record)) is not None:
        return recogniser
    if isinstance(record, dict) and isinstance(record.get("annotations"), dict):
        return "tab"
    if isinstance(record, list):
        return "spacy" if len(record) == 2 and isinstance(record[0], str) and isinstance(record[1], dict) else None
    if not isinstance(record, dict):
        return None
    if isinstance(record.get("data"), dict):
        return "label-studio" if _LABEL_STUDIO & record.keys() else None
    if "target_words" in record or "common_words" in record:
        return "tpo"
    if "text" not in record:
        return None
    lists = [name for name in ("label", "labels", "entities", "annotations") if isinstance(record.get(name), list)]
    if any(_is_region(value) for name in record for value in _items(record[name])):
        return "label-studio"
    if "tif_offset_unit" in record or lists:
        return "doccano"
    if "ents" in record or isinstance(record.get("spans"), dict):
        return "spacy"
    if "offset_unit" not in record and ("_task_hash" in record or {"tokens", "answer"} <= record.keys()):
        return "prodigy"
    if not isinstance(record.get("spans"), list):
        return None
    return "prodigy" if "offset_unit" not in record and {"tokens", "answer"} & record.keys() else "tif"


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_region(value: object) -> bool:
    """Whether a value is a region of Label Studio's export JSON-MIN."""
    return isinstance(value, dict) and "start" in value and isinstance(value.get("labels"), list)


def is_compressed(path: Path) -> bool:
    """Whether zlib compressed the file, as spaCy's `DocBin` is."""
    try:
        if not path.is_file():  # a pipe can be read only once, and one without a writer is waited for
            return False
        with path.open("rb") as file:
            return file.read(2) in _ZLIB
    except OSError:
        return False


__all__ = ["FormatName", "ReadFormat", "UnwantedIn", "is_compressed", "recognise"]
