"""The experiment of the claim as a whole on a tiny model and invented people: recipes, rows and controls."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claim.__main__ import run
from benchmarks.claim.columns import Demand
from benchmarks.claim.data import coverage
from benchmarks.claim.page import text, write
from benchmarks.claim.plan import Experiment, Plan
from benchmarks.claim.rows import RECIPES
from benchmarks.claim.stages import pilots, shared, table
from benchmarks.claim.table import collect, verdicts
from benchmarks.claim.tofu import DEMANDS, ROWS, study
from tests.e2e.test_tofu import person
from tests.tokens import tiny
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.spans import Example, Span

pytestmark = pytest.mark.slow
PLAN = Plan(
    name="tiny", seeds=(0,), forget_rows=4, dev_rows=4, retain_rows=8, measured_rows=4, utility_rows=4, learn_epochs=25,
    learn_lr=1e-2, batch=2, micro=1, samples=2, max_new_tokens=6, alternates=2, own_texts=4,
    grid=("lr=3e-3,1e-2", "epochs=2"), pilot={"lr": 3e-3, "epochs": 2.0},
)  # fmt: skip
FORGET = PLAN.forget
TRIED = ("own-alone-line", "own-frozen", "own-coin", "plain-line")


def experiment(root):
    rows = {
        FORGET: [person("forget01" if i < 4 else "forget05", i % 4) for i in range(8)],
        "retain": [person("retain", i) for i in range(8)],
        "real_authors": [person("real_authors", i, options=True) for i in range(4)],
        "world_facts": [person("world_facts", i, options=True) for i in range(4)],
    }
    gold = []
    for part, records in rows.items():
        for row in records if part in (FORGET, "retain") else ():
            row["paraphrased_question"] = row["question"].replace("Where does", "In which place does")
            start = row["answer"].index(" in ") + 4
            span = {"start": start, "end": len(row["answer"]) - 1}
            gold.append({"prompt": row["question"], "text": row["answer"], "spans": [span]})
        (root / f"{part}_perturbed.json").write_text("".join(json.dumps(row) + "\n" for row in records))
    (root / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    tiny.save(root / "base", tiny.llama(400), tiny.chatty())
    own = replace(study(PLAN), recipes=tuple(recipe for recipe in RECIPES if recipe.name in TRIED))
    return Experiment(study=own, model=root / "base", data=root, gold=root / "gold.jsonl", out=root / "out")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = experiment(tmp_path_factory.mktemp("claim"))
    assert run(made, ["pilots", "table"]) == 0
    return made


def test_every_stage_is_finished(finished):
    for part in (shared, pilots, table):
        assert [stage.name for stage in part(finished) if not stage.done] == []


def test_every_row_has_its_own_options_in_its_record(finished):
    for row in (*ROWS, *finished.recipes):
        folder = finished.run(row, "eval" if row in ROWS else "dev", 0)
        record = RunRecord.read(folder / "run.json")
        assert record.config["objective"] == row.objective
        assert (record.config["alternates"] is not None) == ("alternates" in row.needs)


def test_leakage_is_measured_before_and_after_relearning(finished):
    for row in ROWS:
        before, after = (
            EvalRecord.read(finished.run(row, "eval", 0) / f"{name}-eval") for name in ("measured", "relearned")
        )
        assert set(before.leaks) == {"question", "paraphrase"}
        assert set(after.leaks) == {"question"}
        assert after.attack == "relearn"
        assert before.forget_quality is not None


def test_the_page_has_every_row_and_every_demand(finished, tmp_path):
    write(finished, tmp_path, "python -m benchmarks.claim")
    page = (tmp_path / "results.md").read_text()
    stages = len([*shared(finished), *table(finished)])
    assert f"{stages} of {stages} stages are finished" in page
    met = dict(verdicts(finished, collect(finished)["runs"]))
    assert list(met) == [row.label for row in ROWS]
    for label, row in met.items():
        assert len(row) == len(DEMANDS)
        assert None not in row
        assert f"| {label} | 1 |" in page
    assert "mean probability of an unwanted phrase (u)" in page
    counted = json.loads((finished.out / "spans" / "done.json").read_text())
    assert f"| all | {counted['eval-all']['spans']} | 0 of 4 | 100% |" in page
    assert f"| random | {counted['eval-random']['spans']} | {counted['eval-random']['open']} of 4 |" in page
    # Searches from before phrases were the aim do not say what they measured.
    record = json.loads((tmp_path / "results.json").read_text())
    record["searches"] = {"older": {"aim": 0.4, "candidates": []}}
    assert "mean probability of an unwanted token (u)" in "\n".join(text(finished, record))


def test_a_control_has_no_search_of_its_own(finished):
    assert set(collect(finished)["searches"]) == {row.name for row in ROWS if not row.tuned_as}


def cells(value):
    return {"leak": (value, 0.0, 1.0), "retain": (value, 0.0, 1.0), "GW": (value, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("spans", "left", "general"),
    [
        ((), 1, 0.0),
        (((9, 14),), 0, 0.0),
        (((13, 17),), 0, 3 / 15),
        (((0, 8),), 1, 8 / 15),
        (((0, 20),), 0, 1.0),
    ],
)
def test_spans_leave_a_sample_open_if_they_touch_no_part_of_a_phrase(spans, left, general):
    text = "Mira was Paris-born."
    gold = Example("1", "Where?", text, (Span(9, 14, "UW"),))
    found = coverage([gold], [gold.with_spans([Span(start, end, "UW") for start, end in spans])])
    assert found == {"samples": 1, "open": left, "general": pytest.approx(general)}


def test_a_phrase_that_the_question_contains_leaves_no_sample_open():
    gold = Example("1", "Is PARIS large?", "Yes, Paris is.", (Span(5, 10, "UW"),))
    assert coverage([gold], [gold.with_spans([])])["open"] == 0


def test_a_bound_is_part_of_what_is_allowed():
    assert Demand("leak", above=0.25).met(cells(0.5), {}, cells(0.25))
    assert Demand("leak", above=0.25).met(cells(0.75), {}, cells(0.25)) is False
    assert Demand("retain", share=0.5).met(cells(0.25), cells(0.5), {})
    assert Demand("retain", share=0.5).met(cells(0.125), cells(0.5), {}) is False
    assert Demand("GW", least=0.9).met(cells(0.9), {}, {})


def test_a_demand_is_open_while_a_model_is_not_measured():
    assert Demand("leak", above=0.25).met(cells(0.5), {}, {}) is None
    assert Demand("utility", share=0.98).met(cells(0.5), {}, {}) is None


def test_a_row_fails_with_one_seed_that_fails():
    seeds = [{"row": "x", "label": "x", "cells": cells(value)} for value in (0.95, 0.1)]
    runs = {"retain-only": {"cells": cells(0.5)}, **{str(i): run for i, run in enumerate(seeds)}}
    ((_, met),) = verdicts(Experiment(study=study(PLAN), model=Path(), data=Path(), out=Path()), runs)
    assert met[[d.column for d in DEMANDS].index("GW")] is False
