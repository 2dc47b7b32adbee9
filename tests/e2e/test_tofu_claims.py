"""The sentences under the table are judged by its cells."""

import pytest

from benchmarks.tofu.claims import claims, over_seeds
from benchmarks.tofu.plan import PLANS, ROWS
from benchmarks.tofu.results import steady_utility


def run(label, **cells):
    """A run with the given cells, each as wide as 0.05 to both sides."""
    cells = dict.fromkeys(("UW", "GW", "retain", "utility", "forget_quality"), 0.5) | cells
    parts = {"retain_probability": cells["utility"], "real_authors_rougeL_recall": 0.01}
    return {
        "label": label,
        "utility_parts": parts,
        "cells": {name.replace("_", " "): (x, x - 0.05, x + 0.05) for name, x in cells.items()},
    }


def judged(runs):
    return {claim.text: claim for claim in claims(runs)}


@pytest.mark.parametrize(
    ("tpo", "npo", "verdict"), [(0.9, 0.3, "shown"), (0.5, 0.45, "not resolved"), (0.3, 0.9, "contradicted")]
)
def test_a_comparison_needs_intervals_that_are_apart(tpo, npo, verdict):
    found = judged({"tpo": run("TPO", GW=tpo, retain=0.5), "npo": run("NPO", GW=npo, retain=0.5)})
    claim = found["TPO keeps more of the general words than NPO"]
    assert claim.verdict == verdict
    assert claim.figures == f"GW {tpo:.3f} against {npo:.3f}"


def test_what_was_not_measured_is_said():
    verdicts = {claim.verdict for claim in claims({"target": run("target", retain=0.9)})}
    assert verdicts == {"not measured"}


def test_a_control_that_wins_contradicts():
    runs = {"anchored": run("anchored"), "anchored-random": run("anchored, random spans", UW=0.1, forget_quality=0.9)}
    found = [c.verdict for c in claims(runs) if "anchored, random spans" in c.text and "must do worse" in c.text]
    assert found == ["contradicted", "contradicted"]


def test_goals_are_shares_of_the_target():
    target = run("target", retain=0.9, utility=0.5, forget_quality=1e-3)
    anchored = run("anchored", retain=0.9 * 0.985, utility=0.5 * 0.97, forget_quality=0.6, UW=0.1, GW=0.5)
    found = judged({"target": target, "anchored": anchored})
    assert found["anchored: forget quality of at least 0.5"].verdict == "shown"
    assert found["anchored: retain of at least 0.98 of the target's"].verdict == "shown"
    assert found["anchored: utility of at least 0.98 of the target's"].verdict == "not reached"


def test_a_small_part_has_no_say_in_the_steady_utility():
    target = run("target", utility=0.5)
    assert steady_utility(target) == pytest.approx(0.5)
    some = {"real_authors_rougeL_recall": 0.0, "retain_probability": 0.3, "world_facts_probability": 0.6}
    assert steady_utility({"utility_parts": some}) == pytest.approx(0.4)
    anchored = run("anchored", utility=0.49) | {
        "utility_parts": {"retain_probability": 0.5, "real_authors_rougeL_recall": 0.0}
    }
    found = judged({"target": target, "anchored": anchored})
    assert found["anchored: utility of at least 0.98 of the target's"].figures == "0.980"
    assert found["anchored: utility of eight parts of at least 0.98 of the target's"].figures == "1.000"


def test_spans_of_the_default_annotator_are_compared_with_gold():
    gold = run("anchored", retain=0.8, utility=0.5, forget_quality=0.5, UW=0.1, GW=0.5)
    near = run("anchored, spans by ner", retain=0.79, utility=0.5, forget_quality=0.46, UW=0.1, GW=0.5)
    far = run("anchored, spans by ner", retain=0.79, utility=0.5, forget_quality=0.4, UW=0.1, GW=0.5)
    text = "anchored with the default annotator's spans comes within 10% of its result with gold spans"
    assert judged({"anchored": gold, "anchored-ner": near})[text].verdict == "shown"
    assert judged({"anchored": gold, "anchored-ner": far})[text].verdict == "not reached"


def test_every_claim_is_about_rows_that_there_are():
    runs = {name: run(name) for name in ("target", *(row.name for row in ROWS))}
    assert "not measured" not in {claim.verdict for claim in claims(runs)}


def test_each_seed_is_judged_by_itself():
    target = run("target", retain=0.9, utility=0.5)
    seeds = [
        {"target": target, "anchored": run("anchored", retain=x, forget_quality=0.6, UW=0.1, GW=0.5)}
        for x in (0.9, 0.8)
    ]
    found = {claim.text: claim for claim in over_seeds(seeds)}
    assert found["anchored: forget quality of at least 0.5"].verdict == "shown"
    retain = found["anchored: retain of at least 0.98 of the target's"]
    assert retain.verdict == "1 of 2 shown, 1 of 2 not reached"
    assert retain.figures == "1.000; 0.889"
    assert list(over_seeds(seeds[:1])) == list(claims(seeds[0]))


def test_a_plan_names_rows_that_there_are():
    names = {row.name for row in ROWS}
    for plan in PLANS.values():
        assert set(plan.rows) <= names
        rates = {row.rate_of for row in ROWS if row.name in plan.rows} - {""}
        assert rates <= set(plan.rows or names), "a row's learning rate comes from a row that is not run"
