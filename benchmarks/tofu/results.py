"""What the finished stages say, as one record: cells with intervals, choices, what is missing."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from benchmarks.stages import Stage, result
from benchmarks.tofu.models import chosen_rate, trial_score
from benchmarks.tofu.plan import WORLDS, Experiment, Row, decisive
from benchmarks.tofu.stages import stages
from tif.errors import InputError
from tif.eval.measure import measures
from tif.eval.record import EvalRecord
from tif.readers import read_json
from tif.tokens.models import model_digest

Cell = tuple[float, float, float]
"""A value and the ends of its 95% interval."""

MEANS: Final = {
    "UW": ("forget", "uw_probability"),
    "GW": ("forget", "gw_probability"),
    "retain": ("retain", "probability"),
    "ROUGE-L": ("forget", "rougeL_recall"),
    "ES": ("forget", "extraction_strength"),
}
"""Columns that are means over rows: part and column of `examples.parquet`."""
COLUMNS: Final = ("forget quality", "utility", *MEANS, "FQ relearned")
UNSTEADY: Final = "real_authors_rougeL_recall"
"""The part of model utility that the base model is too small for. Its rows decide the harmonic mean of all nine."""
STEADY: Final = "utility of eight parts"
"""What `steady_utility` gives."""
_DRAWS: Final = 300


def collect(e: Experiment) -> dict[str, Any]:
    """Everything that is finished, and the names of the stages that are not."""
    never = e.reference("retain-only", "eval")
    runs: dict[str, Any] = {}
    absent: list[str] = []
    for name, label in (("target", "target"), ("retain-only", "retain-only")):
        if found := _run(e.reference(name, "eval"), never):
            runs[name] = {"label": label, **found}
        elif (known := e.earlier.get("runs", {}).get(name)) and not e.reference(name, "eval").exists():
            runs[name] = known
        else:
            absent.append(label)
    for row in e.rows:
        for seed in e.plan.seeds:
            folder, name = e.run(row, seed), e.run_name(row, seed)
            if found := _run(folder, never):
                runs[name] = {"label": row.label, "seed": seed, **_recipe(row, folder), **found, "log": _log(folder)}
            elif known := e.run_before(row, seed):
                runs[name] = known
            else:
                absent.append(row.label if len(e.plan.seeds) == 1 else f"{row.label}, seed {seed}")
    every = list(stages(e))
    # What all rows share is there to make rows from: it is not missing where no row is, whoever made them.
    whole = not absent and all(stage.done for stage in every if _of_a_row(e, stage))
    states: dict[str, list[str]] = {"done": [], "missing": []}
    for stage in every:
        states["done" if stage.done or whole else "missing"].append(stage.name)
    return {
        "plan": asdict(e.plan),
        # That of the machine where they were begun: on another nothing is done again unless it comes out the same.
        "environment": e.earlier.get("environment") or _environment(e),
        "models": {**e.earlier.get("models", {}), **models(e)},
        "spans": result(e.out / "spans") or e.earlier.get("spans", {}),
        "choices": {row.name: _choice(e, row) for row in e.rows if e.tried(row)},
        "runs": runs,
        "absent": absent,
        **states,
    }


def _of_a_row(e: Experiment, stage: Stage) -> bool:
    return stage.folder.relative_to(e.out).parts[0] in WORLDS


def _environment(e: Experiment) -> dict[str, Any]:
    import torch

    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "scipy")},
        "device": torch.cuda.get_device_name() if not e.cpu else torch.backends.cpu.get_cpu_capability(),
        **{k: v for k, v in read_json(e.out / "plan.json").items() if k in ("autocast", "step_seconds")},
    }


def _recipe(row: Row, folder: Path) -> dict[str, Any]:
    done = result(folder)
    return {
        "objective": row.objective, "spans": row.spans, "retain_term": row.retain, "floor": row.floor,
        "options": dict(row.options), "lr": done["lr"], "steps": done["steps"], "seconds": done["seconds"],
        "rate_of": row.rate_of or row.name,
    }  # fmt: skip


def models(e: Experiment) -> dict[str, str]:
    """Digests of the models that all rows begin from, or are measured by: those that are there."""
    folders = [e.reference("target", "eval"), *(e.reference("retain-only", world) for world in WORLDS)]
    return {folder.name: _digest(folder / "model") for folder in folders if (folder / "done.json").is_file()}


@cache
def _digest(folder: Path) -> str:
    return model_digest(str(folder))


def earlier(e: Experiment, docs: Path) -> dict[str, Any]:
    """The results in `docs`, if the same plan made them and no model here is another than theirs: what was finished
    there is finished here. Training gives the same weights to the bit where processor and libraries do the same
    arithmetic, and the digests tell whether it did."""
    path = docs / "results.json"
    if not path.is_file():
        return {}
    found: dict[str, Any] = read_json(path)
    if decisive(found["plan"]) != decisive(asdict(e.plan)):
        return {}
    return found if all(found.get("models", {}).get(name) == mine for name, mine in models(e).items()) else {}


def steady_utility(run: Mapping[str, Any]) -> float:
    """Harmonic mean of the parts of model utility but `UNSTEADY`."""
    return measures.model_utility([value for name, value in run["utility_parts"].items() if name != UNSTEADY])


def by_seed(runs: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The runs of each seed by the name of their row, with what all seeds share: target and retain-only."""
    shared = {name: run for name, run in runs.items() if "objective" not in run}
    found: dict[int, dict[str, Any]] = {}
    for name, run in runs.items():
        if name not in shared:
            found.setdefault(run.get("seed", 0), dict(shared))[Experiment.row_name(name)] = run
    return dict(sorted(found.items()))


