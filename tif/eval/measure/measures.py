"""Metrics over per-token log-probabilities: numpy arrays in, numbers out, without a model.

A loss is the mean negative log-probability per supervised token. It includes the end token unless the caller drops it.
Sources: TOFU (arXiv 2401.06121) and its `aggregate_eval_stat.py`; open-unlearning's `src/evals/metrics`.
If their code differs, this module has both forms. Ratios are computed in log space, without the 1e-10 that
open-unlearning adds to denominators. The results differ by less than 1e-9 unless an answer is nearly impossible.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_LARGEST_EXPONENT: Final = 700.0
"""exp of a larger number (above 709) is infinite."""
LEAST_DROP: Final = 0.05
"""Unwanted words must lose at least this probability, or `over_forgetting` divides by noise."""
LEAST_SHARE: Final = 0.1
"""They must also lose at least this share of the starting model's probability."""
Averaging = Literal["loss", "probability"]
"""How the wrong answers' likelihoods are averaged.

`loss`: mean loss, then exp, as in TOFU's and open-unlearning's code. `probability`: mean of exp(-loss), as in the TOFU
paper, eq. 1.
"""

Direction = Literal["too little", "too much"]
"""Whether a model forgets less or more than one that never saw the forget set."""


def mean(values: ArrayLike) -> Floats:
    """Return the mean over the last axis; NaN, without numpy's warning, for the mean of nothing."""
    array = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(array.sum(axis=-1) / np.float64(array.shape[-1]), dtype=np.float64)


def probability(loss: ArrayLike) -> Floats:
    """Return p(answer | question) ^ (1 / tokens) = exp(-loss), for losses of any shape."""
    return np.exp(-np.asarray(loss, dtype=np.float64))


def normalised_probability(loss: ArrayLike, wrong: ArrayLike) -> Floats:
    """Return p / (p + sum of wrong p), for questions with options.

    Args:
        loss: `[n]`, loss of the right answer.
        wrong: `[n, k]`, losses of the wrong answers. NaN without any.
    """
    gap = np.asarray(loss, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    if not gap.shape[-1]:
        return np.full(gap.shape[:-1], np.nan)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(gap).sum(axis=-1)), dtype=np.float64)


