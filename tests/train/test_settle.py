"""Settling: the last steps on retain samples alone, and the way back along the line to the floor."""

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.tokens import tiny
from tif import seal
from tif.errors import UsageError
from tif.records import RunRecord
from tif.sets import store
from tif.spans import AnnotationSet
from tif.tokens.masks import Kind
from tif.train import run as run_module
from tif.train.prepare import prepare
from tif.train.run import train
from tif.train.settle import Settle, back_along_the_line, bisect


def losses(result):
    return [record for record in result.history if "loss" in record]


@pytest.mark.parametrize("text", ["line", "10"])
def test_a_way_to_settle_is_the_same_after_it_was_written(text):
    assert str(Settle.of(text)) == text


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "lines", "²"])
def test_what_is_no_way_to_settle_is_refused(workshop, text):
    with pytest.raises(UsageError, match=r"--settle: .* is no way to settle. Use 'line', or a number of steps"):
        workshop.config("run", settle=text)


@pytest.mark.parametrize("level", [0.5, 0.07, 1e-3])
def test_bisection_finds_the_level_from_below(level):
    fraction = bisect(lambda x: math.exp(-9 * x), level)
    assert math.exp(-9 * fraction) <= level
    assert math.exp(-9 * (fraction - 1 / 4096)) > level


def test_above_the_level_everywhere_the_end_stays():
    assert bisect(lambda x: 0.9 - 0.1 * x, 0.2) == 1.0


def test_the_last_steps_have_the_retain_term_alone(workshop):
    result = train(workshop.config("run", settle="2", max_steps=5))
    assert ["lpl" in record for record in losses(result)] == [True] * 3 + [False] * 2
    assert all(record["loss"] == pytest.approx(record["retain"], rel=1e-5) for record in losses(result)[3:])
    # Up to there, the run is the one that does not settle.
    plain = losses(train(workshop.config("plain", max_steps=5)))
    assert [r["loss"] for r in losses(result)[:3]] == [r["loss"] for r in plain[:3]]


@pytest.mark.parametrize("extra", [{}, {"lora": 2, "lr": 3e-2}])
def test_back_to_where_the_forget_set_is_at_its_floor(workshop, extra):
    changes = {"objective": "tpo", "floor": "-8", "space": "logprob", "max_steps": 12, "batch_size": 6, "lr": 1e-2}
    run = train(workshop.config("run", settle="line", **changes | extra))
    settled = run.record.settled
    assert 0 < settled.fraction <= 1
    assert settled.floor_probability == pytest.approx(math.exp(-8), rel=1e-5)
    # A phrase of k tokens has its floor at exp(-8 k).
    prepared = prepare(workshop.config("x"), "uw")
    lengths = [
        len(list(run)) for item in prepared.forget for kind, run in itertools.groupby(item.kinds) if kind == Kind.UW
    ]
    expected = sum(math.exp(-8 * k) for k in lengths) / len(lengths)
    assert settled.phrase_floor == pytest.approx(expected, rel=1e-5)


def test_a_set_without_marks_cannot_settle_on_the_line(workshop):
    store.save(
        AnnotationSet(tuple(replace(e, spans=()) for e in tiny.examples())), bare := workshop.root / "bare.parquet"
    )
    with pytest.raises(UsageError, match="--settle: line needs marked words"):
        train(workshop.config("run", masks=str(bare), objective="npo", floor="-8", settle="line"))


def test_frames_do_not_decide_where_a_run_settles(workshop, monkeypatch):
    seen = []

    def looks(model, start, samples):
        seen.append([sample.item.id for sample in samples])
        return back_along_the_line(model, start, samples)

    monkeypatch.setattr(run_module, "back_along_the_line", looks)
    train(workshop.config("run", floor="0.5", settle="line", frames=["It is {words}."]))
    assert seen == [[item.id for item in prepare(workshop.config("x"), "uw").forget]]


def test_the_weights_lie_on_the_line(workshop):
    changes = {"floor": "0.5", "max_steps": 12, "batch_size": 6, "lr": 1e-2}
    plain, line = train(workshop.config("plain", **changes)), train(workshop.config("run", **changes, settle="line"))
    settled = line.record.settled
    assert 0 < settled.fraction < 1
    assert settled.phrase_probability == pytest.approx(settled.phrase_floor, rel=0.02)
    assert settled.phrase_probability <= settled.phrase_floor
    # A record from before phrases decided has their two numbers missing.
    older = json.loads((line.folder / "run.json").read_text())
    del older["seal"]
    for name in ("phrase_probability", "phrase_floor"):
        del older["settled"][name]
    read = RunRecord.from_json(seal.sealed(older)).settled
    assert (read.fraction, read.phrase_probability) == (settled.fraction, None)
    assert settled.uw_probability != pytest.approx(settled.floor_probability, rel=0.02)
    files = (workshop.model, plain.model, line.model)
    start, end, point = (load_file(folder / "model.safetensors") for folder in files)
    for key in start:
        torch.testing.assert_close(point[key], torch.lerp(start[key], end[key], settled.fraction))


def test_a_run_killed_before_it_settled_ends_at_the_same_point(workshop, monkeypatch):
    changes = {"floor": "0.5", "max_steps": 12, "batch_size": 6, "lr": 1e-2, "settle": "line"}
    whole = train(workshop.config("whole", **changes))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(workshop.config("broken", **changes))
    broken = train(workshop.config("broken", **changes))
    assert broken.record.settled == whole.record.settled
    a, b = (load_file(result.model / "model.safetensors") for result in (whole, broken))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("killed", [False, True])
def test_the_last_evaluation_during_training_is_of_the_settled_weights(workshop, killed):
    seen = []

    def evaluate(folder, step):
        seen.append((step, load_file(folder / "model.safetensors")))
        if killed and len(seen) == 3:
            raise KeyboardInterrupt
        return {"steps": step}

    changes = {"floor": "0.5", "max_steps": 4, "batch_size": 6, "lr": 1e-2, "settle": "line", "evaluate_every": "2"}
    if killed:
        with pytest.raises(KeyboardInterrupt):
            train(workshop.config("run", **changes), evaluate=evaluate)
    result = train(workshop.config("run", **changes), evaluate=evaluate)
    assert [step for step, _ in seen] == [0, 2, 4, *([4] if killed else [])]
    assert [row["step"] for row in result.history if "evaluation_steps" in row] == [0, 2, 4]
    assert result.record.settled.fraction < 1
    saved = load_file(result.model / "model.safetensors")
    assert all(torch.equal(saved[key], seen[-1][1][key]) for key in saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settle": "line"}, r"--settle does nothing here \(no token has a floor; add --floor\)"),
        ({"settle": "2", "retain": None}, r"--settle does nothing here \(without samples to keep"),
        ({"settle": "2", "early_stop": "uw:0.1"}, "--early-stop: cannot come before steps that settle"),
        ({"settle": "4"}, "--settle: settles for 4 steps, and the run has 4"),
    ],
)
def test_settling_without_effect_is_refused(workshop, changes, message):
    with pytest.raises(UsageError, match=message):
        train(workshop.config("run", **changes))
