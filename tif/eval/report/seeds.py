"""Runs that differ in nothing but their seed, taken together: mean and standard deviation over training seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tif.eval.report.entry import Entry

_FREE: Final = ("seed", "out", "masks", "model", "save_steps", "keep_checkpoints", "log_steps", "report_to", "data_dir")
"""Settings that may differ: they change no number, or stand in digests."""


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
        if entry.run is not None and "config" in entry.run:
            # The same run reported twice is one seed.
            groups.setdefault(_same(entry), {}).setdefault(entry.run["config"]["seed"], (entry.label, row))
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


def _same(entry: Entry) -> str:
    """What runs of one group have in common: how they were trained, on what, from what, and how they were evaluated."""
    assert entry.run is not None
    config = {name: value for name, value in entry.run["config"].items() if name not in _FREE}
    trained = [config, entry.run["masks"].get("digest"), entry.run["model"].get("digest")]
    said = ("benchmark", "forget", "limit", "attack", "settings", "dtype", "retain_truth_ratio")
    evaluated = [entry.record.get(name) for name in said] + [(entry.record.get("masks") or {}).get("digest")]
    return json.dumps([trained, evaluated], sort_keys=True)


def _spread(values: Sequence[Any]) -> dict[str, float] | None:
    if any(value is None for value in values):
        return None
    numbers = [value["mean"] if isinstance(value, Mapping) else value for value in values]
    return {"mean": statistics.fmean(numbers), "sd": statistics.stdev(numbers)}


__all__ = ["over_seeds"]
