"""Floors from a primed base model and from a retain proxy: what they read, that they are cached, and refusals."""

import json

import pytest
import torch

from tests.tokens import tiny
from tif.errors import UsageError
from tif.tokens.masks import Kind
from tif.tokens.models import load_model
from tif.train import scores as scores_module
from tif.train.floor import Floor
from tif.train.prepare import prepare
from tif.train.proxy import primed, proxy, proxy_digest
from tif.train.reference import score
from tif.train.run import train


@pytest.fixture
def base(workshop):
    return str(tiny.save(workshop.root / "base", tiny.llama(400, seed=1), tiny.chatty()))


@pytest.mark.parametrize("text", ["base", "primed", "proxy", "-8", "5"])
def test_a_floor_is_the_same_after_it_was_written(text):
    assert str(Floor.of(text)) == text


def test_primed_text_stands_behind_the_same_samples(workshop):
    prepared = prepare(workshop.config("run"), "uw")
    behind = primed(prepared.forget, prepared.retain, count=2, seed=3)
    lengths = {len(item) - len(plain) for item, plain in zip(behind, prepared.forget, strict=True)}
    (added,) = lengths
    beginnings = {item.input_ids[:added] for item in behind}
    pairs = {a.input_ids + b.input_ids for a in prepared.retain for b in prepared.retain if a is not b}
    assert len(beginnings) == 1
    assert beginnings <= pairs
    for item, plain in zip(behind, prepared.forget, strict=True):
        assert item.input_ids[added:] == plain.input_ids
        assert set(item.kinds[:added]) == {Kind.PROMPT}
        assert item.supervised == plain.supervised


def test_a_primed_score_is_that_of_the_text_in_its_context(workshop, base):
    prepared = prepare(workshop.config("run"), "uw")
    model = load_model(base)
    (item,) = primed(prepared.forget[:1], prepared.retain, count=2, seed=3)
    with torch.no_grad():
        logprobs = model(torch.tensor([item.input_ids])).logits[0].log_softmax(1)
    place = [i for i, kind in enumerate(item.kinds) if kind != Kind.PROMPT]
    expected = torch.stack([logprobs[i - 1, item.input_ids[i]] for i in place])
    torch.testing.assert_close(score(model, [item])[0][:, 1], expected, rtol=1e-4, atol=1e-4)


def test_a_proxy_knows_the_retain_samples_better_and_is_the_same_again(workshop, base):
    prepared = prepare(workshop.config("run"), "uw")
    before = torch.cat(score(load_model(base), prepared.retain))[:, 1].mean()
    first, again = (
        torch.cat(score(proxy(load_model(base), prepared.retain, steps=6, seed=0), prepared.retain))[:, 1]
        for _ in range(2)
    )
    assert first.mean() > before + 0.1
    assert torch.equal(first, again)
    digests = {proxy_digest("b", prepared.retain, steps=n, seed=s) for n, s in ((6, 0), (7, 0), (6, 1))}
    assert len(digests | {proxy_digest("b", prepared.retain[1:], steps=6, seed=0)}) == 4


@pytest.mark.parametrize(("floor", "extra"), [("primed", {"floor_samples": 2}), ("proxy", {"floor_steps": 3})])
def test_a_run_takes_its_floor_from_it(workshop, base, monkeypatch, floor, extra):
    changes = {"objective": "anchored", "base_model": base, "max_steps": 2, "floor": floor}
    one = train(workshop.config("one", **changes, **extra))
    other = train(workshop.config("other", **changes | {"floor": "base"}))
    assert [r["lpl"] for r in one.history if "loss" in r] != [r["lpl"] for r in other.history if "loss" in r]
    assert json.loads((one.folder / "run.json").read_text())["config"]["floor"] == floor
    # Its scores are cached: the same run again trains no proxy.
    monkeypatch.setattr(scores_module, "proxy", lambda *_, **__: pytest.fail("trained again"))
    assert [r["loss"] for r in train(workshop.config("again", **changes, **extra)).history if "loss" in r] == [
        r["loss"] for r in one.history if "loss" in r
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floor": "proxy"}, r"--floor: proxy needs a base model"),
        ({"floor": "primed", "base_model": "b", "retain": None}, r"--floor: primed needs samples to keep"),
        ({"floor_steps": 3}, r"--floor-steps does nothing here \(it is for --floor proxy\)"),
        ({"floor_samples": 3}, r"--floor-samples does nothing here \(it is for --floor primed\)"),
    ],
)
def test_a_floor_without_its_model_or_samples_is_refused(workshop, changes, message):
    with pytest.raises(UsageError, match=message):
        workshop.config("run", **changes)
