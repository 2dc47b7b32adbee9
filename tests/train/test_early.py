"""The early stop: when it ends a run, what it looks at, and that it changes nothing else."""

from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tests.train.test_resume import start
from tif.errors import UsageError
from tif.sets import store
from tif.spans import AnnotationSet
from tif.tokens.masks import Encoded, Kind, Template, encode
from tif.tokens.models import load_model, load_tokenizer
from tif.train import checkpoint
from tif.train.early import Validation, means, sums
from tif.train.reference import score
from tif.train.run import RunResult, train
from tif.train.stop_rule import StopRule

HASTE = {"max_steps": 40, "lr": 3e-3, "retain": None, "pl": "mean", "scheduler": "constant"}


def checks(result: RunResult) -> dict[int, dict[str, float]]:
    return {int(r["step"]): r for r in result.history if "validation_uw_probability" in r}


def record(result: RunResult) -> dict:
    return json.loads((result.folder / "run.json").read_text())


def halves(workshop: Workshop) -> tuple[str, str]:
    """Four people to forget, two to look at."""
    people = tiny.examples()
    for name, some in (("forget", people[:4]), ("look", people[4:])):
        store.save(AnnotationSet(tuple(some)), workshop.root / f"{name}.parquet")
    return str(workshop.root / "forget.parquet"), str(workshop.root / "look.parquet")


def test_the_rule_ends_the_run_and_the_record_says_why(workshop: Workshop) -> None:
    free = checks(train(workshop.config("free", early_stop="uw:1e-9", early_stop_every=4, **HASTE)))
    assert list(free) == list(range(4, 41, 4))
    level = free[20]["validation_uw_probability"]
    assert level < free[4]["validation_uw_probability"]
    first = next(step for step, r in free.items() if r["validation_uw_probability"] <= level)
    result = train(workshop.config("run", early_stop=f"uw:{level!r}", early_stop_every=4, **HASTE))
    assert result.steps == first < 40
    run = record(result)
    assert (run["status"], run["steps"]) == ("finished", first)
    assert run["early_stop"]["step"] == first
    assert run["early_stop"]["rule"] == str(StopRule("uw", level))
    # The numbers are those of the model that was saved.
    tokenizer = load_tokenizer(result.folder)
    items = [encode(e, tokenizer, Template.of(tokenizer)) for e in tiny.examples()]
    said = torch.cat([s[:, 1] for s in score(load_model(result.folder), items)]).exp()
    uw = torch.tensor([k == Kind.UW for i in items for k in i.kinds if k != Kind.PROMPT])
    assert run["early_stop"]["validation_uw_probability"] == pytest.approx(said[uw].mean().item(), rel=1e-4)
    assert run["early_stop"]["validation_gw_probability"] == pytest.approx(said[~uw].mean().item(), rel=1e-4)
    assert (
        record(train(workshop.config("free", early_stop="uw:1e-9", early_stop_every=4, **HASTE)))["early_stop"] is None
    )


def test_a_run_ends_when_unwanted_words_are_at_their_floor(workshop: Workshop) -> None:
    result = train(workshop.config("run", floor="3", early_stop="floor:0.8", **HASTE | {"max_steps": 150}))
    every = math.ceil(len(tiny.examples()) / 2)
    found = checks(result)
    assert all(step % every == 0 for step in found)
    levels = [r["validation_at_floor"] for r in found.values()]
    assert levels[-1] >= 0.8 > max(levels[:-1])
    assert record(result)["early_stop"]["step"] == result.steps < 150


def test_validation_is_looked_at_and_never_trained_on(workshop: Workshop) -> None:
    forget, look = halves(workshop)
    given = HASTE | {"masks": forget, "max_steps": 6}
    plain = train(workshop.config("plain", **given))
    watched = train(workshop.config("watched", early_stop="uw:1e-9", early_stop_every=2, validation=look, **given))
    a, b = (load_file(r.folder / "model" / "model.safetensors") for r in (plain, watched))
    assert all(torch.equal(a[key], b[key]) for key in a)
    tokens = [[r["num_input_tokens_seen"] for r in result.history if "loss" in r] for result in (plain, watched)]
    assert tokens[0] == tokens[1]
    assert list(checks(watched)) == [2, 4, 6]
    assert record(watched)["validation_digest"] == store.load(Path(look)).digest
    moved = train(workshop.config("watched", early_stop="uw:1e-9", early_stop_every=2, validation=f"{look}@1", **given))
    assert moved.resumed_from == 6


