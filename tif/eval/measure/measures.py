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
Averaging = Literal["loss", "probability"]
"""How the wrong answers' likelihoods are averaged.

`loss`: mean loss, then exp, as in TOFU's and open-unlearning's code. `probability`: mean of exp(-loss), as in the TOFU
paper, eq. 1.
"""


def probability(loss: ArrayLike) -> Floats:
    """Return p(answer | question) ^ (1 / tokens) = exp(-loss), for losses of any shape."""
    return np.exp(-np.asarray(loss, dtype=np.float64))


def normalised_probability(loss: ArrayLike, wrong: ArrayLike) -> Floats:
    """Return p / (p + sum of wrong p), for questions with options.

    Args:
        loss: `[n]`, loss of the right answer.
        wrong: `[n, k]`, losses of the wrong answers.
    """
    gap = np.asarray(loss, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(gap).sum(axis=-1)), dtype=np.float64)


def truth_ratio(correct: ArrayLike, wrong: ArrayLike, *, average: Averaging = "loss") -> Floats:
    """Return p(wrong) / p(correct) of each example, `[n]`. It is below 1 if the model prefers the right answer.

    Args:
        correct: `[n]`, loss of the paraphrased (right) answer.
        wrong: `[n, k]`, losses of the perturbed (wrong) answers.
        average: see `Averaging`.
    """
    gap = np.asarray(correct, dtype=np.float64)[..., None] - np.asarray(wrong, dtype=np.float64)
    # A collapsed model's ratios overflow a float, and JSON has no infinity. e^700 is still larger than any other ratio.
    if average == "loss":
        return np.asarray(np.exp(np.clip(gap.mean(axis=-1), -_LARGEST_EXPONENT, _LARGEST_EXPONENT)), dtype=np.float64)
    return np.asarray(np.exp(np.clip(gap, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)).mean(axis=-1), dtype=np.float64)


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
    return _kolmogorov_smirnov(model, retain)[0]


def ks_distance(model: ArrayLike, retain: ArrayLike) -> float:
    """Return the Kolmogorov-Smirnov distance D of the same samples, 0..1.

    Unlike the p-value, it does not fall with the number of examples.
    """
    return _kolmogorov_smirnov(model, retain)[1]


def _kolmogorov_smirnov(model: ArrayLike, retain: ArrayLike) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    result = ks_2samp(np.asarray(model, dtype=np.float64), np.asarray(retain, dtype=np.float64))
    return float(result.pvalue), float(result.statistic)


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


def over_forgetting(uw_before: float, uw_after: float, gw_before: float, gw_after: float) -> float | None:
    """Return the drop on general words divided by the drop on unwanted words.

    0 means no damage to general words; 1 means equal damage to both. None if unwanted words did not drop.
    """
    drop = uw_before - uw_after
    return (gw_before - gw_after) / drop if drop > 0 else None


__all__ = [
    "bootstrap",
    "forget_quality",
    "harmonic_mean",
    "ks_distance",
    "model_utility",
    "normalised_probability",
    "over_forgetting",
    "probability",
    "truth_ratio",
    "truth_ratio_forget",
    "truth_ratio_prob_mean",
    "truth_ratio_utility",
]
