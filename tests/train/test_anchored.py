"""The objective `anchored`: its divergence is one, it pulls towards its level from both sides, and it stops there."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.conftest import Workshop
from tif.errors import UsageError
from tif.tokens.models import load_model
from tif.train.losses import StepScores, TokenScores, coin_divergence
from tif.train.objectives import find
from tif.train.phrases import numbered
from tif.train.run import train
from tif.train.settings import ObjectiveSettings

probability = st.floats(0.001, 0.999)


def tokens(now, base, before, unwanted):
    values = torch.tensor([now, before, base]).log()
    leaf = values[0].clone().requires_grad_()
    n = len(now)
    return TokenScores(
        logit=leaf,
        logprob=leaf,
        ref_logit=values[1],
        ref_logprob=values[1],
        unwanted=torch.tensor(unwanted),
        row=torch.zeros(n, dtype=torch.int64),
        size=1,
        base_logprob=values[2],
    )


@given(probability, probability)
def test_the_divergence_is_that_of_two_coins(q, p):
    found = coin_divergence(torch.tensor(q).log(), torch.tensor(p).log()).item()
    assert found == pytest.approx(q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)), abs=2e-4, rel=2e-3)


@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.lists(st.floats(-4, 4), min_size=3, max_size=3))
def test_it_is_at_most_the_divergence_over_the_vocabulary(a, b):
    q, p = torch.tensor(a).log_softmax(0), torch.tensor(b).log_softmax(0)
    whole = (q.exp() * (q - p)).sum()
    assert coin_divergence(q[0], p[0]) <= whole + 1e-4


@given(probability, probability, probability)
def test_general_words_are_pulled_towards_their_level_from_both_sides(now, base, before):
    for gamma, level in ((0.0, base), (1.0, before)):
        t = tokens([now], [base], [before], [False])
        find("anchored").loss(StepScores(forget=t), ObjectiveSettings(gamma=gamma))["pl"].backward()
        # A step downhill is against the gradient.
        if abs(now - level) > 1e-3:
            assert (t.logprob.grad.item() > 0) == (now > level)


def test_a_token_known_with_certainty_has_a_finite_gradient():
    t = tokens([1.0], [0.5], [1.0], [False])
    find("anchored").loss(StepScores(forget=t), ObjectiveSettings())["pl"].backward()
    assert torch.isfinite(t.logprob.grad).all()
    assert t.logprob.grad.item() > 0


def test_gamma_moves_the_level_from_the_base_model_to_the_reference():
    t = tokens([0.9], [0.4], [0.9], [False])
    at = {
        gamma: find("anchored").loss(StepScores(forget=t), ObjectiveSettings(gamma=gamma))["pl"].item()
        for gamma in (0.0, 0.5, 1.0)
    }
    assert at[0.0] > at[0.5] > at[1.0] == pytest.approx(0, abs=1e-6)
    assert find("anchored").defaults == {"gamma": 1.0}


def test_unwanted_words_are_not_part_of_the_divergence_nor_general_words_of_the_drop():
    t = tokens([0.8, 0.7], [0.1, 0.2], [0.9, 0.9], [True, False])
    other = replace(t, base_logprob=torch.tensor([0.5, 0.2]).log())
    parts, same = (find("anchored").loss(StepScores(forget=x), ObjectiveSettings()) for x in (t, other))
    assert parts["pl"].item() == same["pl"].item()
    d = math.log(0.9 / 0.8)
    assert parts["lpl"].item() == pytest.approx(-(2 / 0.25) * math.log(1 / (1 + math.exp(-0.25 * d))), rel=1e-5)


def test_it_asks_for_the_base_model(workshop: Workshop):
    with pytest.raises(UsageError, match="never saw"):
        train(workshop.config("run", objective="anchored"))


@pytest.mark.parametrize(
    ("objective", "given", "weight"), [("anchored", None, 8), ("anchored", 2.0, 2), ("tpo", None, 1)]
)
def test_the_retain_term_has_the_objectives_own_weight(workshop: Workshop, objective, given, weight):
    bounded = {"floor": "base", "base_model": str(workshop.model), "max_steps": 1}
    heavy, unit = (
        train(workshop.config(f"run-{w}", objective=objective, retain_weight=w, **bounded)).history[0]["retain"]
        for w in (given, 1.0)
    )
    assert heavy == pytest.approx(weight * unit, rel=1e-5)


def test_a_run_drawn_to_the_base_model_ends_nearer_to_it_than_it_began(workshop: Workshop):
    base = workshop.root / "base"
    other = load_model(workshop.model)
    torch.manual_seed(7)
    for weight in other.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    other.save_pretrained(base)
    changes = {"floor": "base", "base_model": str(base), "max_steps": 60, "lr": 3e-3, "batch_size": 6, "retain": None}
    run = train(workshop.config("run", objective="anchored", gamma=0.0, **changes))
    divergence = [record["pl"] for record in run.history if "pl" in record]
    assert divergence[-1] < 0.5 * divergence[0]


def the_phrases():
    """Two answers in float64: phrases of two tokens and of one, then one of three; and a last answer without any."""
    generator = torch.Generator().manual_seed(3)
    unwanted = torch.tensor([True, True, False, True, False, True, True, True, False])
    row = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2])
    now, before, base = -3 * torch.rand(3, 9, generator=generator, dtype=torch.float64)
    return TokenScores(
        logit=now,
        logprob=now.clone().requires_grad_(),
        ref_logit=before,
        ref_logprob=before,
        unwanted=unwanted,
        row=row,
        size=3,
        base_logprob=base,
        phrase=numbered(unwanted, row, torch.arange(9)),
    )


def test_each_phrase_counts_once():
    t = the_phrases()
    terms = find("anchored").loss(StepScores(forget=t), ObjectiveSettings(beta=0.4, gamma=1.0, per="phrase"))
    drop = (t.ref_logprob - t.logprob).tolist()

    def pushed(*tokens):
        return (2 / 0.4) * math.log(1 + math.exp(-0.4 * sum(drop[i] for i in tokens)))

    expected = ((pushed(0, 1) + pushed(3)) / 2 + pushed(5, 6, 7)) / 3
    assert terms["lpl"].item() == pytest.approx(expected, rel=1e-12)
    terms["lpl"].backward()
    assert torch.isfinite(t.logprob.grad).all()
    # A step downhill lowers each unwanted token, and the tokens of a phrase alike.
    assert t.logprob.grad.gt(0).tolist() == t.unwanted.tolist()
    assert t.logprob.grad[0] == t.logprob.grad[1]
    same = find("anchored").loss(StepScores(forget=t), ObjectiveSettings(beta=0.4, gamma=1.0))
    assert same["pl"].item() == terms["pl"].item()


def test_a_phrase_at_its_floor_is_pushed_no_further(workshop: Workshop):
    """The base model is the starting model, so every phrase is at its floor from the first step."""
    alone = {"pl_weight": 0.0, "retain": None, "weight_decay": 0.0, "objective": "anchored", "per": "phrase"}
    run = train(workshop.config("run", base_model=str(workshop.model), **alone))
    weights = zip(load_model(run.model).parameters(), load_model(workshop.model).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    # With a floor out of reach, the same run moves.
    lower = train(workshop.config("lower", base_model=str(workshop.model), floor="5", **alone))
    logged = [record["lpl"] for record in lower.history if "lpl" in record]
    assert logged[-1] < logged[0]


def test_only_anchored_pushes_phrases(workshop: Workshop):
    with pytest.raises(UsageError, match=r"--per does nothing here \(tpo has no per"):
        train(workshop.config("run", per="phrase"))
