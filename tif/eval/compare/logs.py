"""Evaluation logs of tif and of other projects: forget quality and model utility from them.

A Kolmogorov-Smirnov test between logs of different questions is meaningless, and misnamed logs exist: a public retain
log for forget10 contains the 40 questions of forget01. Therefore a log keeps its forget questions, and `compare`
refuses logs whose questions or prompts differ. `log_formats` reads the files, `prompts` compares the questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import JsonValue

from tif.console import warn
from tif.errors import InputError
from tif.eval.compare import prompts
from tif.eval.compare.log import Log, LogFormat
from tif.eval.compare.log_formats import of_record, read, retain_area
from tif.eval.measure import measures

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
        if not each.truth_ratios:
            raise InputError(
                "has no truth ratio of a forget question, so it gives no forget quality", where=each.path,
                hint="Give the log with one value per question: eval.json, eval_log_aggregated.json or TOFU_EVAL.json.",
            )  # fmt: skip
    reason = mismatch(log, retain)
    if reason and not force:
        raise InputError(
            "forget quality needs two logs of the same questions, asked in the same way",
            where=f"{log.path} against {retain.path}",
            why=reason,
            hint="Evaluate both models with the same options, or give --force to compare anyway.",
        )
    return Comparison(
        forget_quality=measures.forget_quality(log.truth_ratios, retain.truth_ratios),
        distance=measures.ks_distance(log.truth_ratios, retain.truth_ratios),
        forced=reason,
        unknown=None if reason else prompts.unknown(log, retain),
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
    "compare",
    "import_log",
    "mismatch",
    "of_record",
    "read",
    "retain_area",
]
