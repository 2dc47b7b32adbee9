"""Checkpoints of a run are evaluated, verified and reported as models of that run, also adapters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result, succeed
from tests.eval.conftest import make_llama, make_row, make_tokenizer
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example
from tif.tokens.models import load_model, load_tokenizer, model_digest

ROWS = tuple(make_row(i, plain=True) for i in range(6))


@pytest.fixture
def train(cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunRecord]:
    """Trains a run of three steps in the current folder, with a checkpoint after each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer)).save_pretrained("start")
    tokenizer.save_pretrained("start")
    examples = tuple(Example(f"p{i}", row.question, row.answer, row.spans) for i, row in enumerate(ROWS))
    store.save(AnnotationSet(examples), "people.parquet", author="test")

    def run(*more: object) -> RunRecord:
        succeed(cli("train", "--masks", "people.parquet", "--model", "start", "--out", "run", "--max-steps", 3,
                    "--batch-size", 2, "--lr", 1e-3, "--save-steps", 1, "--keep-checkpoints", 3, "--cpu",
                    *more))  # fmt: skip
        record = RunRecord.of_folder("run")
        assert record is not None
        return record

    return run


@pytest.mark.parametrize("more", [(), ("--lora", 4)])
def test_any_checkpoint_is_evaluated_as_the_run(
    cli: Callable[..., Result], train: Callable[..., RunRecord], more: tuple[object, ...]
) -> None:
    run = train(*more)
    quick = ("--no-completions", "--dtype", "float32")
    succeed(cli("eval", "run", *quick))
    final = EvalRecord.read("run/eval")
    levels = {}
    for step in (1, 2, 3):
        succeed(cli("eval", f"run/checkpoints/checkpoint-{step}", *quick))
        record = EvalRecord.read(f"run/eval-checkpoint-{step}")
        assert (record.run, record.masks, record.settings) == (run, final.masks, final.settings)
        assert record.prompting == final.prompting
        levels[step] = record.uw_probability
    assert levels[3] == pytest.approx(final.uw_probability, rel=1e-4)
    assert len(set(levels.values())) == 3
    if not more:  # an adapter's folder does not have the weights of the merged model
        assert EvalRecord.read("run/eval-checkpoint-3").model.digest == final.model.digest  # type: ignore[union-attr]
    succeed(cli("verify", "run"))
    succeed(cli("report", "run", "run/eval-checkpoint-1", "--out", "report.html"))
    assert "run-checkpoint-1" in Path("report.html").read_text()
    if more:
        assert model_digest("run/adapter") != model_digest("start")
        assert load_tokenizer("run/adapter").get_vocab() == load_tokenizer("start").get_vocab()
        load_model("run/adapter")
        # The adapter is to weights that no longer exist.
        shutil.rmtree("start")
        make_llama(400, 7).save_pretrained("start")
        make_tokenizer().save_pretrained("start")
        wrong = cli("eval", "run/checkpoints/checkpoint-2", *quick, "--out", "wrong")
        assert wrong.code == 1
        assert "is not the model that the run started from" in wrong.err


def test_an_evaluation_during_training_stays_valid_and_damage_is_refused(
    cli: Callable[..., Result], train: Callable[..., RunRecord]
) -> None:
    run = train()
    folder = Path("run/checkpoints/checkpoint-2")
    # The record as it is while the run goes on.
    content = dict(run.to_json(), status="running", steps=None, outputs={}, cost=None)
    content.pop("seal")
    Path("run/run.json").rename("finished.json")
    RunRecord.from_json(dict(content, schema=3)).write(Path("run"))
    succeed(cli("eval", folder, "--no-completions"))
    Path("finished.json").rename("run/run.json")
    succeed(cli("verify", "run/eval-checkpoint-2"))
    shutil.rmtree("run/checkpoints/checkpoint-1")
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | {"x": 1}))
    refused = cli("eval", folder, "--no-completions")
    assert refused.code == 1
    assert "config.json" in refused.err
    assert "the checkpoint is damaged or not complete" in refused.err
    assert cli("verify", "run/eval-checkpoint-2").code == 1
    (folder / "complete").unlink()
    assert "the checkpoint is damaged or not complete" in cli("eval", folder, "--no-completions").err


@pytest.mark.parametrize("more", [(), ("--lora", 4)])
def test_evaluations_during_training_watch_and_change_nothing(
    cli: Callable[..., Result], train: Callable[..., RunRecord], more: tuple[object, ...]
) -> None:
    train(*more)
    shutil.move("run", "unwatched")
    train(*more, "--evaluate-every", 2, "--evaluate-limit", 4)
    assert model_digest("run/model") == model_digest("unwatched/model")
    rows = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    watched = {row["step"]: row for row in rows if "evaluation_uw_probability" in row}
    assert sorted(watched) == [0, 2, 3]
    for step, row in watched.items():
        record = EvalRecord.read(f"run/trajectory/step-{step}")
        assert record.parts["forget"]["n"] == 4
        assert row["evaluation_uw_probability"] == pytest.approx(record.uw_probability)
        counts = record.leakage["forget"]
        assert row["evaluation_phrases_written"] == counts.written / counts.phrases
    assert len({row["evaluation_uw_probability"] for row in watched.values()}) == 3
    assert sum("loss" in row for row in rows) == 3
    assert not Path("run/checkpoints/evaluated").exists()
    # Step 2 is the checkpoint of step 2, and the last one is the run.
    succeed(cli("eval", "run/checkpoints/checkpoint-2", "--limit", 4))
    assert watched[2]["evaluation_uw_probability"] == pytest.approx(
        EvalRecord.read("run/eval-checkpoint-2").uw_probability, rel=1e-6
    )
    succeed(cli("eval", "run", "--limit", 4))
    assert watched[3]["evaluation_uw_probability"] == pytest.approx(
        EvalRecord.read("run/eval").uw_probability, rel=1e-4
    )
    succeed(cli("verify", "run"))
    succeed(cli("report", "run", "--out", "report.html"))
    page = Path("report.html").read_text()
    assert "evaluated during training as `tif eval` does. No checkpoint was chosen by it." in page


def test_a_wrong_interval_is_refused(cli: Callable[..., Result], train: Callable[..., RunRecord]) -> None:
    wanted = ("train", "--masks", "people.parquet", "--model", "start", "--out", "run", "--cpu")
    for text in ("0", "often", "-1"):
        wrong = cli(*wanted, "--evaluate-every", text)
        assert wrong.code == 2
        assert "Use 'epoch', or a number of steps such as 50." in wrong.err
    assert "it needs --evaluate-every" in cli(*wanted, "--evaluate-limit", 3).err
    assert not Path("run").exists()
