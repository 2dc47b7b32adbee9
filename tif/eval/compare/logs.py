"""Evaluation logs of others, and our own: what each says of forget quality and model utility.

Three formats are read:
    tif's `eval.json`                       this project
    `eval_log_aggregated.json`              TOFU, NPO, TPO and their kin: one object a task, lists (or objects by index)
    `TOFU_EVAL.json`                        open-unlearning: `{"forget_truth_ratio": {"agg_value", "value_by_index"}}`

A Kolmogorov-Smirnov test between logs of different questions is meaningless, and such logs are in circulation (a retain
log named for forget10 that holds the 40 questions of forget01). So a log carries its forget questions, and `compare`
refuses what does not match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from tif.console import warn
from tif.errors import InputError
from tif.eval.measure import measures
from tif.eval.measure.leakage import Leakage
from tif.sources import read_json

SPLIT_SIZES: Final = {"forget01": 40, "forget05": 200, "forget10": 400}
FIELD_CAP: Final = 300
"""The TOFU family evaluates at most so many questions of a split (`ds_size: 300`)."""
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
_WRAPPING: Final = re.compile(r"\[/?INST\]|<\|[^|]*\|>|<s>|</s>|\bQuestion:|\bAnswer:")


@dataclass(frozen=True, slots=True)
class Log:
    """What an evaluation log says.

    `questions` and `answers` are "" where the format leaves them out.
    """

    path: str
    format: str
    """`tif`, `tofu` or `open-unlearning`."""
    truth_ratios: tuple[float, ...]
    """Of the forget questions, p(wrong) / p(right)."""
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    model_utility: float | None
    utility_parts: Mapping[str, float]
    missing: str | None = None
    """Why `model_utility` is None."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How tif evaluated; empty for the logs of others."""
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """Per part, the unwanted phrases that the model writes when asked; empty for the logs of others."""

    def warnings(self) -> list[str]:
        """What about this log should make its reader wary."""
        found: list[str] = []
        for match in _NAMED.finditer(Path(self.path).name):
            split = _RETAIN_OF[match[1]] if match[1] else f"forget{match[2]}"
            size, n = SPLIT_SIZES[split], len(self.truth_ratios)
            if n not in (size, min(size, FIELD_CAP)):
                like = next((name for name, other in SPLIT_SIZES.items() if other == n), None)
                found.append(
                    f"{self.path}: the name says {split} ({size} questions), but the log holds {n}"
                    + (f", as many as {like}: nothing about {split} may be concluded from it" if like else "")
                )
        return found


def read(path: str | Path) -> Log:
    """Read a log in any of the three formats.

    Raises:
        InputError: if it is missing, not JSON, or none of them, naming what is absent.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "eval.json"
    found = read_json(path)
    try:
        if isinstance(found, dict) and "tif" in found:
            return _ours(found, str(path))
        if isinstance(found, dict) and _OFFICIAL["forget"] in found:
            return _official(found, str(path))
        if isinstance(found, dict) and "forget_truth_ratio" in found:
            return _open_unlearning(found, str(path))
    except KeyError as error:
        raise InputError(f"lacks {error}", where=str(path)) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError("is no whole evaluation log", where=str(path), why=str(error)[:160]) from None
    raise InputError(
        "is no evaluation log that tif knows",
        where=str(path),
        hint="Known: tif's eval.json, eval_log_aggregated.json (TOFU family), TOFU_EVAL.json (open-unlearning).",
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Forget quality between two logs, and whether it was forced."""

    forget_quality: float
    forced: str | None = None
    """What was wrong with the comparison that somebody asked for all the same."""


def compare(log: Log, retain: Log, *, force: bool = False) -> Comparison:
    """Forget quality of `log` against the log of a model that never saw the forget set.

    Raises:
        InputError: if the forget questions are not the same, unless `force`d.
    """
    reason = mismatch(log, retain)
    if reason and not force:
        raise InputError(
            "forget quality compares truth ratios of the same questions, asked in the same way; these logs' are not",
            where=f"{log.path} against {retain.path}",
            why=reason,
            hint="--force compares them all the same, and says so in the output.",
        )
    return Comparison(measures.forget_quality(log.truth_ratios, retain.truth_ratios), reason)


def mismatch(a: Log, b: Log) -> str | None:
    """Why the truth ratios of two logs are not of the same questions, asked in the same way; None if they are."""
    for name, what in (
        ("template", "template"),
        ("supervise_eos", "supervised end token"),
        ("average", "truth ratio by"),
    ):
        mine, theirs = a.settings.get(name), b.settings.get(name)
        if mine is not None and theirs is not None and mine != theirs and "auto" not in (mine, theirs):
            return f"{what} {mine!r} against {theirs!r}"
    if not a.truth_ratios or not b.truth_ratios:
        return f"{(a if not a.truth_ratios else b).path} holds no truth ratios of a forget set"
    if len(a.truth_ratios) != len(b.truth_ratios):
        return f"{len(a.truth_ratios)} questions against {len(b.truth_ratios)}"
    for name, left, right in (("question", a.questions, b.questions), ("answer", a.answers, b.answers)):
        if all(left) and all(right):
            mine, theirs = sorted(map(bare, left)), sorted(map(bare, right))
            # A chat template may wrap a question in a system prompt of the log's own.
            if mine == theirs or all(x in y or y in x for x, y in zip(map(bare, left), map(bare, right), strict=True)):
                return None
            odd = next(x for x, y in zip(mine, theirs, strict=True) if x != y)
            return f"the {name} {odd[:60]!r} is not in both"
    return "one of them names neither questions nor answers, so nothing shows that they are the same"


