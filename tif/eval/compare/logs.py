"""Evaluation logs of tif and of other projects: read forget quality and model utility from them.

Three formats are read:
    tif's `eval.json`                       this project
    `eval_log_aggregated.json`              TOFU, NPO, TPO and related code: one object per task, lists (or objects by
                                            index)
    `TOFU_EVAL.json`                        open-unlearning: `{"forget_truth_ratio": {"agg_value", "value_by_index"}}`

A Kolmogorov-Smirnov test between logs of different questions is meaningless, and misnamed logs exist: a public retain
log for forget10 contains the 40 questions of forget01. Therefore a log keeps its forget questions, and `compare`
refuses logs whose questions differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import JsonValue

from tif.console import warn
from tif.errors import InputError
from tif.eval.measure import measures
from tif.eval.measure.leakage import Leakage
from tif.eval.record import EvalRecord, MuseNumbers
from tif.eval.settings import Scoring
from tif.readers import read_json

SPLIT_SIZES: Final = {"forget01": 40, "forget05": 200, "forget10": 400}
FIELD_CAP: Final = 300
"""The TOFU family evaluates at most 300 questions of a split (`ds_size: 300`)."""
_NAMED: Final = re.compile(r"(?:retain(99|95|90)|forget(01|05|10))", re.IGNORECASE)
_RETAIN_OF: Final = {"99": "forget01", "95": "forget05", "90": "forget10"}

_OFFICIAL: Final = {
    "retain": "eval_log.json",
    "real_authors": "eval_real_author_wo_options.json",
    "world_facts": "eval_real_world_wo_options.json",
    "forget": "eval_log_forget.json",
}
_OPEN: Final = (
    "retain_Q_A_Prob",
    "retain_Q_A_ROUGE",
    "retain_Truth_Ratio",
    "ra_Q_A_Prob_normalised",
    "ra_Q_A_ROUGE",
    "ra_Truth_Ratio",
    "wf_Q_A_Prob_normalised",
    "wf_Q_A_ROUGE",
    "wf_Truth_Ratio",
)
_COMPARED: Final = (
    ("template", "template"),
    ("supervise_eos", "supervised end token"),
    ("average", "truth ratio by"),
)
"""Settings that must be equal in both logs, and their names in errors."""
_WRAPPING: Final = re.compile(r"\[/?INST\]|<\|[^|]*\|>|<s>|</s>|\bQuestion:|\bAnswer:")


LogFormat = Literal["tif", "tofu", "open-unlearning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The content of an evaluation log.

    `questions` and `answers` have empty strings if the format does not store them.
    """

    path: str
    format: LogFormat
    truth_ratios: tuple[float, ...]
    """p(wrong) / p(right) of each forget question."""
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    model_utility: float | None
    utility_parts: Mapping[str, float]
    missing: str | None = None
    """Why `model_utility` is None."""
    settings: Scoring | None = None
    """How tif scored; None for a log of another project."""
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """By part: the unwanted phrases that the model writes when asked. Empty for a log of another project."""

    def warnings(self) -> list[str]:
        """Return a warning for each split in the file name that has another number of questions than the log."""
        warnings: list[str] = []
        for match in _NAMED.finditer(Path(self.path).name):
            split = _RETAIN_OF[match[1]] if match[1] else f"forget{match[2]}"
            size, n = SPLIT_SIZES[split], len(self.truth_ratios)
            if n not in (size, min(size, FIELD_CAP)):
                like = next((name for name, other in SPLIT_SIZES.items() if other == n), None)
                warnings.append(
                    f"{self.path}: the file name says {split} ({size} questions), but the log has {n}"
                    + (f", as many as {like}. Do not use it as a log of {split}" if like else "")
                )
        return warnings


def read(path: str | Path) -> Log:
    """Read a log in any of the three formats, from a file or from a folder's `eval.json`.

    Raises:
        InputError: if the file is missing, is not JSON, or lacks a field; names the field.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "eval.json"
    content = read_json(path)
    try:
        if isinstance(content, dict) and "tif" in content:
            return _ours(EvalRecord.from_json(content), str(path))
        if isinstance(content, dict) and _OFFICIAL["forget"] in content:
            return _official(content, str(path))
        if isinstance(content, dict) and "forget_truth_ratio" in content:
            return _open_unlearning(content, str(path))
    except InputError as error:
        raise error.within(str(path)) from None
    except KeyError as error:
        raise InputError(f"lacks {error}", where=str(path)) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError("is not a complete evaluation log", where=str(path), why=str(error)[:160]) from None
    raise InputError(
        "is not an evaluation log that tif can read",
        where=str(path),
        hint="Give tif's eval.json, eval_log_aggregated.json (TOFU family) or TOFU_EVAL.json (open-unlearning).",
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The forget quality of a log against a retain log."""

    forget_quality: float
    forced: str | None = None
    """Why the logs do not match, if `force` allowed the comparison."""


