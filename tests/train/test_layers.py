"""RMU steers the output of the layer that its number names in the model's own list, also where that is the last."""

from __future__ import annotations

import pytest
import torch

from tests.tokens import tiny
from tests.train.conftest import Workshop
from tif.errors import UsageError
from tif.tokens.masks import Kind, Template, encode
from tif.train.run import train


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
