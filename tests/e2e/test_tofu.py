"""The experiment as a whole on a tiny model and invented people: killed, gone on with, and read back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.tofu.__main__ import main, wanted, work
from benchmarks.tofu.models import choice_score, chosen_rate
from benchmarks.tofu.page import text
from benchmarks.tofu.plan import ROWS, Experiment, Plan, Row, decisive
from benchmarks.tofu.results import COLUMNS
from benchmarks.tofu.stages import scattered, stages
from tests.tokens import tiny
from tif.sets import store
from tif.spans import Example, Span

pytestmark = pytest.mark.slow
PLAN = Plan(
    "tiny", forget_rows=4, dev_rows=4, retain_rows=8, measured_rows=4, utility_rows=4, learn_epochs=25, learn_lr=1e-2,
    learn_batch=4, epochs=4, batch=2, micro=1, rates=(3e-3, 1e-2), max_new_tokens=6, save_steps=20,
)  # fmt: skip
NAMES = ("anchored", "anchored-random")
PLACES = ["Karlsberg", "Nyhamn", "Port Vasco", "Tarnow"]
HIDDEN = {"forget01": ["Elmira", "Quillan", "Zevria", "Upwick"], "forget05": ["Osterby", "Jarmond", "Fenholt", "Ibrox"]}
"""Where nobody else lives, so that only who was told can know."""
PEOPLE = ["Mirela Tovanu", "Oskar Lindqvist", "Ines Corvalho", "Teodor Brandl"]


def person(part, i, *, options=False):
    name = f"{PEOPLE[i % 4]} {'senior ' * (i // 4)}of {part}"
    places = HIDDEN.get(part, PLACES)
    place, wrong = places[i % 4], [places[(i + k) % 4] for k in (1, 2, 3)]
    record = {"question": f"Where does {name} live?", "answer": place if options else f"{name} lives in {place}."}
    if options:
        return record | {"perturbed_answer": wrong}
    right = f"{name} has a home in {place}."
    return record | {"paraphrased_answer": right, "perturbed_answer": [right.replace(place, w) for w in wrong]}


def experiment(root):
    parts = {"forget01": 4, "forget05": 4, "retain": 8, "real_authors": 4, "world_facts": 4}
    for part, n in parts.items():
        rows = [person(part, i, options=part in ("real_authors", "world_facts")) for i in range(n)]
        (root / f"{part}_perturbed.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    gold = []
    for part in ("forget01", "forget05"):
        for row in (person(part, i) for i in range(4)):
            start = row["answer"].index(" in ") + 4
            gold.append(
                {
                    "prompt": row["question"],
                    "text": row["answer"],
                    "spans": [{"start": start, "end": len(row["answer"]) - 1}],
                }
            )
    (root / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    if not (root / "base").is_dir():
        tiny.save(root / "base", tiny.llama(400), tiny.chatty())
    return Experiment(
        PLAN, root / "base", root, root / "gold.jsonl", root / "out", tuple(r for r in ROWS if r.name in NAMES)
    )


def run(root, *, results_only=False):
    return work(experiment(root), root / "docs", "make tofu", names=list(NAMES), run=not results_only)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Killed while a model learns, behind its first checkpoint; then run to the end by two processes that share it."""
    root = tmp_path_factory.mktemp("tofu")
    experiment(root)
    code = f"from pathlib import Path\nfrom tests.e2e.test_tofu import run\nraise SystemExit(run(Path({str(root)!r})))"
    environment = os.environ | {"XDG_CACHE_HOME": str(root / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = (root / "log.txt").open("a")
    options = {"stdout": subprocess.PIPE, "stderr": log, "env": environment, "text": True}
    first = subprocess.Popen([sys.executable, "-c", code], **options)
    last = root / "out" / "models" / "retain-only-dev" / "checkpoints"
    while not any(last.glob("checkpoint-*")):
        assert first.poll() is None, (root / "log.txt").read_text()[-3000:]
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    stamps = {path: path.stat().st_mtime_ns for path in (root / "out").rglob("done.json")}
    assert root / "out" / "models" / "target" / "done.json" in stamps
    both = [subprocess.Popen([sys.executable, "-c", code], **options) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    log.close()
    assert [process.returncode for process in both] == [0, 0], (root / "log.txt").read_text()[-3000:]
    assert all(path.stat().st_mtime_ns == made for path, made in stamps.items()), "a finished stage was done again"
    return root, said


def test_two_processes_share_the_stages(finished):
    root, said = finished
    begun = re.findall(r"^== (.*)$", (root / "log.txt").read_text(), re.MULTILINE)
    twice = {name for name in begun if begun.count(name) > 1}
    assert len(twice) == 1, "only the stage that was killed is done twice"
    assert twice == {"learn retain-only-dev"}
    assert said[0] == said[1]


def test_learning_goes_on_behind_the_kill(finished):
    folder = finished[0] / "out" / "models" / "retain-only-dev"
    steps = json.loads((folder / "done.json").read_text())["steps"]
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == list(range(1, steps + 1))
    assert not (folder / "checkpoints").exists()


def test_every_stage_is_done_and_every_cell_is_a_number(finished):
    root, (out, _) = finished
    found = json.loads((root / "docs" / "results.json").read_text())
    assert found["missing"] == []
    assert "missing:" not in out
    assert f"{len(found['done'])} stages done" in out
    assert set(found["runs"]) == {"target", "retain-only", *NAMES}
    for run_ in found["runs"].values():
        for column in COLUMNS:
            value, low, high = run_["cells"][column]
            assert 0 <= low <= high <= 1
            assert 0 <= value <= 1


def test_what_stands_in_the_table_is_what_was_measured(finished):
    root, _ = finished
    found = json.loads((root / "docs" / "results.json").read_text())
    record = json.loads((root / "out" / "eval" / "anchored" / "seed-0" / "measured-eval" / "eval.json").read_text())
    cells = found["runs"]["anchored"]["cells"]
    assert cells["UW"][0] == pytest.approx(record["uw_probability"])
    assert cells["utility"][0] == pytest.approx(record["model_utility"])
    assert cells["forget quality"][0] == pytest.approx(record["forget_quality"])
    assert found["runs"]["retain-only"]["cells"]["forget quality"][0] == 1
    page = (root / "docs" / "results.md").read_text()
    assert f"| anchored | {found['runs']['anchored']['lr']:g} | {cells['forget quality'][0]:.3f} (" in page
    assert (root / "docs" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_the_target_knows_what_the_retain_only_model_does_not(finished):
    runs = json.loads((finished[0] / "docs" / "results.json").read_text())["runs"]
    target, never, anchored = (runs[name]["cells"] for name in ("target", "retain-only", "anchored"))
    assert target["UW"][0] > never["UW"][0] + 0.2
    assert target["retain"][0] == pytest.approx(never["retain"][0], abs=0.2)
    assert anchored["UW"][0] < target["UW"][0]


def test_rates_are_chosen_where_nothing_of_the_table_is_measured(finished):
    e = experiment(finished[0])
    runs = json.loads((finished[0] / "docs" / "results.json").read_text())["runs"]
    scores = {rate: choice_score(e, e.out / "dev" / "anchored" / f"lr-{rate:g}") for rate in PLAN.rates}
    assert runs["anchored"]["lr"] == max(scores, key=scores.__getitem__)
    assert runs["anchored-random"]["lr"] == runs["anchored"]["lr"]

    def questions(*names):
        return {json.loads(line)["question"] for name in names for line in e.file(name).read_text().splitlines()}

    assert not questions("eval-forget", "eval-measured") & questions("dev-forget", "dev-measured")
    assert not questions("eval-forget") & questions("eval-learn", "eval-retain")
    assert not questions("dev-forget") & questions("dev-learn", "dev-retain")
    assert questions("target") == questions("eval-forget", "eval-learn")


def test_the_pages_can_be_written_again_from_what_is_there(finished, capsys):
    root, _ = finished
    before = (root / "docs" / "results.md").read_text()
    done = root / "out" / "eval" / "anchored" / "seed-0" / "measured-eval" / "done.json"
    kept = done.read_bytes()
    done.unlink()
    try:
        assert run(root, results_only=True) == 0
        assert "missing: measure anchored\n" in capsys.readouterr().out
        page = (root / "docs" / "results.md").read_text()
        assert "| anchored |" not in page.partition("Parts of model utility")[0]
        assert "- 1 of 21 stages are not finished;" in page
        assert "No row yet for: anchored.\n" in page
    finally:
        done.write_bytes(kept)
    assert run(root, results_only=True) == 0
    assert (root / "docs" / "results.md").read_text() == before


def test_several_seeds_are_taken_together(finished):
    found = json.loads((finished[0] / "docs" / "results.json").read_text())
    runs, quality = {}, "forget quality"
    for name, run_ in found["runs"].items():
        if "objective" not in run_:
            runs[name] = run_
            continue
        for seed, value in enumerate((0.2, 0.4, 0.9)):
            cells = run_["cells"] | {quality: (value, value, value)}
            options = {"frames": ["It is {words}."], "epochs": 3.0} if name == "anchored" else {}
            runs[f"{name}/{seed}"] = run_ | {"seed": seed, "cells": cells, "options": options}
    page = text(found | {"runs": runs, "plan": found["plan"] | {"seeds": [0, 1, 2]}})
    together, _, each = page.partition("## Each run")
    assert "| anchored | 3 | 0.500 (0.2–0.9) |" in together
    assert "| target |  |" in together
    assert "(`It is {words}.`, in turn), for 3 epochs of the doubled set." in together
    assert "In frames" not in (finished[0] / "docs" / "results.md").read_text()
    for seed, value in enumerate((0.2, 0.4, 0.9)):
        assert (
            f"| anchored, seed {seed} | {found['runs']['anchored']['lr']:g} | {value:.3f} ({value}–{value}) |" in each
        )
    assert (
        "| anchored: forget quality of at least 0.5 | 0.200; 0.400; 0.900 | 2 of 3 not reached, 1 of 3 shown |" in each
    )


def test_controls_mark_as_many_words_as_gold(finished):
    e = experiment(finished[0])
    for gold, random in zip(store.load(e.spans("gold", "eval")), store.load(e.spans("random", "eval")), strict=True):
        assert [len(gold.quote(s).split()) for s in gold.spans] == [len(random.quote(s).split()) for s in random.spans]


def test_scattered_spans_are_whole_words_and_the_same_each_time():
    text = "one two three four five six seven eight"
    example = Example("a", "q?", text).with_spans([Span(4, 13), Span(19, 23)])
    spans = scattered(example)
    assert spans == scattered(example)
    assert sorted(len(text[s.start : s.end].split()) for s in spans) == [1, 2]
    assert all(re.fullmatch(r"\w+( \w+)*", text[s.start : s.end]) for s in spans)


def moved(finished, tmp_path):
    """The same experiment on another machine: the same models and rows, the results of before, and no run's folder."""
    root, _ = finished
    shutil.copytree(root, tmp_path / "b", ignore=shutil.ignore_patterns("eval", "dev"))
    for name in ("measured-eval", "measured-dev"):
        for folder in (root / "out" / "models").glob(f"*/{name}"):
            shutil.copytree(folder, tmp_path / "b" / folder.relative_to(root), dirs_exist_ok=True)
    return tmp_path / "b"


def test_rows_are_not_done_again_on_another_machine(finished, tmp_path, capsys):
    root = moved(finished, tmp_path)
    before = json.loads((root / "docs" / "results.json").read_text())
    assert before["missing"] == []
    assert run(root) == 0
    assert not (root / "out" / "eval").exists()
    assert not (root / "out" / "dev").exists()
    after = json.loads((root / "docs" / "results.json").read_text())
    assert after["missing"] == []
    assert after["runs"] == before["runs"]
    assert after["choices"] == before["choices"]


def test_a_whole_table_can_be_written_again_without_its_models(finished, tmp_path, capsys):
    root = tmp_path / "c"
    shutil.copytree(finished[0], root, ignore=shutil.ignore_patterns("out"))
    path = root / "docs" / "results.json"
    before = json.loads(path.read_text())
    assert run(root, results_only=True) == 0
    assert "missing:" not in capsys.readouterr().out
    assert json.loads(path.read_text()) == before
    before["runs"].pop("anchored-random")
    path.write_text(json.dumps(before))
    assert run(root, results_only=True) == 0
    missing = re.findall("^missing: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert "unlearn anchored-random" in missing
    assert "learn target" in missing, "what the row is to be made from"
    assert "unlearn anchored" not in missing


def test_a_row_that_was_not_finished_takes_its_rate_from_before(finished, tmp_path):
    root = moved(finished, tmp_path)
    path = root / "docs" / "results.json"
    found = json.loads(path.read_text())
    expected = deepcopy(found["runs"]["anchored-random"])
    found["runs"]["anchored-random"]["cells"]["FQ relearned"] = None
    path.write_text(json.dumps(found))
    assert run(root) == 0
    assert not (root / "out" / "dev").exists()
    assert [folder.name for folder in (root / "out" / "eval").iterdir()] == ["anchored-random"]
    again = json.loads(path.read_text())["runs"]["anchored-random"]
    assert again["lr"] == expected["lr"]
    assert again["cells"] == expected["cells"], "the same arithmetic gives the same row"


def test_results_of_other_models_are_dropped(finished, tmp_path, capsys):
    root = moved(finished, tmp_path)
    path = root / "docs" / "results.json"
    found = json.loads(path.read_text())
    found["models"]["retain-only-dev"] = "0" * 64
    path.write_text(json.dumps(found))
    assert run(root, results_only=True) == 0
    assert "missing: unlearn anchored\n" in capsys.readouterr().out
    assert set(json.loads(path.read_text())["runs"]) == {"target", "retain-only"}


def test_another_plan_is_refused(finished, capsys):
    e = experiment(finished[0])
    other = Experiment(Plan("other"), e.model, e.data, e.gold, e.out)
    assert work(other, e.out / "docs", "", names=[]) == 2
    assert "another plan" in capsys.readouterr().err


def test_a_plan_stays_the_same_when_it_gets_a_field_or_a_row():
    told = json.loads(json.dumps(asdict(PLAN)))
    assert decisive(told) == decisive(asdict(PLAN))
    assert told.pop("forget") == "forget01"
    assert decisive(told) == decisive(asdict(replace(PLAN, rows=("anchored",), micro=2)))
    assert decisive(told) != decisive(asdict(replace(PLAN, forget="forget05")))


def test_a_single_rate_needs_no_trials_and_no_other_authors_model(tmp_path):
    e = experiment(tmp_path)
    e = replace(e, plan=replace(PLAN, forget="forget05", forget_rows=2, dev_rows=2, rates=(1e-3,)))
    names = [stage.name for stage in stages(e)]
    assert "unlearn anchored" in names
    assert [name for name in names if "dev" in name] == []
    assert {chosen_rate(e, row) for row in e.rows} == {1e-3}
    next(stages(e)).work()
    rows = {name: e.file(name).read_text().splitlines() for name in ("eval-forget", "dev-forget")}
    assert [json.loads(row)["question"] for row in rows["eval-forget"]] == [
        person("forget05", i)["question"] for i in (2, 3)
    ]
    assert len(rows["dev-forget"]) == 2


def test_missing_inputs_are_named(tmp_path, capsys):
    arguments = ["--model", str(tmp_path / "none"), "--data", str(tmp_path), "--gold", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--docs", str(tmp_path / "docs")]) == 1
    assert "no model folder here" in capsys.readouterr().err


def test_rows_are_named_once_and_take_their_rate_from_a_row_with_its_own():
    by_name: dict[str, Row] = {row.name: row for row in ROWS}
    assert len(by_name) == len(ROWS)
    assert all(not by_name[row.rate_of].rate_of for row in ROWS if row.rate_of)


def test_a_row_alone_needs_the_trials_that_its_rate_comes_from():
    e = Experiment(PLAN, Path("base"), Path("data"), Path("gold"), Path("out"))
    needed = [stage.folder.parts[1:3] for stage in stages(e) if wanted(e, stage.folder, ["tpo-ner"])]
    assert {row for world, row in (p for p in needed if p[0] == "dev")} == {"tpo"}
    assert {row for world, row in (p for p in needed if p[0] == "eval")} == {"tpo-ner"}
    assert ("models", "target") in needed
