"""RMU steers the output of the layer that its number names in the model's own list, also where that is the last."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tif.errors import UsageError
from tif.tokens.masks import Kind, Template, encode
from tif.train.layers import count_layers, layer_of, watching
from tif.train.run import train

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


def by_hand(model: torch.nn.Module, workshop: Workshop, layer: int, scale: float) -> float:
    """The mean over examples of the mean over answer tokens of the mean square distance to `c u`, in float64."""
    model = model.double()
    tokenizer = tiny.chatty()
    template = Template.of(tokenizer)
    direction = torch.rand(32, generator=torch.Generator().manual_seed(0))
    control = (scale * direction / direction.norm()).double()
    distances = []
    for example in tiny.examples():
        item = encode(example, tokenizer, template)
        x = model.model.embed_tokens(torch.tensor([item.input_ids]))
        where = torch.arange(len(item))[None]
        mask = torch.full((len(item), len(item)), -torch.inf, dtype=torch.float64).triu(1)[None, None]
        for each in model.model.layers[: layer + 1]:
            x = each(x, attention_mask=mask, position_embeddings=model.model.rotary_emb(x, where), position_ids=where)
        answer = torch.tensor([kind != Kind.PROMPT for kind in item.kinds])
        distances.append(((x[0, answer] - control) ** 2).mean())
    return torch.stack(distances).mean().item()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
def test_the_loss_is_that_of_the_layer_by_hand(workshop: Workshop, layer: int, checkpointing: bool) -> None:
    options = workshop.config(
        f"run{layer}{checkpointing}", objective="rmu", beta=None, rmu_layer=layer, rmu_scale=3.0, max_steps=2,
        batch_size=6, gradient_checkpointing=checkpointing,
    )  # fmt: skip
    history = train(options).history
    expected = by_hand(tiny.llama(400), workshop, layer, 3.0)
    assert history[0]["forget"] == pytest.approx(expected, rel=1e-5)
    assert history[1]["forget"] < history[0]["forget"]


@pytest.mark.parametrize("layer", [2, 7])
def test_a_layer_that_the_model_does_not_have_is_refused(workshop: Workshop, layer: int) -> None:
    with pytest.raises(UsageError, match=rf"--rmu-layer: is {layer}, but the model has 2 layers. .* the last is 1"):
        train(workshop.config("run", objective="rmu", beta=None, rmu_layer=layer))
