"""Read evaluation logs: `eval.json` of tif, and the files of other projects.

    tif's `eval.json`             this project
    `eval_log_aggregated.json`    TOFU, NPO, TPO and related code: one object per task, lists (or objects by index)
    `TOFU_EVAL.json`              open-unlearning: `{"forget_truth_ratio": {"agg_value", "value_by_index"}}`
    `TOFU_SUMMARY.json`           open-unlearning: one number per metric
    `MUSE_EVAL.json`              open-unlearning: `{"mia_min_k": {"agg_value", "forget", "holdout"}}`

A log gives what it has. Questions whose truth ratio is NaN are left out; a number without its inputs is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tif.errors import InputError
from tif.eval.compare.log import Log
from tif.eval.measure import measures
from tif.eval.measure.privacy import RetainArea
from tif.eval.record import EvalRecord
from tif.readers import read_json

_OFFICIAL: Final = {
    "retain": "eval_log.json",
    "real_authors": "eval_real_author_wo_options.json",
    "world_facts": "eval_real_world_wo_options.json",
    "forget": "eval_log_forget.json",
}
OPEN: Final = (
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
"""open-unlearning's names of the nine numbers in model utility."""
_STATED: Final = ("model_utility", "forget_quality", *OPEN)


def read(path: str | Path) -> Log:
    """Read a log in any of the formats, from a file or from a folder's `eval.json`.

    Raises:
        InputError: if the file is missing, is not JSON, or lacks a field; names the field.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "eval.json"
    content = read_json(path, constants=True)
    try:
        if isinstance(content, dict) and (reader := _reader(content)):
            return reader(content, str(path))
    except InputError as error:
        raise error.within(str(path)) from None
    except KeyError as error:
        raise InputError(f"lacks {error}", where=str(path)) from None
    except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise InputError("is not a complete evaluation log", where=str(path), why=str(error)[:160]) from None
    muse = isinstance(content, dict) and "mia_min_k" in content
    raise InputError(
        "is a MUSE log" if muse else "is not an evaluation log that tif can read",
        where=str(path),
        hint="Give it as --retain-log with --benchmark muse." if muse else
        "Give tif's eval.json, eval_log_aggregated.json (TOFU family) or TOFU_EVAL.json (open-unlearning).",
    )  # fmt: skip


def _reader(content: Mapping[str, Any]) -> Callable[[Any, str], Log] | None:
    if "tif" in content:
        return lambda content, path: of_content(EvalRecord.from_json(content), path)
    if any(name in content for name in _OFFICIAL.values()):
        return _official
    if isinstance(content.get("forget_truth_ratio"), dict):
        return _open_unlearning
    stated = [content[name] for name in _STATED if name in content]
    if stated and all(value is None or _is_number(value) or isinstance(value, dict) for value in stated):
        return _open_unlearning
    return None


def of_record(record: EvalRecord, name: str) -> Log | None:
    """Return an evaluation as a log; None if a forget question has no truth ratio."""
    forget = record.per_example.get("forget")
    if forget is None or None in forget.truth_ratio:
        return None
    return of_content(record, name)


def of_content(record: EvalRecord, path: str) -> Log:
    """Return the record as a log, without the questions that have no truth ratio."""
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
        prompt=record.prompt,
        settings=record.settings,
        asked=tuple(zip(forget.question, forget.answer, strict=True)) if forget else (),
        leakage=record.leakage,
    )


# --- the TOFU family ----------------------------------------------------------------------------------------------


def _official(content: Mapping[str, Any], path: str) -> Log:
    parts: dict[str, float] = {}
    absent = [file for file in _OFFICIAL.values() if file not in content]
    for part in ("retain", "real_authors", "world_facts"):
        if _OFFICIAL[part] in content:
            for name, value in _official_part(content[_OFFICIAL[part]], part).items():
                parts[f"{part}_{name}"] = value
    forget = content.get(_OFFICIAL["forget"], {})
    ratios = _official_ratios(forget)
    texts: list[Sequence[str]] = list(_values(forget.get("generated_text", ())))
    gaps, known = _known(ratios)
    parts, without = _finite(parts)
    missing = _missing(absent, without, 9 - len(parts))
    return Log(
        path=path,
        format="tofu",
        truth_ratios=known,
        questions=tuple(str(t[0]) for t in texts) or ("",) * len(ratios),
        answers=tuple(str(t[2]) if len(t) > 2 else "" for t in texts) or ("",) * len(ratios),
        model_utility=None if missing else measures.model_utility(list(parts.values())),
        utility_parts=parts,
        missing=missing,
        gaps=gaps,
    )


def _official_part(task: Mapping[str, Any], part: str) -> dict[str, float]:
    """Return the numbers that the columns of one task allow."""
    numbers: dict[str, float] = {}
    wrong = _listed(task["average_perturb_loss"]) if "average_perturb_loss" in task else None
    if "avg_gt_loss" in task and part == "retain":
        numbers["probability"] = float(measures.mean(measures.probability(_listed(task["avg_gt_loss"]).ravel())))
    elif "avg_gt_loss" in task and wrong is not None:
        chosen = measures.normalised_probability(_listed(task["avg_gt_loss"]), wrong)
        numbers["probability"] = float(measures.mean(chosen.ravel()))
    if "rougeL_recall" in task:
        numbers["rougeL_recall"] = float(measures.mean(_listed(task["rougeL_recall"]).ravel()))
    ratios = _official_ratios(task)
    if len(ratios):
        numbers["truth_ratio"] = measures.truth_ratio_utility(ratios)
    return numbers


def _official_ratios(task: Mapping[str, Any]) -> measures.Floats:
    """Return p(wrong) / p(right) of each question, from the losses or else from the column of ratios."""
    if "avg_paraphrased_loss" in task and "average_perturb_loss" in task:
        return measures.truth_ratio(_listed(task["avg_paraphrased_loss"]), _listed(task["average_perturb_loss"]))
    if task and "truth_ratio" not in task:
        column = "avg_paraphrased_loss" if "avg_paraphrased_loss" not in task else "average_perturb_loss"
        raise KeyError(column)
    return _listed(task.get("truth_ratio", ()))


# --- open-unlearning ----------------------------------------------------------------------------------------------


def _open_unlearning(content: Mapping[str, Any], path: str) -> Log:
    rows = _by_index(content.get("forget_truth_ratio"))
    gaps, known = _known(np.array([_float(row.get("score") if row else None) for row in rows]))
    answered = _by_index(content.get("forget_Q_A_ROUGE"))
    # Some runs measure ROUGE on fewer rows. Their rows cannot be matched to the truth ratios.
    answered = answered if len(answered) == len(rows) and all(answered) else []
    stated = {name: _stated(content, name) for name in _STATED if name in content}
    parts, without = _finite({name: _float(stated[name]) for name in OPEN if name in stated})
    missing = _missing([name for name in OPEN if name not in content], without, len(OPEN) - len(parts))
    utility = measures.model_utility(list(parts.values())) if not missing else stated.get("model_utility")
    return Log(
        path=path,
        format="open-unlearning",
        truth_ratios=known,
        questions=tuple(str(row["input"]) for row in answered) or ("",) * len(rows),
        answers=tuple(str(row["ground_truth"]) for row in answered) or ("",) * len(rows),
        model_utility=utility,
        utility_parts=parts,
        missing=missing if utility is None else None,
        gaps=gaps,
        stated_forget_quality=stated.get("forget_quality"),
    )


def _by_index(metric: object) -> list[Mapping[str, Any]]:
    """Return the rows of a metric; none if the log has only the metric's mean."""
    return list(metric.get("value_by_index", {}).values()) if isinstance(metric, Mapping) else []


