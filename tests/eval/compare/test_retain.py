"""A retain model made on the way: it learns what is to be kept, and its log gives forget quality."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import ks_2samp

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.test_run import as_json
from tif.eval.compare import retain
from tif.eval.record import EvalRecord
from tif.records import MasksIdentity, ModelIdentity, RunRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens import finetune
from tif.tokens.models import model_digest


@pytest.fixture
def files(tiny: Tiny, tmp_path: Path) -> Path:
    for name, first, count in (("forget", 0, 4), ("retain", 4, 6)):
        lines = [as_json(make_row(first + i)) for i in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    for name, seed in (("base", 3), ("other", 5)):
        make_llama(len(tiny.tokenizer), seed).save_pretrained(tmp_path / name)
        tiny.tokenizer.save_pretrained(tmp_path / name)
    return tmp_path


def test_made_once_and_used(cli, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    shared = ["--benchmark", "local", "--forget", files / "forget.jsonl", "--retain", files / "retain.jsonl",
              "--max-new-tokens", 4, "--json"]  # fmt: skip
    making = [*shared, "--make-retain-log", "--base-model", files / "base", "--retain-epochs", 6, "--retain-lr", 3e-3]
    before = json.loads(cli("eval", files / "base", *shared).out)
    done = cli("eval", *making, "--out", files / "log")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert made["parts"]["retain"]["loss"] < before["parts"]["retain"]["loss"] - 0.5
    about = json.loads((files / "log" / "retain.json").read_text())
    assert about["questions"] == 6
    digest = model_digest(files / "log" / "model")

    with monkeypatch.context() as once:
        once.setattr(retain, "fine_tune", lambda *a, **o: pytest.fail("the retain model is there"))
        assert cli("eval", *making, "--out", files / "log").code == 0
    both = cli("eval", files / "other", *making, "--out", files / "unlearned")
    assert both.code == 0, both.err
    found = json.loads(both.out)
    (folder,) = (files / "runs" / "retain").iterdir()
    assert model_digest(folder / "model") == digest  # the same recipe gives the same weights
    ratios = [
        json.loads((f / "eval.json").read_text())["per_example"]["forget"]["truth_ratio"]
        for f in (files / "unlearned", folder)
    ]
    assert found["forget_quality"] == pytest.approx(ks_2samp(*ratios).pvalue)
    assert Path(found["retain_log"]).resolve() == (folder / "eval.json").resolve()


def test_membership_inference_compares_both_models_with_the_base_model(
    cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    (files / "holdout.jsonl").write_text("\n".join(as_json(make_row(20 + i)) for i in range(3)))
    done = cli(
        "eval", files / "other", "--benchmark", "local", "--forget", files / "forget.jsonl", "--retain",
        files / "retain.jsonl", "--holdout", files / "holdout.jsonl", "--make-retain-log", "--base-model",
        files / "base", "--retain-epochs", 1, "--no-completions", "--out", files / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    inferred = EvalRecord.read(files / "out").membership
    assert inferred is not None
    assert inferred.attacks["reference"].retain_auc is not None


def test_the_retain_model_s_unwanted_words_are_those_of_the_run(
    cli, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's annotation set, labels and punctuation are nobody else's default."""
    monkeypatch.chdir(files)
    rows = [make_row(i) for i in range(4)]
    marked = [Example(r.id, r.question, r.answer, (Span(0, len(r.answer.split()[0]), "NAME"), *r.spans)) for r in rows]
    saved = store.save(AnnotationSet(tuple(marked)), files / "set.parquet")
    (files / "run").mkdir()
    (files / "run" / "model").symlink_to(files / "other")
    run = RunRecord(
        status="finished", steps=1, config={"labels": ["UW"], "punctuation": "uw"}, sessions=(),
        masks=MasksIdentity(path=str(files / "set.parquet"), digest=saved.digest),
        model=ModelIdentity(str(files / "base"), model_digest(files / "base")),
    )  # fmt: skip
    (files / "run" / "run.json").write_text(json.dumps(run.to_json()))
    done = cli(
        "eval", files / "run", "--benchmark", "local", "--forget", files / "forget.jsonl", "--retain",
        files / "retain.jsonl", "--make-retain-log", "--base-model", files / "base", "--retain-epochs", 1,
        "--max-new-tokens", 3,
    )  # fmt: skip
    assert done.code == 0, done.err
    record = EvalRecord.read(files / "run" / "eval")
    log = EvalRecord.read(str(record.retain_log))
    assert record.settings == log.settings
    assert (record.settings.labels, record.settings.punctuation) == (("UW",), "uw")  # type: ignore[union-attr]
    assert log.masks == record.masks
    assert record.leakage["forget"].phrases == log.leakage["forget"].phrases == 4
    assert record.retain_leakage == {"forget": log.leakage["forget"]}
    assert record.retain_gaps is not None


def test_what_is_missing_is_one_line(cli, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = cli("eval", "--make-retain-log")
    assert said.code == 2
    assert "all numbers but forget quality" in said.err
    making = ["eval", "--make-retain-log", "--base-model", files / "base"]
    local = ["--benchmark", "local", "--forget", files / "forget.jsonl"]
    assert "--make-retain-log needs retain samples" in cli(*making, *local).err
    assert (
        "--retain-epochs: 0 is below 1"
        in cli(*making, *local, "--retain", files / "retain.jsonl", "--retain-epochs", 0).err
    )
    assert "exclude each other" in cli(*making, "--retain-log", files / "x.json").err
    assert "is for --make-retain-log" in cli("eval", files / "other", "--base-model", files / "base").err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--make-retain-log runs in one process only" in cli(*making, *local, "--retain", files / "retain.jsonl").err


def test_a_killed_fine_tuning_goes_on_with_the_same_weights(
    cli, files: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retain, "TOFU", replace(retain.TOFU, batch_size=2))
    monkeypatch.setattr(finetune, "SECONDS", 0.0)
    making = ["eval", "--make-retain-log", "--base-model", files / "base", "--benchmark", "local",
              "--forget", files / "forget.jsonl", "--retain", files / "retain.jsonl", "--no-completions",
              "--retain-epochs", 3, "--retain-lr", 3e-3]  # fmt: skip
    assert cli(*making, "--out", files / "whole").code == 0
    plain, seen = finetune._accumulate, []

    def dying(model, batch, **options) -> float:
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(len(batch))
        return plain(model, batch, **options)

    with monkeypatch.context() as killed:
        killed.setattr(finetune, "_accumulate", dying)
        assert cli(*making, "--out", files / "log").code == 130
    (kept,) = (files / "log").glob("checkpoint-*")
    done = cli(*making, "--out", files / "log")
    assert done.code == 0, done.err
    assert "after step 4 of 9" in done.err
    assert model_digest(files / "log" / "model") == model_digest(files / "whole" / "model")
    assert not kept.exists()

    (files / "log" / "retain.json").unlink()
    kept.write_bytes(b"cut off")
    damaged = cli(*making, "--out", files / "log")
    assert damaged.code == 1
    assert "Delete it to start anew" in damaged.err
