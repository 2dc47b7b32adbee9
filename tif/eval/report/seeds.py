"""Runs that differ in nothing but their seed, taken together: mean and standard deviation over training seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from tif.eval.report.entry import Entry
from tif.eval.report.headline import Cell, HeadlineRow, Interval
from tif.eval.report.section import Section
from tif.eval.report.tables import DASH, Line, Table
from tif.records import CHECKPOINTS, RunRecord

HEADING: Final = "Over training seeds"
GLOSS: Final = "Runs that differ in nothing but their seed: the mean, ± the standard deviation over them."
_EVALUATED: Final = ("benchmark", "forget", "limit", "attack", "settings", "dtype", "retain_truth_ratio")
"""Fields of the evaluations that runs of one group share."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over seeds."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGroup:
    """Two or more runs that differ in their seed alone."""

    runs: tuple[str, ...]
    """Their labels."""
    seeds: tuple[int, ...]
    cells: Mapping[str, Spread | None]
    """By the headline's names; None where a run lacks the number."""

    def to_json(self) -> dict[str, JsonValue]:
        """Runs, seeds and cells in one object."""
        group: dict[str, JsonValue] = {"runs": [*self.runs], "seeds": [*self.seeds]}
        for name, spread in self.cells.items():
            group[name] = asdict(spread) if spread else None
        return group


def over_seeds(entries: Sequence[Entry], headline: Sequence[HeadlineRow]) -> list[SeedGroup]:
    """The groups among these entries, given with their rows."""
    groups: dict[str, dict[int, HeadlineRow]] = {}
    for entry, row in zip(entries, headline, strict=True):
        if entry.run is not None:
            # The same run reported twice is one seed.
            groups.setdefault(_group(entry, entry.run), {}).setdefault(entry.run.seed, row)
    return [
        SeedGroup(
            runs=tuple(row.label for row in group.values()),
            seeds=tuple(group),
            cells={name: _spread([row.cells[name] for row in group.values()]) for name in headline[0].cells},
        )
        for group in groups.values()
        if len(group) > 1
    ]


def section(groups: Sequence[SeedGroup]) -> Section | None:
    """Return the table, with one line a group; None without groups."""
    if not groups:
        return None
    names = [name for name in groups[0].cells if any(group.cells.get(name) is not None for group in groups)]
    lines = [
        Line(
            ", ".join(group.runs),
            [", ".join(map(str, group.seeds)), *(_shown(group.cells[name]) for name in names)],
        )
        for group in groups
    ]
    return Section(heading=HEADING, gloss=GLOSS, parts=[Table(corner="runs", columns=["seeds", *names], lines=lines)])


def _shown(spread: Spread | None) -> str:
    return DASH if spread is None else f"{spread.mean:.3g}<small>± {spread.sd:.2g}</small>"


def _group(entry: Entry, run: RunRecord) -> str:
    """A key that runs share if they were trained alike but for the seed, and evaluated alike."""
    record = entry.record.to_json()
    masks = entry.record.masks.digest if entry.record.masks else None
    robustness = entry.record.robustness
    relearning = asdict(robustness.relearning) if robustness and robustness.relearning else None
    # Checkpoints of a run are other models than its last one.
    model = Path(str(entry.record.model.path)) if entry.record.model else None
    checkpoint = model.name if model is not None and model.parent.name == CHECKPOINTS else None
    alike = [run.same_but_seed(), [record[name] for name in _EVALUATED], masks, relearning, checkpoint]
    return json.dumps(alike, sort_keys=True)


def _spread(cells: Sequence[Cell]) -> Spread | None:
    numbers = [cell.mean if isinstance(cell, Interval) else cell for cell in cells]
    known = [number for number in numbers if number is not None]
    return Spread(statistics.fmean(known), statistics.stdev(known)) if len(known) == len(numbers) else None


__all__ = ["SeedGroup", "Spread", "over_seeds", "section"]