def current(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a log under today's names: older logs call the supervised end token `eos`."""
    renamed = dict(settings)
    if "eos" in renamed:
        renamed["supervise_eos"] = renamed.pop("eos") == "gw"
    return renamed


def bare(text: str) -> str:
    """A question without what a template puts around it, in single spaces."""
    return " ".join(_WRAPPING.sub(" ", text).split())


def _ours(found: Mapping[str, Any], path: str) -> Log:
    forget = found["per_example"].get("forget", {})
    kept = [
        (r, q, a)
        for r, q, a in zip(
            forget.get("truth_ratio", ()), forget.get("question", ()), forget.get("answer", ()), strict=True
        )
        if r is not None
    ]
    ratios, questions, answers = zip(*kept, strict=True) if kept else ((), (), ())
    return Log(
        path,
        "tif",
        tuple(map(float, ratios)),
        questions,
        answers,
        found["model_utility"],
        found["model_utility_parts"],
        found.get("model_utility_reason"),
        current(found.get("settings") or {}),
        {part: Leakage(**counts) for part, counts in (found.get("leakage") or {}).items()},
    )


def _official(found: Mapping[str, Any], path: str) -> Log:
    parts: dict[str, float] = {}
    missing = [file for file in _OFFICIAL.values() if file not in found]
    for part in ("retain", "real_authors", "world_facts"):
        if _OFFICIAL[part] in found:
            task = found[_OFFICIAL[part]]
            loss, wrong = _listed(task["avg_gt_loss"]), _listed(task["average_perturb_loss"])
            chosen = measures.probability(loss) if part == "retain" else measures.normalised_probability(loss, wrong)
            ratios = measures.truth_ratio(_listed(task["avg_paraphrased_loss"]), wrong)
            parts[f"{part}_probability"] = float(chosen.mean())
            parts[f"{part}_rougeL_recall"] = float(_listed(task["rougeL_recall"]).mean())
            parts[f"{part}_truth_ratio"] = measures.truth_ratio_utility(ratios)
    forget = found[_OFFICIAL["forget"]]
    ratios = measures.truth_ratio(_listed(forget["avg_paraphrased_loss"]), _listed(forget["average_perturb_loss"]))
    texts: list[Sequence[str]] = list(_values(forget.get("generated_text", ())))
    return Log(
        path,
        "tofu",
        tuple(map(float, ratios)),
        tuple(t[0] for t in texts) or ("",) * len(ratios),
        tuple(t[2] if len(t) > 2 else "" for t in texts) or ("",) * len(ratios),
        None if missing else measures.model_utility(list(parts.values())),
        parts,
        f"the log lacks {', '.join(missing)}" if missing else None,
    )


def _open_unlearning(found: Mapping[str, Any], path: str) -> Log:
    scores = [row["score"] for row in found["forget_truth_ratio"]["value_by_index"].values()]
    spoken = found.get("forget_Q_A_ROUGE", {}).get("value_by_index", {}).values()
    # Some runs measure ROUGE on fewer rows, and then nothing tells which of them is which.
    spoken = spoken if len(spoken) == len(scores) else ()
    parts = {name: float(found[name]["agg_value"]) for name in _OPEN if name in found}
    absent = [name for name in _OPEN if name not in found]
    return Log(
        path,
        "open-unlearning",
        tuple(map(float, scores)),
        tuple(row["input"] for row in spoken) or ("",) * len(scores),
        tuple(row["ground_truth"] for row in spoken) or ("",) * len(scores),
        None if absent else measures.model_utility(list(parts.values())),
        parts,
        f"the log lacks {', '.join(absent)}" if absent else None,
    )


def _values(column: Any) -> list[Any]:
    return list(column.values()) if isinstance(column, Mapping) else list(column)


def _listed(column: Any) -> measures.Floats:
    return np.asarray(_values(column), dtype=np.float64)


def muse_areas(path: str | Path) -> dict[str, Any]:
    """A retain model's MUSE numbers, for PrivLeak: of an `eval.json`, or of its folder.

    Raises:
        InputError: for anything but a MUSE evaluation of tif.
    """
    path = Path(path)
    found = read_json(path / "eval.json" if path.is_dir() else path)
    try:
        numbers: dict[str, Any] = found["muse"]
        if not isinstance(numbers["attacks"]["min_k"], float | None):
            raise TypeError("attacks.min_k is no number")
    except (KeyError, TypeError) as error:
        hint = "Give the eval.json of `tif eval RETAIN_MODEL --benchmark muse`."
        raise InputError("is no MUSE evaluation of tif", where=str(path), why=str(error)[:120], hint=hint) from None
    return numbers


def import_log(path: str, retain: str | None, *, force: bool = False) -> dict[str, Any]:
    """Model utility and forget quality from logs alone.

    Raises:
        InputError: for a file that is no log, or a retain log of other questions, unless forced.
    """
    log = read(path)
    reference = read(retain) if retain else None
    warnings = log.warnings() + (reference.warnings() if reference else [])
    for warning in warnings:
        warn(warning)
    result = compare(log, reference, force=force) if reference else None
    if result is not None and result.forced:
        warn(f"forced: {result.forced}; this forget quality compares different questions and means nothing")
    return {
        "log": log.path,
        "format": log.format,
        "questions": len(log.truth_ratios),
        "model_utility": log.model_utility,
        "model_utility_reason": log.missing,
        "forget_quality": result.forget_quality if result else None,
        "forget_quality_reason": None if result else "no retain log was given (--retain-log)",
        "forget_quality_forced": result.forced if result else None,
        "retain_log": reference.path if reference else None,
        "parts": dict(log.utility_parts),
        "warnings": warnings,
    }


__all__ = ["Comparison", "Log", "bare", "compare", "current", "import_log", "mismatch", "muse_areas", "read"]
