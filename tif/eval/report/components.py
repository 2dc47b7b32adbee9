"""The components of a benchmark that has numbers of its own, such as MUSE and LUME: one line each, never one average.

A benchmark is shown if the evaluation's record has a field with its name. Nested names become a group of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from html import escape
from typing import Final

from tif.eval.measure.leak_at_k import Interval
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.tables import Line, cell, grid

BENCHMARKS: Final = ("muse", "lume")
"""Fields of the record."""
HEADING: Final = "The benchmark's own numbers"
GLOSS: Final = (
    "Every component by itself. n: examples behind a number. Small print: 95% intervals over examples, where the "
    "evaluation has them."
)
_SIZES: Final = {"regurgitation": "completions", "knowledge": "questions"}
"""The key of the number of examples, where it is not `n`."""
_SHARES: Final = {"answered": "asked", "written": "continued"}
"""Counts that are a share of another count."""
_NOTES: Final = {
    "privleak": "0 is the retain model's AUC; below 0, the model forgets too little; above 0, too much",
    "task_aggregate": "harmonic mean of the terms; higher is better",
    "membership_score": "1 - 2 |AUC - 0.5|; it is also near 1 for a model that was destroyed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One number of a benchmark."""

    group: str
    """Such as `verbmem forget`."""
    name: str
    value: Interval | float
    size: int | None = None
    """Examples behind it."""


def components(entry: Entry) -> list[Component]:
    """Return the components of the entry's benchmark, in the order of the record; empty without such a benchmark."""
    name = entry.record.benchmark
    numbers = getattr(entry.record, name, None) if name in BENCHMARKS else None
    if numbers is None or not is_dataclass(numbers) or isinstance(numbers, type):
        return []
    return [_with_interval(entry, each) for each in _flat(asdict(numbers), ())]


def section(evaluations: Evaluations) -> str:
    """Return the table as HTML; empty if no evaluation has components."""
    found = {entry.label: components(entry) for entry in evaluations.entries}
    found = {label: own for label, own in found.items() if own}
    keys = list(dict.fromkeys((each.group, each.name) for own in found.values() for each in own))
    if not keys:
        return ""
    by_key = {label: {(each.group, each.name): each for each in own} for label, own in found.items()}
    lines = []
    for group, name in keys:
        each = [by_key[label].get((group, name)) for label in found]
        lines.append(
            Line(
                name.replace("_", " "),
                [cell(one.value if one else None) for one in each],
                sizes=[one.size if one else None for one in each],
                title=_NOTES.get(name, ""),
                group=group.replace("_", " "),
            )
        )
    notes = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_NOTES[name])}</dd>"
        for name in dict.fromkeys(name for _, name in keys)
        if name in _NOTES
    )
    return grid("number", list(found), lines) + (f"<dl>{notes}</dl>" if notes else "")


def _flat(numbers: Mapping[str, object], path: Sequence[str]) -> Iterator[Component]:
    group = ", ".join(path) or "in total"
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            yield from _flat(value, [*path, name])
        elif name in _SHARES:
            of = numbers.get(_SHARES[name])
            if isinstance(value, int) and isinstance(of, int) and of:
                yield Component(group=group, name=f"{name}, of {_SHARES[name]}", value=value / of, size=of)
        elif isinstance(value, float):
            size = numbers.get(_SIZES.get(name, "n"))
            yield Component(group=group, name=name, value=value, size=size if isinstance(size, int) else None)


def _with_interval(entry: Entry, component: Component) -> Component:
    """Add the interval where the examples of a part of this name have the number."""
    mean = entry.mean(component.group, component.name) if isinstance(component.value, float) else None
    if mean is None or abs(mean[0] - float(component.value)) > 1e-6:  # type: ignore[arg-type]
        return component
    return Component(group=component.group, name=component.name, value=Interval(*mean), size=component.size)


__all__ = ["BENCHMARKS", "GLOSS", "HEADING", "Component", "components", "section"]
