"""The LUME benchmark (SemEval-2025 Task 4): its numbers from the completions of an evaluation, and its membership test.

    data = LumeFiles("lume").read()
    numbers, examples = summarise(evaluation.examples, data)
    numbers.task_aggregate

The model continues the raw text of `input`, without a template, for at most 256 tokens. `tif.eval.measure.lume` has the
formulas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tif.console import warn
from tif.eval.benchmarks.lume_files import Item, LumeData, LumeFiles
from tif.eval.benchmarks.texts import Inference, TextModel
from tif.eval.benchmarks.tofu import ExampleRow
from tif.eval.measure import privacy
from tif.eval.measure.lume import PARTS, LumeNumbers, Outcome, Part, ValueLeakage, exact_match, membership_score
from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.measure.personal import ValueType, mentioned
from tif.eval.record import EvalRecord
from tif.tokens.templates import TemplateSpec

MAX_NEW_TOKENS: Final = 256
TEMPLATE: Final = TemplateSpec.of("{prompt} {text}")
"""How scores and other forms of asking join input and output. Completions continue the input alone."""


def summarise(
    examples: Mapping[str, Sequence[ExampleRow]], data: LumeData
) -> tuple[LumeNumbers, dict[str, list[ExampleRow]]]:
    """Return LUME's numbers, and the rows with their task, kind and score.

    Args:
        examples: the rows of an evaluation by part, in the order of the data.
        data: LUME's rows.
    """
    outcomes: dict[Part, list[Outcome]] = {}
    rows: dict[str, list[ExampleRow]] = {}
    leakage: dict[Part, dict[ValueType, ValueLeakage]] = {}
    for part in PARTS:
        outcomes[part] = [_outcome(row, data.items[row["id"]]) for row in examples[part]]
        rows[part] = [
            {**row, "task": outcome.task, "kind": outcome.kind, "lume_score": outcome.score}
            for row, outcome in zip(examples[part], outcomes[part], strict=True)
        ]
        leakage[part] = _by_type(part, examples[part], data)
    texts = [[row["id"], row["question"], row["answer"]] for part in PARTS for row in examples[part]]
    digest = hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()
    return LumeNumbers.of(outcomes, leakage=leakage, texts_sha256=digest), rows


def add(
    record: EvalRecord,
    examples: Mapping[str, Sequence[ExampleRow]],
    data: LumeData,
    model: TextModel,
    files: LumeFiles,
    inference: Inference,
    retain: EvalRecord | None,
) -> tuple[EvalRecord, dict[str, list[ExampleRow]]]:
    """Return the record with LUME's numbers, and the rows with their task, kind and score.

    Args:
        record: the evaluation.
        examples: its rows by part.
        data: LUME's rows.
        model: the evaluated model.
        files: LUME's files.
        inference: the attacks that need more than scores.
        retain: the retain log; None if there is none.
    """
    numbers, rows = summarise(examples, data)
    attacks = membership(model, files, inference)
    if attacks is not None:
        attacks = attacks.beside(retain.membership if retain else None)
    numbers = with_membership(numbers, attacks)
    other = retain_numbers(numbers, retain)
    # A holdout set of the options was compared with the forget set; LUME's own files have precedence.
    return record.but(lume=numbers, membership=attacks or record.membership, retain_lume=other, per_example={}), rows


def membership(model: TextModel, files: LumeFiles, inference: Inference) -> Membership | None:
    """Return the AUC of each attack, members against nonmembers; None if their files do not exist.

    Args:
        model: the evaluated model.
        files: LUME's files.
        inference: the attacks that need more than scores.

    Raises:
        InputError, MissingError: as `LumeFiles.documents`.
    """
    documents = files.documents()
    if documents is None:
        return None
    members, others = documents
    sides = [
        model.membership(name, texts, inference)
        for name, texts in (("member", members), ("nonmember", others))
    ]  # fmt: skip
    areas = {
        name: privacy.auc(*([row[name] for row in side] for side in sides)) for name in sides[0][0] if name != "id"
    }
    texts = [*members.values(), *others.values()]
    return Membership(
        holdout="nonmember",
        forget_questions=len(members),
        holdout_questions=len(others),
        texts_sha256=hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest(),
        attacks={name: AttackArea(auc=area) for name, area in areas.items() if area is not None},
    )


def with_membership(numbers: LumeNumbers, attacks: Membership | None) -> LumeNumbers:
    """Return the numbers with the score of membership inference, or with the reason why there is none."""
    if attacks is None:
        return replace(numbers, membership_score_reason="no member.jsonl and nonmember.jsonl in the data folder")
    if "loss" not in attacks.attacks:
        return replace(numbers, membership_score_reason="no document has two tokens")
    return replace(numbers, membership_score=membership_score(attacks.attacks["loss"].auc))


def retain_numbers(numbers: LumeNumbers, retain: EvalRecord | None) -> LumeNumbers | None:
    """Return the retain model's numbers; None, with a warning, if its log is of other texts.

    Args:
        numbers: the evaluated model's.
        retain: the retain log; None if there is none.
    """
    other = retain.lume if retain else None
    if retain is not None and (other is None or other.texts_sha256 != numbers.texts_sha256):
        warn("the retain log has no LUME numbers of the same texts. Evaluate the retain model with the same --limit")
        return None
    return other


def _outcome(row: ExampleRow, item: Item) -> Outcome:
    score: float | None = None
    if row["completion"] is not None:
        right = float(exact_match(row["answer"], row["completion"]))
        score = row["rougeL_recall"] if item.kind == "completion" else right
    return Outcome(task=item.task, kind=item.kind, score=score)


def _by_type(part: Part, rows: Sequence[ExampleRow], data: LumeData) -> dict[ValueType, ValueLeakage]:
    """Count the values of Task 2 that the model writes, by type. Empty without completions."""
    counts: dict[ValueType, ValueLeakage] = {}
    for row in rows:
        item, text = data.items[row["id"]], row["completion"]
        if item.task != "Task2" or text is None:
            continue
        if item.value_type is not None:
            leaked = mentioned(item.value_type, row["answer"], text)
            _add(counts, item.value_type, asked=1, answered=leaked)
        elif item.kind == "completion":
            for kind, value in _hidden(row, data.values.get(f"{part}/{item.document}", {})):
                _add(counts, kind, continued=1, written=mentioned(kind, value, text))
    return {kind: counts[kind] for kind in sorted(counts)}


def _hidden(row: ExampleRow, values: Mapping[ValueType, str]) -> Iterable[tuple[ValueType, str]]:
    """Return the values that the right continuation contains, and that the words before it do not give."""
    for kind, value in values.items():
        if mentioned(kind, value, row["answer"]) and not mentioned(kind, value, row["question"]):
            yield kind, value


def _add(counts: dict[ValueType, ValueLeakage], kind: ValueType, **more: int) -> None:
    old = counts.get(kind, ValueLeakage())
    counts[kind] = replace(old, **{name: getattr(old, name) + int(value) for name, value in more.items()})


__all__ = ["MAX_NEW_TOKENS", "TEMPLATE", "add", "membership", "retain_numbers", "summarise", "with_membership"]
