"""Two processes must give what one does: every example once, none padded in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.eval.conftest import make_row
from tests.eval.test_run import as_json

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """Every number of a record, by where it stands."""
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in numbers(inner, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in numbers(inner, f"{path}/{i}").items()}
    return {path: value} if isinstance(value, int | float) else {}


@pytest.mark.slow
def test_two_processes_are_one(cli, model_folder: str, tmp_path: Path) -> None:
    for name, rows in (("forget", range(5)), ("retain", range(5, 8))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(as_json(make_row(i)) for i in rows))
    command = ["eval", model_folder, "--benchmark", "local", "--forget", str(tmp_path / "forget.jsonl"), "--retain",
               str(tmp_path / "retain.jsonl"), "--max-new-tokens", "8", "--device", "cpu", "--json"]  # fmt: skip
    run = [sys.executable, *TWO, "-m", "tif", *command, "--out", str(tmp_path / "two")]
    done = subprocess.run(run, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads(done.stdout)  # one process prints
    one = cli(*command, "--out", tmp_path / "one")
    assert one.code == 0, one.err
    expected = numbers(json.loads((tmp_path / "one" / "eval.json").read_text()))
    found = numbers(json.loads((tmp_path / "two" / "eval.json").read_text()))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert two["parts"]["forget"]["n"] == 5
