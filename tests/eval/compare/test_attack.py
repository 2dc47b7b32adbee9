"""Relearning brings back, rounding rounds: each against a direct computation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.errors import InputError
from tif.eval.compare.attack import NF4, RELEARNING, nf4, quantize, relearn
from tif.eval.measure.score import score
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Template


@pytest.mark.parametrize("shape", [(8, 64), (7, 9), (3, 1), (2, 0)])
def test_nf4_is_the_nearest_level_of_each_block(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = nf4(weight).flatten().numpy()
    flat = weight.flatten().numpy()
    for at in range(0, len(flat), 64):
        block = flat[at : at + 64]
        scale = np.abs(block).max()
        for value, rounded in zip(block, found[at : at + 64], strict=True):
            nearest = min(NF4, key=lambda level: abs(level - value / scale))
            assert rounded == pytest.approx(nearest * scale, rel=1e-6, abs=1e-9)
    assert torch.allclose(nf4(nf4(weight)), nf4(weight))
    assert (nf4(torch.zeros(3, 4)) == 0).all()


def test_quantization_leaves_the_head_and_embeddings(tiny: Tiny) -> None:
    model = make_llama(len(tiny.tokenizer), 3)
    before = {name: p.clone() for name, p in model.named_parameters()}
    rounded = sum(p.numel() for name, p in before.items() if "proj" in name)
    assert quantize(model) == pytest.approx(rounded / sum(p.numel() for p in before.values()))
    for name, parameter in model.named_parameters():
        changed = not torch.equal(parameter, before[name])
        assert changed == ("proj" in name), name


def test_linear_layers_of_other_shapes_are_rounded_too() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=1, n_head=2, n_positions=16))
    inner = gpt2.transformer.h[0].mlp.c_fc.weight
    before = inner.detach().clone()
    assert quantize(gpt2) > 0.5
    assert torch.equal(inner, nf4(before.T).T)
    assert not torch.equal(inner, before)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    experts = MixtralForCausalLM(MixtralConfig(vocab_size=50, num_key_value_heads=2, num_local_experts=2, **sizes))
    stacks = {name: p.detach().clone() for name, p in experts.named_parameters() if ".experts." in name}
    assert stacks
    quantize(experts)
    for name, parameter in experts.named_parameters():
        assert name not in stacks or not torch.equal(parameter, stacks[name]), name


def test_an_attack_that_touches_nothing_is_refused() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=32, n_layer=0, n_head=2, n_positions=16))
    with pytest.raises(InputError, match="no linear layer"):
        quantize(model)


def test_relearning_lowers_the_loss(tiny: Tiny) -> None:
    model, template = make_llama(len(tiny.tokenizer), 3), Template.of(tiny.tokenizer)
    rows = [make_row(i) for i in range(4)]
    texts = [row.texts()[0] for row in rows]
    before = np.mean([s.loss for s in score(model, Encoder(tiny.tokenizer, template), texts)])
    relearn(model, Encoder(tiny.tokenizer, template), rows, replace(RELEARNING, epochs=8))
    after = np.mean([s.loss for s in score(model, Encoder(tiny.tokenizer, template), texts)])
    assert after < before - 0.01
    assert not model.training
