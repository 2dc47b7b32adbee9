"""Where samples come from: TOFU, MUSE, a hub data set, or a local file.

    tofu:forget10          hub `locuslab/TOFU`, or `forget10.json` under --data-dir / TIF_DATA_DIR
    muse:news              hub `muse-bench/MUSE-News`, or `raw/forget.json` there
    owner/name[:split]     any hub data set
    people.jsonl           a local .jsonl, .json, .csv or .parquet

A record is a question and an answer, or a text. Common field names are recognised; `--prompt-field` and
`--text-field` say others. Files are read without changing a character: no newline translation, no normalising.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tif.errors import InputError, MissingError, UsageError
from tif.packages import install_hint
from tif.spans import Example, fingerprint

DATA_DIR_VARIABLE: Final = "TIF_DATA_DIR"
SUFFIXES: Final = (".jsonl", ".json", ".csv", ".parquet")

PAIRS: Final = (("question", "answer"), ("prompt", "text"), ("prompt", "response"), ("instruction", "output"))
"""Prompt and text fields that are recognised, tried in this order."""
TEXTS: Final = ("text", "answer", "content", "document")
"""Fields of plain text that are recognised, tried in this order."""

_TOFU = re.compile(r"^[A-Za-z0-9_]+$")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MUSE: Final = {"news": ("muse-bench/MUSE-News", "raw"), "books": ("muse-bench/MUSE-Books", "raw")}


@dataclass(frozen=True, slots=True)
class Source:
    """Samples in order, and where they are from."""

    id: str
    """`locuslab/TOFU`, a hub id, or a file's name."""
    split: str
    """`forget10`; "" where there is none."""
    examples: tuple[Example, ...]
    """Without spans, unless the records carry them (then in `rows`)."""
    rows: tuple[Mapping[str, Any], ...]
    """The records as they were read, one for each example."""
    places: tuple[str, ...]
    """Where each record stands, e.g. `people.jsonl, line 3`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, prompts and texts."""
        return fingerprint((e.id, e.prompt, e.text) for e in self.examples)

    def provenance(self) -> dict[str, Any]:
        """What an annotation set records of its samples."""
        return {"id": self.id, "split": self.split, "fingerprint": self.fingerprint, "examples": len(self.examples)}


def load(
    spec: str,
    *,
    data_dir: str | Path | None = None,
    prompt_field: str | None = None,
    text_field: str | None = None,
    limit: int | None = None,
) -> Source:
    """Read the samples that `spec` names (see this file's head).

    Args:
        spec: what to read.
        data_dir: folder with local copies of benchmark files; by default `TIF_DATA_DIR`.
        prompt_field: field that holds the prompt.
        text_field: field that holds the text; with it and no `prompt_field`, prompts are "".
        limit: at most so many records, from the start.

    Raises:
        InputError: for a malformed file, naming file, line and field.
        MissingError: if the data is neither here nor to be fetched.
        UsageError: for a spec that names nothing tif knows.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} leaves nothing to read", hint="Give 1 or more.")
    id_, split, prefix, records = _open(spec, data_dir)
    examples: list[Example] = []
    rows: list[Mapping[str, Any]] = []
    places: list[str] = []
    seen: dict[str, str] = {}
    for place, row in records:
        if limit is not None and len(examples) == limit:
            break
        try:
            example = _example(row, f"{prefix}/{len(examples):04d}", prompt_field, text_field)
        except InputError as error:
            raise error.within(place) from None
        if example.id in seen:
            raise InputError(f"id {example.id!r} occurs twice", where=place, why=f"first at {seen[example.id]}")
        seen[example.id] = place
        examples.append(example)
        rows.append(row)
        places.append(place)
    if not examples:
        raise InputError("holds no records", where=spec)
    return Source(id_, split, tuple(examples), tuple(rows), tuple(places))


def default_name(spec: str) -> str:
    """The annotation set's name for a source: `tofu:forget10` -> `tofu10`, `people.jsonl` -> `people`."""
    if match := re.fullmatch(r"tofu:forget(\d+)", spec):
        return f"tofu{match[1]}"
    if is_file(spec):
        return Path(spec).name.removesuffix(Path(spec).suffix)
    return re.sub(r"[^A-Za-z0-9_]+", "-", spec).strip("-").lower()


