"""Evaluation logs of tif and of other projects: forget quality and model utility from them.

A Kolmogorov-Smirnov test between logs of different questions is meaningless, and misnamed logs exist: a public retain
log for forget10 contains the 40 questions of forget01. Therefore a log keeps its forget questions, and `compare`
refuses logs whose questions or prompts differ. `log_formats` reads the files, `prompts` compares the questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from pydantic import JsonValue

from tif.console import warn
from tif.errors import InputError
from tif.eval.benchmarks.questions import Row
from tif.eval.compare import prompts
from tif.eval.compare.log import Log, LogFormat
from tif.eval.compare.log_formats import of_record, read, retain_area
from tif.eval.measure import measures
from tif.eval.record import EvalRecord
from tif.eval.settings import Scoring
from tif.records import ModelIdentity

_COMPARED: Final = (
    ("template", "template"),
    ("supervise_eos", "supervised end token"),
    ("average", "truth ratio by"),
)
"""Settings that must be equal in both logs, and their names in errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The forget quality of a log against a retain log."""

    forget_quality: float
    distance: float
    """Kolmogorov-Smirnov distance D between the truth ratios, 0..1."""
    forced: str | None = None
    """Why the logs do not match, if `force` allowed the comparison."""
    unknown: str | None = None
    """What the logs do not store, so that tif cannot compare it."""


def compare(log: Log, retain: Log, *, force: bool = False) -> Comparison:
    """Compute the forget quality of `log` against the log of a model that never saw the forget set.

    Raises:
        InputError: if the forget questions or settings differ, unless `force` is given.
    """
    for each in (log, retain):
        _refuse_without_ratios(each)
    reason = mismatch(log, retain)
    if reason and not force:
        raise _other_questions("forget quality needs", log, retain, reason)
    return Comparison(
        forget_quality=measures.forget_quality(log.truth_ratios, retain.truth_ratios),
        distance=measures.ks_distance(log.truth_ratios, retain.truth_ratios),
        forced=reason,
        unknown=None if reason else prompts.unknown(log, retain),
    )


def check_questions(rows: Sequence[Row], settings: Scoring, prompt: str, retain: Log, *, force: bool = False) -> None:
    """Refuse a retain log of other questions, before any question is asked.

    Args:
        rows: the forget rows of the evaluation.
        settings: how it scores them, with the template that `auto` stands for.
        prompt: how the model sees a question; `{prompt}` stands for the question.
        retain: the retain log.
        force: allow other questions.

    Raises:
        InputError: for a log of other questions, of the same questions asked in another way, or without truth ratios.
    """
    own = Log(
        path="this evaluation",
        format="tif",
        truth_ratios=(),
        questions=tuple(row.question for row in rows),
        answers=tuple(row.answer for row in rows),
        model_utility=None,
        utility_parts={},
        prompt=prompt,
        settings=settings,
    )
    if all(row.paraphrased and row.perturbed for row in rows):
        _refuse_without_ratios(retain)
        needs, log = "forget quality needs", retain
    elif retain.asked:
        questions, answers = zip(*retain.asked, strict=True)
        needs, log = "a comparison needs", replace(retain, questions=questions, answers=answers)
    else:
        return
    if not force and (reason := mismatch(own, log)):
        raise _other_questions(needs, own, retain, reason)


def _refuse_without_ratios(log: Log) -> None:
    if not log.truth_ratios:
        raise InputError(
            "has no truth ratio of a forget question, so it gives no forget quality", where=log.path,
            hint="Give the log with one value per question: eval.json, eval_log_aggregated.json or TOFU_EVAL.json.",
        )  # fmt: skip


def _other_questions(needs: str, log: Log, retain: Log, reason: str) -> InputError:
    return InputError(
        f"{needs} two logs of the same questions, asked in the same way",
        where=f"{log.path} against {retain.path}",
        why=reason,
        hint="Evaluate both models with the same options, or give --force to compare anyway.",
    )


def mismatch(a: Log, b: Log) -> str | None:
    """Return why two logs are not of the same questions, asked in the same way; None if they are."""
    if a.settings is not None and b.settings is not None:
        for name, setting in _COMPARED:
            mine, theirs = getattr(a.settings, name), getattr(b.settings, name)
            if mine != theirs and "auto" not in (mine, theirs):
                return f"{setting} {mine!r} against {theirs!r}"
    if len(a.questions) != len(b.questions):
        sizes = ", ".join(f"{log.split} has {len(log.questions)}" for log in (a, b) if log.split)
        return f"{len(a.questions)} questions against {len(b.questions)}" + (f"; TOFU's {sizes}" if sizes else "")
    return prompts.difference(a, b)


def evaluated_model(path: str) -> ModelIdentity | None:
    """Return the model of an evaluation by tif; None for another project's log."""
    try:
        return EvalRecord.read(path).model
    except InputError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNumbers:
    """Model utility and forget quality, read from logs."""

    log: str
    format: LogFormat
    questions: int
    """Forget questions with a truth ratio, or with NaN."""
    split: str | None
    """The TOFU split that has as many questions."""
    model_utility: float | None
    model_utility_reason: str | None
    forget_quality: float | None
    forget_quality_reason: str | None
    forget_quality_forced: str | None
    ks_distance: float | None
    """Kolmogorov-Smirnov distance D of the forget quality's test."""
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
    result = compare(log, retain_log, force=force) if retain_log else None
    warnings = log.warnings() + (retain_log.warnings() if retain_log else [])
    warnings += [result.unknown] if result is not None and result.unknown else []
    for warning in warnings:
        warn(warning)
    if result is not None and result.forced:
        warn(f"--force: the logs differ ({result.forced}), so this forget quality is meaningless")
    return LogNumbers(
        log=log.path,
        format=log.format,
        questions=len(log.questions),
        split=log.split,
        model_utility=log.model_utility,
        model_utility_reason=log.missing,
        forget_quality=result.forget_quality if result else log.stated_forget_quality,
        forget_quality_reason=_no_quality(log) if result is None else None,
        forget_quality_forced=result.forced if result else None,
        ks_distance=result.distance if result else None,
        retain_log=retain_log.path if retain_log else None,
        parts=dict(log.utility_parts),
        warnings=tuple(warnings),
    )


def _no_quality(log: Log) -> str:
    """Return why tif did not compute the forget quality itself."""
    if log.stated_forget_quality is not None:
        return "as stated in the log; give a retain log (--retain-log) to compute it"
    return "no retain log was given (--retain-log)"


__all__ = [
    "Comparison",
    "Log",
    "LogNumbers",
    "check_questions",
    "compare",
    "evaluated_model",
    "import_log",
    "mismatch",
    "of_record",
    "read",
    "retain_area",
]
