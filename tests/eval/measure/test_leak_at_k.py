"""leak@k against every subset of samples, intervals over prompts, and differences prompt by prompt."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from tif.eval.measure.leak_at_k import (
    CORES,
    LeakCounts,
    PhraseCounts,
    at_k,
    best_of_k,
    clustered,
    discoverable,
    expected_samples,
    interval,
    samples_for,
)


def counts(any_: list[int], recalls: list[list[float]], **changed: object) -> LeakCounts:
    values = {
        "digest": "d",
        "samples": len(recalls[0]),
        "greedy": {core: tuple(int(c > 0) for c in any_) for core in CORES},
        "greedy_recall": tuple(max(r) for r in recalls),
        "sampled": {core: tuple(any_) for core in CORES},
        "sampled_recall": tuple(map(tuple, recalls)),
    }
    return LeakCounts(**(values | changed))  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.data())
def test_the_best_of_k_is_the_mean_over_all_subsets(scores: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(scores)))
    expected = fmean(max(subset) for subset in combinations(scores, k))
    assert best_of_k([scores], k)[0] == pytest.approx(expected)


@given(st.integers(1, 9), st.data())
def test_leaks_are_the_special_case_of_zeros_and_ones(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    scores = [1.0] * c + [0.0] * (n - c)
    assert at_k([c], n, k)[0] == pytest.approx(fmean(max(subset) for subset in combinations(scores, k)))
    assert at_k([c], n, k)[0] == pytest.approx(best_of_k([scores], k)[0])


def test_the_estimate_has_no_bias() -> None:
    """p = .07, n = k = 16: the plug-in 1 - (1 - c/n)^k gives .525 on average, the truth is .687."""
    c = np.random.default_rng(0).binomial(16, 0.07, size=20000)
    assert at_k(c, 16, 16).mean() == pytest.approx(1 - 0.93**16, abs=0.01)
    assert (1 - (1 - c / 16) ** 16).mean() < 0.55


def test_many_samples_do_not_overflow() -> None:
    assert at_k([1], 4000, 2000)[0] == pytest.approx(0.5)
    assert best_of_k([np.arange(3000) / 3000], 1500)[0] == pytest.approx(1500 / 1501 * 3001 / 3000 - 1 / 3000)


@pytest.mark.parametrize("k", [0, 4])
def test_k_outside_the_samples_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k = {k}"):
        at_k([1], 3, k)
    with pytest.raises(ValueError, match=f"k = {k}"):
        best_of_k([[0, 0, 1]], k)


@pytest.mark.parametrize("n", [1, 16, 200])
def test_no_leak_at_all_is_not_certainty(n: int) -> None:
    """Clopper and Pearson's limits, from the beta distribution."""
    none, every = interval(np.zeros(n)), interval(np.ones(n))
    assert (none.mean, none.low) == (0, 0)
    assert none.high == pytest.approx(beta.ppf(0.975, 1, n))
    assert (every.mean, every.high) == (1, 1)
    assert every.low == pytest.approx(beta.ppf(0.025, n, 1))


def test_an_interval_covers_the_mean_of_mixed_prompts() -> None:
    values = np.random.default_rng(1).random(400)
    found = interval(values)
    assert found.low < 0.5 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_phrases_of_one_prompt_are_no_independent_observations() -> None:
    """Ten copies of each prompt's phrase leave the interval as wide as that of the prompts."""
    values = [0, 1, 0, 0, 1, 0, 0, 0]
    alone = clustered(values, range(8))
    copied = clustered(np.repeat(values, 10), np.repeat(np.arange(8), 10).tolist())
    assert copied == alone
    assert clustered([0, 0, 0], [4, 4, 9]).high == interval([0, 0]).high


def test_numbers_of_counts() -> None:
    mine = counts([0, 1, 4], [[0, 0, 0, 0], [0.5, 0, 0, 1], [1, 1, 1, 1]])
    assert mine.ks() == (1, 4)
    assert mine.numbers().leak_any.mean == pytest.approx(2 / 3)
    assert mine.numbers(1).leak_any.mean == pytest.approx((0 + 1 / 4 + 1) / 3)
    assert mine.numbers(4).word_recall.mean == pytest.approx(2 / 3)
    assert mine.numbers(1).word_recall.mean == pytest.approx((0 + 1.5 / 4 + 1) / 3)
    assert counts([0], [[0.0] * 10]).ks() == (1, 4, 10)


def test_a_difference_is_taken_prompt_by_prompt() -> None:
    recalls = [[0.0] * 4] * 3
    mine, other = counts([0, 2, 4], recalls), counts([0, 2, 3], recalls)
    greedy, one, four = mine.minus(other)
    assert [gap.k for gap in (greedy, one, four)] == [0, 1, 4]
    assert greedy.leak_any.mean == 0
    assert one.leak_any.mean == pytest.approx((1 - 3 / 4) / 3)
    assert one.leak_any.low == 0, "two of three prompts differ in nothing"
    assert mine.minus(counts([0, 2, 3], recalls, digest="other")) == ()
    assert mine.minus(None) == ()
    assert [gap.k for gap in mine.minus(counts([0, 1, 1], [[0.0]] * 3))] == [0, 1]
    assert mine.compact().minus(other.compact()) == mine.minus(other)


def test_by_type() -> None:
    phrases = (
        PhraseCounts(prompt=0, label="PERSON", greedy=True, sampled=4),
        PhraseCounts(prompt=0, label="DATE_TIME", greedy=False, sampled=0),
        PhraseCounts(prompt=1, label="PERSON", greedy=False, sampled=1),
    )
    date, person = counts([4, 1], [[1.0] * 4, [0.5] * 4], phrases=phrases).by_type()
    assert (date.label, date.phrases, person.label, person.phrases) == ("DATE_TIME", 1, "PERSON", 2)
    assert person.greedy is not None
    assert person.greedy.mean == 0.5
    assert [(k, share.mean) for k, share in person.sampled] == [(1, pytest.approx((1 + 1 / 4) / 2)), (4, 1)]


def test_counts_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="prompts"):
        counts([0, 1], [[0.0]] * 3)


def test_samples_until_a_text_appears() -> None:
    assert expected_samples(np.log(0.25)) == pytest.approx(4)
    assert expected_samples(-1e6) < float("inf")
    assert discoverable([np.log(0.5), 0.0, -1e6], 3) == pytest.approx([1 - 0.5**3, 1, 0])
    assert samples_for(np.log(0.5), 0.875) == pytest.approx(3)
    assert samples_for(0.0, 0.9) == 1
    assert np.isfinite(samples_for(-1e6, 0.9))
    # Where 1 - p rounds to 1, ln(1 - p) is still -p.
    assert samples_for(-60.0, 0.5) == pytest.approx(np.log(2) * np.exp(60))
