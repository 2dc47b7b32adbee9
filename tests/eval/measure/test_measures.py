"""Every measure against its definition written out."""

from __future__ import annotations

import math
from statistics import harmonic_mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.eval.measure import measures

losses = st.floats(0.0, 30.0)


@given(losses, st.lists(losses, min_size=1, max_size=6))
def test_truth_ratio_is_its_definition(correct: float, wrong: list[float]) -> None:
    by_loss = math.exp(-sum(wrong) / len(wrong)) / math.exp(-correct)
    by_probability = sum(math.exp(-w) for w in wrong) / len(wrong) / math.exp(-correct)
    assert measures.truth_ratio([correct], [wrong])[0] == pytest.approx(by_loss, rel=1e-9)
    assert measures.truth_ratio([correct], [wrong], average="probability")[0] == pytest.approx(by_probability, rel=1e-9)


@given(losses, st.lists(losses, min_size=1, max_size=6))
def test_normalised_probability_is_its_definition(right: float, wrong: list[float]) -> None:
    expected = math.exp(-right) / (math.exp(-right) + sum(math.exp(-w) for w in wrong))
    assert measures.normalised_probability([right], [wrong])[0] == pytest.approx(expected, rel=1e-9)


def test_an_impossible_answer_gives_numbers_not_nan() -> None:
    ratios = measures.truth_ratio([2000.0, 0.0], [[0.0, 0.0], [2000.0, 3000.0]])
    assert 1e300 < ratios[0] < math.inf, "JSON knows no infinity"
    assert 0 < ratios[1] < 1e-300
    assert measures.truth_ratio([2000.0], [[0.0, 0.0]], average="probability")[0] < math.inf
    assert measures.truth_ratio_forget(ratios) == pytest.approx(0)
    assert measures.truth_ratio_utility(ratios) == 0.5


def test_truth_ratio_summaries() -> None:
    assert measures.truth_ratio_forget([0.5, 2.0, 1.0]) == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert measures.truth_ratio_utility([0.5, 2.0, 1.0]) == pytest.approx(0.5 / 3)
    assert measures.truth_ratio_prob_mean([0.5, 2.0, 1.0]) == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)


def test_forget_quality_is_the_largest_gap_of_the_two_distributions() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=30), rng.normal(0.4, size=30)
    gap = max(abs((a <= x).mean() - (b <= x).mean()) for x in np.concatenate([a, b]))
    from scipy.stats import ks_2samp, kstwobign

    assert ks_2samp(a, b).statistic == pytest.approx(gap)
    # The limit distribution is near the exact one that the measure uses.
    assert measures.forget_quality(a, b) == pytest.approx(kstwobign.sf(gap * math.sqrt(15)), abs=0.1)
    assert measures.ks_distance(a, b) == pytest.approx(gap)
    assert measures.forget_quality(a, a) == 1
    assert measures.ks_distance(a, a) == 0
    assert measures.forget_quality(np.exp(a), np.exp(b)) == pytest.approx(measures.forget_quality(a, b))


def test_model_utility_is_a_harmonic_mean() -> None:
    parts = [0.9, 0.8, 0.5, 0.3, 0.7, 0.6, 0.99, 0.2, 0.4]
    assert measures.model_utility(parts) == pytest.approx(harmonic_mean(parts))
    assert measures.model_utility([*parts[:8], 0.0]) == 0


@pytest.mark.filterwarnings("error")
def test_the_mean_of_nothing_is_nan_and_no_warning() -> None:
    assert math.isnan(measures.mean([]))
    assert measures.mean([[1.0, 2.0], [3.0, 5.0]]).tolist() == [1.5, 4.0]
    for ratio in (
        *measures.truth_ratio([1.0, 2.0], [[], []]),
        *measures.truth_ratio([1.0], [[]], average="probability"),
    ):
        assert math.isnan(ratio)
    assert np.isnan(measures.normalised_probability([1.0, 2.0], [[], []])).all(), "no wrong answers, no choice"


