"""Where samples come from: TOFU, MUSE, a hub data set, or a local file.

    tofu:forget10          hub `locuslab/TOFU`, or `forget10.json` under --data-dir / TIF_DATA_DIR
    muse:news              hub `muse-bench/MUSE-News`, or `raw/forget.json` there
    owner/name[:split]     any hub data set
    people.jsonl           a local .jsonl, .json, .csv, .parquet, .txt or .md
    letters/               a folder of .txt and .md files, or of `save_to_disk`

A record is a question and an answer, a text, or a chat, of which each assistant turn is a sample. `tif.readers.fields`
recognises the usual field names; `--prompt-field` and `--text-field` name other fields. Files are read without changing
a character: no newline translation, no normalising.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from tif.console import warn
from tif.errors import InputError, MissingError, UsageError, kind_of
from tif.options import Written, shortest
from tif.packages import install_hint
from tif.readers import Row, check_encoding, is_arrow_folder, is_text_folder, read_records
from tif.readers.chat import chat_samples
from tif.readers.fields import Fields
from tif.spans import Dataset, Example, fingerprint

DATA_DIR_VARIABLE: Final = "TIF_DATA_DIR"
SUFFIXES: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")

_TOFU = re.compile(r"^[A-Za-z0-9_]+$")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MUSE: Final = {"news": ("muse-bench/MUSE-News", "raw"), "books": ("muse-bench/MUSE-Books", "raw")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Samples in order, and where they come from."""

    id: str
    """`locuslab/TOFU`, a hub id, or a file's name."""
    split: str
    """`forget10`; "" if there is none."""
    examples: tuple[Example, ...]
    """Without spans, unless the records carry them (then in `rows`)."""
    rows: tuple[Row, ...]
    """The records as they were read, one for each example."""
    places: tuple[str, ...]
    """The place of each record, e.g. `people.jsonl, line 3`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, prompts and texts."""
        return fingerprint((e.id, e.prompt, e.text) for e in self.examples)

    @property
    def dataset(self) -> Dataset:
        """The samples as an annotation set records them."""
        return Dataset(id=self.id, split=self.split, fingerprint=self.fingerprint, examples=len(self.examples))


def load(
    spec: str,
    *,
    data_dir: str | Path | None = None,
    prompt_field: str | None = None,
    text_field: str | None = None,
    encoding: str | None = None,
    limit: int | None = None,
) -> Source:
    """Read the samples that `spec` names (see the module docstring).

    Args:
        spec: the data set or file.
        data_dir: folder with local copies of benchmark files; by default `TIF_DATA_DIR`.
        prompt_field: field that holds the prompt; several with commas are joined with line breaks; "" means plain text.
        text_field: field that holds the text.
        encoding: of your text files, if they are neither UTF-8 nor UTF-16 with a byte-order mark.
        limit: read at most this many records.

    Raises:
        InputError: for a malformed file, naming file, line and field.
        MissingError: if the data is not on this machine and cannot be fetched.
        UsageError: for an unknown spec or encoding.
    """
    if encoding is not None:
        check_encoding(encoding)
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} reads no records", hint="Give a limit of 1 or more.")
    fields = Fields.named(prompt_field, text_field)
    id_, split, prefix, records = _open(spec, data_dir, encoding)
    examples: list[Example] = []
    rows: list[Row] = []
    places: list[str] = []
    seen: dict[str, str] = {}
    for place, row in _samples(records, fields):
        if limit is not None and len(examples) == limit:
            break
        try:
            example = _example(row, f"{prefix}/{len(examples):04d}", fields)
        except InputError as error:
            raise error.within(place) from None
        if example.id in seen:
            raise InputError(f"id {example.id!r} occurs twice", where=place, why=f"first at {seen[example.id]}")
        seen[example.id] = place
        examples.append(example)
        rows.append(row)
        places.append(place)
    if not examples:
        raise InputError("contains no records", where=spec)
    return Source(id=id_, split=split, examples=tuple(examples), rows=tuple(rows), places=tuple(places))


def _samples(records: Iterable[tuple[str, Row]], fields: Fields) -> Iterator[tuple[str, Row]]:
    """Yield the records; of a chat, one for each assistant turn. System messages and long dialogues are told.

    Raises:
        InputError: for chats with different system messages, which no option of training can give.
    """
    system: tuple[str, str] | None = None
    answers = longer = 0
    try:
        for place, row in records:
            field = fields.chat(row)
            if field is None:
                yield place, row
                continue
            for sample in chat_samples(place, row, field):
                if system is None:
                    system = sample.place, sample.system
                    if sample.system:
                        shown = _quoted(sample.system)
                        warn(f"prompts lack the system message. Give masks, train and eval --system-prompt {shown}")
                elif system[1] != sample.system:
                    raise InputError(
                        "has another system message than the first chat",
                        where=sample.place,
                        why=f"{system[0]} has {_quoted(system[1])}, this one {_quoted(sample.system)}",
                        hint="Make a file for each system message. Each training run gives one, with --system-prompt.",
                    )
                answers += 1
                longer += sample.turns > 1
                yield sample.place, sample.row
    finally:
        if longer:
            warn(
                f"{longer} of {answers} answers have several turns before them. Their prompt is the dialogue as text, "
                "`User: ...`, `Assistant: ...`, in one user turn"
            )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...") if text else "none"