def truth_ratio(correct: ArrayLike, wrong: ArrayLike, *, average: Averaging = "loss") -> Floats:
    """Return p(wrong) / p(correct) of each example, `[n]`. It is below 1 if the model prefers the right answer.

    Args:
        correct: `[n]`, loss of the paraphrased (right) answer.
        wrong: `[n, k]`, losses of the perturbed (wrong) answers. NaN without any.
        average: see `Averaging`.
    """
    gap = np.asarray(correct, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    # A collapsed model's ratios overflow a float, and JSON has no infinity. e^700 is still larger than any other ratio.
    if average == "loss":
        return np.asarray(np.exp(np.clip(mean(gap), -_LARGEST_EXPONENT, _LARGEST_EXPONENT)), dtype=np.float64)
    return mean(np.exp(np.clip(gap, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)))


def truth_ratio_forget(ratios: ArrayLike) -> float:
    """Return the mean of min(r, 1/r). It is 1, the goal on a forget set, if right and wrong are equally likely."""
    r = np.asarray(ratios, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return float(np.minimum(r, 1 / r).mean())


def truth_ratio_utility(ratios: ArrayLike) -> float:
    """Return the mean of max(0, 1 - r). It is 1, the goal on other sets, if the model always prefers the truth."""
    return float(np.maximum(0, 1 - np.asarray(ratios, dtype=np.float64)).mean())


def truth_ratio_prob_mean(ratios: ArrayLike) -> float:
    """Return the mean of p(right) / (p(right) + p(wrong)) = 1 / (1 + r), open-unlearning's `prob_mean`.

    It is 0.5 if right and wrong are equally likely, and 1 if the model always prefers the truth.
    """
    return float((1 / (1 + np.asarray(ratios, dtype=np.float64))).mean())


def forget_quality(model: ArrayLike, retain: ArrayLike) -> float:
    """Return the p-value of a two-sided Kolmogorov-Smirnov test on two models' truth ratios.

    A high value means that both may come from one distribution. The result is the same for r and 1/r.

    Args:
        model: `[n]`, truth ratios of the evaluated model.
        retain: `[m]`, truth ratios of a model that never saw the forget set.
    """
    return kolmogorov_smirnov(model, retain)[0]


def ks_distance(model: ArrayLike, retain: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance D of the same samples, 0..1.

    Unlike the p-value, it does not fall with the number of examples.
    """
    return kolmogorov_smirnov(model, retain)[1]


def kolmogorov_smirnov(model: ArrayLike, retain: ArrayLike) -> tuple[float, float]:
    """Return the p-value and the distance D of a two-sided Kolmogorov-Smirnov test of two samples."""
    from scipy.stats import ks_2samp

    result = ks_2samp(np.asarray(model, dtype=np.float64), np.asarray(retain, dtype=np.float64))
    return float(result.pvalue), float(result.statistic)


def forgets(model: ArrayLike, retain: ArrayLike) -> Direction:
    """Return the direction of the difference that forget quality tests, at its largest distance.

    `too little`: the model's truth ratios are lower, so it prefers the right answers more than the retain model does.

    Args:
        model: `[n]`, truth ratios of the evaluated model.
        retain: `[m]`, truth ratios of a model that never saw the forget set.
    """
    own, other = np.sort(_floats(model)), np.sort(_floats(retain))
    places = np.concatenate([own, other])
    gaps = (
        np.searchsorted(own, places, side="right") / own.size
        - np.searchsorted(other, places, side="right") / other.size
    )
    return "too little" if gaps[np.abs(gaps).argmax()] > 0 else "too much"


def harmonic_mean(values: ArrayLike) -> float:
    """Return the harmonic mean of non-negative numbers: 0 if one of them is 0."""
    from scipy.stats import hmean

    return float(hmean(np.asarray(values, dtype=np.float64)))


def model_utility(parts: ArrayLike) -> float:
    """Return the harmonic mean of nine numbers: 0 if one of them is 0.

    The nine are {retain, real authors, world facts} x {probability, ROUGE-L recall, truth ratio}.
    """
    return harmonic_mean(parts)


def bootstrap(values: ArrayLike, *, times: int = 2000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the percentile interval of the mean under resampling of the examples with replacement.

    Args:
        values: `[n]`, NaN where an example has no value.
        times: number of resamples.
        level: coverage, 0..1.
        seed: random seed. The same data and seed give the same interval.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if known.size == 0:
        return (float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(0, known.size, size=(times, known.size))
    low, high = np.quantile(known[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def over_forgetting(
    uw_before: ArrayLike,
    uw_after: ArrayLike,
    gw_before: ArrayLike,
    gw_after: ArrayLike,
    gw_retain: ArrayLike | None = None,
) -> float | None:
    """Return how much probability general words lost for each unit that unwanted words lost.

    With a retain model, only the loss below its level counts, so the retain model has 0. A model that keeps at
    least the reference level has 0.

    Args:
        uw_before: unwanted words' probability under the starting model, a mean or `[n]` examples.
        uw_after: the same under the evaluated model, for the same examples.
        gw_before: general words' probability under the starting model.
        gw_after: the same under the evaluated model.
        gw_retain: the same under the retain model.

    Returns:
        The ratio. None if unwanted words fell by less than `LEAST_DROP`, by less than `LEAST_SHARE` of their level, or
        by no more than resampling the examples does by chance: the ratio would divide by noise.
    """
    start, drops = _floats(uw_before), _floats(uw_before) - _floats(uw_after)
    drop = float(drops.mean()) if drops.size else 0.0
    # A difference of two decimals such as 0.45 - 0.4 is a few units in the last place off.
    least = max(LEAST_DROP, LEAST_SHARE * float(start.mean())) - 1e-9 if drops.size else LEAST_DROP
    if not drop >= least or (drops.size > 1 and bootstrap(drops)[0] <= 0):
        return None
    level, after = float(_floats(gw_before).mean()), float(_floats(gw_after).mean())
    reference = level if gw_retain is None else min(level, float(_floats(gw_retain).mean()))
    return max(0.0, reference - after) / drop


def difference(values: ArrayLike, others: ArrayLike) -> tuple[float, float, float]:
    """Return the mean difference of paired values, and its bootstrap interval.

    Args:
        values: `[n]`, one for each example.
        others: `[n]`, the same examples under another model.
    """
    gaps = _floats(values) - _floats(others)
    return float(gaps.mean()), *bootstrap(gaps)


def _floats(values: ArrayLike) -> Floats:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


__all__ = [
    "LEAST_DROP",
    "LEAST_SHARE",
    "bootstrap",
    "difference",
    "forget_quality",
    "forgets",
    "harmonic_mean",
    "kolmogorov_smirnov",
    "ks_distance",
    "mean",
    "model_utility",
    "normalised_probability",
    "over_forgetting",
    "probability",
    "truth_ratio",
    "truth_ratio_forget",
    "truth_ratio_prob_mean",
    "truth_ratio_utility",
]
