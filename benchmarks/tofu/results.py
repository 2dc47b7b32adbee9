"""What the finished stages say: a table with intervals, a JSON of everything, and two plots."""

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

from benchmarks.tofu.models import chosen_rate, trial_score
from benchmarks.tofu.plan import WORLDS, Experiment, Row
from benchmarks.tofu.stages import stages
from tif.errors import InputError
from tif.eval import measures
from tif.eval.figures import MARKERS, PALETTE
from tif.sources import read_json
from tif.store import atomic_write
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
                runs[name] = {"label": row.label, **_recipe(row, folder), **found, "log": _log(folder)}
            elif known := e.run_before(row, seed):
                runs[name] = known
            else:
                absent.append(row.label)
    states: dict[str, list[str]] = {"done": [], "missing": []}
    for stage in stages(e):
        states["done" if stage.done else "missing"].append(stage.name)
    return {
        "plan": asdict(e.plan),
        "environment": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "numpy", "scipy")},
            **{k: v for k, v in read_json(e.out / "plan.json").items() if k in ("autocast", "step_seconds")},
        },
        "models": {**e.earlier.get("models", {}), **models(e)},
        "spans": _done(e.out / "spans") or e.earlier.get("spans", {}),
        "choices": {row.name: _choice(e, row) for row in e.rows if not row.rate_of},
        "runs": runs,
        "absent": absent,
        **states,
    }


def _recipe(row: Row, folder: Path) -> dict[str, Any]:
    done = _done(folder)
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
    if found["plan"] != json.loads(json.dumps(asdict(e.plan))):
        return {}
    return found if all(found.get("models", {}).get(name) == mine for name, mine in models(e).items()) else {}


def _choice(e: Experiment, row: Row) -> dict[str, Any]:
    scores: dict[str, float] = {}
    for rate in e.plan.rates:
        if e.score_before(row, rate) is not None or (e.trial(row, rate) / "measured-dev" / "done.json").is_file():
            scores[f"{rate:g}"] = trial_score(e, row, rate)
    return {"rate": chosen_rate(e, row) if len(scores) == len(e.plan.rates) else None, "scores": scores}


def _run(folder: Path, never: Path) -> dict[str, Any] | None:
    if not all((f / "measured-eval" / "done.json").is_file() for f in (folder, never)):
        return None
    return _cells(folder, never, (folder / "relearned" / "done.json").is_file())


@cache
def _cells(folder: Path, never: Path, relearned: bool) -> dict[str, Any]:
    """Kept for the next table of the same process: finished folders do not change."""
    record, examples = _evaluation(folder / "measured-eval")
    cells: dict[str, Cell | None] = {}
    for name, (part, column) in MEANS.items():
        values = [x[column] for x in examples[part] if x[column] is not None]
        cells[name] = (float(np.mean(values)), *measures.bootstrap(values)) if values else None
    cells["utility"] = _utility(record, examples)
    cells["forget quality"] = _quality(examples, never)
    cells["FQ relearned"] = _quality(_evaluation(folder / "relearned")[1], never) if relearned else None
    return {"cells": cells, "utility_parts": record["model_utility_parts"], "parts": record["parts"]}