def default_name(spec: str) -> str:
    """Return the annotation set's name for a source: `tofu:forget10` -> `tofu10`, `people.jsonl` -> `people`."""
    if match := re.fullmatch(r"tofu:forget(\d+)", spec):
        return f"tofu{match[1]}"
    if is_file(spec) or is_arrow_folder(spec) or is_text_folder(spec):
        name = Path(spec).resolve().name.removesuffix(".gz")
        if Path(spec).is_dir():
            return name
        return name.removesuffix(Path(name).suffix)
    return re.sub(r"[^A-Za-z0-9_]+", "-", spec).strip("-").lower()


def spec_of(dataset: Dataset) -> str | None:
    """Return the spec of a set's samples, from its provenance; None for a local file."""
    if dataset.id == "locuslab/TOFU":
        return f"tofu:{dataset.split}"
    for name, (hub_id, _) in _MUSE.items():
        if dataset.id == hub_id:
            return f"muse:{name}"
    return f"{dataset.id}:{dataset.split}" if dataset.split and _HUB_ID.fullmatch(dataset.id) else None


def is_file(spec: str) -> bool:
    """Whether `spec` names a local file rather than a benchmark or a hub data set."""
    return Path(spec).suffix.lower() in SUFFIXES or Path(spec).is_file()


def find_local(name: str, data_dir: str | Path | None, *folders: str) -> Path | None:
    """Find `name` (without suffix) in the data folder or one of its sub-`folders`; None if it is not there."""
    root = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise MissingError(f"data folder {root} does not exist", hint=f"Correct --data-dir or {DATA_DIR_VARIABLE}.")
    candidates = (Path(root, folder, name + suffix) for folder in ("", *folders) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


# --- which records -----------------------------------------------------------------------------------------------


def _open(
    spec: str, data_dir: str | Path | None, encoding: str | None
) -> tuple[str, str, str, Iterable[tuple[str, Row]]]:
    if is_file(spec) or is_arrow_folder(spec) or is_text_folder(spec):
        return Path(spec).resolve().name, "", default_name(spec), read_records(spec, encoding=encoding)
    scheme, _, name = spec.partition(":")
    if scheme == "tofu":
        if not _TOFU.match(name):
            raise UsageError(f"{spec!r} is not a TOFU split", hint="Use for example tofu:forget10 or tofu:retain90.")
        local = find_local(name, data_dir, "tofu")
        if local is not None:
            return "locuslab/TOFU", name, f"tofu/{name}", read_records(local)
        return "locuslab/TOFU", name, f"tofu/{name}", _hub("locuslab/TOFU", name, "train", f"{name}.json")
    if scheme == "muse":
        if name not in _MUSE:
            raise UsageError(f"{spec!r} is not a MUSE corpus", hint=f"Known: {', '.join(f'muse:{n}' for n in _MUSE)}.")
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
        f"{spec!r} is not a data set",
        hint="Give tofu:forget10, muse:news, a hub id owner/name[:split], a .jsonl/.json/.csv/.parquet/.txt/.md file, "
        "or a folder of .txt and .md files.",
    )


def _hub(hub_id: str, config: str | None, split: str, local: str) -> Iterator[tuple[str, Row]]:
    instead = f"Or put {local} into a folder and name the folder with --data-dir or {DATA_DIR_VARIABLE}."
    try:
        import datasets
    except ImportError:
        hint = f"{install_hint('hub')}. {instead}"
        raise MissingError(f"reading {hub_id} needs the datasets package", hint=hint) from None
    # The library logs each retry; the error line below already gives the failure.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        loaded = datasets.load_dataset(hub_id, config, split=split)
    except Exception as error:  # the library raises a wide family: connection, authorisation, unknown split, parsing
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise MissingError(
            f"{hub_id} ({config or split}) cannot be loaded from the hub", why=why, hint=instead
        ) from None
    for number, row in enumerate(loaded, start=1):
        yield f"{hub_id}, {split}, record {number}", row


def _example(row: Row, default_id: str, fields: Fields) -> Example:
    prompt, text = fields.read(row)
    id_ = row.get("id", default_id)
    return Example(id_ if isinstance(id_, str) else _number(id_), prompt, text)


def _number(id_: object) -> str:
    if type(id_) is not int:
        raise InputError(f"is {kind_of(id_)}, not text", where="id")
    return str(id_)


@dataclass(frozen=True, slots=True)
class Keep(Written):
    """A source of samples to keep, and its weight in a mixture. `Keep.of` reads one."""

    source: str
    weight: float = 1.0
    """The share of this source in what is drawn, relative to the other sources' weights, whatever their sizes."""

    @classmethod
    def of(cls, text: str) -> Keep:
        """`tofu:retain95`, or with a weight `tofu:retain95=3`.

        Raises:
            UsageError: for a weight that is not above 0.
        """
        source, equals, tail = text.rpartition("=")
        try:
            weight = float(tail) if equals and source else math.nan
        except ValueError:
            weight = math.nan
        if math.isnan(weight):
            return cls(text)
        if not 0 < weight < math.inf:
            raise UsageError(f"{text!r} has a weight that is not above 0", hint="Leave the source out, or weigh it 1.")
        return cls(source, weight)

    def __str__(self) -> str:
        plain = Keep.of(self.source) == self if self.weight == 1 else False
        return self.source if plain else f"{self.source}={shortest(self.weight)}"


def several(value: object) -> object:
    """Return the value as several. Config files and records of an older tif have one source alone, or none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | Keep) else value


Keeps = Annotated[tuple[Keep, ...], BeforeValidator(several)]


__all__ = [
    "DATA_DIR_VARIABLE",
    "Keep",
    "Keeps",
    "Source",
    "default_name",
    "find_local",
    "is_file",
    "load",
    "several",
    "spec_of",
]
