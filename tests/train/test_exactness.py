"""The loss that the trainer minimises against float64 arithmetic on full logits, one example at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import TrainingArguments

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tif import sources
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Kind, Template, encode
from tif.tokens.models import load_model, load_tokenizer
from tif.train.data import ScoredExample, TrainingSet, collate
from tif.train.objectives import OBJECTIVES
from tif.train.reference import score
from tif.train.run import train
from tif.train.settings import ObjectiveSettings
from tif.train.trainer import LossPlan, Unlearner

BETA = 0.3
MODELS = {"llama": tiny.llama, "tied": lambda v: tiny.llama(v, tied=True), "soft-capped": tiny.gemma2}


def batch_of(reference, *, retain: bool = False):
    tokenizer = tiny.chatty()
    items = [encode(e, tokenizer, Template.of(tokenizer)) for e in tiny.examples()]
    floor = [torch.full((len(s),), -torch.inf) for s in score(reference, items)]
    samples = [
        ScoredExample(item=i, reference=s, floor=f)
        for i, s, f in zip(items, score(reference, items), floor, strict=True)
    ]
    keep = [ScoredExample.unscored(i) for i in items[4:]] if retain else []
    pairs = TrainingSet(samples[:4], keep)
    return pairs, items


def moved(model):
    """The policy a few steps on: the reference with other weights."""
    policy = copy.deepcopy(model)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return policy


def direct_tpo(policy, reference, items, *, reduction: str, space: str, pl: str, padded: bool) -> torch.Tensor:
    """LPL + PL as in the paper, token by token."""
    drops, kept = [], []
    longest = max(map(len, items))
    for item in items:
        ids = list(item.input_ids) + [0] * (longest - len(item) if padded else 0)
        attention = [1] * len(item) + [0] * (len(ids) - len(item))
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.tensor([attention]), "use_cache": False}
        z, z_ref = policy(**inputs).logits[0], reference(**inputs).logits[0].detach()
        lp, lp_ref = z.log_softmax(-1), z_ref.log_softmax(-1)
        of, of_ref = (z, z_ref) if space == "logit" else (lp, lp_ref)
        uw = [t for t, k in enumerate(item.kinds) if k == Kind.UW]
        gw = [t for t, k in enumerate(item.kinds) if k == Kind.GW]
        drops.append(sum(of_ref[t - 1, ids[t]] - of[t - 1, ids[t]] for t in uw) / len(uw))
        nll = -sum(lp[t - 1, ids[t]] for t in gw)
        kept.append(nll if pl == "sum" else nll / len(gw))
    d = torch.stack(drops)
    d = d.mean() if reduction == "batch" else d
    lpl = -(2 / BETA) * torch.log(1 / (1 + torch.exp(-BETA * d))).mean()
    return lpl + torch.stack(kept).mean()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("space", ["logit", "logprob"])
@pytest.mark.parametrize(("reduction", "pl"), [("sample", "sum"), ("batch", "mean")])
@pytest.mark.parametrize("name", MODELS)
def test_tpo_is_the_papers(name: str, reduction: str, pl: str, space: str, padded: bool, tmp_path) -> None:
    reference = MODELS[name](400)
    policy = moved(reference)
    pairs, items = batch_of(reference)
    settings = ObjectiveSettings(beta=BETA, reduction=reduction, space=space, pl=pl)
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, remove_unused_columns=False, report_to="none")
    trainer = Unlearner(policy, arguments, pairs, LossPlan(objective=OBJECTIVES["tpo"], settings=settings))
    loss = trainer.compute_loss(policy, collate([pairs[(i, 0)] for i in range(4)]))
    loss.backward()

    exact, exact_reference = copy.deepcopy(policy).double(), copy.deepcopy(reference).double()
    exact.zero_grad()
    expected = direct_tpo(exact, exact_reference, items[:4], reduction=reduction, space=space, pl=pl, padded=padded)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    got = torch.cat([w.grad.flatten().double() for w in policy.parameters()])
    want = torch.cat([w.grad.flatten() for w in exact.parameters()])
    assert (got - want).norm() / want.norm() < 1e-5


@pytest.mark.parametrize("loss", ["ce", "kl"])
def test_the_retain_term_over_the_tokens_of_the_batch(workshop: Workshop, loss: str) -> None:
    """One mean over all answer tokens, in float64 from full logits of the model before the second step."""
    given = {"objective": "npo", "retain_loss": loss, "reduction": "token", "limit": 5, "batch_size": 5}
    given |= {"scheduler": "constant", "lr": 1e-2}
    before = train(workshop.config("one", max_steps=1, **given))
    term = train(workshop.config("two", max_steps=2, **given)).history[1]["retain"]
    models = [load_model(folder).double() for folder in (workshop.model, before.model)]
    encoder = Encoder.of(load_tokenizer(workshop.model))
    total, tokens = 0.0, 0
    for example in sources.load(str(workshop.retain)).examples:
        item = encoder.encode(example)
        with torch.no_grad():
            p, q = (m(torch.tensor([item.input_ids])).logits[0].log_softmax(-1) for m in models)
        for t in range(1, len(item)):
            if item.kinds[t] != Kind.PROMPT:
                tokens += 1
                if loss == "ce":
                    total -= float(q[t - 1, item.input_ids[t]])
                else:
                    total += float((p[t - 1].exp() * (p[t - 1] - q[t - 1])).sum())
    assert term == pytest.approx(total / tokens, rel=2e-4)
    if loss == "ce":
        sample = train(workshop.config("mean", max_steps=2, **given | {"reduction": "sample"})).history[1]["retain"]
        assert term != pytest.approx(sample, rel=1e-3)
