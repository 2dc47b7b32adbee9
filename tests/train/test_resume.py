"""A run that is killed, for real, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.train.conftest import Workshop
from tif.train import checkpoint
from tif.train import run as run_module
from tif.train.options import TrainOptions
from tif.train.run import train

RUN = """
import sys, typer
from tif.cli import train
app = typer.Typer()
train.register(app)
app(sys.argv[1:])
"""


def start(workshop: Workshop, out: Path, *extra: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", RUN, "--masks", workshop.masks, "--model", workshop.model, "--out", out,
               "--retain", workshop.retain, "--max-steps", "24", "--batch-size", "2", "--lr", "1e-3", "--beta", "0.3",
               "--save-steps", "3", "--cpu", *extra]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([str(c) for c in command], env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [(), ("--lora", "2")])
def test_a_killed_run_ends_with_the_same_bits(workshop: Workshop, extra: tuple[str, ...]) -> None:
    whole, broken = workshop.root / "whole", workshop.root / "broken"
    assert start(workshop, whole, *extra).wait() == 0
    for after in (3, 12):
        process = start(workshop, broken, *extra)
        while not any(int(p.name.partition("-")[2]) >= after for p in checkpoint.complete(broken / "checkpoints")):
            assert process.poll() is None, "finished before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (broken / "model").exists()
    assert start(workshop, broken, *extra).wait() == 0
    a, b = (load_file(folder / "model" / "model.safetensors") for folder in (whole, broken))
    assert a.keys() == b.keys()
    assert all(bool((a[key] == b[key]).all()) for key in a)
    log = [json.loads(line) for line in (broken / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log if "loss" in record] == list(range(1, 25))


@pytest.mark.parametrize("extra", [{}, {"lora": 2}, {"max_steps": None, "epochs": 2.5}])
def test_a_run_killed_behind_its_last_step_takes_no_other(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
) -> None:
    def config(out: str) -> TrainOptions:
        # Behind the end of linear decay another step would change nothing.
        return workshop.config(out, scheduler="constant", **extra)

    whole = train(config("whole"))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_save_model", lambda *a, **o: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(config("broken"))
    broken = train(config("broken"))
    assert (broken.steps, broken.resumed_from) == (whole.steps, whole.steps)
    a, b = (load_file(result.model / "model.safetensors") for result in (whole, broken))
    assert all(bool((a[key] == b[key]).all()) for key in a)
    records = [json.loads((result.folder / "run.json").read_text()) for result in (whole, broken)]
    assert records[0]["cost"]["tokens"] == records[1]["cost"]["tokens"]


def test_shards_in_folders_are_sealed(tmp_path: Path) -> None:
    saved = tmp_path / "checkpoint-1" / "pytorch_model_fsdp_0"
    saved.mkdir(parents=True)
    (saved / "shard").write_bytes(b"x")
    checkpoint.seal(tmp_path / "checkpoint-1", 1)
    assert checkpoint.complete(tmp_path) == [tmp_path / "checkpoint-1"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "random-0.json", "trainer_state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_told_and_an_older_one_is_used(
    workshop: Workshop, capfd: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    folder = workshop.root / "checkpoints"
    for step in (2, 4):
        checkpoint_folder = folder / f"checkpoint-{step}"
        checkpoint_folder.mkdir(parents=True)
        for each in ("model.safetensors", "optimizer.safetensors", "random-0.json", "trainer_state.json"):
            (checkpoint_folder / each).write_text(f"{each} of step {step}")
        checkpoint.seal(checkpoint_folder, 2)
    assert checkpoint.latest(folder) == folder / "checkpoint-4"
    file = folder / "checkpoint-4" / name
    data = bytearray(file.read_bytes())
    data[3] ^= 1
    {"flip": lambda: file.write_bytes(data), "cut": lambda: file.write_bytes(data[:5]), "remove": file.unlink}[damage]()
    assert checkpoint.latest(folder) == folder / "checkpoint-2"
    assert f"checkpoint-4/{name} is damaged" in capfd.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["checkpoint-2"]


def test_a_checkpoint_that_was_cut_short_is_not_used(workshop: Workshop) -> None:
    config = workshop.config("run", save_steps=2, keep_checkpoints=2)
    train(config)
    folder = workshop.root / "run" / "checkpoints"
    assert [p.name for p in checkpoint.complete(folder)] == ["checkpoint-2", "checkpoint-4"]
    (folder / "checkpoint-4" / checkpoint.COMPLETE).unlink()
    assert checkpoint.latest(folder).name == "checkpoint-2"
    assert not (folder / "checkpoint-4").exists()
