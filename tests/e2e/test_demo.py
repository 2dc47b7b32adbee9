"""`tif demo` for real, once: its claims, its page, and that it goes on behind what a kill left."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow


def start(out, log):
    command = [sys.executable, "-m", "tif", "demo", "--out", str(out), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True, text=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The demo, killed as soon as a model is there, and run again to the end."""
    out = tmp_path_factory.mktemp("demo")
    target = out / "models" / "target" / "model.safetensors"
    with (out / "log.txt").open("w") as log:
        first = start(out, log)
        while not target.is_file():
            assert first.poll() is None, (out / "log.txt").read_text()
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        made = target.stat().st_mtime_ns
        second = start(out, log)
        stdout, _ = second.communicate(timeout=600)
    assert second.returncode == 0, (out / "log.txt").read_text()
    assert target.stat().st_mtime_ns == made, "a finished model was trained again after the kill"
    return out, json.loads(stdout)


def test_the_target_knows_everything_and_the_retain_only_model_not_the_forgotten(told):
    models = told[1]["models"]
    assert models["target"]["forget_uw"] > 0.9
    assert models["target"]["retain"] > 0.9
    assert models["retain-only"]["forget_uw"] < 0.1
    assert models["retain-only"]["retain"] > 0.9


def test_tpo_forgets_what_is_unwanted_and_keeps_the_words_around_it(told):
    models = told[1]["models"]
    assert models["tpo"]["forget_uw"] < 0.2 * models["target"]["forget_uw"]
    assert models["tpo"]["forget_gw"] > models["target"]["forget_gw"] - 0.1


def test_tpo_keeps_other_people_far_better_than_npo(told):
    models = told[1]["models"]
    assert models["npo"]["forget_uw"] < 0.2, "NPO has to forget, too, or the comparison means nothing"
    assert models["tpo"]["retain"] - models["npo"]["retain"] > 0.2
    assert models["tpo"]["forget_gw"] - models["npo"]["forget_gw"] > 0.3


def test_numbers_on_stdout_and_on_disk_are_the_same(told):
    out, result = told
    assert json.loads((out / "demo.json").read_text(encoding="utf-8")) == result
    record = json.loads((out / "tpo" / "eval" / "eval.json").read_text(encoding="utf-8"))
    assert record["parts"]["forget"]["uw_probability"] == result["models"]["tpo"]["forget_uw"]
    assert result["settings"]["retain_term"] == "none"


def test_the_page_needs_nothing_from_elsewhere(told):
    page = (told[0] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", page)
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", page)
    for label in ("TPO", "NPO", "never saw them", 'class="heatrow"', "<svg"):
        assert label in page


def test_a_finished_demo_does_nothing_again(told):
    out, result = told
    weights = [path.stat().st_mtime_ns for path in sorted(out.rglob("model.safetensors"))]
    with (out / "log.txt").open("a") as log:
        again = start(out, log)
        stdout, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("model.safetensors"))] == weights
    assert json.loads(stdout)["models"] == result["models"]