def _choice(e: Experiment, row: Row) -> dict[str, Any]:
    scores: dict[str, float] = {}
    for rate in e.rates(row):
        if e.score_before(row, rate) is not None or (e.trial(row, rate) / "measured-dev" / "done.json").is_file():
            scores[f"{rate:g}"] = trial_score(e, row, rate)
    return {"rate": chosen_rate(e, row) if len(scores) == len(e.rates(row)) else None, "scores": scores}


def _run(folder: Path, never: Path) -> dict[str, Any] | None:
    if not all((f / "measured-eval" / "done.json").is_file() for f in (folder, never)):
        return None
    return _cells(folder, never, (folder / "relearned" / "done.json").is_file())


@cache
def _cells(folder: Path, never: Path, relearned: bool) -> dict[str, Any]:
    """Kept for the next table of the same process: finished folders do not change."""
    record, examples = evaluation(folder / "measured-eval")
    cells: dict[str, Cell | None] = {}
    for name, (part, column) in MEANS.items():
        values = [x[column] for x in examples[part] if x[column] is not None]
        cells[name] = (float(np.mean(values)), *measures.bootstrap(values)) if values else None
    cells["utility"] = utility(record, examples)
    cells["forget quality"] = quality(examples, never / "measured-eval")
    cells["FQ relearned"] = None
    if relearned:
        cells["FQ relearned"] = quality(evaluation(folder / "relearned")[1], never / "measured-eval")
    return {"cells": cells, "utility_parts": dict(record.model_utility_parts), "parts": dict(record.parts)}


def evaluation(folder: Path) -> tuple[EvalRecord, dict[str, list[dict[str, Any]]]]:
    """The record of a finished evaluation, and its rows by part."""
    examples: dict[str, list[dict[str, Any]]] = {}
    for x in pq.read_table(folder / "examples.parquet").to_pylist():
        examples.setdefault(x["part"], []).append(x)
    return EvalRecord.read(folder), examples


def quality(examples: Mapping[str, Sequence[Mapping[str, Any]]], never: Path) -> Cell:
    """Forget quality against the retain-only model's evaluation; rows drawn again, the same ones for both models."""
    reference = evaluation(never)[1]["forget"]
    theirs = {x["question"]: x["truth_ratio"] for x in reference}
    if set(theirs) != {x["question"] for x in examples["forget"]}:
        raise InputError("the retain-only model was measured on other questions", where=str(never))
    pairs = np.array([(x["truth_ratio"], theirs[x["question"]]) for x in examples["forget"]], dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(pairs), size=(_DRAWS, len(pairs)))
    some = [measures.forget_quality(*pairs[draw].T) for draw in draws]
    low, high = np.quantile(some, (0.025, 0.975))
    return measures.forget_quality(*pairs.T), float(low), float(high)


def utility(record: EvalRecord, examples: Mapping[str, Sequence[Mapping[str, Any]]]) -> Cell:
    """Model utility; rows drawn again within each part."""
    if record.model_utility is None:
        raise InputError("an evaluation without model utility", why=record.model_utility_reason)
    return record.model_utility, *utility_interval(examples)


def utility_interval(
    examples: Mapping[str, Sequence[Mapping[str, Any]]], *, without: str | None = None
) -> tuple[float, float]:
    """The 95% interval of model utility, or of that without one of its parts; rows drawn again within each part."""
    random = np.random.default_rng(0)
    parts: dict[str, Any] = {}
    for part in ("retain", "real_authors", "world_facts"):
        chosen = "probability" if part == "retain" else "normalised_probability"
        table = np.array(
            [[x[chosen], x["rougeL_recall"], max(0.0, 1 - x["truth_ratio"])] for x in examples[part]], dtype=np.float64
        )
        draws = random.integers(0, len(table), size=(_DRAWS, len(table)))
        means = table[draws].mean(axis=1)
        parts |= {f"{part}_{name}": means[:, i] for i, name in enumerate(("probability", "rougeL_recall", "truth"))}
    kept = np.stack([values for name, values in parts.items() if name != without], axis=1)
    low, high = np.quantile([measures.model_utility(draw) for draw in kept], (0.025, 0.975))
    return float(low), float(high)


def _log(folder: Path) -> list[dict[str, float]]:
    """UW and GW probability of each step's own forget rows."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    kept = ("step", "uw_probability", "gw_probability")
    return [{k: line[k] for k in kept if k in line} for line in lines if "uw_probability" in line]


__all__ = [
    "COLUMNS",
    "STEADY",
    "UNSTEADY",
    "Cell",
    "by_seed",
    "collect",
    "earlier",
    "evaluation",
    "models",
    "quality",
    "steady_utility",
    "utility",
    "utility_interval",
]
