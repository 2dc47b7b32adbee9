"""LUME's files (SemEval-2025 Task 4): `forget` and `retain`, and `member` and `nonmember` for membership inference.

    data = LumeFiles("lume").read()
    data.splits["forget"][0].question           the words that the model continues, or the question
    data.items["forget/1234sc1"].task           "Task1"

An id is a document's id with `sc1` (continue the document) or `qa0`, `qa1`, ... (answer a question). Task 2's questions
ask for a birth date, an SSN, a phone number, an e-mail address and an address, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

from tif.errors import InputError, MissingError
from tif.eval.benchmarks.questions import Row
from tif.eval.measure.lume import PARTS, Kind, Part, Task
from tif.eval.measure.personal import ValueType, mentions
from tif.readers import read_records
from tif.sources import find_local
from tif.spans import Span

_ID: Final = re.compile(r"(?P<document>.*)(?P<kind>sc|qa)(?P<number>\d+)", re.DOTALL)
_TASK: Final = re.compile(r"\s*task\s*(\d)\s*", re.IGNORECASE)
_TYPES: Final[tuple[ValueType, ...]] = get_args(ValueType)
"""The types of Task 2's questions, in the order of their numbers."""
_FOLDERS: Final = ("lume", "pii/lume", "data", "lume/data")
_MEMBER_FOLDERS: Final = tuple(
    f"{folder}{name}" for folder in ("", *(f"{f}/" for f in _FOLDERS)) for name in ("mia_data", "mia", "")
)
ANSWER: Final = "ANSWER"
"""Label of an answer that is not a personal value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a row is, from its id and task."""

    task: Task
    kind: Kind
    document: str
    """The document's id. Rows of one document share it."""
    value_type: ValueType | None = None
    """The type of the value that a question of Task 2 asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LumeData:
    """LUME's rows."""

    splits: Mapping[Part, tuple[Row, ...]]
    items: Mapping[str, Item]
    """By row id."""
    values: Mapping[str, Mapping[ValueType, str]] = field(default_factory=dict)
    """Task 2: each person's values, by part and document (`forget/1234`)."""