def test_bootstrap_covers_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(3)
    few, many = rng.normal(5, 1, 20), rng.normal(5, 1, 2000)
    low, high = measures.bootstrap(few)
    assert low < few.mean() < high
    narrow = measures.bootstrap(many)
    assert narrow[1] - narrow[0] < (high - low) / 5
    assert measures.bootstrap([1.0, math.nan, 1.0]) == (1.0, 1.0)


def test_over_forgetting() -> None:
    assert measures.over_forgetting(0.9, 0.1, 0.9, 0.7) == pytest.approx(0.25)
    assert measures.over_forgetting(0.5, 0.5, 0.9, 0.7) is None


@pytest.mark.parametrize(
    ("uw_before", "uw_after", "gw_before", "gw_after"),
    [
        (0.9000, 0.8993, 0.90, 0.95),  # -71.4 as a ratio of the drops
        (0.5000, 0.4980, 0.8700, 0.9002),  # -15.1
        (0.9, 0.8993, 0.95, 0.9),  # 71.4, damage without forgetting
        (0.04, 0.001, 0.9, 0.5),  # nearly nothing to forget
        (0.9, 0.82, 0.9, 0.1),  # less than a tenth forgotten
        (0.5, 0.7, 0.9, 0.7),  # learned more
        (math.nan, 0.1, 0.9, 0.7),
    ],
)
def test_over_forgetting_does_not_divide_by_noise(
    uw_before: float, uw_after: float, gw_before: float, gw_after: float
) -> None:
    assert measures.over_forgetting(uw_before, uw_after, gw_before, gw_after) is None
    assert measures.over_forgetting(uw_before, uw_after, gw_before, gw_after, 0.5) is None


def test_a_drop_that_resampling_does_not_tell_from_none_is_noise() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0.2, 0.8, 12)
    by_chance = before - 0.06 + np.tile([-0.25, 0.25], 6)
    clear = before - 0.15 + np.tile([-0.05, 0.05], 6)
    assert (before - by_chance).mean() > measures.LEAST_DROP
    assert measures.over_forgetting(before, by_chance, 0.9, 0.7) is None
    expected = 0.2 / float((before - clear).mean())
    assert measures.over_forgetting(before, clear, 0.9, 0.7) == pytest.approx(expected)


def test_over_forgetting_is_measured_against_the_retain_model() -> None:
    """Wording that only the forget set teaches is not damage: the retain model does not have it either."""
    before, retain = (0.96, 0.98), (0.001, 0.18)

    def against_retain(uw_after: float, gw_after: float) -> float | None:
        return measures.over_forgetting(before[0], uw_after, before[1], gw_after, retain[1])

    assert against_retain(*retain) == 0
    assert against_retain(0.01, 0.97) == 0
    assert against_retain(0.0, 0.084) == pytest.approx(0.1)
    assert measures.over_forgetting(before[0], retain[0], before[1], retain[1]) == pytest.approx(0.8 / 0.959)
    # A retain model that finds general words likelier than the starting model sets no higher mark.
    assert measures.over_forgetting(0.9, 0.1, 0.9, 0.7, 0.99) == pytest.approx(0.25)


@given(*[st.floats(0, 1)] * 5)
def test_over_forgetting_is_never_negative_nor_beyond_its_floor(
    uw_before: float, uw_after: float, gw_before: float, gw_after: float, gw_retain: float
) -> None:
    for retain in (None, gw_retain):
        ratio = measures.over_forgetting(uw_before, uw_after, gw_before, gw_after, retain)
        assert ratio is None or 0 <= ratio <= 1.001 / measures.LEAST_DROP


def test_a_difference_is_paired() -> None:
    mean, low, high = measures.difference([0.1, 0.5, 0.9], [0.0, 0.4, 0.8])
    assert (mean, low, high) == pytest.approx((0.1, 0.1, 0.1))
