"""`tif train`: options from the command line, from a config file, and from the record of an earlier run."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.train.conftest import Workshop
from tif.records import RunRecord


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_record_of_a_run_repeats_it_to_the_bit(cli, workshop: Workshop):
    base = workshop.model
    first, second = workshop.root / "a", workshop.root / "b"
    done = cli(
        "train", "--masks", workshop.masks, "--model", workshop.model, "--out", first, "--retain", workshop.retain,
        "--objective", "anchored", "--base-model", base, "--frame", "It is {words}.", "--early-stop", "uw:1e-12",
        "--early-stop-every", 2, "--max-steps", 4, "--batch-size", 2, "--lr", "1e-3", "--seed", 5, "--cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.strip() == str(first / "model")
    again = cli("train", "--config", first / "run.json", "--out", second, "--json")
    assert again.code == 0, again.err
    assert equal(weights(first), weights(second))
    one, two = (RunRecord.of_folder(folder) for folder in (first, second))
    assert json.loads(again.out) == json.loads(json.dumps(two.to_json()))
    assert one.same_but_seed() == two.same_but_seed()
    assert {**one.config, "out": None} == {**two.config, "out": None}
    assert one.steps == two.steps == 4
    other = cli("train", "--config", first / "run.json", "--out", workshop.root / "c", "--seed", 6)
    assert other.code == 0, other.err
    assert not equal(weights(first), weights(workshop.root / "c"))
    assert RunRecord.of_folder(workshop.root / "c").same_but_seed() == one.same_but_seed()


def test_the_record_of_an_older_tif_repeats_its_run(cli, workshop: Workshop):
    first, second = workshop.root / "a", workshop.root / "b"
    done = cli(
        "train", "--masks", workshop.masks, "--model", workshop.model, "--out", first, "--objective", "anchored",
        "--base-model", workshop.model, "--labels", "UW", "--unmarked", "skip", "--no-supervise-eos",
        "--max-steps", 2, "--cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((first / "run.json").read_text())
    config = record["config"]
    # The names of the first layout.
    config["floor_model"], config["zero_uw"] = config.pop("base_model"), config.pop("unmarked")
    (config["label"],) = config.pop("labels")
    config["eos"] = "none" if not config.pop("supervise_eos") else "gw"
    config["objective"], config["floor"] = "tif", "base"
    old = workshop.root / "old.json"
    old.write_text(json.dumps(record | {"schema": 1}))
    again = cli("train", "--config", old, "--out", second)
    assert again.code == 0, again.err
    assert equal(weights(first), weights(second))
    assert RunRecord.of_folder(second).config["labels"] == ["UW"]


def test_the_floor_of_the_anchored_objective_need_not_be_given(cli, workshop: Workshop):
    common = ["train", "--masks", workshop.masks, "--model", workshop.model, "--objective", "anchored", "--base-model",
              workshop.model, "--max-steps", 3, "--batch-size", 2, "--lr", "1e-2", "--cpu"]  # fmt: skip
    for name, floor in (("default", []), ("base", ["--floor", "base"]), ("level", ["--floor", "-0.1"])):
        done = cli(*common, "--out", workshop.root / name, *floor)
        assert done.code == 0, done.err
    default, base, level = (weights(workshop.root / name) for name in ("default", "base", "level"))
    assert equal(default, base)
    assert not equal(default, level)


def test_a_config_file_gives_options_and_the_command_line_wins(cli, workshop: Workshop):
    file = workshop.root / "train.toml"
    file.write_text(
        f'[train]\nmasks = "{workshop.masks}"\nmodel = "{workshop.model}"\nmax_steps = 3\nbatch-size = 2\n'
        'floor = -20\nframe = ["{words}"]\ncpu = true\n'
    )
    done = cli("train", "--config", file, "--out", workshop.root / "run", "--max-steps", 2, "--json")
    assert done.code == 0, done.err
    config = json.loads(done.out)["config"]
    assert (config["max_steps"], config["batch_size"], config["floor"]) == (2, 2, "-20")
    assert config["frames"] == ["{words}"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--lr", "0"], "--lr: 0.0 is not above 0"),
        (["--objective", "npo", "--space", "logprob"], "--space does nothing here (npo has no space; it reads beta)"),
        (["--objective", "nothing"], "--objective: no objective 'nothing'. Known: tpo, anchored, ga,"),
        (["--labels", " , "], "--labels: names nothing"),
    ],
)
def test_a_wrong_option_is_one_line(cli, tmp_path, given, line):
    done = cli("train", "--masks", "no.parquet", "--model", "m", "--out", tmp_path / "run", *given)
    assert done.code == 2
    assert done.err.startswith(f"error: {line}")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_wrong_option_of_the_config_names_the_file(cli, workshop: Workshop):
    file = workshop.root / "train.json"
    file.write_text(json.dumps({"masks": str(workshop.masks), "model": str(workshop.model), "early_stop": "uw"}))
    done = cli("train", "--config", file, "--out", workshop.root / "run")
    assert done.code == 2
    assert "train.json, --early-stop: early stop 'uw' cannot be read" in done.err.replace("\n", "")


def test_training_names_its_options(cli, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("tif.train.trainer.Unlearner.compute_loss", full)
    done = cli(
        "train", "--masks", workshop.masks, "--model", workshop.model, "--out", workshop.root / "run", "--cpu"
    )  # fmt: skip
    assert done.code == 1
    assert "error: the memory is full (CUDA out of memory" in done.err
    assert "--gradient-checkpointing" in " ".join(done.err.split())
