"""Decoder layers are those of the model's own list, and are seen as they leave the layer."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tif.tokens.layers import count_layers, layer_of, watching

SIZES = {"vocab_size": 90, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
LISTS = {
    "llama": lambda m: m.model.layers,
    "gpt2": lambda m: m.transformer.h,
    "gpt_neox": lambda m: m.gpt_neox.layers,
    "opt": lambda m: m.model.decoder.layers,
    "gemma3": lambda m: m.model.language_model.layers,
}


def build(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "gemma3":
        # As many layers in the vision part as in the text part, and no number of layers in the outer config.
        text = {**SIZES, "num_key_value_heads": 1, "head_dim": 8}
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
                  "image_size": 28, "patch_size": 14}  # fmt: skip
        config = AutoConfig.for_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=4)
    else:
        more = {"ffn_dim": 32, "word_embed_proj_dim": 16} if kind == "opt" else {}
        config = AutoConfig.for_model(kind, **SIZES, max_position_embeddings=64, **more)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("kind", LISTS)
def test_a_layer_is_that_of_the_models_own_list(kind: str) -> None:
    model = build(kind)
    assert count_layers(model) == 3
    assert [layer_of(model, i) for i in range(3)] == list(LISTS[kind](model))


@pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
def test_every_layer_is_seen_as_it_leaves_the_layer(kind: str) -> None:
    model = build(kind)
    ids = torch.arange(5, 17)[None]
    states = []
    for i in range(3):
        with torch.no_grad(), watching(model, i) as seen:
            output = model(input_ids=ids, output_hidden_states=True)
        states.append(seen[0])
        assert len(seen) == 1
    assert torch.equal(states[0], output.hidden_states[1])
    assert torch.equal(states[1], output.hidden_states[2])
    # What transformers gives last went through the final norm.
    norm = model.model.norm if kind == "llama" else model.gpt_neox.final_layer_norm
    assert torch.allclose(norm(states[2]), output.hidden_states[3], atol=1e-6)
    assert not torch.allclose(states[2], output.hidden_states[3], atol=1e-2)
    before = len(seen)
    model(input_ids=ids)
    assert len(seen) == before


def test_nothing_is_watched_without_an_index() -> None:
    model = build("llama")
    with watching(model, None) as seen:
        model(input_ids=torch.arange(5, 9)[None])
    assert seen == []
