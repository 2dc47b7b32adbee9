"""The composites of OpenUnlearning's paper, by hand and against published rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tif.eval.measure.composites import MIA, Composites, Memorization, auc_gap, closeness, relative_utility
from tif.eval.measure.measures import harmonic_mean, model_utility


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


ANCHORS = {
    # Llama-3.2-1B-Instruct on forget10: 1 - ES, 1 - EM, 1 - ParaProb, 1 - TR; model utility, fluency; Mem, Overall.
    "full": ((0.3208, 0.0319, 0.8952, 0.3178), (0.6009, 0.8728), 0.1033, 0.0),
    "retain90": ((0.9410, 0.4099, 0.9449, 0.4329), (0.5905, 0.8995), 0.5822, 0.8070),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_two_published_models(name: str) -> None:
    """The terms and composites of the Unlearning Depth Score's table, rounded."""
    four, (utility, fluency), mem, overall = ANCHORS[name]
    names = ("extraction_strength", "exact_memorization", "paraphrase_probability", "truth_ratio_prob_mean")
    memorization = Memorization.of({key: 1 - value for key, value in zip(names, four, strict=True)})
    assert memorization is not None
    assert memorization.score == pytest.approx(mem, abs=1e-3)
    equal = float(name == "retain90")
    result = Composites.of(
        memorization=memorization.score, closeness=dict.fromkeys(MIA, equal), depth=equal, model_utility=utility,
        fluency=fluency, starting_utility=0.7118,
    )  # fmt: skip
    assert result.utility == pytest.approx(harmonic_mean([utility, fluency]))
    assert result.relative_utility == pytest.approx(1, abs=1e-3)
    assert result.overall == pytest.approx(overall, abs=1e-3)
    assert result.overall_with_depth == result.overall


def test_composites_from_their_terms() -> None:
    closeness = {"loss": 0.8, "zlib": 0.4, "min_k": 0.5, "min_k_plus_plus": 1.0, "reference": 0.0}
    terms = {"memorization": 0.5, "depth": 0.2, "model_utility": 0.6, "fluency": 0.3, "starting_utility": 0.8}
    result = Composites.of(closeness=closeness, **terms)
    privacy = 4 / (1 / 0.8 + 1 / 0.4 + 1 / 0.5 + 1)
    assert result.privacy == pytest.approx(privacy)
    assert result.privacy_with_depth == pytest.approx(2 / (1 / privacy + 1 / 0.2))
    assert (result.utility, result.relative_utility) == pytest.approx((0.4, 0.5))
    assert result.overall == pytest.approx(3 / (1 / 0.5 + 1 / privacy + 1 / 0.5))
    assert not result.reasons
    one_less = Composites.of(closeness=closeness | {"zlib": None}, **terms)
    assert (one_less.privacy, one_less.overall, one_less.utility) == (None, None, result.utility)
    assert one_less.reasons["privacy"] == "missing: s_zlib"
    no_start = Composites.of(
        closeness=closeness, **{**terms, "starting_utility": None}, why={"starting_utility": "why"}
    )
    assert no_start.reasons["relative_utility"] == "missing: starting_utility (why)"
    assert "relative_utility" in no_start.reasons["overall"]
    bare = Composites.of(
        memorization=0.5, closeness={}, depth=None, model_utility=0.6, fluency=None, starting_utility=None,
        why={"closeness": "no holdout"},
    )  # fmt: skip
    assert not bare.known
    assert bare.reasons["privacy"] == "no holdout"


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
        composites = Composites.of(
            memorization=memorization.score,
            closeness={
                name: max(0.0, row[key])
                for name, key in zip(MIA, ("s_loss", "s_zlib", "s_mink", "s_minkpp"), strict=True)
            },
            depth=row["uds"],
            model_utility=row["model_utility"],
            fluency=row["fluency"],
            starting_utility=content["full_utility"][row["epoch"]],
        )
        nine = [row[f"{part}_{name}"] for part in ("retain", "ra", "wf") for name in ("q_prob", "q_rouge",
                                                                                      "truth_ratio")]  # fmt: skip
        # The table's `privacy` and `overall` include the depth.
        found = {
            "mem": composites.memorization,
            "privacy_mia": composites.privacy,
            "privacy": composites.privacy_with_depth,
            "model_utility": model_utility(nine),
            "utility": composites.utility,
            "utility_rel": composites.relative_utility,
            "overall": composites.overall_with_depth,
        }
        assert {name: row[name] for name in found} == pytest.approx(found, abs=1e-3), row["model"]
