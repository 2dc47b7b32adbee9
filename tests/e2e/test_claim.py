"""The experiment of the claim as a whole on a tiny model and invented people: every recipe, row and control."""

import json

import pytest

from benchmarks.claim.__main__ import run
from benchmarks.claim.plan import FORGET, RECIPES, ROWS, Experiment, Plan
from benchmarks.claim.stages import pilots, shared, table
from tests.e2e.test_tofu import person
from tests.tokens import tiny
from tif.eval.record import EvalRecord
from tif.records import RunRecord

pytestmark = pytest.mark.slow
PLAN = Plan(
    name="tiny", seeds=(0,), forget_rows=4, dev_rows=4, retain_rows=8, measured_rows=4, utility_rows=4, learn_epochs=25,
    learn_lr=1e-2, batch=2, micro=1, samples=2, max_new_tokens=6, alternates=2, own_texts=4,
    grid=("lr=3e-3,1e-2", "epochs=2"), pilot={"lr": 3e-3, "epochs": 2.0},
)  # fmt: skip


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
    return Experiment(plan=PLAN, model=root / "base", data=root, gold=root / "gold.jsonl", out=root / "out")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    made = experiment(tmp_path_factory.mktemp("claim"))
    assert run(made, ["pilots", "table"]) == 0
    return made


def test_every_stage_is_finished(finished):
    for part in (shared, pilots, table):
        assert [stage.name for stage in part(finished) if not stage.done] == []


def test_every_row_has_its_own_options_in_its_record(finished):
    for row in (*ROWS, *RECIPES):
        folder = finished.run(row, "eval" if row in ROWS else "dev", 0)
        record = RunRecord.read(folder / "run.json")
        assert record.config["objective"] == row.objective
        assert ("alternates" in record.config) == ("alternates" in row.needs)


def test_leakage_is_measured_before_and_after_relearning(finished):
    for row in ROWS:
        before, after = (
            EvalRecord.read(finished.run(row, "eval", 0) / f"{name}-eval") for name in ("measured", "relearned")
        )
        assert set(before.leaks) == {"question", "paraphrase"}
        assert set(after.leaks) == {"question"}
        assert after.attack == "relearn"
        assert before.forget_quality is not None