def test_a_validation_set_that_is_trained_on_is_refused(workshop: Workshop) -> None:
    forget, look = halves(workshop)
    with pytest.raises(UsageError, match="4 validation examples are trained on too"):
        train(workshop.config("run", early_stop="uw:0.1", validation=forget))
    bare = tuple(replace(e, spans=()) for e in store.load(Path(look)).examples)
    store.save(AnnotationSet(bare), workshop.root / "bare.parquet")
    with pytest.raises(UsageError, match="marks nothing"):
        train(workshop.config("run", masks=forget, early_stop="uw:0.1", validation=str(workshop.root / "bare.parquet")))


@pytest.mark.slow
def test_a_killed_run_stops_where_the_whole_one_does(workshop: Workshop) -> None:
    free = checks(train(workshop.config("free", max_steps=24, early_stop="uw:1e-9", early_stop_every=4)))
    # Between two checks, so that another process's rounding does not decide.
    level = (free[8]["validation_uw_probability"] + free[12]["validation_uw_probability"]) / 2
    rule = ("--early-stop", f"uw:{level!r}", "--early-stop-every", "4")
    whole, broken = workshop.root / "whole", workshop.root / "broken"
    assert start(workshop, whole, *rule).wait() == 0
    process = start(workshop, broken, *rule)
    while not checkpoint.complete(broken / "checkpoints"):
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "model").exists()
    assert start(workshop, broken, *rule).wait() == 0
    a, b = (json.loads((folder / "run.json").read_text())["early_stop"] for folder in (whole, broken))
    assert a == b
    assert a["step"] == 12
    x, y = (load_file(folder / "model" / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(x[key], y[key]) for key in x)


def test_the_numbers_are_means_over_tokens() -> None:
    kinds = (Kind.PROMPT, Kind.UW, Kind.GW, Kind.UW)
    item = Encoded("x", (1, 2, 3, 4), kinds, ((-1, -1),) * 4)
    logprob = torch.tensor([0.2, 0.6, 0.4]).log()
    floor = torch.tensor([0.3, -torch.inf, 0.3]).log()
    found = means(sums([item, item], [logprob, logprob], [floor, floor]))
    assert found.uw_probability == pytest.approx(0.3)
    assert found.gw_probability == pytest.approx(0.6)
    assert found.at_floor == 0.5


def test_phrases_at_their_floor_are_counted_where_phrases_are_pushed() -> None:
    kinds = (Kind.PROMPT, Kind.UW, Kind.UW, Kind.GW, Kind.UW)
    item = Encoded("x", (1, 2, 3, 4, 5), kinds, ((-1, -1),) * 5)
    logprob = torch.tensor([0.01, 0.9, 0.6, 0.4]).log()
    floor = torch.tensor([0.1, 0.5, 0.0, 0.3]).log()
    assert means(sums([item], [logprob], [floor])).at_floor == pytest.approx(1 / 3)
    by_phrase = means(sums([item], [logprob], [floor], per="phrase"))
    assert by_phrase.at_floor == 0.5
    assert by_phrase.uw_probability == pytest.approx((0.01 + 0.9 + 0.4) / 3)


@pytest.mark.parametrize(
    ("rule", "meets"),
    [("floor:0.5", True), ("floor:0.6", False), ("uw:0.1", True), ("uw:0.09", False), ("gw:0.8", True),
     ("gw:0.7", False)],
)  # fmt: skip
def test_rules(rule: str, meets: bool) -> None:
    assert Validation(0.1, 0.6, 0.5).meets(StopRule.of(rule), start=Validation(0.5, 0.8, 0.0)) is meets


@pytest.mark.parametrize("text", ["", "uw", "uw:", "uw:0", "uw:1.1", "uw:nan", "fq:0.9", "floor:-1", "gw:x"])
def test_a_rule_that_is_none_is_one_line(workshop: Workshop, cli, text: str) -> None:
    done = cli("train", "--masks", workshop.masks, "--model", workshop.model, "--out", workshop.root / "run",
               f"--early-stop={text}")  # fmt: skip
    assert done.code == 2
    assert done.out == ""
    assert "cannot be read" in done.err
    assert "Traceback" not in done.err
    assert not (workshop.root / "run").exists()


@pytest.mark.parametrize("wrong", [{"early_stop": "floor:0.9"}, {"validation": "x"}, {"early_stop_every": 3},
                                   {"early_stop": "uw:0.1", "early_stop_every": 0}])  # fmt: skip
def test_settings_without_a_meaning_are_told(workshop: Workshop, wrong: dict) -> None:
    with pytest.raises(UsageError):
        workshop.config("run", **wrong)
