"""Runs that differ in nothing but their seed, taken together: mean and standard deviation over training seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tif.eval.report.entry import Entry
from tif.records import RunRecord

_EVALUATED: Final = ("benchmark", "forget", "limit", "attack", "settings", "dtype", "retain_truth_ratio")
"""Fields of the evaluations that runs of one group share."""


def over_seeds(entries: Sequence[Entry], headline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One object a group of two or more seeds.

    Args:
        entries: named, as `tif.eval.report.write.compose` gives them.
        headline: their rows, as `summarise` gives them.

    Returns:
        `{"runs": [labels], "seeds": [...], NAME: {"mean", "sd"} or None}`: the sample standard deviation of what the
        runs' own rows say. None where a run lacks the number.
    """
    groups: dict[str, dict[int, tuple[str, Mapping[str, Any]]]] = {}
    for entry, row in zip(entries, headline, strict=True):
        if entry.run is not None:
            # The same run reported twice is one seed.
            groups.setdefault(_group(entry, entry.run), {}).setdefault(entry.run.seed, (entry.label, row))
    found = []
    for group in groups.values():
        if len(group) > 1:
            rows = [row for _, row in group.values()]
            over: dict[str, Any] = {"runs": [label for label, _ in group.values()], "seeds": list(group)}
            for name in rows[0]:
                if name != "label":
                    over[name] = _spread([row[name] for row in rows])
            found.append(over)
    return found


def _group(entry: Entry, run: RunRecord) -> str:
    """A key that runs share if they were trained alike but for the seed, and evaluated alike."""
    record = entry.record.to_json()
    masks = entry.record.masks.digest if entry.record.masks else None
    return json.dumps([run.same_but_seed(), [record[name] for name in _EVALUATED], masks], sort_keys=True)


def _spread(values: Sequence[Any]) -> dict[str, float] | None:
    if any(value is None for value in values):
        return None
    numbers = [value["mean"] if isinstance(value, Mapping) else value for value in values]
    return {"mean": statistics.fmean(numbers), "sd": statistics.stdev(numbers)}


__all__ = ["over_seeds"]
