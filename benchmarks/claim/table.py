"""What the finished stages say: the numbers of each run with intervals, and which demands each row meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claim.columns import Cell, Measured
from benchmarks.claim.plan import Experiment, Row, World
from benchmarks.stages import result
from benchmarks.tofu.results import evaluation


def collect(e: Experiment) -> dict[str, Any]:
    """Everything that is finished, as JSON values."""
    searched = {row.name: result(e.search(row)) for row in e.rows if not row.tuned_as}
    return {
        "plan": e.plan.name,
        "seeds": list(e.plan.seeds),
        "chosen": e.study.chosen,
        "demands": [str(demand) for demand in e.study.demands],
        "runs": _runs(e, e.rows, "eval"),
        "dev": _runs(e, e.recipes, "dev"),
        "searches": {name: found for name, found in searched.items() if found},
        "spans": result(e.out / "spans"),
    }


def _runs(e: Experiment, rows: Sequence[Row], world: World) -> dict[str, Any]:
    """The references and the runs of a world, those that are measured."""
    runs: dict[str, Any] = {}
    for name in ("target", "retain-only"):
        if cells := _cells(e, e.reference(name, world), world):
            runs[name] = {"label": name, "cells": cells}
    for row in rows:
        for seed in e.plan.seeds:
            folder = e.run(row, world, seed)
            if cells := _cells(e, folder, world):
                own = {"label": row.label, "row": row.name, "seed": seed, **result(folder), "cells": cells}
                runs[f"{row.name}/{seed}"] = own
    return runs


def _cells(e: Experiment, folder: Path, world: World) -> dict[str, Cell]:
    """The numbers of a run, of those of its evaluations that are finished."""
    cells: dict[str, Cell] = {}
    for measurement in e.study.measurements:
        place = e.measured(measurement, folder, world)
        if world not in measurement.worlds or not result(place):
            continue
        record, examples = evaluation(place)
        never = e.measured(measurement, e.reference("retain-only", world), world)
        measured = Measured(record=record, examples=examples, never=never)
        for column in e.study.columns:
            if column.measurement == measurement.name and (cell := column.read(measured)) is not None:
                cells[column.name] = cell
    return cells


def verdicts(e: Experiment, runs: Mapping[str, Any]) -> Iterator[tuple[str, list[bool | None]]]:
    """For each row with a run: its label, and for each demand whether every seed meets it; None if one is missing."""
    target, never = (runs.get(name, {}).get("cells", {}) for name in ("target", "retain-only"))
    rows = dict.fromkeys(run["row"] for run in runs.values() if "row" in run)
    for row in rows:
        own = [run for run in runs.values() if run.get("row") == row]
        by_demand = [[d.met(run["cells"], target, never) for run in own] for d in e.study.demands]
        yield own[0]["label"], [False if False in met else None if None in met else True for met in by_demand]


__all__ = ["collect", "verdicts"]
