"""The components of a benchmark that has numbers of its own, such as MUSE and LUME: one line each, never one average.

A benchmark is shown if the evaluation's record has a field with its name. Nested names become a group of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Final

from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.privacy import auc_interval, privleak
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.section import Section
from tif.eval.report.tables import Line, Table, cell

BENCHMARKS: Final = ("muse", "lume")
"""Fields of the record."""
HEADING: Final = "The benchmark's own numbers"
GLOSS: Final = (
    "Every component by itself. n: examples behind a number. Ranges are 95% intervals over examples, where the "
    "evaluation has them, and over texts for an AUC."
)
_SIZES: Final = {"regurgitation": "completions", "knowledge": "questions"}
"""The key of the number of examples, where it is not `n`."""
_SHARES: Final = {"answered": "asked", "written": "continued"}
"""Counts that are a share of another count."""
_NOTES: Final = {
    "privleak": "0 is the retain model's AUC; below 0, the model forgets too little; above 0, too much. Its interval "
    "takes the retain model's AUC as exact",
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


def section(evaluations: Evaluations) -> Section | None:
    """Return the table; None if no evaluation has components."""
    found = {entry.label: components(entry) for entry in evaluations.entries}
    found = {label: own for label, own in found.items() if own}
    keys = list(dict.fromkeys((each.group, each.name) for own in found.values() for each in own))
    if not keys:
        return None
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
    notes = {name.replace("_", " "): _NOTES[name] for _, name in keys if name in _NOTES}
    table = Table(corner="number", columns=list(found), lines=lines, notes=notes)
    return Section(heading=HEADING, gloss=GLOSS, parts=[table])


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
    """Add the interval where the examples of a part of this name have the number, and to areas of MUSE."""
    if (area := _muse_area(entry, component)) is not None:
        return area
    mean = entry.mean(component.group, component.name) if isinstance(component.value, float) else None
    if mean is None or abs(mean[0] - float(component.value)) > 1e-6:  # type: ignore[arg-type]
        return component
    return replace(component, value=Interval(*mean))


def _muse_area(entry: Entry, component: Component) -> Component | None:
    """Return an AUC of MUSE, or PrivLeak, with its n and its interval over texts; None for another number."""
    muse = entry.record.muse
    sizes = [muse.privleak_texts.get(part, 0) for part in ("forget", "holdout")] if muse else [0]
    value = component.value
    if muse is None or not isinstance(value, float) or min(sizes) < 1:
        return None
    area, retain = muse.attacks.get("min_k"), muse.privleak_retain_auc
    if component.group == "attacks" or (
        component.name == "privleak_retain_auc" and muse.privleak_reference == "retain log"
    ):
        interval = Interval(value, *auc_interval(value, sizes[0], sizes[1]))
    elif component.name == "privleak" and area is not None and retain is not None:
        low, high = auc_interval(area, sizes[0], sizes[1])
        interval = Interval(value, privleak(high, retain), privleak(low, retain))
    else:
        return None
    return replace(component, value=interval, size=sum(sizes))


__all__ = ["BENCHMARKS", "HEADING", "Component", "components", "section"]
