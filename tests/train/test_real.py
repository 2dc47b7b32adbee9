"""Unlearning gold spans of TOFU's forget05 on SmolLM2, broken off by SIGKILL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.train import checkpoint

pytestmark = [pytest.mark.real, pytest.mark.slow]

STEPS, LIMIT = 5, 10


@pytest.fixture
def gold(shared: Path, tmp_path: Path) -> Path:
    rows = [json.loads(line) for line in (shared / "gold" / "tofu_forget05_gold.jsonl").read_text().splitlines()]
    examples = [
        Example(row["id"], row["prompt"], row["text"]).with_spans(Span(s["start"], s["end"]) for s in row["spans"])
        for row in rows
        if row["spans"]
    ]
    assert len(examples) > 150
    store.save(AnnotationSet(tuple(examples)), tmp_path / "gold.parquet")
    return tmp_path / "gold.parquet"


def test_a_killed_run_on_gold_spans_ends_in_the_same_weights(gold: Path, smollm2: Path, tmp_path: Path) -> None:
    def start(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tif", "train", "--masks", gold, "--model", smollm2, "--out", tmp_path / out,
                   "--limit", LIMIT, "--batch-size", 2, "--max-steps", STEPS, "--save-steps", 2, "--cpu",
                   "--early-stop", "gw:0.01", "--early-stop-every", 2]  # fmt: skip
        return subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)

    assert start("whole").wait() == 0
    process = start("broken")
    while not checkpoint.complete(tmp_path / "broken" / "checkpoints"):
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "broken" / "model").exists()
    assert start("broken").wait() == 0

    a, b, before = (
        load_file(folder / "model.safetensors")
        for folder in (tmp_path / "whole" / "model", tmp_path / "broken" / "model", smollm2)
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], before[key]) for key in a)
    runs = [json.loads((tmp_path / out / "run.json").read_text()) for out in ("whole", "broken")]
    assert [len(run["sessions"]) for run in runs] == [1, 2]
    assert runs[1]["sessions"][1]["from_step"] >= 2
    assert runs[0]["masks"]["digest"] == store.load(gold).digest
    logs = [
        [json.loads(line) for line in (tmp_path / out / "log.jsonl").read_text().splitlines()]
        for out in ("whole", "broken")
    ]
    for name in ("loss", "uw_probability", "validation_uw_probability"):
        whole, broken = ([r[name] for r in log if name in r] for log in logs)
        assert whole == broken
    assert len([r for r in logs[0] if "loss" in r]) == STEPS
