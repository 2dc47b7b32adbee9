"""The fine-tuning loop against a plain one, written out here."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from tests.tokens import tiny
from tif.errors import UsageError
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune
from tif.tokens.forward import statistics
from tif.tokens.masks import Kind
from tif.tokens.packing import pack

HOW = FineTuning(epochs=3, lr=2e-3, batch_size=4, weight_decay=0.1, betas=(0.8, 0.95))


@pytest.fixture
def encoder() -> Encoder:
    return Encoder.of(tiny.chatty())


def plain(model, encoder, how, rates):
    """Padded batches, labels of -100, transformers' own logits."""
    items = [encoder.encode(example) for example in tiny.examples()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=how.betas, weight_decay=how.weight_decay)
    order = torch.Generator().manual_seed(how.seed)
    rates = iter(rates)
    for _ in range(how.epochs):
        shuffled = torch.randperm(len(items), generator=order).tolist()
        for at in range(0, len(items), how.batch_size):
            batch = [items[i] for i in shuffled[at : at + how.batch_size]]
            width = max(map(len, batch))
            ids = torch.tensor([[*i.input_ids, *[0] * (width - len(i))] for i in batch])
            mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i in batch])
            labels = [
                [t if k != Kind.PROMPT else -100 for t, k in zip(i.input_ids, i.kinds, strict=True)] for i in batch
            ]
            labels = torch.tensor([[*row, *[-100] * (width - len(row))] for row in labels])
            z = model(input_ids=ids, attention_mask=mask).logits[:, :-1].flatten(0, 1)
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(z, labels[:, 1:].flatten()).backward()
            if how.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), how.max_grad_norm)
            optimizer.step()
    return model


def distance(a, b):
    return max(float((p - q).detach().abs().max()) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "rates"),
    [
        ({}, [2e-3] * 6),
        ({"packed": True, "max_grad_norm": 0.01}, [2e-3] * 6),
        # Two steps an epoch: up over the first, down to 0 over the other four.
        ({"schedule": "linear"}, [1e-3, 2e-3, 2e-3, 1.5e-3, 1e-3, 0.5e-3]),
        (
            {"schedule": "cosine", "warmup_steps": 4, "seed": 5, "packed": True},
            [2e-3 * min(1, (s + 1) / 4) * (0.05 + 0.95 * (1 + math.cos(math.pi * s / 6)) / 2) for s in range(6)],
        ),
    ],
)
def test_the_weights_are_those_of_a_plain_loop(encoder, change, rates):
    how = replace(HOW, **change)
    start = tiny.llama(len(encoder.tokenizer))
    expected = plain(copy.deepcopy(start), encoder, how, rates)
    model = copy.deepcopy(start)
    fine_tune(model, encoder, tiny.examples(), how, title="learning")
    assert distance(start, expected) > 2e-3
    assert distance(model, expected) < 2e-5
    assert not model.training


def test_in_bfloat16_every_step_sees_the_weights_of_the_last_one(encoder):
    how = replace(HOW, epochs=20, packed=True)
    start = tiny.llama(len(encoder.tokenizer))
    items = [encoder.encode(example) for example in tiny.examples()]
    losses = {}
    for autocast in (False, True):
        model = copy.deepcopy(start)
        fine_tune(model, encoder, tiny.examples(), how, title="learning", autocast=autocast)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        with torch.no_grad():
            losses[autocast] = -statistics(model, pack(items)).logprob.mean().item()
    with torch.no_grad():
        before = -statistics(start, pack(items)).logprob.mean().item()
    assert losses[False] < before / 4
    assert losses[True] == pytest.approx(losses[False], rel=0.1, abs=0.02)


def test_what_trains_nothing_is_refused():
    for change in ({"epochs": 0}, {"lr": 0.0}, {"lr": math.inf}, {"weight_decay": -1.0}):
        with pytest.raises(UsageError, match="train nothing"):
            replace(HOW, **change)