def compare(log: Log, retain: Log, *, force: bool = False) -> Comparison:
    """Compute the forget quality of `log` against the log of a model that never saw the forget set.

    Raises:
        InputError: if the forget questions or settings differ, unless `force` is given.
    """
    reason = mismatch(log, retain)
    if reason and not force:
        raise InputError(
            "forget quality needs two logs of the same questions, asked in the same way",
            where=f"{log.path} against {retain.path}",
            why=reason,
            hint="Evaluate both models with the same options, or give --force to compare anyway.",
        )
    return Comparison(measures.forget_quality(log.truth_ratios, retain.truth_ratios), reason)


def mismatch(a: Log, b: Log) -> str | None:
    """Return why two logs are not of the same questions, asked in the same way; None if they are."""
    if a.settings is not None and b.settings is not None:
        for name, setting in _COMPARED:
            mine, theirs = getattr(a.settings, name), getattr(b.settings, name)
            if mine != theirs and "auto" not in (mine, theirs):
                return f"{setting} {mine!r} against {theirs!r}"
    if not a.truth_ratios or not b.truth_ratios:
        return f"{(a if not a.truth_ratios else b).path} has no truth ratios of a forget set"
    if len(a.truth_ratios) != len(b.truth_ratios):
        return f"{len(a.truth_ratios)} questions against {len(b.truth_ratios)}"
    for name, left, right in (("question", a.questions, b.questions), ("answer", a.answers, b.answers)):
        if all(left) and all(right):
            mine, theirs = sorted(map(bare, left)), sorted(map(bare, right))
            # A chat template may add a system prompt to a question in one of the logs.
            if mine == theirs or all(x in y or y in x for x, y in zip(map(bare, left), map(bare, right), strict=True)):
                return None
            odd = next(x for x, y in zip(mine, theirs, strict=True) if x != y)
            return f"the {name} {odd[:60]!r} is not in both"
    return "one log has neither questions nor answers, so tif cannot check that they are the same"


def bare(text: str) -> str:
    """Return a question without template tokens, in single spaces."""
    return " ".join(_WRAPPING.sub(" ", text).split())


def of_record(record: EvalRecord, name: str) -> Log | None:
    """Return an evaluation as a log; None if a forget question has no truth ratio."""
    forget = record.per_example.get("forget")
    if forget is None or None in forget.truth_ratio:
        return None
    return _ours(record, name)


def _ours(record: EvalRecord, path: str) -> Log:
    forget = record.per_example.get("forget")
    rows = zip(forget.truth_ratio, forget.question, forget.answer, strict=True) if forget else ()
    kept = [(ratio, question, answer) for ratio, question, answer in rows if ratio is not None]
    return Log(
        path=path,
        format="tif",
        truth_ratios=tuple(ratio for ratio, _, _ in kept),
        questions=tuple(question for _, question, _ in kept),
        answers=tuple(answer for _, _, answer in kept),
        model_utility=record.model_utility,
        utility_parts=record.model_utility_parts,
        missing=record.model_utility_reason,
        settings=record.settings,
        leakage=record.leakage,
    )


def _official(content: Mapping[str, Any], path: str) -> Log:
    parts: dict[str, float] = {}
    missing = [file for file in _OFFICIAL.values() if file not in content]
    for part in ("retain", "real_authors", "world_facts"):
        if _OFFICIAL[part] in content:
            task = content[_OFFICIAL[part]]
            loss, wrong = _listed(task["avg_gt_loss"]), _listed(task["average_perturb_loss"])
            chosen = measures.probability(loss) if part == "retain" else measures.normalised_probability(loss, wrong)
            ratios = measures.truth_ratio(_listed(task["avg_paraphrased_loss"]), wrong)
            parts[f"{part}_probability"] = float(chosen.mean())
            parts[f"{part}_rougeL_recall"] = float(_listed(task["rougeL_recall"]).mean())
            parts[f"{part}_truth_ratio"] = measures.truth_ratio_utility(ratios)
    forget = content[_OFFICIAL["forget"]]
    ratios = measures.truth_ratio(_listed(forget["avg_paraphrased_loss"]), _listed(forget["average_perturb_loss"]))
    texts: list[Sequence[str]] = list(_values(forget.get("generated_text", ())))
    return Log(
        path=path,
        format="tofu",
        truth_ratios=tuple(map(float, ratios)),
        questions=tuple(t[0] for t in texts) or ("",) * len(ratios),
        answers=tuple(t[2] if len(t) > 2 else "" for t in texts) or ("",) * len(ratios),
        model_utility=None if missing else measures.model_utility(list(parts.values())),
        utility_parts=parts,
        missing=f"the log lacks {', '.join(missing)}" if missing else None,
    )


