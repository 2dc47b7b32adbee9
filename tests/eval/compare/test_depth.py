"""`tif eval --depth`: the two ends of the scale, the record, the caches, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tif import files
from tif.eval.compare import depth
from tif.eval.record import EvalRecord
from tif.records import MasksIdentity, ModelIdentity, RunRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example
from tif.tokens.models import model_digest

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def models(tiny: Tiny, tmp_path: Path) -> dict[str, str]:
    """A starting model, a retain model, and one between the two."""
    start, retain, between = (make_llama(len(tiny.tokenizer), seed) for seed in (0, 1, 0))
    with torch.no_grad():
        for own, other in zip(between.parameters(), retain.parameters(), strict=True):
            own.lerp_(other, 0.3)
    folders = {}
    for name, model in (("start", start), ("retain", retain), ("between", between)):
        folders[name] = str(tmp_path / name)
        model.save_pretrained(folders[name])
        tiny.tokenizer.save_pretrained(folders[name])
    return folders


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Everything but the models. Row 3 has no unwanted word."""
    rows = [make_row(i) for i in range(4)]
    lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in rows]
    (tmp_path / "forget.jsonl").write_text("\n".join(lines))
    examples = [Example(r.id, r.question, r.answer, r.spans if i != 3 else ()) for i, r in enumerate(rows)]
    store.save(AnnotationSet(tuple(examples)), tmp_path / "set.parquet")
    return ["--benchmark", "local", "--forget", str(tmp_path / "forget.jsonl"), "--masks",
            str(tmp_path / "set.parquet"), "--no-completions", "--depth"]  # fmt: skip


def measured(cli: Cli, model: str, out: Path, *arguments: str) -> EvalRecord:
    result = cli("eval", model, "--out", out, *arguments)
    assert result.code == 0, result.err
    return EvalRecord.read(out)


def test_depth_is_one_for_the_retain_model_and_zero_for_the_starting_model(
    cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path
) -> None:
    named = [*command, "--starting-model", models["start"], "--retain-model", models["retain"]]
    scores = {}
    for name, folder in models.items():
        record = measured(cli, folder, tmp_path / f"eval-{name}", *named)
        assert record.depth is not None
        assert (record.depth.examples, record.depth.layers) == (3, 2)
        assert record.depth.patching.n >= 2
        assert record.depth.starting_model.digest == model_digest(models["start"])
        assert record.depth.retain_model == ModelIdentity(models["retain"], model_digest(models["retain"]))
        scores[name] = record.depth
    for by in ("patching", "lens"):
        start, between, retain = (getattr(scores[name], by) for name in ("start", "between", "retain"))
        assert start.score == pytest.approx(0, abs=1e-6)
        assert retain.score == pytest.approx(1, abs=1e-6)
        assert 0.01 < between.score < 0.99
        assert retain.lost == pytest.approx(retain.could_lose)
        assert start.could_lose == retain.could_lose
    rows = pq.read_table(tmp_path / "eval-between" / "examples.parquet").to_pylist()
    for column, by in (("depth", scores["between"].patching), ("lens_depth", scores["between"].lens)):
        known = [row[column] for row in rows if row[column] is not None]
        assert rows[3][column] is None
        assert (sum(known) / len(known), len(known)) == (pytest.approx(by.score), by.n)