def _evaluation(folder: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    examples: dict[str, list[dict[str, Any]]] = {}
    for x in pq.read_table(folder / "examples.parquet").to_pylist():
        examples.setdefault(x["part"], []).append(x)
    return read_json(folder / "eval.json"), examples


def _quality(examples: Mapping[str, Sequence[Mapping[str, Any]]], never: Path) -> Cell:
    """Forget quality against the retain-only model; rows drawn again, the same ones for both models."""
    reference = _evaluation(never / "measured-eval")[1]["forget"]
    theirs = {x["question"]: x["truth_ratio"] for x in reference}
    if set(theirs) != {x["question"] for x in examples["forget"]}:
        raise InputError("the retain-only model was measured on other questions", where=str(never))
    pairs = np.array([(x["truth_ratio"], theirs[x["question"]]) for x in examples["forget"]], dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(pairs), size=(_DRAWS, len(pairs)))
    some = [measures.forget_quality(*pairs[draw].T) for draw in draws]
    low, high = np.quantile(some, (0.025, 0.975))
    return measures.forget_quality(*pairs.T), float(low), float(high)


def _utility(record: Mapping[str, Any], examples: Mapping[str, Sequence[Mapping[str, Any]]]) -> Cell:
    """Model utility; rows drawn again within each part."""
    random = np.random.default_rng(0)
    parts: list[list[float]] = []
    for part in ("retain", "real_authors", "world_facts"):
        chosen = "probability" if part == "retain" else "normalised_probability"
        table = np.array(
            [[x[chosen], x["rougeL_recall"], max(0.0, 1 - x["truth_ratio"])] for x in examples[part]], dtype=np.float64
        )
        draws = random.integers(0, len(table), size=(_DRAWS, len(table)))
        parts.append(table[draws].mean(axis=1))
    some = [measures.model_utility(draw) for draw in np.concatenate(parts, axis=1)]
    low, high = np.quantile(some, (0.025, 0.975))
    return float(record["model_utility"]), float(low), float(high)


def _log(folder: Path) -> list[dict[str, float]]:
    """UW and GW probability of each step's own forget rows."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    kept = ("step", "uw_probability", "gw_probability")
    return [{k: line[k] for k in kept if k in line} for line in lines if "uw_probability" in line]


def _done(folder: Path) -> dict[str, Any]:
    path = folder / "done.json"
    return read_json(path) if path.is_file() else {}


def write(e: Experiment, docs: Path, command: str) -> dict[str, Any]:
    """`results.md`, `results.json` and the plots, from whatever is finished."""
    found = {"command": command, **collect(e)}
    blob = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(docs / "results.json", blob.encode())
    atomic_write(docs / "results.md", _page(found).encode())
    runs = found["runs"]
    if len(runs) > 1:
        _pareto(runs, docs / "results.png")
    if any("log" in run for run in runs.values()):
        _trajectory(runs, docs / "trajectory.png")
    return found


def _page(found: Mapping[str, Any]) -> str:
    plan, runs, missing = found["plan"], found["runs"], found["missing"]
    total = len(missing) + len(found["done"])
    rates = " and ".join(f"{rate:g}" for rate in plan["rates"])
    lines = [
        "# Results",
        "",
        "Written by the command below from its finished stages; not edited by hand.",
        "",
        f"```console\n{found['command']}\n```",
        "",
        f"Scale `{plan['name']}`, {len(plan['seeds'])} seed, {len(found['done'])} of {total} stages finished.",
        "",
        "Rows of `results.json` are not done again, nor on another machine if the models that they begin from come out "
        "the same there to the bit; delete the file to begin anew.",
        "",
        f"- **Target**: the base model fine-tuned on {plan['forget_rows']} rows of forget01, as many of forget05's "
        f"other authors, and {plan['retain_rows']} of retain authors. **Retain-only**: the same without the forget "
        "rows. It is what unlearning should end at, so its UW and GW are the goal, not zero.",
        f"- **Schedule**, fixed beforehand: {plan['epochs']:g} epochs, batch {plan['batch']}, linear decay; the last "
        "step is what is measured. Other settings are the objectives' defaults.",
        f"- **Learning rate**: of {rates}, chosen with other authors: the first {plan['forget_rows']} rows of forget05 "
        "are forgotten, and retain probability is that of retain authors who are not measured below. The rate with the "
        "highest min(forget quality, retain probability / the target's) wins.",
        f"- **Measured** on forget01, on {plan['retain_rows'] - plan['retain_rows'] // 2} rows of retain authors, and "
        f"on the first {plan['utility_rows']} rows of real authors and of world facts each. UW and GW are those of the "
        "gold spans, whatever a row was trained on. Retain rows are among those of the retain term, as in TOFU.",
        "- **Intervals** are 95% bootstrap percentiles over rows: they say nothing about other seeds or other authors. "
        "Forget quality is a p-value: resampled, it spreads widely with so few rows.",
        "- **FQ relearned**: forget quality after one epoch on the forget rows (2e-5, batches of 32).",
        "",
    ]
    if not runs:
        lines += ["Nothing is measured yet.", ""]
    else:
        lines += _table(runs)
    if len(runs) > 1:
        lines += ["![Forget quality against model utility, every run](results.png)", ""]
    if any("log" in run for run in runs.values()):
        lines += [
            "Probability of the forget rows' words while they are unlearned, as each step's own batch shows it; it had "
            "no part in any choice.",
            "",
            "![UW and GW probability by step](trajectory.png)",
            "",
        ]
    chosen = {name: choice for name, choice in found["choices"].items() if choice["rate"]}
    if chosen:
        lines += ["## Learning rates", "", "| row | chosen | score of each |", "|---|---|---|"]
        lines += [
            f"| {name} | {c['rate']:g} | " + ", ".join(f"{r}: {s:.3f}" for r, s in c["scores"].items()) + " |"
            for name, c in chosen.items()
        ]
        lines.append("")
    if found["spans"]:
        lines += ["## Spans", "", "| world and kind | spans | words | characters |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {c['spans']} | {c['words']} | {c['characters']} |"
            for name, c in found["spans"].items()
            if isinstance(c, dict)
        ]
        lines.append("")
    lines += ["## What is not shown", ""]
    lines += [
        f"- Another base model, forget05 and forget10, other seeds: this is {len(plan['seeds'])} seed of one small "
        "setting. Differences inside the intervals are no differences.",
        "- Retain rows outside the retain term.",
    ]
    if missing:
        absent = f" No row yet for: {'; '.join(found['absent'])}." if found["absent"] else ""
        lines += [
            f"- {len(missing)} of {total} stages are not finished; `results.json` names them, and the same command "
            f"goes on.{absent}"
        ]
    return "\n".join(lines) + "\n"


def _table(runs: Mapping[str, Any]) -> list[str]:
    lines = [f"| row | lr | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for run in runs.values():
        cells = [_shown(run["cells"][name]) for name in COLUMNS]
        lines.append(f"| {run['label']} | {format(run['lr'], 'g') if 'lr' in run else ''} | {' | '.join(cells)} |")
    lines += ["", "Parts of model utility:", ""]
    names = list(next(iter(runs.values()))["utility_parts"])
    lines += [f"| row | {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for run in runs.values():
        lines.append(f"| {run['label']} | " + " | ".join(f"{run['utility_parts'][name]:.3f}" for name in names) + " |")
    return [*lines, ""]


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    value, low, high = cell
    form = ".1e" if value < 0.001 else ".3f"
    return f"{value:{form}} ({low:.2g}–{high:.2g})"


def _pareto(runs: Mapping[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for number, run in enumerate(runs.values()):
        x, y = run["cells"]["utility"][0], max(run["cells"]["forget quality"][0], 1e-12)
        axes.plot(
            x, y, MARKERS[number % 8], color=PALETTE[number % 8], markersize=9, markeredgecolor="black",
            linestyle="none", label=run["label"],
        )  # fmt: skip
    axes.axhline(0.05, color="grey", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("model utility")
    axes.set_ylabel("forget quality (p-value)")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _trajectory(runs: Mapping[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2, sharey=True), ("uw_probability", "gw_probability"), strict=True):
        shown = [run for run in runs.values() if "log" in run]
        for number, run in enumerate(shown):
            line = [(x["step"], x[column]) for x in run["log"] if column in x]
            axes.plot(
                [x for x, _ in line], [y for _, y in line], color=PALETTE[number % 8], marker=MARKERS[number % 8],
                markevery=0.2, markersize=4, label=run["label"] if column == "uw_probability" else None,
            )  # fmt: skip
        axes.set_title("unwanted words" if column == "uw_probability" else "general words", fontsize=10)
        axes.set_xlabel("step")
        axes.set_ylim(0, 1.02)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


__all__ = ["COLUMNS", "collect", "earlier", "models", "write"]