def _stated(content: Mapping[str, Any], name: str) -> float | None:
    """Return the mean of a metric, which `TOFU_SUMMARY.json` has alone; None if it has none or NaN."""
    value = content[name]["agg_value"] if isinstance(content[name], Mapping) else content[name]
    number = _float(value)
    return number if math.isfinite(number) else None


# --- MUSE ---------------------------------------------------------------------------------------------------------


def retain_area(path: str | Path) -> RetainArea:
    """Return a retain model's AUC for PrivLeak, from tif's `eval.json` or open-unlearning's `MUSE_EVAL.json`.

    Raises:
        InputError: if the file is not such an evaluation.
    """
    path = Path(path)
    hint = "Give the eval.json of `tif eval RETAIN_MODEL --benchmark muse`, or open-unlearning's MUSE_EVAL.json."
    content = read_json(path / "eval.json" if path.is_dir() else path, constants=True)
    if isinstance(content, dict) and "tif" not in content and ("mia_min_k" in content or "privleak" in content):
        return _open_muse(content, str(path), hint)
    try:
        numbers = EvalRecord.read(path).muse
    except InputError as error:
        raise InputError("is not a MUSE evaluation", where=str(path), why=error.what, hint=hint) from None
    if numbers is None or "min_k" not in numbers.attacks:
        why = "it has no MUSE numbers" if numbers is None else "attacks.min_k is missing"
        raise InputError("is not a MUSE evaluation", where=str(path), why=why, hint=hint)
    return RetainArea(area=numbers.attacks["min_k"], texts_sha256=numbers.privleak_texts_sha256)


def _open_muse(content: Mapping[str, Any], path: str, hint: str) -> RetainArea:
    metric = content.get("mia_min_k")
    value = metric.get("agg_value", metric.get("auc")) if isinstance(metric, Mapping) else metric
    area = _float(value) if value is None or _is_number(value) else math.nan
    if not 0 <= area <= 1:
        why = "mia_min_k, from which PrivLeak is computed, has no AUC" if metric is not None else "it lacks mia_min_k"
        raise InputError("is not a complete MUSE evaluation", where=path, why=why, hint=hint)
    counts = {}
    for part in ("forget", "holdout"):
        if rows := _by_index(metric.get(part) if isinstance(metric, Mapping) else None):
            counts[part] = len(rows)
    return RetainArea(area=area, texts=counts, named=False)


# --- columns ------------------------------------------------------------------------------------------------------


def _values(column: Any) -> list[Any]:
    return list(column.values()) if isinstance(column, Mapping) else list(column)


def _listed(column: Any) -> measures.Floats:
    return np.asarray(_values(column), dtype=np.float64)


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(ratios: measures.Floats) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return a line about truth ratios that are NaN, and the other ratios."""
    lost = np.isnan(ratios)
    count = int(lost.sum())
    line = f"{count} of {len(ratios)} forget questions have no truth ratio (NaN); tif leaves them out"
    return ((line,) if count else ()), tuple(map(float, ratios[~lost]))


def _finite(parts: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Return the numbers that are none of NaN, infinite and negative, and the names of the others."""
    kept = {name: value for name, value in parts.items() if 0 <= value < math.inf}
    return kept, [name for name in parts if name not in kept]


def _missing(absent: Sequence[str], without: Sequence[str], short: int) -> str | None:
    """Return why model utility cannot be computed; None if all of its numbers are there."""
    reasons = [f"the log lacks {', '.join(absent)}"] if absent else []
    reasons += [f"{', '.join(without)} is NaN, infinite or negative in the log"] if without else []
    if short and not reasons:
        reasons = [f"the log lacks the columns for {short} of the nine numbers"]
    return "; ".join(reasons) or None


__all__ = ["OPEN", "of_content", "of_record", "read", "retain_area"]