def test_the_run_and_the_retain_log_name_the_models(
    cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    measured(cli, models["retain"], log, *command[:-1])
    run = tmp_path / "run"
    run.mkdir()
    (run / "model").symlink_to(models["between"])
    version = store.load(tmp_path / "set.parquet").version
    record = RunRecord(
        status="finished", steps=1, config={}, sessions=(),
        masks=MasksIdentity(path=str(tmp_path / "set.parquet"), digest=version.digest),
        model=ModelIdentity(models["start"], model_digest(models["start"])),
    )  # fmt: skip
    (run / "run.json").write_text(json.dumps(record.to_json()))
    found = cli("eval", run, *command, "--retain-log", log / "eval.json", "--json", "--force")
    assert found.code == 0, found.err
    result = json.loads(found.out)["depth"]
    assert result["starting_model"]["path"] == models["start"]
    assert result["retain_model"]["path"] == models["retain"]
    assert 0.01 < result["patching"]["score"] < 0.99
    changed = replace(record, model=ModelIdentity(models["retain"], model_digest(models["start"])))
    (run / "run.json").write_text(json.dumps(changed.to_json()))
    refused = cli("eval", run, *command, "--retain-log", log / "eval.json")
    assert (refused.code, refused.out) == (1, "")
    assert "is not the model that the run started from" in refused.err


def test_finished_readings_are_used_again(
    cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [*command, "--starting-model", models["start"], "--retain-model", models["retain"]]
    first = measured(cli, models["between"], tmp_path / "eval", *named)
    patched: list[str] = []
    work = depth._patch

    def counted(*arguments: object) -> object:
        patched.append(str(arguments[3]))
        return work(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(depth, "_patch", counted)
    assert measured(cli, models["between"], tmp_path / "eval", *named).depth == first.depth
    assert patched == []
    # The retain model's readings serve other evaluated models; other annotations need new readings of both.
    measured(cli, models["start"], tmp_path / "other", *named)
    assert patched == ["the model's states"]
    measured(cli, models["start"], tmp_path / "other", *named, "--punctuation", "uw")
    assert patched[1:] == ["the retain model's states", "the model's states"]


def test_an_attack_and_the_depth_read_each_model_once(
    cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: str) -> str:
        read.append(path)
        return model_digest(path)

    monkeypatch.setattr("tif.eval.run.model_digest", counted)
    named = [*command, "--attack", "nf4", "--starting-model", models["start"], "--retain-model", models["retain"]]
    record = measured(cli, models["between"], tmp_path / "eval", *named)
    assert record.depth is not None
    assert record.robustness is not None
    assert read == [models["between"], models["start"], models["retain"]]


def test_a_cache_folder_that_cannot_be_written_only_keeps_nothing(
    cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(files, "cache_folder", lambda *parts: (tmp_path / "file").joinpath(*parts))
    named = [*command, "--starting-model", models["start"], "--retain-model", models["retain"]]
    assert measured(cli, models["between"], tmp_path / "eval", *named).depth is not None


def test_weights_in_bfloat16_are_read_in_float32_and_stay_as_they_are(models: dict[str, str]) -> None:
    model = depth.load_model(models["between"], dtype="bfloat16")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with depth._float32(model):
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--retain-model", "RETAIN"], "--depth needs the starting model.*--starting-model"),
        (["--starting-model", "START"], "--depth needs a retain model.*--retain-model"),
        (["--starting-model", "START", "--retain-model", "LARGER"],
         "retain model .*larger: has another number or size of layers than the evaluated model"),
        (["--starting-model", "TALKER", "--retain-model", "RETAIN"],
         "starting model .*talker: has another tokenizer than the evaluated model"),
    ],
)  # fmt: skip
def test_models_that_do_not_fit_are_refused_before_any_computation(
    cli: Cli, models: dict[str, str], command: list[str], tiny: Tiny, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str,
) -> None:  # fmt: skip
    larger = make_llama(len(tiny.tokenizer), num_hidden_layers=3)
    for name in ("larger", "talker"):
        models[name] = str(tmp_path / name)
        (larger if name == "larger" else tiny.model).save_pretrained(models[name])
        tiny.tokenizer.save_pretrained(models[name])
    tokenizer = json.loads((tmp_path / "talker" / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, other = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (tmp_path / "talker" / "tokenizer.json").write_text(json.dumps(tokenizer))
    monkeypatch.setattr("tif.eval.run.evaluate_lazily", lambda *_, **__: pytest.fail("the evaluation has begun"))
    named = [models.get(argument.lower(), argument) for argument in arguments]
    result = cli("eval", models["between"], "--out", tmp_path / "out", *command, *named)
    assert result.code in (1, 2)
    assert re.search(message, result.err)


def test_depth_needs_unwanted_words(cli: Cli, models: dict[str, str], command: list[str], tmp_path: Path) -> None:
    named = ["--starting-model", models["start"], "--retain-model", models["retain"]]
    without = [argument for argument in command if argument not in ("--masks", str(tmp_path / "set.parquet"))]
    result = cli("eval", models["between"], "--out", tmp_path / "out", *without, *named)
    assert result.code == 2
    assert "--depth needs unwanted words. Give an annotation set of the forget set as --masks." in result.err
    result = cli("eval", models["between"], *without[:-1], *named)
    assert "--starting-model has no effect" in result.err or "it needs --depth" in result.err
