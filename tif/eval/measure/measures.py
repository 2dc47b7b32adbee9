"""The field's numbers over per-token log-probabilities: numpy in, numbers out, no model.

Losses are mean negative log-probabilities per supervised token, the end token included unless the caller left it out.
Sources: TOFU (arXiv 2401.06121) and its `aggregate_eval_stat.py`; open-unlearning's `src/evals/metrics`.
Where code bases differ, both forms are here under their own names. Ratios are formed in log space, without the 1e-10
that open-unlearning adds to denominators: the two differ by less than 1e-9 unless an answer is all but impossible.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_MOST: Final = 700.0
"""exp of more is infinite."""
Wrong = Literal["loss", "probability"]
"""How the wrong answers' likelihoods are averaged: `loss` (mean loss, then exp: TOFU's and open-unlearning's code) or
`probability` (mean of exp(-loss): the formula printed in the TOFU paper, eq. 1)."""


def probability(loss: ArrayLike) -> Floats:
    """p(answer | question) ^ (1 / tokens) = exp(-loss). Any shape."""
    return np.exp(-np.asarray(loss, dtype=np.float64))


def normalised_probability(loss: ArrayLike, wrong: ArrayLike) -> Floats:
    """p / (p + sum of wrong p), for answers with options.

    Args:
        loss: `[n]`, of the right answer.
        wrong: `[n, k]`, of the wrong answers.
    """
    gap = np.asarray(loss, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(gap).sum(axis=-1)), dtype=np.float64)


def truth_ratio(correct: ArrayLike, wrong: ArrayLike, *, average: Wrong = "loss") -> Floats:
    """p(wrong) / p(correct) of each example, `[n]`: below 1 where the model prefers what is true.

    Args:
        correct: `[n]`, loss of the paraphrased (right) answer.
        wrong: `[n, k]`, losses of the perturbed (wrong) answers.
        average: see `Wrong`.
    """
    gap = np.asarray(correct, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    # A collapsed model's ratios leave what a float holds, and JSON knows no infinity: e^700 is beyond all others too.
    if average == "loss":
        return np.asarray(np.exp(np.clip(gap.mean(axis=-1), -_MOST, _MOST)), dtype=np.float64)
    return np.asarray(np.exp(np.clip(gap, -_MOST, _MOST)).mean(axis=-1), dtype=np.float64)


def truth_ratio_forget(ratios: ArrayLike) -> float:
    """Mean of min(r, 1/r): 1 where right and wrong cannot be told apart (what a forget set should show)."""
    r = np.asarray(ratios, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return float(np.minimum(r, 1 / r).mean())


def truth_ratio_utility(ratios: ArrayLike) -> float:
    """Mean of max(0, 1 - r): 1 where the truth is always preferred (what all other sets should show)."""
    return float(np.maximum(0, 1 - np.asarray(ratios, dtype=np.float64)).mean())


def forget_quality(model: ArrayLike, retain: ArrayLike) -> float:
    """p-value of a two-sided Kolmogorov-Smirnov test: could both truth-ratio samples be of one distribution?

    `retain` is of a model that never saw the forget set. The test is the same for r and 1/r.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(np.asarray(model, dtype=np.float64), np.asarray(retain, dtype=np.float64)).pvalue)


def model_utility(parts: ArrayLike) -> float:
    """Harmonic mean of the nine numbers {retain, real authors, world facts} x {probability, ROUGE-L recall, truth
    ratio}: 0 as soon as one of them is 0."""
    from scipy.stats import hmean

    return float(hmean(np.asarray(parts, dtype=np.float64)))


def bootstrap(values: ArrayLike, *, times: int = 2000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean when examples are drawn again with replacement.

    Args:
        values: `[n]`, NaN where an example has no value.
        times: how many samples are drawn.
        level: coverage, 0..1.
        seed: so that the same data gives the same interval.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return (float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(0, known.size, size=(times, known.size))
    low, high = np.quantile(known[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def over_forgetting(uw_before: float, uw_after: float, gw_before: float, gw_after: float) -> float | None:
    """Drop on general words / drop on unwanted words: 0 is forgetting without damage, 1 is forgetting without aim.

    None where the unwanted words were not forgotten at all, so that there is nothing to set the damage against.
    """
    drop = uw_before - uw_after
    return (gw_before - gw_after) / drop if drop > 0 else None


__all__ = [
    "bootstrap",
    "forget_quality",
    "model_utility",
    "normalised_probability",
    "over_forgetting",
    "probability",
    "truth_ratio",
    "truth_ratio_forget",
    "truth_ratio_utility",
]
