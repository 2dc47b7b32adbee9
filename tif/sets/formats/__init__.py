"""Annotation files of other tools, and our own JSONL: one module for each format, listed in one table.

    tif           JSONL: id, prompt, text, spans[{start, end, label, text, source, score}], status, error
    prodigy       JSONL tasks with tokens; `token_end` is inclusive
    doccano       JSONL, `label: [[start, end, label]]`, in UTF-16 units
    label-studio  a JSON array of tasks, in UTF-16 units
    spacy         JSONL of `Doc.to_json()`; reads `[text, {"entities": ...}]` and `.spacy` too
    inline        `Her father was a [[florist|UW]].` for a plain editor
    tpo           the TIF release's `target_words`/`common_words`: JSONL, or a folder of `save_to_disk`

A file's format is recognised from its content, not its name. To add a format: a module with
`write(annotations) -> Iterator[str]`, `read(path, **options) -> Iterator[Record]` and the `OPTIONS` of `read`, a
name in `FormatName`, a row in `FORMATS`, and a rule in `recognise.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from tif.errors import InputError, UsageError
from tif.sets.formats.recognise import FormatName, UnwantedIn, recognise
from tif.sets.formats.records import Record, resolve, row_of
from tif.spans import AnnotationSet

FORMATS: Final[dict[FormatName, str]] = {
    "tif": "tif.sets.formats.native",
    "prodigy": "tif.sets.formats.prodigy",
    "doccano": "tif.sets.formats.doccano",
    "label-studio": "tif.sets.formats.label_studio",
    "spacy": "tif.sets.formats.spacy_docs",
    "inline": "tif.sets.formats.inline",
    "tpo": "tif.sets.formats.tpo",
}
"""Format name -> module."""


def write(annotations: AnnotationSet, format_: FormatName = "tif") -> Iterator[str]:
    """Yield the file's lines without final newlines. A line may contain line breaks of the text itself.

    Raises:
        UsageError: for an unknown format.
        InputError: for a set that the format cannot represent.
    """
    lines: Iterator[str] = _module(format_).write(annotations)
    return lines


def read(path: str | Path, format_: FormatName | None = None, **options: str | None) -> list[Record]:
    """Read every record of a file and check each alone; `resolve` turns them into examples.

    Args:
        path: the file, or for `tpo` a folder.
        format_: its format; None recognises it.
        options: options of the format's own `read`, e.g. `uw="complement"` for tpo; None counts as not given.

    Raises:
        UsageError: for an unknown format or option.
        InputError: naming file, line and field.
    """
    path = Path(path)
    chosen = format_ or recognise(path)
    module = _module(chosen)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in module.OPTIONS:
            raise UsageError(f"the {chosen} format has no option {name!r}", where=f"--{name.replace('_', '-')}")
    records = list(module.read(path, **given))
    if not records:
        raise InputError("contains no records", where=str(path))
    return records


def _module(format_: str) -> ModuleType:
    for name, module in FORMATS.items():
        if name == format_:
            return import_module(module)
    raise UsageError(f"unknown format {format_!r}", where="--format", hint=f"Known: {', '.join(FORMATS)}.")


__all__ = ["FORMATS", "FormatName", "Record", "UnwantedIn", "read", "recognise", "resolve", "row_of", "write"]