def spec_of(dataset: Mapping[str, Any]) -> str | None:
    """The spec that names a set's samples again, out of its provenance; None for a local file."""
    id_, split = str(dataset.get("id", "")), str(dataset.get("split", ""))
    if id_ == "locuslab/TOFU":
        return f"tofu:{split}"
    for name, (hub_id, _) in _MUSE.items():
        if id_ == hub_id:
            return f"muse:{name}"
    return f"{id_}:{split}" if split and _HUB_ID.fullmatch(id_) else None


def is_file(spec: str) -> bool:
    """Whether `spec` names a local file rather than a benchmark or a hub data set."""
    return Path(spec).suffix.lower() in SUFFIXES or Path(spec).is_file()


def find_local(name: str, data_dir: str | Path | None, *folders: str) -> Path | None:
    """`name` (without suffix) under the data folder or one of its sub-`folders`; None if it is not there."""
    root = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise MissingError(f"data folder {root} does not exist", hint=f"Mend --data-dir or {DATA_DIR_VARIABLE}.")
    candidates = (Path(root, folder, name + suffix) for folder in ("", *folders) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_records(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, record) of a local .jsonl, .json, .csv or .parquet, e.g. `("a.jsonl, line 3", {...})`.

    Raises:
        InputError: for what cannot be read, naming file and line or record.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path)
        return
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        yield from _csv(path, text)
    elif path.suffix.lower() == ".json" and text.lstrip()[:1] == "[":
        yield from _json_array(path, text)
    else:
        yield from _json_lines(path, text)


# --- which records -----------------------------------------------------------------------------------------------


def _open(spec: str, data_dir: str | Path | None) -> tuple[str, str, str, Iterable[tuple[str, Mapping[str, Any]]]]:
    if is_file(spec):
        return Path(spec).name, "", default_name(spec), read_records(spec)
    scheme, _, name = spec.partition(":")
    if scheme == "tofu":
        if not _TOFU.match(name):
            raise UsageError(f"{spec!r} names no TOFU split", hint="For example tofu:forget10 or tofu:retain90.")
        local = find_local(name, data_dir, "tofu")
        if local is not None:
            return "locuslab/TOFU", name, f"tofu/{name}", read_records(local)
        return "locuslab/TOFU", name, f"tofu/{name}", _hub("locuslab/TOFU", name, "train", f"{name}.json")
    if scheme == "muse":
        if name not in _MUSE:
            raise UsageError(f"{spec!r} names no MUSE corpus", hint=f"Known: {', '.join(f'muse:{n}' for n in _MUSE)}.")
        local = find_local("forget", data_dir, "raw", f"muse_{name}/raw")
        hub_id, config = _MUSE[name]
        if local is not None:
            return hub_id, "forget", f"muse/{name}", read_records(local)
        return hub_id, "forget", f"muse/{name}", _hub(hub_id, config, "forget", "raw/forget.json")
    hub_id, _, split = spec.partition(":")
    if _HUB_ID.fullmatch(hub_id):
        split = split or "train"
        return hub_id, split, f"{hub_id}/{split}", _hub(hub_id, None, split, f"{split}.jsonl")
    raise UsageError(
        f"{spec!r} names no source",
        hint="Give tofu:forget10, muse:news, a hub id owner/name[:split], or a .jsonl/.json/.csv/.parquet file.",
    )


