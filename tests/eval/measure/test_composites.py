"""The composites of OpenUnlearning's paper, by hand and against published rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tif.eval.measure.composites import Memorization, auc_gap, closeness, relative_utility
from tif.eval.measure.measures import harmonic_mean


def test_closeness_is_one_at_the_retain_model_and_zero_at_both_ends() -> None:
    assert closeness(0.4, 0.4) == 1
    assert closeness(0.3, 0.4) == pytest.approx(closeness(0.5, 0.4)) == pytest.approx(0.75)
    assert (closeness(0.0, 0.4), closeness(0.8, 0.4), closeness(0.95, 0.4)) == (0, 0, 0)
    # The composite does not tell the two ends apart, but the gap does.
    assert (auc_gap(0.0, 0.4), auc_gap(0.8, 0.4)) == (-0.4, 0.4)
    assert closeness(0.3, 0.0) is None


def test_memorization_needs_all_four_terms() -> None:
    means = {"extraction_strength": 0.5, "exact_memorization": 0.2, "paraphrase_probability": 0.9}
    assert Memorization.of(means) is None
    result = Memorization.of(means | {"truth_ratio_prob_mean": 0.6})
    assert result is not None
    assert result.score == pytest.approx(4 / (1 / 0.5 + 1 / 0.8 + 1 / 0.1 + 1 / 0.4))
    assert result.truth_ratio == pytest.approx(0.4)
    known = Memorization.of(means | {"truth_ratio_prob_mean": 1.0})
    assert known is not None
    assert known.score == 0


def test_relative_utility_is_one_at_most() -> None:
    assert (relative_utility(0.5, 0.8), relative_utility(0.9, 0.8)) == (0.625, 1)


@pytest.mark.real
def test_the_formulas_give_the_published_composites_of_152_models(shared: Path) -> None:
    content = json.loads((shared / "anchors" / "uds_method_results.json").read_text())
    assert len(content["models"]) == 152
    for row in content["models"]:
        memorization = Memorization.of({
            "extraction_strength": 1 - row["one_minus_es"],
            "exact_memorization": 1 - row["one_minus_em"],
            "paraphrase_probability": 1 - row["one_minus_paraprob"],
            "truth_ratio_prob_mean": 1 - row["one_minus_truth"],
        })  # fmt: skip
        assert memorization is not None
        membership = harmonic_mean([max(0.0, row[name]) for name in ("s_loss", "s_zlib", "s_mink", "s_minkpp")])
        utility = harmonic_mean([row["model_utility"], row["fluency"]])
        nine = [row[f"{part}_{name}"] for part in ("retain", "ra", "wf") for name in ("q_prob", "q_rouge",
                                                                                      "truth_ratio")]  # fmt: skip
        found = {
            "mem": memorization.score,
            "privacy_mia": membership,
            "privacy": harmonic_mean([membership, row["uds"]]),
            "model_utility": harmonic_mean(nine),
            "utility": utility,
            "utility_rel": relative_utility(utility, content["full_utility"][row["epoch"]]),
        }
        found["overall"] = harmonic_mean([found["mem"], found["privacy"], found["utility_rel"]])
        assert {name: row[name] for name in found} == pytest.approx(found, abs=1e-3), row["model"]
