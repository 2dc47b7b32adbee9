"""The columns of a table, each read from one evaluation, and the demands on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tofu.results import Cell
from tif.eval.measure import measures
from tif.eval.record import EvalRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A finished evaluation."""

    record: EvalRecord
    examples: Mapping[str, Sequence[Mapping[str, Any]]]
    """Its rows by part."""
    never: Path
    """Folder of the same evaluation of the retain-only model."""


@dataclass(frozen=True, slots=True)
class Column:
    """A number of each run."""

    name: str
    measurement: str
    """Name of the evaluation that it is read from."""
    read: Callable[[Measured], Cell | None]
    """Returns the number with its interval; None if the evaluation lacks it."""
    group: str = ""
    """Name of the table that it is in, below the main one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One part of a claim: a bound for a column, perhaps from the target or from the retain-only model."""

    column: str
    least: float | None = None
    """The smallest value allowed."""
    share: float | None = None
    """The smallest allowed share of the target's value."""
    above: float | None = None
    """How far the value may be above the retain-only model's."""

    def bound(self, target: Mapping[str, Cell], never: Mapping[str, Cell]) -> float | None:
        """The value that a run must reach, or must not exceed; None while the other model is not measured."""
        if self.above is not None:
            return never[self.column][0] + self.above if self.column in never else None
        if self.share is not None:
            return target[self.column][0] * self.share if self.column in target else None
        return self.least

    def met(self, run: Mapping[str, Cell], target: Mapping[str, Cell], never: Mapping[str, Cell]) -> bool | None:
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


def mean(part: str, number: str, **of: str) -> Callable[[Measured], Cell | None]:
    """Return a reader of the mean of a number over the rows of a part.

    Args:
        part: a part of the evaluation.
        number: a column of its rows.
        of: columns and the values that a row must have in them.
    """

    def read(measured: Measured) -> Cell | None:
        rows = [row for row in measured.examples.get(part, ()) if all(row[name] == of[name] for name in of)]
        return _mean([row[number] for row in rows if row[number] is not None])

    return read


def leak(form: str) -> Callable[[Measured], Cell | None]:
    """Return a reader of the share of prompts of a form whose random answers contain an unwanted phrase."""

    def read(measured: Measured) -> Cell | None:
        most = measured.record.leaks[form].most if form in measured.record.leaks else None
        if most is None:
            return None
        interval = most.cores.leak_any
        return interval.mean, interval.low, interval.high

    return read


def _mean(values: Sequence[float]) -> Cell | None:
    return (sum(values) / len(values), *measures.bootstrap(values)) if values else None


def alone(value: float | None) -> Cell | None:
    """Return a number that has no interval."""
    return None if value is None else (value, value, value)


__all__ = ["Cell", "Column", "Demand", "Measured", "alone", "leak", "mean"]
