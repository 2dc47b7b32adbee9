"""Questions of a benchmark: rows with a right answer, its paraphrases, and wrong answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

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
"""TOFU's files for the parts other than the forget set."""
_TOFU_AUTHORS: Final = ("forget", "retain")
"""TOFU's parts about invented authors."""
_TOFU_QUESTIONS: Final = 20
"""Number of consecutive questions about each TOFU author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question and its answers, or one plain text.

    Raises:
        InputError: for a blank question or answer.
    """

    id: str
    question: str
    """"" for plain text."""
    answer: str
    """The right answer, or the plain text."""
    paraphrased: tuple[str, ...] = ()
    """The right answer in other words."""
    paraphrased_questions: tuple[str, ...] = ()
    """The question in other words."""
    perturbed: tuple[str, ...] = ()
    """Wrong answers of the same form."""
    spans: tuple[Span, ...] = ()
    """Spans of `answer`."""
    annotated: bool = False
    """Whether an annotation set contains this row. A row that it contains may have no spans."""
    subject: str | None = None
    """The person the question is about; None if the data does not name one."""

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            value = getattr(self, name)
            if not value.strip() and not (name == "question" and self.plain):
                raise InputError("is empty", where=(f"record {self.id!r}", name))

    @property
    def plain(self) -> bool:
        """Whether the row is a plain text, without a question."""
        return not self.question

    def texts(self) -> list[Example]:
        """Return all texts to score: answer (`ID`), paraphrases (`ID#p0`, ...) and wrong answers (`ID#w0`, ...)."""
        others = [(f"#p{i}", text) for i, text in enumerate(self.paraphrased)]
        others += [(f"#w{i}", text) for i, text in enumerate(self.perturbed)]
        return [
            Example(self.id, self.question, self.answer, self.spans),
            *(Example(self.id + suffix, self.question, text) for suffix, text in others),
        ]


def read(
    spec: str,
    part: str,
    *,
    data_dir: str | Path | None = None,
    prompt_field: str | None = None,
    text_field: str | None = None,
    encoding: str | None = None,
    limit: int | None = None,
    plain: bool = False,
) -> tuple[Row, ...]:
    """Return the rows of a `tif.sources` source, such as a local JSONL file or `tofu:NAME`. Ids count within `part`.

    Question and answer are prompt and text of the sample. A record may also have `paraphrased_answer`,
    `paraphrased_question`, `perturbed_answer` and `subject`. With `plain`, samples of plain text are allowed too.

    Raises:
        InputError: for a question that is empty, or one of these fields with another type.
        MissingError, UsageError: as `tif.sources.load`, whose arguments these are.
    """
    source = sources.load(
        spec, data_dir=data_dir, prompt_field=prompt_field, text_field=text_field, encoding=encoding, limit=limit
    )
    rows = []
    for index, (example, record, place) in enumerate(zip(source.examples, source.rows, source.places, strict=True)):
        try:
            row = _row(example, record, f"{part}/{index:04d}")
            if row.plain and not plain:
                raise InputError(
                    "is empty", where=(f"record {row.id!r}", "question"),
                    hint="To evaluate plain text, give its annotation set: --benchmark set --masks SET.",
                )  # fmt: skip
            rows.append(row)
        except InputError as error:
            raise error.within(place) from None
    return tuple(rows)


def tofu(forget: str, *, data_dir: str | Path | None = None, limit: int | None = None) -> dict[str, tuple[Row, ...]]:
    """Return the rows of TOFU's four parts. A part without a file in the data folder is skipped with a warning.

    Args:
        forget: `forget01`, `forget05` or `forget10`.
        data_dir: folder that contains TOFU's files or a folder `tofu` with them; None for `TIF_DATA_DIR` or the hub.
        limit: use only the first `limit` rows of each part.

    Raises:
        MissingError: if the forget split does not exist.
    """
    parts: dict[str, tuple[Row, ...]] = {}
    local = sources.find_local(forget, data_dir, "tofu") or sources.find_local(f"{forget}_perturbed", data_dir, "tofu")
    for part, name in {"forget": f"{forget}_perturbed", **FILES}.items():
        if local and sources.find_local(name, data_dir, "tofu") is None:
            if part != "forget":
                warn(f"{name}.json is not in the data folder: no numbers for {part}, and no model utility")
                continue
            warn(f"{name}.json is not in the data folder: no truth ratio for {forget}, and no forget quality")
            name = forget
        rows = read(f"tofu:{name}", part, data_dir=data_dir, limit=limit)
        if part in _TOFU_AUTHORS:
            rows = tuple(replace(row, subject=f"author {at // _TOFU_QUESTIONS}") for at, row in enumerate(rows))
        parts[part] = rows
    return parts


def annotate(rows: Sequence[Row], annotations: AnnotationSet) -> tuple[Row, ...]:
    """Return the rows with the spans of the example that has the same question and answer, if there is one."""
    known = {(e.prompt, e.text): e for e in annotations if e.status != "failed"}
    return tuple(
        replace(r, spans=known[r.question, r.answer].spans, annotated=True) if (r.question, r.answer) in known else r
        for r in rows
    )


def paraphrase(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with each question in the data's own other words, as open-unlearning's `question_key` asks.

    Raises:
        InputError: for a row without a paraphrased question.
    """
    for row in rows:
        if not row.paraphrased_questions or not row.paraphrased_questions[0].strip():
            raise InputError(
                "has no paraphrased question", where=(f"record {row.id!r}", "paraphrased_question"),
                hint="Remove --question-key, or use TOFU's files, such as forget10_perturbed.json.",
            )  # fmt: skip
    return tuple(replace(row, question=row.paraphrased_questions[0]) for row in rows)


def matched(rows: Sequence[Row], annotations: AnnotationSet) -> bool:
    """Return whether the set has an example with the question and answer of some row."""
    known = {(e.prompt, e.text) for e in annotations if e.status != "failed"}
    return any((row.question, row.answer) in known for row in rows)


def _row(example: Example, record: Mapping[str, object], id_: str) -> Row:
    subject = _strings(record, "subject")
    if len(subject) > 1:
        raise InputError("must be one text", where="subject", why=f"it has {len(subject)} texts")
    return Row(
        id=id_,
        question=example.prompt,
        answer=example.text,
        paraphrased=_strings(record, "paraphrased_answer"),
        paraphrased_questions=_strings(record, "paraphrased_question"),
        perturbed=_strings(record, "perturbed_answer"),
        subject=subject[0] if subject else None,
    )


def _strings(record: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = record.get(name)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(text, str) for text in values):
        raise InputError("must be a text or a list of texts", where=name)
    return tuple(values)


__all__ = ["FILES", "UTILITY_PARTS", "Row", "annotate", "matched", "paraphrase", "read", "tofu"]
