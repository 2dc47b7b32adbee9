"""`tif tune`: what it tries, by what it chooses, that it goes on after a kill, and what it refuses."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.tokens import tiny
from tif.cli import main
from tif.errors import InputError, TifError, UsageError
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens.models import load_model
from tif.train import tune as tune_module
from tif.train.grid import RATES, Grid, candidates
from tif.train.options import TrainOptions
from tif.train.phrases import Level
from tif.train.prepare import prepare
from tif.train.reference import score
from tif.train.run import train
from tif.train.tune import TUNE_FILE, Candidate, TuneRecord, choose, tune
from tif.train.tune_options import TuneOptions


@pytest.fixture
def aim(workshop):
    return str(tiny.save(workshop.root / "base", tiny.llama(400, seed=1), tiny.chatty()))


def options(workshop, aim, out="search", **changes):
    usual = {"masks": workshop.masks, "model": workshop.model, "out": workshop.root / out, "retain": workshop.retain}
    given = {name: str(value) for name, value in usual.items()} | {"aim": aim, "cpu": True, "max_steps": 3}
    return TuneOptions(**(given | {"batch_size": 3, "grid": ["lr=1e-4,1e-2"]} | changes))


@pytest.mark.parametrize("text", ["lr=1e-5,3e-5", "retain_weight=1,8", "objective=npo,tpo"])
def test_a_grid_is_the_same_after_it_was_written(text):
    assert str(Grid.of(text)) == text
    assert Grid.of("--retain-weight=1, 8") == Grid("retain_weight", ("1", "8"))


@pytest.mark.parametrize("text", ["lr", "lr=", "=1", "lr=1,1"])
def test_what_is_no_grid_is_refused(workshop, aim, text):
    with pytest.raises(UsageError, match=r"--try: .* names (no values|a value twice)"):
        options(workshop, aim, grid=[text])


def test_every_combination_is_tried_and_every_objective_has_the_same_rates():
    grids = [Grid("lr", ("1", "2")), Grid("beta", ("3", "4"))]
    assert candidates(grids) == [{"lr": a, "beta": b} for a in "12" for b in "34"]
    tried = [
        TuneOptions(masks="m", model="m", out="o", retain="r", aim="a", objective=name).candidates()
        for name in ("npo", "tpo")
    ]
    assert tried[0] == tried[1] == [{"lr": rate} for rate in RATES.values]


def a_candidate(number, uw, kept):
    # The tokens are far above in every row: only the phrases count.
    return Candidate(
        number=number, settings={}, unwanted=Level(uw, 0.9 - uw), kept=kept, reached=uw <= 0.1, seconds=1.0
    )


@pytest.mark.parametrize(
    ("numbers", "chosen"),
    [
        ([(0.5, 1.0), (0.12, 0.99), (0.01, 0.985)], 1),  # nearest by ratio, among those that keep
        ([(0.1, 0.9), (0.3, 0.99)], 1),  # at the aim, but it keeps too little
        ([(0.1, 0.5), (0.3, 0.7)], 1),  # none keeps enough: the most
        ([(0.0, 1.0), (0.4, 1.0)], 1),  # nothing left is further away than four times too much
        ([(0.0, 1.0), (1e-9, 0.99), (0.2, 1.0)], 2),  # below one answer in a hundred, nothing is infinitely far
    ],
)
def test_the_nearest_to_the_aim_of_those_that_keep(numbers, chosen):
    rows = [a_candidate(n, uw, kept) for n, (uw, kept) in enumerate(numbers)]
    assert choose(rows, aim=Level(0.1, 0.35), keep=0.98).number == chosen


def test_a_search_measures_each_candidate_and_its_choice_can_be_trained(workshop, aim):
    record = tune(options(workshop, aim, keep=0.5))
    assert [each.settings for each in record.candidates] == [{"lr": "1e-4"}, {"lr": "1e-2"}]
    assert record == TuneRecord.read(workshop.root / "search" / TUNE_FILE)
    gentle, strong = record.candidates
    assert strong.unwanted.token < gentle.unwanted.token < record.start.token
    assert (gentle.reached, strong.reached) == tuple(
        each.unwanted.phrase <= record.aim.phrase for each in record.candidates
    )
    # The weights are gone, the records stay.
    folders = [workshop.root / "search" / "candidates" / str(n) for n in range(2)]
    assert all(sorted(p.name for p in folder.iterdir()) == ["log.jsonl", "run.json"] for folder in folders)
    # The numbers are those of a run of `tif train` with the same options.
    direct = train(workshop.config("direct", max_steps=3, batch_size=3, lr=1e-2, beta=None))
    prepared = prepare(workshop.config("x"), "uw")
    scores = score(load_model(direct.model), prepared.forget)
    tokens, phrases = [], []
    for item, each in zip(prepared.forget, scores, strict=True):
        kinds = [k for k in item.kinds if k]
        p = each[:, 1].double().exp().tolist()
        tokens += [value for value, kind in zip(p, kinds, strict=True) if kind == 2]
        for kind, run in itertools.groupby(range(len(kinds)), key=lambda t, kinds=kinds: kinds[t]):
            if kind == 2:
                phrases.append(math.prod(p[t] for t in run))
    assert len(phrases) < len(tokens)
    assert strong.unwanted.token == pytest.approx(sum(tokens) / len(tokens), rel=1e-5)
    assert strong.unwanted.phrase == pytest.approx(sum(phrases) / len(phrases), rel=1e-5)
    after, before = (
        sum(map(math.exp, (v for each in score(load_model(m), prepared.retain) for v in each[:, 1].tolist())))
        for m in (direct.model, workshop.model)
    )
    assert strong.kept == pytest.approx(after / before, rel=1e-5)
    chosen = str(workshop.root / "search" / "chosen.toml")
    assert main(["train", "--config", chosen, "--masks", str(workshop.masks), "--out", str(workshop.root / "r")]) == 0
    run = json.loads((workshop.root / "r" / "run.json").read_text())
    assert run["config"]["lr"] == float(record.choice.settings["lr"])


def test_a_search_goes_on_behind_the_last_candidate(workshop, aim, monkeypatch):
    whole = tune(options(workshop, aim, "whole"))
    runs = []

    def stops(given):
        runs.append(given.out)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return train(given)

    monkeypatch.setattr(tune_module, "train", stops)
    with pytest.raises(KeyboardInterrupt):
        tune(options(workshop, aim))
    again = tune(options(workshop, aim))
    assert [name.rpartition("/")[2] for name in runs] == ["0", "1", "1"]
    assert again.chosen == whole.chosen
    assert [each.unwanted for each in again.candidates] == [each.unwanted for each in whole.candidates]
    runs.clear()
    assert tune(options(workshop, aim)) == again
    assert runs == []


def test_a_candidate_that_diverges_is_recorded_and_the_search_goes_on(workshop, aim, monkeypatch, capsys):
    record = tune(options(workshop, aim, grid=["lr=1e-4,1e30"]))
    assert [(each.number, each.settings) for each in record.candidates] == [(0, {"lr": "1e-4"})]
    (failed,) = record.diverged
    assert (failed.number, failed.settings) == (1, {"lr": "1e30"})
    assert "NaN" in failed.error or "the loss is" in failed.error
    assert record.chosen == 0
    assert "candidate 2 is left out" in capsys.readouterr().err
    monkeypatch.setattr(tune_module, "train", lambda _: pytest.fail("it is not tried again"))
    assert tune(options(workshop, aim, grid=["lr=1e-4,1e30"])) == record


def test_a_search_in_which_every_candidate_diverges_chooses_none(workshop, aim):
    with pytest.raises(TifError, match="every candidate diverged"):
        tune(options(workshop, aim, grid=["lr=1e30"]))
    assert not (workshop.root / "search" / "chosen.toml").exists()


def test_other_retain_samples_under_the_same_name_are_another_search(workshop, aim):
    tune(options(workshop, aim, grid=["lr=1e-4"]))
    workshop.retain.write_text("\n".join(workshop.retain.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(UsageError, match=r"retain \(its content\) differs"):
        tune(options(workshop, aim, grid=["lr=1e-4"]))


@pytest.mark.slow
def test_a_killed_search_ends_with_the_same_choice(workshop, aim):
    def start(out):
        command = [sys.executable, "-m", "tif", "tune", "--masks", workshop.masks, "--model", workshop.model, "--aim",
                   aim, "--retain", workshop.retain, "--out", workshop.root / out, "--cpu", "--max-steps", "6",
                   "--save-steps", "2", "--try", "lr=1e-4,1e-3", "--json"]  # fmt: skip
        return subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, env=os.environ)

    whole = json.loads(start("whole").communicate()[0])
    process = start("broken")
    second = workshop.root / "broken" / "candidates" / "1"
    while not second.exists():
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    broken = json.loads(start("broken").communicate()[0])
    assert broken["chosen"] == whole["chosen"]
    assert [c["unwanted"] for c in broken["candidates"]] == [c["unwanted"] for c in whole["candidates"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": ["rate=1,2"]}, "no option 'rate'"),
        ({"grid": ["model=a,b"]}, "--try: cannot try several values of model"),
        ({"grid": ["frames=a,b"]}, "--try: cannot try several values of frames"),
        ({"grid": ["lr=1", "lr=2"]}, "--try: names lr twice"),
        ({"grid": ["lr=1,2", "beta=1,2,3,4"]}, "--try: 8 candidates, and the budget is 6"),
        ({"grid": ["lr=-1,2"]}, r"--lr: -1\.0 is not above 0"),
        ({"grid": ["beta2=1,2"]}, "--beta2 does nothing here"),
        ({"retain": None}, "--retain: a search needs samples to keep"),
        ({"evaluate_every": "epoch"}, "--evaluate-every: a search evaluates nothing"),
        ({"keep": 1.5}, r"--keep: 1\.5 is above 1"),
    ],
)
def test_a_search_that_cannot_run_is_refused_before_its_first_run(workshop, aim, changes, message):
    with pytest.raises(UsageError, match=message):
        options(workshop, aim, **changes)


def test_samples_that_are_evaluated_are_refused(workshop, aim):
    mixed = (tiny.examples()[2], Example("other/0", "Who?", "It was Bo.").with_spans([Span(7, 9)]))
    store.save(AnnotationSet(mixed), workshop.root / "evaluated.parquet")
    with pytest.raises(UsageError, match="1 of 6 samples are to be evaluated: people/2"):
        tune(options(workshop, aim, evaluated=str(workshop.root / "evaluated.parquet")))
    assert not (workshop.root / "search").exists()


def test_another_search_in_the_folder_and_a_changed_record_are_refused(workshop, aim):
    tune(options(workshop, aim, grid=["lr=1e-4"]))
    with pytest.raises(UsageError, match="contains another search: max_steps differs"):
        tune(options(workshop, aim, grid=["lr=1e-4"], max_steps=2))
    file = workshop.root / "search" / TUNE_FILE
    file.write_text(file.read_text().replace('"lr": "1e-4"', '"lr": "2e-4"'))
    with pytest.raises(InputError, match=r"tune\.json"):
        tune(options(workshop, aim, grid=["lr=1e-4"]))
    with pytest.raises(InputError, match="not a search of tif"):
        tune(options(workshop, aim, out="tiny"))


def test_a_candidate_has_every_other_option(workshop, aim):
    searched = options(workshop, aim, objective="npo", retain_weight=3.0, grid=["beta=0.1,0.5"])
    one = searched.of_candidate({"beta": "0.5"}, "somewhere")
    assert isinstance(one, TrainOptions)
    assert (one.objective, one.retain_weight, one.beta, one.out) == ("npo", 3.0, 0.5, "somewhere")


def test_frames_are_no_part_of_the_level(workshop, aim):
    plain = tune(options(workshop, aim, "plain", grid=["lr=1e-4"]))
    framed = tune(options(workshop, aim, "framed", grid=["lr=1e-4"], frames=["It is {words}."]))
    assert (framed.aim, framed.start) == (plain.aim, plain.start)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (1, "is the record of an older search .its aim was the mean over unwanted tokens"),
        (9, "has schema version 9; this tif reads 2"),
        ("2", "is not the record of a search"),
    ],
)
def test_a_record_of_another_layout_is_one_line(workshop, aim, schema, message):
    folder = workshop.root / "search"
    folder.mkdir()
    (folder / TUNE_FILE).write_text(json.dumps({"schema": schema, "aim": 0.355}))
    with pytest.raises(InputError, match=message) as refused:
        tune(options(workshop, aim))
    assert "\n" not in str(refused.value)


def test_a_set_without_marks_is_refused(workshop, aim):
    store.save(
        AnnotationSet(tuple(replace(e, spans=()) for e in tiny.examples())), bare := workshop.root / "bare.parquet"
    )
    with pytest.raises(UsageError, match="a search needs marked words"):
        tune(options(workshop, aim, objective="npo", masks=str(bare)))