def _hub(hub_id: str, config: str | None, split: str, local: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    instead = f"A local copy serves too: put {local} into a folder and give it as --data-dir or {DATA_DIR_VARIABLE}."
    try:
        import datasets
    except ImportError:
        hint = f"{install_hint('hub')}. {instead}"
        raise MissingError(f"reading {hub_id} needs the datasets package", hint=hint) from None
    try:
        loaded = datasets.load_dataset(hub_id, config, split=split)
    except Exception as error:  # the library raises a wide family: connection, authorisation, unknown split, parsing
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise MissingError(f"{hub_id} ({split}) cannot be loaded from the hub", why=why, hint=instead) from None
    for number, row in enumerate(loaded, start=1):
        yield f"{hub_id}, {split}, record {number}", row


def _example(row: Mapping[str, Any], default_id: str, prompt_field: str | None, text_field: str | None) -> Example:
    prompt_name, text_name = _fields(row, prompt_field, text_field)
    prompt = "" if prompt_name is None else _text(row, prompt_name)
    text = _text(row, text_name)
    if not text.strip():
        raise InputError("is empty", where=text_name)
    id_ = row.get("id", default_id)
    return Example(str(id_) if type(id_) is int else id_, prompt, text)


def _fields(row: Mapping[str, Any], prompt_field: str | None, text_field: str | None) -> tuple[str | None, str]:
    if text_field is not None:
        return prompt_field, text_field
    for prompt_name, text_name in PAIRS:
        if text_name in row and (prompt_field or prompt_name) in row:
            return prompt_field or prompt_name, text_name
    for text_name in TEXTS:
        if text_name in row:
            return prompt_field, text_name
    raise InputError(
        "no field that holds the text",
        why=f"fields: {', '.join(map(str, row)) or 'none'}",
        hint="Say which with --text-field (and --prompt-field).",
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise InputError(f"no field {name!r}", why=f"fields: {', '.join(map(str, row)) or 'none'}")
    value = row[name]
    if not isinstance(value, str):
        raise InputError(f"is {type(value).__name__}, not text", where=name)
    return value


# --- file formats ------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """A UTF-8 file, not a character changed but for a byte-order mark at its head.

    Raises:
        InputError: for what is missing, a folder, or not UTF-8, naming the line.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except IsADirectoryError:
        raise InputError("is a folder", where=str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError("is not UTF-8", where=(str(path), f"line {line}"), why=error.reason) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None


def parse_json(text: str) -> Any:
    """`json.loads` that refuses what JSON does not have (NaN, repeated keys) and nesting without end.

    Raises:
        InputError: with the reason.
    """
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise InputError("is not JSON", why=f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise InputError("is not JSON", why="nested too deeply") from None
    except ValueError as error:  # Python's limit on the digits of an integer
        raise InputError("is not JSON", why=str(error)) from None


def read_json(path: Path) -> Any:
    """One JSON document in a file.

    Raises:
        InputError: for what cannot be read or parsed, naming the file.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except InputError as error:
        raise error.within(str(path)) from None


def _no_constant(name: str) -> Any:
    raise InputError(f"holds {name}, which JSON does not have")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"field {twice!r} occurs twice")
    return found


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Not splitlines(): U+2028 and its like are ordinary characters inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                row = parse_json(line)
            except InputError as error:
                raise error.within(place) from None
            yield place, _record(row, place)


def _json_array(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        rows = parse_json(text)
    except InputError as error:
        raise error.within(str(path)) from None
    for number, row in enumerate(rows, start=1):
        place = f"{path}, record {number}"
        yield place, {"text": row} if isinstance(row, str) else _record(row, place)


def _record(row: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InputError(f"is {type(row).__name__}, not an object", where=place)
    return row


def _csv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Texts are longer than the 128 KiB that the module takes for a mistake.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"has two columns {twice[0]!r}", where=f"{path}, line 1", hint="Rename one of them.")
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"has not {len(reader.fieldnames or [])} columns like the header", where=place)
            yield place, row
    except csv.Error as error:
        raise InputError("is not CSV", where=f"{path}, line {reader.reader.line_num}", why=str(error)) from None


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        table.validate(full=True)
        batches = [batch.to_pylist() for batch in table.to_batches()]
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError("cannot be read as parquet", where=str(path), why=str(error)[:160]) from None
    for number, row in enumerate((row for batch in batches for row in batch), start=1):
        yield f"{path}, record {number}", row


__all__ = [
    "DATA_DIR_VARIABLE",
    "Source",
    "default_name",
    "find_local",
    "is_file",
    "load",
    "parse_json",
    "read_json",
    "read_records",
    "read_text",
    "spec_of",
]
