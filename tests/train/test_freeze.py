"""Parts of the model that are not trained stay as they were, to the bit, and all others change."""

import pytest
import torch
from safetensors.torch import load_file

from tests.tokens import tiny
from tif.errors import UsageError
from tif.train.freeze import Freeze, freeze, trained_weights
from tif.train.run import train


@pytest.mark.parametrize("text", ["embeddings", "head", "layers:0-11", "layers:12-", "layers:7"])
def test_a_part_is_the_same_after_it_was_written(text):
    assert str(Freeze.of(text)) == text


@pytest.mark.parametrize("text", ["", "layer:1", "layers:", "layers:-3", "layers:3-1", "layers:a-b", "Embeddings"])
def test_what_names_no_part_is_refused(workshop, text):
    with pytest.raises(UsageError, match=r"--freeze: .* (is no part of a model|names no layer)"):
        workshop.config("run", freeze=(text,))


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (("embeddings",), lambda key: "embed_tokens" in key),
        (("head",), lambda key: "lm_head" in key),
        (("layers:0",), lambda key: "layers.0." in key),
        (("layers:1-", "embeddings"), lambda key: "layers.1." in key or "embed_tokens" in key),
    ],
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_frozen_weights_stay_and_all_others_change(workshop, parts, kept, checkpointing):
    result = train(workshop.config("run", freeze=parts, gradient_checkpointing=checkpointing))
    before, after = load_file(workshop.model / "model.safetensors"), load_file(result.model / "model.safetensors")
    assert {key for key in before if torch.equal(before[key], after[key])} == set(filter(kept, before))
    assert result.record.config["freeze"] == list(parts)


def test_tied_weights_are_one_part():
    model = tiny.llama(400, tied=True)
    freeze(model, [Freeze.of("embeddings")])
    trained, everything = trained_weights(model)
    assert everything - trained == model.lm_head.weight.numel()


def test_layers_beyond_the_model_and_nothing_to_train_are_refused(workshop):
    with pytest.raises(UsageError, match=r"--freeze: is layers:1-2, but the model has 2 layers\. .* the last is 1"):
        train(workshop.config("run", freeze=("layers:1-2",)))
    model = tiny.llama(400)
    model.model.norm.requires_grad_(False)
    with pytest.raises(UsageError, match="leaves no weight to train"):
        freeze(model, [Freeze.of(part) for part in ("embeddings", "head", "layers:0-")])


def test_adapters_freeze_every_weight_already(workshop):
    with pytest.raises(UsageError, match=r"--freeze does nothing here .with --lora only the adapters are trained"):
        workshop.config("run", freeze=("embeddings",), lora=2)
