"""What the finished stages say: the numbers of each run with intervals, and which parts of the claim each run meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.claim.plan import CHOSEN, Experiment, Row, World
from benchmarks.stages import result
from benchmarks.tofu.results import UNSTEADY, Cell, evaluation, quality, steady_utility, utility_interval
from tif.eval.measure import measures
from tif.eval.record import EvalRecord

Column = Literal["leak", "leak, other words", "leak relearned", "UW", "GW", "GW by ner", "retain", "utility", "FQ"]
COLUMNS: Final[tuple[Column, ...]] = (
    "leak",
    "leak, other words",
    "leak relearned",
    "UW",
    "GW",
    "GW by ner",
    "retain",
    "utility",
    "FQ",
)
_MEANS: Final[Mapping[Column, tuple[str, str]]] = {
    "UW": ("forget", "uw_probability"),
    "GW": ("forget", "gw_probability"),
    "retain": ("retain", "probability"),
}


@dataclass(frozen=True, slots=True)
class Demand:
    """One part of the claim: a bound for a column, perhaps from the target or from the retain-only model."""

    column: Column
    least: float | None = None
    """The smallest value allowed."""
    share: float | None = None
    """The smallest allowed share of the target's value."""
    above: float | None = None
    """How far the value may be above the retain-only model's."""

    def bound(self, target: Mapping[Column, Cell], never: Mapping[Column, Cell]) -> float | None:
        """The value that a run must reach, or must not exceed; None while the other model is not measured."""
        if self.above is not None:
            return never[self.column][0] + self.above if self.column in never else None
        if self.share is not None:
            return target[self.column][0] * self.share if self.column in target else None
        return self.least

    def met(
        self, run: Mapping[Column, Cell], target: Mapping[Column, Cell], never: Mapping[Column, Cell]
    ) -> bool | None:
        """Whether a run meets it; None while that is not measured."""
        bound = self.bound(target, never)
        if bound is None or self.column not in run:
            return None
        return run[self.column][0] <= bound if self.above is not None else run[self.column][0] >= bound

    def __str__(self) -> str:
        if self.above is not None:
            return f"{self.column} at most {self.above:g} above the retain-only model's"
        if self.share is not None:
            return f"{self.column} at least {self.share:g} of the target's"
        return f"{self.column} at least {self.least:g}"


DEMANDS: Final = (
    Demand("leak", above=0.02),
    Demand("leak, other words", above=0.02),
    Demand("leak relearned", above=0.05),
    Demand("GW", least=0.90),
    Demand("retain", share=0.98),
    Demand("utility", share=0.98),
    Demand("FQ", least=0.05),
)
"""The claim: all of them, in every seed."""


def collect(e: Experiment) -> dict[str, Any]:
    """Everything that is finished, as JSON values."""
    searched = {row.name: result(e.search(row)) for row in e.rows if not row.tuned_as}
    return {
        "plan": e.plan.name,
        "seeds": list(e.plan.seeds),
        "chosen": CHOSEN,
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


def _cells(e: Experiment, folder: Path, world: World) -> dict[Column, Cell]:
    """The numbers of a run, of those of its stages that are finished."""
    found: dict[Column, Cell] = {}
    if result(folder / f"measured-{world}"):
        record, examples = evaluation(folder / f"measured-{world}")
        for column, (part, field) in _MEANS.items():
            found[column] = _mean([row[field] for row in examples[part] if row[field] is not None])
        found["leak"], found["leak, other words"] = _leak(record, "question"), _leak(record, "paraphrase")
        steady = steady_utility({"utility_parts": record.model_utility_parts})
        found["utility"] = (steady, *utility_interval(examples, without=UNSTEADY))
        found["FQ"] = quality(examples, e.reference("retain-only", world) / f"measured-{world}")
    if result(folder / "relearned-eval"):
        found["leak relearned"] = _leak(EvalRecord.read(folder / "relearned-eval"), "question")
    if result(folder / "measured-ner"):
        by_ner = evaluation(folder / "measured-ner")[1]["forget"]
        found["GW by ner"] = _mean([row["gw_probability"] for row in by_ner if row["gw_probability"] is not None])
    return found


def _mean(values: Sequence[float]) -> Cell:
    return (sum(values) / len(values), *measures.bootstrap(values))


def _leak(record: EvalRecord, form: str) -> Cell:
    most = record.leaks[form].most
    if most is None:
        raise ValueError(f"{form} was asked without samples")
    interval = most.cores.leak_any
    return interval.mean, interval.low, interval.high


def verdicts(runs: Mapping[str, Any]) -> Iterator[tuple[str, list[bool | None]]]:
    """For each row with a run: its label, and for each demand whether every seed meets it; None if one is missing."""
    target, never = (runs.get(name, {}).get("cells", {}) for name in ("target", "retain-only"))
    rows = dict.fromkeys(run["row"] for run in runs.values() if "row" in run)
    for row in rows:
        own = [run for run in runs.values() if run.get("row") == row]
        by_demand = [[d.met(run["cells"], target, never) for run in own] for d in DEMANDS]
        yield own[0]["label"], [False if False in met else None if None in met else True for met in by_demand]


__all__ = ["COLUMNS", "DEMANDS", "Column", "Demand", "collect", "verdicts"]
