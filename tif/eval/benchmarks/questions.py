"""What a question-answering benchmark asks: rows with a right answer, its paraphrase, and wrong answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tif import sources
from tif.console import warn
from tif.errors import InputError
from tif.spans import AnnotationSet, Example, Span

UTILITY_PARTS: Final = ("retain", "real_authors", "world_facts")
FILES: Final = {
    "retain": "retain_perturbed",
    "real_authors": "real_authors_perturbed",
    "world_facts": "world_facts_perturbed",
}
"""TOFU's files of the parts that are to be kept."""
_TOFU_AUTHORS: Final = ("forget", "retain")
"""TOFU's parts about invented authors."""
_TOFU_QUESTIONS: Final = 20
"""TOFU asks so many questions in a row about each of them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question.

    Raises:
        InputError: for an empty question or answer.
    """

    id: str
    question: str
    answer: str
    paraphrased: tuple[str, ...] = ()
    """The right answer in other words."""
    perturbed: tuple[str, ...] = ()
    """Wrong answers of the same form."""
    spans: tuple[Span, ...] = ()
    """What is unwanted in `answer`."""
    annotated: bool = False
    """Whether an annotation set knows this row: one without spans is not the same as one that nobody looked at."""
    subject: str | None = None
    """Whom the question is about, where the data says so."""

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            if not getattr(self, name).strip():
                raise InputError("is empty", where=(f"record {self.id!r}", name))

    def texts(self) -> list[Example]:
        """All that is to be scored: the answer, its paraphrases (`ID#p0`), the wrong answers (`ID#w0`, ...)."""
        others = [(f"#p{i}", text) for i, text in enumerate(self.paraphrased)]
        others += [(f"#w{i}", text) for i, text in enumerate(self.perturbed)]
        return [
            Example(self.id, self.question, self.answer, self.spans),
            *(Example(self.id + suffix, self.question, text) for suffix, text in others),
        ]


def from_record(record: Mapping[str, Any], id_: str) -> Row:
    """A row from `question`, `answer` and, where there, `paraphrased_answer`, `perturbed_answer` and `subject`.

    Raises:
        InputError: for a field that is absent or of another type, naming it.
    """
    question, answer = (_strings(record, name) for name in ("question", "answer"))
    subject = _strings(record, "subject", optional=True)
    for name, texts in (("question", question), ("answer", answer), ("subject", subject or ("",))):
        if len(texts) != 1:
            raise InputError("must be one text", where=name, why=f"it holds {len(texts)}")
    return Row(
        id_,
        question[0],
        answer[0],
        _strings(record, "paraphrased_answer", optional=True),
        _strings(record, "perturbed_answer", optional=True),
        subject=subject[0] if subject else None,
    )


def read(spec: str, part: str, *, data_dir: str | Path | None = None, limit: int | None = None) -> tuple[Row, ...]:
    """The rows of a source that `tif.sources` knows, ids counted within `part`: a local JSONL file or `tofu:NAME`.

    Raises:
        InputError, MissingError, UsageError: as `tif.sources.load`.
    """
    found = sources.load(spec, data_dir=data_dir, limit=limit)
    rows = []
    for index, (record, place) in enumerate(zip(found.rows, found.places, strict=True)):
        try:
            rows.append(from_record(record, f"{part}/{index:04d}"))
        except InputError as error:
            raise error.within(place) from None
    return tuple(rows)


def tofu(forget: str, *, data_dir: str | Path | None = None, limit: int | None = None) -> dict[str, tuple[Row, ...]]:
    """TOFU's four parts. A part whose file is not in the data folder is left out, with a warning.

    Args:
        forget: `forget01`, `forget05` or `forget10`.
        data_dir: folder with TOFU's files, or with a folder `tofu` of them; None for `TIF_DATA_DIR` or the hub.
        limit: at most so many rows of each part.

    Raises:
        MissingError: if the forget split is not there.
    """
    found: dict[str, tuple[Row, ...]] = {}
    local = sources.find_local(forget, data_dir, "tofu") or sources.find_local(f"{forget}_perturbed", data_dir, "tofu")
    for part, name in {"forget": f"{forget}_perturbed", **FILES}.items():
        if local and sources.find_local(name, data_dir, "tofu") is None:
            if part != "forget":
                warn(f"{name}.json is not in the data folder: no numbers for {part}, and no model utility")
                continue
            warn(f"{name}.json is not in the data folder: no truth ratio of {forget}, and no forget quality")
            name = forget
        rows = read(f"tofu:{name}", part, data_dir=data_dir, limit=limit)
        if part in _TOFU_AUTHORS:
            rows = tuple(replace(row, subject=f"author {at // _TOFU_QUESTIONS}") for at, row in enumerate(rows))
        found[part] = rows
    return found


def annotate(rows: Sequence[Row], annotations: AnnotationSet) -> tuple[Row, ...]:
    """Rows with the spans of the example that asks and answers the same; rows that the set does not hold stay bare."""
    known = {(e.prompt, e.text): e for e in annotations if e.status != "failed"}
    return tuple(
        replace(r, spans=known[r.question, r.answer].spans, annotated=True) if (r.question, r.answer) in known else r
        for r in rows
    )


def _strings(record: Mapping[str, Any], name: str, *, optional: bool = False) -> tuple[str, ...]:
    if name not in record or record[name] is None:
        if optional:
            return ()
        raise InputError(f"no field {name!r}", why=f"fields: {', '.join(map(str, record)) or 'none'}")
    value = record[name]
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(text, str) for text in values):
        raise InputError("is neither a text nor a list of texts", where=name)
    return tuple(values)


__all__ = ["FILES", "UTILITY_PARTS", "Row", "annotate", "from_record", "read", "tofu"]
