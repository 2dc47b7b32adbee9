"""How much an attack brings back: likelihoods of the forget set before and after it, beside two other models.

    before, after     the evaluated model's probability of an example's unwanted words, before and after the attack
    starting          the starting model's, without an attack
    share recovered = mean(after - before) / mean(starting - before)

The share is 0 if nothing came back and 1 at the starting model's level. The retain model under the same attack shows
how much the attack itself teaches. Definitions and sources: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tif.eval.measure import measures, memorization
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.score import Scored
from tif.eval.settings import RelearnOn, Schedule
from tif.records import ModelIdentity
from tif.tokens.masks import Kind

Floats = NDArray[np.float64]
Measure = Literal["uw_probability", "gw_probability", "probability", "extraction_strength"]
MEASURES: Final[tuple[Measure, ...]] = ("uw_probability", "gw_probability", "probability", "extraction_strength")
"""The numbers of each example that a point of the curve has."""

_KINDS: Final[tuple[tuple[Measure, Kind], ...]] = (("uw_probability", Kind.UW), ("gw_probability", Kind.GW))
_TIMES: Final = 2000
_NOT_LOST: Final = (
    "the starting model's level is not above the evaluated model's by more than chance, so there is nothing to recover"
)

Readings = Mapping[Measure, Floats]
"""The numbers of all examples, `[n]` each; NaN where an example has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Means over the examples, each with its 95% interval. None if no example has the number."""

    examples: int
    """Number of examples."""
    uw_probability: Interval | None = None
    gw_probability: Interval | None = None
    probability: Interval | None = None
    """Of the complete answer or text."""
    extraction_strength: Interval | None = None

    @classmethod
    def of(cls, readings: Readings) -> Levels:
        """Return the means of the readings."""
        means = {name: interval(readings[name]) for name in MEASURES}
        return cls(examples=len(readings["probability"]), **means)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The levels after a part of the relearning."""

    epoch: float
    """Finished part of the relearning, in epochs. 0 is before the first step."""
    step: int
    levels: Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackedModel:
    """One model before and after the attack."""

    model: ModelIdentity
    before: Levels
    after: Levels
    curve: tuple[CurvePoint, ...] = ()
    """With relearning: one point at the start and one at each quarter of an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelearningUsed:
    """How the models relearned. The retain model relearned on the same samples, in the same order."""

    on: RelearnOn
    share: float
    """Share of the forget rows that were relearned on. The others are evaluated; with 1, all are."""
    samples: int
    """Number of samples that were relearned on."""
    samples_sha256: str
    """Digest of their tokens and of the tokens with a loss."""
    epochs: int
    lr: float
    batch_size: int
    schedule: Schedule
    steps: int
    """Optimizer steps in total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """What an attack brings back on the forget set, beside the retain model and the starting model."""

    measure: Measure
    """The number that the following fields compare: `uw_probability`, or `probability` without unwanted words."""
    relearning: RelearningUsed | None = None
    """None with nf4."""
    model: AttackedModel
    retain: AttackedModel | None = None
    """The retain model under the same attack."""
    retain_reason: str | None = None
    """Why `retain` is None."""
    starting_model: ModelIdentity | None = None
    starting: Levels | None = None
    """The starting model's levels, without an attack."""
    starting_reason: str | None = None
    """Why `starting` is None."""
    rise: Interval | None = None
    """Mean of after - before over the examples."""
    retain_rise: Interval | None = None
    """The same for the retain model: what the attack teaches a model that never saw the forget set."""
    gap_before: Interval | None = None
    """Mean of the evaluated model's level minus the retain model's, before the attack."""
    gap_after: Interval | None = None
    """The same after the attack on both."""
    recovered: Interval | None = None
    """Share recovered."""
    recovered_reason: str | None = None
    """Why `recovered` is None."""


def read(scored: Sequence[Scored], annotated: Sequence[bool]) -> dict[Measure, list[float]]:
    """Return the readings of scored examples.

    Args:
        scored: the scores of the right answers.
        annotated: whether the annotation set contains the example. Others have no unwanted and general words.
    """
    columns: dict[Measure, list[float]] = {name: [] for name in MEASURES}
    for one, known in zip(scored, annotated, strict=True):
        columns["probability"].append(float(measures.probability(one.loss)))
        columns["extraction_strength"].append(memorization.extraction_strength(one))
        for name, kind in _KINDS:
            tokens = one.of(kind)
            value = float(measures.probability(tokens.loss)) if known and len(tokens) else float("nan")
            columns[name].append(value)
    return columns


def interval(values: Floats) -> Interval | None:
    """Return the mean of the known values with its bootstrap interval; None if no value is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = measures.bootstrap(known, times=_TIMES)
    return Interval(float(known.mean()), low, high)


def main_measure(readings: Readings) -> Measure:
    """Return the number that robustness compares: that of unwanted words, if the examples have some."""
    return "uw_probability" if not np.isnan(readings["uw_probability"]).all() else "probability"


def share_recovered(before: Floats, after: Floats, starting: Floats) -> Interval | None:
    """Return mean(after - before) / mean(starting - before), with an interval from resampling the examples.

    Args:
        before: `[n]`, levels before the attack.
        after: `[n]`, levels after it.
        starting: `[n]`, the starting model's levels.

    Returns:
        None if the 95% interval of the denominator contains 0: the quotient would be noise.
    """
    known = ~np.isnan(before + after + starting)
    rise, lost = (after - before)[known], (starting - before)[known]
    if not known.any() or measures.bootstrap(lost, times=_TIMES)[0] <= 0:
        return None
    draws = np.random.default_rng(0).integers(0, len(rise), size=(_TIMES, len(rise)))
    risen, of = rise[draws].mean(axis=1), lost[draws].mean(axis=1)
    low, high = np.quantile(risen[of > 0] / of[of > 0], [0.025, 0.975])
    return Interval(float(rise.mean() / lost.mean()), float(low), float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The intervals of `Robustness` that compare models."""

    rise: Interval | None
    retain_rise: Interval | None
    gap_before: Interval | None
    gap_after: Interval | None
    recovered: Interval | None
    recovered_reason: str | None


def compare(
    measure: Measure, model: Sequence[Readings], retain: Sequence[Readings] | None, starting: Readings | None
) -> Compared:
    """Compare the levels of the models.

    Args:
        measure: the number to compare.
        model: the readings of the evaluated model, first before and last after the attack.
        retain: the same for the retain model.
        starting: the readings of the starting model.
    """
    before, after = model[0][measure], model[-1][measure]
    others = (retain[0][measure], retain[-1][measure]) if retain is not None else None
    recovered = share_recovered(before, after, starting[measure]) if starting is not None else None
    reason = None
    if recovered is None:
        reason = _NOT_LOST if starting is not None else "it needs the starting model's level"
    return Compared(
        rise=interval(after - before),
        retain_rise=interval(others[1] - others[0]) if others else None,
        gap_before=interval(before - others[0]) if others else None,
        gap_after=interval(after - others[1]) if others else None,
        recovered=recovered,
        recovered_reason=reason,
    )


__all__ = [
    "MEASURES",
    "AttackedModel",
    "Compared",
    "CurvePoint",
    "Levels",
    "Measure",
    "Readings",
    "RelearningUsed",
    "Robustness",
    "compare",
    "interval",
    "main_measure",
    "read",
    "share_recovered",
]
