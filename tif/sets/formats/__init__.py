"""Annotation files of other tools, and our own JSONL: one module for each format, listed in one table.

    tif           JSONL: id, prompt, text, spans[{start, end, label, text, source, score}], status, error
    prodigy       JSONL tasks with tokens; `token_end` is inclusive
    doccano       JSONL, `label: [[start, end, label]]`, in UTF-16 units
    label-studio  a JSON array of tasks, or JSON-MIN, in UTF-16 units
    spacy         JSONL of `Doc.to_json()`; reads `[text, {"entities": ...}]` and `.spacy` too
    inline        `Her father was a [[florist|UW]].` for a plain editor
    tpo           the TIF release's `target_words`/`common_words`: JSONL, or a folder of `save_to_disk`

`recognisers.py` reads the results of Presidio, GLiNER, AWS, Azure, Google and others.

A file's format is recognised from its content, not its name. A record without its format's own field is refused:
absence is no empty list. To add a format: a module with
`write(annotations) -> Iterator[str]`, `read(path, **options) -> Iterator[Record | Skipped]` and the `OPTIONS` of
`read`, a name in `FormatName`, a row in `FORMATS`, and a rule in `recognise.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from tif.console import warn
from tif.errors import InputError, UsageError
from tif.readers import check_encoding, is_parquet
from tif.sets.formats import recognisers
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.profiles import PROFILES
from tif.sets.formats.recognise import FormatName, ReadFormat, UnwantedIn, recognise
from tif.sets.formats.records import Record, Skipped, resolve, row_of
from tif.sets.formats.units import read_in_its_unit
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


def read(
    path: str | Path,
    format_: ReadFormat | None = None,
    *,
    samples: AnnotationSet | None = None,
    encoding: str | None = None,
    **options: str | None,
) -> list[Record]:
    """Read every record of a file and check each alone; `resolve` turns them into examples.

    Records without an annotation, such as tasks that nobody has opened, are left out with a warning that names them.

    Args:
        path: the file, or for `tpo` a folder.
        format_: its format; None recognises it.
        samples: the samples that records without a text belong to, for recognisers that give only offsets.
        encoding: of a text file that is neither UTF-8 nor UTF-16 with a byte-order mark.
        options: options of the format's own `read`, e.g. `uw="complement"` for tpo; None counts as not given.

    Raises:
        UsageError: for an unknown format or option.
        InputError: naming file, line and field; or if no record carries an annotation.
    """
    path = Path(path)
    if encoding is not None:
        _check_encoding(path, encoding)
    chosen = format_ or recognise(path, encoding)
    module: ModuleType = recognisers if chosen in PROFILES else _module(chosen)
    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in module.OPTIONS:
            raise UsageError(f"the {chosen} format has no option {name!r}", where=f"--{name.replace('_', '-')}")
    given["encoding"] = encoding
    if module is recognisers:
        given |= {"name": chosen, "samples": samples}
    try:
        if "offset_unit" in given or "offset_unit" not in module.OPTIONS:
            rows = list(module.read(path, **given))
        else:
            rows = read_in_its_unit(lambda unit: list(module.read(path, **given, offset_unit=unit)))
    except InputError as error:
        other = _other_format(path, chosen, encoding) if error.hint is None else None
        hint = f"By its fields the file is {other}: --format {other}." if other else error.hint
        raise type(error)(error.what, where=error.where, why=error.why, hint=hint) from None
    records = [row for row in rows if isinstance(row, Record)]
    skipped = [row for row in rows if isinstance(row, Skipped)]
    if skipped:
        named = "; ".join(f"{row.where.removeprefix(f'{path}, ')}: {row.why}" for row in skipped[:3])
        line = f"{len(skipped)} of {len(rows)} records say nothing about their samples ({named}"
        line += "; ...)" if len(skipped) > 3 else ")"
        if not records:
            raise InputError(line, where=str(path))
        warn(f"{path}: {line}, so they are left out")
    if not records:
        raise InputError("contains no records", where=str(path))
    return records


def _check_encoding(path: Path, encoding: str) -> None:
    """Refuse an encoding that Python does not know, and one for a file that is no text."""
    check_encoding(encoding)
    if path.is_dir() or is_parquet(path):
        raise UsageError("is for text files", where="--encoding", why=f"{path} is none", hint="Leave it out.")


def _other_format(path: Path, chosen: ReadFormat, encoding: str | None) -> ReadFormat | None:
    """Return the format that a file has by its fields, if that is another one."""
    try:
        other = recognise(path, encoding)
    except InputError:
        return None
    return None if other == chosen else other


def _module(format_: str) -> ModuleType:
    for name, module in FORMATS.items():
        if name == format_:
            return import_module(module)
    raise UsageError(f"unknown format {format_!r}", where="--format", hint=f"Known: {', '.join(FORMATS)}.")


__all__ = [
    "FORMATS",
    "FormatName",
    "OffsetUnit",
    "ReadFormat",
    "Record",
    "UnwantedIn",
    "read",
    "recognise",
    "resolve",
    "row_of",
    "write",
]
