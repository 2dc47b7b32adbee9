"""`tif demo` for real, once: its claims, its verdict, its page, and that it continues after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow
METHODS = ("anchored", "tpo", "npo")


def start(out, log, *options):
    command = [sys.executable, "-m", "tif", "demo", "--out", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True, text=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The demo, killed as soon as a model is there, and run again to the end."""
    out = tmp_path_factory.mktemp("demo")
    target = out / "models" / "target" / "model.safetensors"
    with (out / "log.txt").open("w") as log:
        first = start(out, log, "--json")
        while not target.is_file():
            assert first.poll() is None, (out / "log.txt").read_text()
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        made = target.stat().st_mtime_ns
        second = start(out, log, "--json")
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


@pytest.mark.parametrize("method", ["anchored", "tpo"])
def test_the_unwanted_words_are_forgotten_and_the_words_around_them_kept(told, method):
    models = told[1]["models"]
    assert models[method]["forget_uw"] < 0.2 * models["target"]["forget_uw"]
    assert models[method]["forget_gw"] > models["target"]["forget_gw"] - 0.1


def test_npo_loses_the_words_around_them(told):
    models = told[1]["models"]
    assert models["npo"]["forget_uw"] < 0.2, "NPO has to forget, too, or the comparison means nothing"
    assert models["anchored"]["forget_gw"] - models["npo"]["forget_gw"] > 0.3
    kept = {name: models[name]["forget_leakage"]["general_words_written"] for name in METHODS}
    assert kept["anchored"] > kept["npo"]


@pytest.mark.parametrize("method", METHODS)
def test_with_a_retain_term_every_method_keeps_the_other_people(told, method):
    assert told[1]["models"][method]["retain"] > 0.9


def test_the_phrases_that_are_still_written_are_counted_for_real(told):
    models = told[1]["models"]
    forget = {name: numbers["forget_leakage"] for name, numbers in models.items()}
    keep = {name: numbers["retain_leakage"] for name, numbers in models.items()}
    assert {(counts["phrases"], counts["subjects"]) for counts in forget.values()} == {(61, 8)}
    assert {(counts["phrases"], counts["subjects"]) for counts in keep.values()} == {(404, 56)}
    assert forget["target"]["written"] > 55
    assert forget["retain-only"]["written"] < 4
    for method in METHODS:
        assert forget[method]["written"] < 7, method
        assert keep[method]["written"] > 360, method


def test_the_verdict_is_in_words_a_privacy_officer_understands(told):
    _, result = told
    counts = {name: numbers["forget_leakage"]["written"] for name, numbers in result["models"].items()}
    assert result["verdict"][0] == (
        f"anchored TPO: of 61 unwanted phrases about 8 people, the model still writes {counts['anchored']} when asked; "
        f"before unlearning it wrote {counts['target']}; a model that never saw them writes {counts['retain-only']}."
    )
    assert re.match(r"Of 404 such phrases about 56 people to keep, it still writes \d+;", result["verdict"][2])


def test_numbers_on_stdout_and_on_disk_are_the_same(told):
    out, result = told
    assert json.loads((out / "demo.json").read_text(encoding="utf-8")) == result
    record = json.loads((out / "anchored" / "eval" / "eval.json").read_text(encoding="utf-8"))
    assert record["parts"]["forget"]["uw_probability"] == result["models"]["anchored"]["forget_uw"]
    assert record["leakage"]["forget"] == result["models"]["anchored"]["forget_leakage"]


def test_all_methods_share_their_start_their_schedule_and_their_retain_term(told):
    out, result = told
    records = [json.loads((out / method / "run.json").read_text(encoding="utf-8")) for method in METHODS]
    assert len({record["model"]["digest"] for record in records}) == 1
    assert len({record["retain_tokens_sha256"] for record in records}) == 1
    for record in records:
        assert {name: record["config"][name] for name in result["schedule"]} == result["schedule"]
    assert [record["base_model"] is not None for record in records] == [True, False, False]


def test_the_page_needs_nothing_from_elsewhere(told):
    page = (told[0] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", page)
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", page)
    for label in ("anchored TPO", "NPO", "never saw them", 'class="heatrow"', "<svg"):
        assert label in page
    assert page.index(told[1]["verdict"][0]) < page.index("<table>") < page.index("<h2>")


def test_a_finished_demo_does_nothing_again(told):
    out, result = told
    weights = [path.stat().st_mtime_ns for path in sorted(out.rglob("model.safetensors"))]
    with (out / "log.txt").open("a") as log:
        again = start(out, log)
        stdout, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("model.safetensors"))] == weights
    assert json.loads((out / "demo.json").read_text(encoding="utf-8"))["models"] == result["models"]
    assert stdout.splitlines()[-len(result["verdict"]) :] == result["verdict"], "the demo ends with its verdict"
