"""Worker processes of Ray: the same set as without them, in one line what is wrong, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tif.annotate.ray import RayAnnotator
from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import NerOptions
from tif.errors import MissingError, UsageError
from tif.sets import store

DEMO = Path(__file__).parents[2] / "annotations" / "demo.parquet"


@pytest.mark.parametrize("method", ["llm", "manual"])
def test_methods_that_gain_nothing_are_refused(method):
    with pytest.raises(UsageError, match=f"--method {method} does not run on Ray"):
        RayAnnotator(NerAnnotator(), method, NerOptions())


def test_without_ray_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match="Ray is not installed") as caught:
        RayAnnotator(NerAnnotator(), "ner", NerOptions())
    assert "pip install 'tif-unlearning[ray]'" in str(caught.value)


def test_workers_without_ray_are_a_mistake(cli, tmp_path):
    done = cli("annotate", "--dataset", DEMO, "--out", tmp_path / "a.parquet", "--workers", 2)
    assert done.code == 2
    assert "--workers" in done.err
    assert cli("annotate", "--dataset", DEMO, "--out", tmp_path / "a.parquet", "--engine", "spark").code == 2


def command(out, *more):
    line = [sys.executable, "-m", "tif", "annotate", "--dataset", DEMO, "--out", out, *more]
    return [str(part) for part in line]


@pytest.mark.real
@pytest.mark.slow
def test_two_workers_make_the_same_set(tmp_path):
    ray = ["--engine", "ray", "--workers", "2", "--json"]
    first = subprocess.run(command(tmp_path / "ray.parquet", "--limit", "50"), capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    done = subprocess.run(command(tmp_path / "ray.parquet", *ray), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["reused"], report["new"], report["failed"]) == (50, 270, 0)
    assert report["method"]["observed"] == {"engine": "ray", "workers": 2}
    assert "Traceback" not in done.stderr
    assert "WARNING" not in done.stderr
    assert subprocess.run(command(tmp_path / "local.parquet"), capture_output=True).returncode == 0
    saved, expected = store.load(tmp_path / "ray.parquet"), store.load(tmp_path / "local.parquet")
    assert saved.examples == expected.examples
    assert len(saved) == 320
    again = subprocess.run(command(tmp_path / "ray.parquet", *ray), capture_output=True, text=True)
    assert json.loads(again.stdout)["reused"] == 320


@pytest.mark.real
@pytest.mark.slow
def test_what_stops_a_worker_is_one_line_and_ray_is_gone_after(tmp_path):
    """A file that the first process has read is gone when the workers look for it."""
    patterns = tmp_path / "patterns.jsonl"
    patterns.write_text(json.dumps({"label": "X", "pattern": "florist"}))
    more = ["--engine", "ray", "--workers", "2", "--patterns", patterns]
    with subprocess.Popen(command(tmp_path / "a.parquet", *more), stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.rglob("journal-*.jsonl")):
            assert process.poll() is None
            time.sleep(0.02)
        patterns.unlink()
        _, message = process.communicate(timeout=180)
    assert process.returncode == 1
    assert message.count("error: a worker stopped: ") == 1
    assert "patterns.jsonl: cannot be read" in message
    assert "Traceback" not in message
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.real
@pytest.mark.slow
def test_a_killed_run_leaves_its_work(tmp_path):
    ray = ["--engine", "ray", "--workers", "2", "--json"]
    with subprocess.Popen(command(tmp_path / "a.parquet", *ray), stdout=subprocess.DEVNULL) as process:
        while sum(path.read_bytes().count(b"\n") for path in tmp_path.rglob("journal-*.jsonl")) < 2:
            assert process.poll() is None, "finished before it could be killed"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    done = subprocess.run(command(tmp_path / "a.parquet", *ray), capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["reused"] > 0
    assert report["reused"] + report["new"] == 320
