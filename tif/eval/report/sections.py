"""The sections of measures in the order of the report, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from tif.eval.options import Attack
from tif.eval.report import components, composites, depth, headline, leaks, membership, robustness, seeds, trajectory
from tif.eval.report.attacks import ATTACKS
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import HeadlineRow
from tif.eval.report.mark import TO_MEASURE
from tif.eval.report.section import Section
from tif.eval.report.seeds import SeedGroup

_FIRST: Final = (leaks, depth, robustness, membership, components)
_NAMES: Final = {
    "leak": "leakage in random answers",
    "depth": "depth",
    **ATTACKS,
    "membership": "membership inference",
}
"""Names of measures, by their key in the record's reasons."""


def measured(evaluations: Evaluations) -> list[Section]:
    """Return the sections with numbers that stand before the table of metrics: each answers a question about a model.

    They are what comes out, what is still inside, what comes back, and a benchmark's own numbers.
    """
    sections = [part.section(evaluations) for part in _FIRST]
    return [section for section in sections if section is not None]


def metrics(evaluations: Evaluations, rows: Sequence[HeadlineRow], groups: Sequence[SeedGroup]) -> list[Section]:
    """Return the sections for researchers: the metrics, composites of them, and the metrics over seeds and steps."""
    sections = (
        headline.section(rows),
        composites.section(evaluations),
        seeds.section(groups),
        trajectory.section(evaluations),
    )
    return [section for section in sections if section is not None]


def unmeasured(evaluations: Evaluations) -> list[str]:
    """Return one line for each measure that no evaluation has: why, or how to measure it.

    MUSE has its own measures, and no others.
    """
    focus = evaluations.focus.record
    if focus.muse is not None:
        return []
    records = [entry.record for entry in evaluations.entries]
    known = {
        "leak": any(record.leaks for record in records),
        "depth": any(record.depth for record in records),
        "membership": any(record.membership for record in records),
        **{attack: any(r.attack == attack and r.robustness for r in records) for attack in get_args(Attack)},
    }
    return [
        f"{name[0].upper()}{name[1:]} was not measured: {focus.reasons.get(key, TO_MEASURE[key])}."
        for key, name in _NAMES.items()
        if not known[key]
    ]


__all__ = ["measured", "metrics", "unmeasured"]
