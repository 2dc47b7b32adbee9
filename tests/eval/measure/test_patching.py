"""Hidden states patched into another model: against separate forwards, the two ends of the scale, and the cost."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tif.eval.measure.depth import depths, drops
from tif.eval.measure.patching import Patched, Patching, Targets, hidden_states
from tif.spans import Example, Span
from tif.tokens.encoding import Encoder
from tif.tokens.layers import layers_of
from tif.tokens.masks import Encoded, Kind
from tif.tokens.models import load_model, load_tokenizer

SIZES = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
KINDS = ["llama", "gpt2", "gpt_neox", "opt", "gemma2", "bloom"]


def build(kind: str, seed: int) -> PreTrainedModel:
    """A random model with opinions, and with norms that are not all ones."""
    torch.manual_seed(seed)
    more = {"ffn_dim": 48, "word_embed_proj_dim": 32} if kind == "opt" else {}
    more |= {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4} if kind == "gemma2" else {}
    config = AutoConfig.for_model(kind, **SIZES, max_position_embeddings=64, **more)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.ndim == 2 else parameter.add_(0.5 * torch.randn_like(parameter))
    return model.eval()


def item(seed: int, *, start: int = 6, marked: tuple[int, ...] = (9, 10, 13)) -> Targets:
    ids = np.random.default_rng(seed).integers(2, 90, 18).tolist()
    kinds = [Kind.PROMPT] * start + [Kind.UW if t in marked else Kind.GW for t in range(start, len(ids))]
    targets = Targets.of(Encoded("x", tuple(ids), tuple(kinds), ((0, 0),) * len(ids)))
    assert targets is not None
    return targets


@torch.no_grad()
def by_definition(target: PreTrainedModel, source: PreTrainedModel, one: Targets) -> Patched:
    """One complete forward for each layer, and the model's own norm and head."""
    ids = torch.tensor([[*one.input_ids, *one.tokens[-1:]]])
    at = list(one.positions)

    def mean(logits: torch.Tensor) -> float:
        lp = logits.double().log_softmax(-1)
        return float(np.mean([float(lp[i, token]) for i, token in enumerate(one.tokens)]))

    def states(model: PreTrainedModel) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        for layer in layers_of(model):
            layer.register_forward_hook(lambda _m, _i, out: seen.append(out[0] if isinstance(out, tuple) else out))
        model(ids)
        for layer in layers_of(model):
            layer._forward_hooks.clear()
        return seen

    def patched(layer: int, state: torch.Tensor, where: list[int]) -> float:
        def patch(_module: object, _inputs: object, output: object) -> object:
            new = (output[0] if isinstance(output, tuple) else output).clone()
            new[0, where] = state[0, where]
            return (new, *output[1:]) if isinstance(output, tuple) else new

        handle = layers_of(target)[layer].register_forward_hook(patch)
        value = mean(target(ids).logits[0, at])
        handle.remove()
        return value

    last = len(layers_of(target)) - 1
    theirs, own = states(source), states(target)
    return Patched(
        plain=mean(target(ids).logits[0, at]),
        patched=tuple(patched(layer, state, at) for layer, state in enumerate(theirs)),
        lens=tuple(patched(last, state, at) for state in theirs),
        own_lens=tuple(patched(last, state, at) for state in own),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marked", [(9, 10, 13), (6,), (17,)])
def test_one_forward_gives_what_one_forward_for_each_layer_gives(
    kind: str, marked: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    target, source, one = build(kind, 0), build(kind, 1), item(0, marked=marked)
    found, expected = Patching(target).run(one, hidden_states(source, one)), by_definition(target, source, one)
    assert found.plain == pytest.approx(expected.plain, abs=1e-5)
    for name in ("patched", "lens", "own_lens"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=2e-5), name
    assert len(set(found.patched)) == 4
    # Bloom adds a bias for each row of the batch to its attention, so its batch cannot grow.
    assert ("one forward for each layer" in capsys.readouterr().err) == (kind == "bloom")


def test_a_plain_text_has_no_tokens_before_its_first_position() -> None:
    target, source, one = build("llama", 0), build("llama", 1), item(0, start=1, marked=(1, 4))
    assert one.positions[0] == 0
    found, expected = Patching(target).run(one, hidden_states(source, one)), by_definition(target, source, one)
    assert found.patched == pytest.approx(expected.patched, abs=2e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_retain_model_has_depth_one_and_the_starting_model_zero(kind: str) -> None:
    # In float64, so that 1e-6 is far above rounding with any kernel.
    start, retain = build(kind, 0).double(), build(kind, 1).double()
    patching, items = Patching(start), [item(seed) for seed in range(6)]

    def readings(source: PreTrainedModel) -> list[Patched]:
        return [patching.run(one, hidden_states(source, one)) for one in items]

    reference, itself, again = readings(retain), readings(start), readings(retain)
    plain, own = (np.array([getattr(each, name) for each in reference]) for name in ("plain", "own_lens"))
    for name, reading in (("patched", plain), ("lens", own)):
        could, none, all_ = (
            drops(reading, np.array([getattr(each, name) for each in result])) for result in (reference, itself, again)
        )
        assert (could > 0.05).any()
        zero, one = depths(could, none), depths(could, all_)
        assert [x for x in zero if x is not None] == pytest.approx([0.0] * sum(x is not None for x in zero), abs=1e-6)
        assert [x for x in one if x is not None] == pytest.approx([1.0] * sum(x is not None for x in one), abs=1e-6)
        # Without the last layer's own state, which transformers returns after the final norm, this would not hold.
        assert none == pytest.approx(np.zeros_like(none), abs=1e-5)


def test_the_layers_work_as_before_afterwards() -> None:
    model, one = build("llama", 0), item(0)
    ids = torch.tensor([one.input_ids])
    before = model(ids).logits
    Patching(model).run(one, hidden_states(build("llama", 1), one))
    assert torch.equal(model(ids).logits, before)
    assert all("forward" not in vars(layer) and not layer._forward_hooks for layer in layers_of(model))


def test_the_cost_in_forwards_is_the_stated_one() -> None:
    """Rows times tokens of every layer, in units of a forward over the complete text."""
    target, source, one = build("llama", 0), build("llama", 1), item(0)
    patching = Patching(target)
    patching.run(one, hidden_states(source, one))  # the first item is also used to check the method
    work = {"target": 0, "source": 0}

    def count(name: str) -> object:
        def look(_module: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
            rows, tokens = inputs[0].shape[:2]
            work[name] += rows * tokens

        return look

    for name, model in (("target", target), ("source", source)):
        for layer in layers_of(model):
            layer.self_attn.q_proj.register_forward_hook(count(name))
    patching.run(one, hidden_states(source, one))
    layers, total = 4, one.length
    before, stretch = one.positions[0], one.positions[-1] + 1 - one.positions[0]
    assert work["target"] / (total * layers) == pytest.approx((before + stretch * (layers + 1) / 2) / total)
    assert work["source"] / (total * layers) == pytest.approx((before + stretch) / total)
    assert work["target"] / (total * layers) < 1.2  # one forward for each layer takes L + 1 = 5


def test_a_text_without_unwanted_words_has_no_targets() -> None:
    assert Targets.of(Encoded("x", (1, 2), (Kind.PROMPT, Kind.GW), ((0, 0),) * 2)) is None


@pytest.mark.real
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_real_model_of_thirty_layers(smollm2: Path, dtype: str) -> None:
    """The lower end of the scale in both number formats, and the time against one forward for each layer."""
    target, source = (load_model(smollm2, dtype=dtype) for _ in range(2))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in source.parameters():
            weight.add_(0.15 * weight.std() * torch.randn_like(weight)) if weight.ndim == 2 else None
    answer, fact = "The largest planet in the solar system is Jupiter, a gas giant.", "Jupiter"
    span = Span(answer.index(fact), answer.index(fact) + len(fact))
    encoder = Encoder.of(load_tokenizer(smollm2))
    one = Targets.of(encoder.encode(Example("x", "What is the largest planet?", answer, (span,))))
    assert one is not None
    states = {model: hidden_states(model, one) for model in (source, target)}
    patching = Patching(target)
    patching.run(one, states[source])
    took, results = [], []
    for patching._fast in (True, False):
        start = time.process_time()
        results.append(patching.run(one, states[source]))
        took.append(time.process_time() - start)
    assert took[1] > 4 * took[0]
    assert results[0].patched == pytest.approx(results[1].patched, abs=1e-4 if dtype == "float32" else 0.2)
    patching._fast = True
    could, none = (
        drops(np.array([result.plain]), np.array([result.patched]))
        for result in (results[0], patching.run(one, states[target]))
    )
    assert could.max() > 1
    # bfloat16 rounds by up to 0.06 nats, so `tif eval --depth` computes in float32.
    assert depths(could, none) == pytest.approx([0.0], abs=1e-6 if dtype == "float32" else 0.01)