@dataclass(frozen=True, slots=True)
class LumeFiles:
    """Where LUME's files are, and how much of them to use."""

    data_dir: str | Path | None
    """Folder with `forget.jsonl` and `retain.jsonl`, or with a folder `lume` or `data` that has them."""
    limit: int | None = None
    """Use only the first documents of each task and part."""

    def path(self, part: Part) -> Path:
        """Return the file of a part.

        Raises:
            MissingError: if it does not exist.
        """
        path = find_local(part, self.data_dir, *_FOLDERS)
        if path is None:
            raise MissingError(
                f"{part}.jsonl is not in the data folder",
                hint="Download LUME's data/forget.jsonl and data/retain.jsonl "
                "(github.com/amazon-science/lume-llm-unlearning), and give their folder as --data-dir.",
            )
        return path

    def read(self) -> LumeData:
        """Read both parts. Task 2's values and all answers are marked as spans.

        Raises:
            MissingError: if a file does not exist.
            InputError: for a record that lacks a field, or an id or task that is not LUME's.
        """
        splits: dict[Part, tuple[Row, ...]] = {}
        items: dict[str, Item] = {}
        values: dict[str, dict[ValueType, str]] = {}
        for part in PARTS:
            records = self._records(part)
            for row, item in records:
                if item.value_type is not None:
                    values.setdefault(f"{part}/{item.document}", {})[item.value_type] = row.answer
            splits[part] = tuple(_marked(row, item, values.get(f"{part}/{item.document}", {})) for row, item in records)
            items |= {row.id: item for row, item in records}
        return LumeData(splits=splits, items=items, values=values)

    def documents(self) -> tuple[dict[str, str], dict[str, str]] | None:
        """Return the documents of members and of nonmembers by id; None if neither file exists.

        Raises:
            MissingError: if only one of the files exists.
            InputError: for a record without a text.
        """
        paths = {name: find_local(name, self.data_dir, *_MEMBER_FOLDERS) for name in ("member", "nonmember")}
        if not any(paths.values()):
            return None
        texts: list[dict[str, str]] = []
        for name, path in paths.items():
            if path is None:
                raise MissingError(
                    f"{name}.jsonl is not in the data folder", hint="Membership inference needs member and nonmember."
                )
            own: dict[str, str] = {}
            for place, record in read_records(path):
                text = record.get("document", record.get("text"))
                if not isinstance(text, str) or not text.strip():
                    raise InputError("has no text in field 'document'", where=place)
                own[f"{name}/{len(own):05d}"] = text
                if len(own) == self.limit:
                    break
            if not own:
                raise InputError("contains no records", where=str(path))
            texts.append(own)
        return texts[0], texts[1]

    def _records(self, part: Part) -> Sequence[tuple[Row, Item]]:
        """Return the rows of a part with their items, without the documents beyond the limit."""
        rows: list[tuple[Row, Item]] = []
        places: dict[str, str] = {}
        documents: dict[Task, dict[str, None]] = {}
        for place, record in read_records(self.path(part)):
            texts = {name: record.get(name) for name in ("id", "input", "output", "task")}
            for name, value in texts.items():
                if not isinstance(value, str) or not value.strip():
                    raise InputError(f"no text in field {name!r}", where=place)
            id_, opening, right, task = map(str, texts.values())
            item = _item(id_, task, place)
            if id_ in places:
                raise InputError(f"id {id_!r} occurs twice", where=place, why=f"first at {places[id_]}")
            places[id_] = place
            known = documents.setdefault(item.task, {})
            if item.document not in known and len(known) == self.limit:
                continue
            known[item.document] = None
            # Only Task 2 and Task 3 are about one person each.
            subject = None if item.task == "Task1" else item.document
            rows.append((Row(id=f"{part}/{id_}", question=opening, answer=right, subject=subject), item))
        if not rows:
            raise InputError("contains no records", where=str(self.path(part)))
        return rows


def _item(id_: str, task: str, place: str) -> Item:
    match, number = _ID.fullmatch(id_), _TASK.fullmatch(task)
    name = f"Task{number[1]}" if number else ""
    if name not in get_args(Task):
        raise InputError(f"task is {task!r}", where=place, why="LUME's tasks are Task1, Task2 and Task3")
    if match is None:
        raise InputError(
            f"id {id_!r} names no kind", where=place, why="LUME's ids end in sc1 (continuation) or qa0 (question)"
        )
    kind: Kind = "completion" if match["kind"] == "sc" else "question"
    at = int(match["number"])
    value_type = _TYPES[at] if name == "Task2" and kind == "question" and at < len(_TYPES) else None
    return Item(task=_task(name), kind=kind, document=match["document"].strip('"'), value_type=value_type)


def _task(name: str) -> Task:
    return next(task for task in get_args(Task) if task == name)


def _marked(row: Row, item: Item, values: Mapping[ValueType, str]) -> Row:
    """Return the row with its spans: an answer as a whole, and the person's values in a continuation of Task 2."""
    if item.kind == "question":
        start = len(row.answer) - len(row.answer.lstrip())
        spans = [Span(start, len(row.answer.rstrip()), item.value_type or ANSWER)]
    elif item.task == "Task2":
        spans = [
            Span(start, end, kind)
            for kind, value in values.items()
            for start, end in mentions(kind, value, row.answer)
        ]  # fmt: skip
    else:
        return row
    return Row(
        id=row.id, question=row.question, answer=row.answer, subject=row.subject,
        spans=tuple(sorted(spans, key=lambda span: (span.start, span.end))), annotated=True,
    )  # fmt: skip


__all__ = ["ANSWER", "Item", "LumeData", "LumeFiles"]