def _open_unlearning(content: Mapping[str, Any], path: str) -> Log:
    scores = [row["score"] for row in content["forget_truth_ratio"]["value_by_index"].values()]
    answered = content.get("forget_Q_A_ROUGE", {}).get("value_by_index", {}).values()
    # Some runs measure ROUGE on fewer rows. Their rows cannot be matched to the truth ratios.
    answered = answered if len(answered) == len(scores) else ()
    parts = {name: float(content[name]["agg_value"]) for name in _OPEN if name in content}
    absent = [name for name in _OPEN if name not in content]
    return Log(
        path=path,
        format="open-unlearning",
        truth_ratios=tuple(map(float, scores)),
        questions=tuple(row["input"] for row in answered) or ("",) * len(scores),
        answers=tuple(row["ground_truth"] for row in answered) or ("",) * len(scores),
        model_utility=None if absent else measures.model_utility(list(parts.values())),
        utility_parts=parts,
        missing=f"the log lacks {', '.join(absent)}" if absent else None,
    )


def _values(column: Any) -> list[Any]:
    return list(column.values()) if isinstance(column, Mapping) else list(column)


def _listed(column: Any) -> measures.Floats:
    return np.asarray(_values(column), dtype=np.float64)


def muse_numbers(path: str | Path) -> MuseNumbers:
    """Return a retain model's MUSE numbers, for PrivLeak, from an `eval.json` or its folder.

    Raises:
        InputError: if the file is not a MUSE evaluation of tif.
    """
    path = Path(path)
    hint = "Give the eval.json of `tif eval RETAIN_MODEL --benchmark muse`."
    try:
        numbers = EvalRecord.read(path).muse
    except InputError as error:
        raise InputError("is not a MUSE evaluation of tif", where=str(path), why=error.what, hint=hint) from None
    if numbers is None or "min_k" not in numbers.attacks:
        why = "it has no MUSE numbers" if numbers is None else "attacks.min_k is missing"
        raise InputError("is not a MUSE evaluation of tif", where=str(path), why=why, hint=hint)
    return numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNumbers:
    """Model utility and forget quality, read from logs."""

    log: str
    format: LogFormat
    questions: int
    model_utility: float | None
    model_utility_reason: str | None
    forget_quality: float | None
    forget_quality_reason: str | None
    forget_quality_forced: str | None
    retain_log: str | None
    parts: Mapping[str, float]
    """The nine numbers that model utility averages."""
    warnings: tuple[str, ...]

    def headline(self) -> dict[str, JsonValue]:
        """Return the numbers as JSON values."""
        return asdict(self)


def import_log(path: str, retain: str | None, *, force: bool = False) -> LogNumbers:
    """Read model utility from a log, and compute its forget quality against a retain log.

    Raises:
        InputError: if a file is not a log; for a retain log of other questions, unless `force` is given.
    """
    log = read(path)
    retain_log = read(retain) if retain else None
    warnings = log.warnings() + (retain_log.warnings() if retain_log else [])
    for warning in warnings:
        warn(warning)
    result = compare(log, retain_log, force=force) if retain_log else None
    if result is not None and result.forced:
        warn(f"--force: the logs differ ({result.forced}), so this forget quality is meaningless")
    return LogNumbers(
        log=log.path,
        format=log.format,
        questions=len(log.truth_ratios),
        model_utility=log.model_utility,
        model_utility_reason=log.missing,
        forget_quality=result.forget_quality if result else None,
        forget_quality_reason=None if result else "no retain log was given (--retain-log)",
        forget_quality_forced=result.forced if result else None,
        retain_log=retain_log.path if retain_log else None,
        parts=dict(log.utility_parts),
        warnings=tuple(warnings),
    )


__all__ = [
    "Comparison",
    "Log",
    "LogNumbers",
    "bare",
    "compare",
    "import_log",
    "mismatch",
    "muse_numbers",
    "of_record",
    "read",
]
