"""How far the forget set's unwanted and general words are from a retain model's, with the sign.

    gaps = RetainGaps.of(own, retain)
    gaps.uw_logprob.mean          below 0: the model finds unwanted words less likely than the retain model does

Forget quality says whether two samples of truth ratios differ, and not in which direction. A model that writes noise
can have the retain model's truth ratios, with unwanted words far below the retain model's. The core test follows DCUE
(arXiv 2508.01324), whose code is not public: confidence on core tokens, corrected by the confidence elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.measures import bootstrap, kolmogorov_smirnov


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLosses:
    """Mean losses of one example's words by kind; None where the example has no such word."""

    uw_loss: float | None
    gw_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreTest:
    """Kolmogorov-Smirnov test of each example's mean log-probability of unwanted words, against the retain model's.

    Both models' values are corrected first: minus the mean log-probability of general words under the same model.
    """

    examples: int
    p: float
    distance: float
    """D, 0..1."""
    bias: float
    """The mean that was subtracted from the evaluated model's values."""
    retain_bias: float

    @classmethod
    def of(cls, own: Sequence[WordLosses], retain: Sequence[WordLosses]) -> CoreTest | None:
        """Return the test; None if an unwanted or a general word is missing on one side."""
        sides = []
        for losses in (own, retain):
            core = [-row.uw_loss for row in losses if row.uw_loss is not None]
            rest = [-row.gw_loss for row in losses if row.gw_loss is not None]
            if not core or not rest:
                return None
            sides.append((np.asarray(core), float(np.mean(rest))))
        (values, bias), (others, retain_bias) = sides
        p, distance = kolmogorov_smirnov(values - bias, others - retain_bias)
        return cls(examples=len(values), p=p, distance=distance, bias=bias, retain_bias=retain_bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainGaps:
    """The evaluated model minus the retain model, example by example, on the forget set."""

    uw_logprob: Interval | None
    """Mean over examples of the mean log-probability of unwanted words. Below 0: less likely than for a model that
    never saw them, so the model avoids them."""
    gw_logprob: Interval | None
    uw_probability: Interval | None
    """The same of the geometric mean probability."""
    gw_probability: Interval | None
    core: CoreTest | None

    @classmethod
    def of(cls, own: Sequence[WordLosses], retain: Sequence[WordLosses]) -> RetainGaps:
        """Return the gaps of the same examples in the same order."""
        gaps: dict[str, Interval | None] = {}
        for name in ("uw", "gw"):
            pairs = [[getattr(row, f"{name}_loss") for row in pair] for pair in zip(own, retain, strict=True)]
            losses = np.asarray([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
            gaps[f"{name}_logprob"] = _interval(losses[:, 1] - losses[:, 0])
            gaps[f"{name}_probability"] = _interval(np.exp(-losses[:, 0]) - np.exp(-losses[:, 1]))
        return cls(**gaps, core=CoreTest.of(own, retain))

    def named(self) -> Mapping[str, Interval]:
        """Return the gaps that are known, by name."""
        names = ("uw_logprob", "gw_logprob", "uw_probability", "gw_probability")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _interval(differences: np.ndarray) -> Interval | None:
    if not len(differences):
        return None
    return Interval(float(differences.mean()), *bootstrap(differences))


__all__ = ["CoreTest", "RetainGaps", "WordLosses"]
