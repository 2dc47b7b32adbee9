"""Every way to go faster must give the curves of the released code's mathematics, taken step by step.

The yardstick knows nothing of tif's trainer: two forwards of the policy and one of the reference, full logits, rows
padded to a fixed length, labels of -100, a plain AdamW loop.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tif.tokens import forward
from tif.tokens.masks import Encoded, Kind, Template, encode
from tif.tokens.models import load_model
from tif.tokens.packing import pack
from tif.train.data import PairSampler, Role, ScoredExample, collate
from tif.train.reference import score
from tif.train.run import train

BETA, LR, STEPS, BATCH, LENGTH = 0.3, 1e-3, 6, 4, 96


def everyone() -> list[Encoded]:
    tokenizer = tiny.chatty()
    return [encode(e, tokenizer, Template.of(tokenizer)) for e in tiny.examples()]


def released(workshop: Workshop, reduction: str) -> list[list[float]]:
    """Loss and gradient norm of each step."""
    policy = load_model(workshop.model).train()
    reference = copy.deepcopy(policy).eval()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    items, order = everyone(), PairSampler(6, 0, 0)
    curve: list[list[float]] = []
    while len(curve) < STEPS:
        indices = [index for index, _ in order]
        for at in range(0, len(indices), BATCH):
            batch = [items[i] for i in indices[at : at + BATCH]]
            loss = released_loss(policy, reference, batch, reduction)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            curve.append([loss.item(), norm.item()])
        order.epoch += 1
    return curve[:STEPS]


def released_loss(policy, reference, items: list[Encoded], reduction: str) -> torch.Tensor:
    ids = torch.tensor([[*i.input_ids, *[0] * (LENGTH - len(i))] for i in items])
    attention = torch.tensor([[1] * len(i) + [0] * (LENGTH - len(i)) for i in items])
    uw, gw = (
        torch.tensor(
            [[y if k == kind else -100 for y, k in zip(i.input_ids, i.kinds, strict=True)] + [-100] * (LENGTH - len(i))
             for i in items]
        )
        for kind in (Kind.UW, Kind.GW)
    )  # fmt: skip
    first, second = (policy(ids, attention_mask=attention).logits[:, :-1] for _ in range(2))
    with torch.no_grad():
        old = reference(ids, attention_mask=attention).logits[:, :-1]
    mask = uw[:, 1:] != -100
    index = uw[:, 1:].clamp(min=0)[..., None]
    drop = (old.gather(2, index) - first.gather(2, index))[..., 0]
    d = (drop * mask).sum(1) / mask.sum(1)
    d = d.mean() if reduction == "batch" else d
    lpl = -(2 / BETA) * F.logsigmoid(BETA * d).mean()
    losses = F.cross_entropy(second.transpose(1, 2), gw[:, 1:], ignore_index=-100, reduction="none")
    return lpl + losses.sum(1).mean()


OPTIONS = {
    "packed": {},
    "accumulated": {"batch_size": 2, "accumulate": 2},
    "one example a row": {"batch_size": 1, "accumulate": 4},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "eager attention": {"attention": "eager"},
    "logits by pieces": {},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_gives_the_released_curve(workshop: Workshop, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if option == "logits by pieces":
        monkeypatch.setattr(forward, "AT_ONCE", 0)
        monkeypatch.setattr(forward, "PIECE", 7 * 400)
    given = {"batch_size": BATCH, "max_steps": STEPS, "lr": LR, "beta": BETA, "retain": None} | OPTIONS[option]
    result = train(workshop.config("run", **given))
    found = [[r["loss"], r["grad_norm"]] for r in result.history if "loss" in r]
    expected = released(workshop, "sample")
    assert len(found) == STEPS
    for now, wanted in zip(found, expected, strict=True):
        assert now == pytest.approx(wanted, rel=1e-3)


def test_the_released_reduction_over_the_batch(workshop: Workshop) -> None:
    given = {"batch_size": BATCH, "max_steps": STEPS, "lr": LR, "beta": BETA, "retain": None}
    result = train(workshop.config("run", reduction="batch", **given))
    found = [[r["loss"], r["grad_norm"]] for r in result.history if "loss" in r]
    for now, wanted in zip(found, released(workshop, "batch"), strict=True):
        assert now == pytest.approx(wanted, rel=1e-3)


def test_a_trained_adapter_switched_off_is_the_reference(workshop: Workshop) -> None:
    plain = train(workshop.config("plain", max_steps=1))
    lora = train(workshop.config("lora", lora=4, max_steps=STEPS, lr=1e-2))
    a, b = (next(r["loss"] for r in result.history) for result in (plain, lora))
    assert b == pytest.approx(a, rel=1e-5)
    original = load_model(workshop.model)
    before = torch.cat(score(original, everyone()))
    adapted = PeftModel.from_pretrained(original, str(lora.folder / "adapter")).eval()
    assert (torch.cat(score(adapted, everyone())) - before).abs().max() > 1e-3
    with adapted.disable_adapter():
        assert torch.equal(torch.cat(score(adapted, everyone())), before)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (5, 3, 1, 4, 2, 0), (2, 2, 0, 5)])
def test_an_example_has_the_same_statistics_in_any_company(order: tuple[int, ...]) -> None:
    model, items = tiny.llama(400), everyone()
    alone = [forward.statistics(model, pack([item])) for item in items]
    step = collate([[(Role.FORGET, ScoredExample.unscored(items[i]))] for i in order])
    packed = pack([items[i] for i in order])
    assert torch.equal(packed.input_ids, step.packed.input_ids)
    said = forward.statistics(model, packed)
    for place, i in enumerate(order):
        mine = packed.row == place
        torch.testing.assert_close(said.logit[mine], alone[i].logit, atol=1e-5, rtol=0)
        torch.testing.assert_close(said.logprob[mine], alone[i].logprob, atol=1e-5, rtol=0)
