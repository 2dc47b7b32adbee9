"""Samples against the model's exact distribution, and the same samples however they are batched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import MambaConfig, MambaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tests.eval.conftest import Tiny, make_gemma, make_llama, make_row
from tif.eval.measure import sample as sampling
from tif.eval.measure.sample import Sampling, draw, sample, stream
from tif.tokens.generate import ask
from tif.tokens.masks import Template

LETTERS = ("</s>", "a", "b", "c")


def toy_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(LETTERS)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>")


def make_mamba(vocabulary: int) -> MambaForCausalLM:
    torch.manual_seed(4)
    config = MambaConfig(
        vocab_size=vocabulary, hidden_size=16, state_size=4, num_hidden_layers=1, eos_token_id=0, pad_token_id=0
    )
    return MambaForCausalLM(config).eval()


def toy(kind: str) -> PreTrainedModel:
    model = make_mamba(len(LETTERS)) if kind == "mamba" else make_llama(len(LETTERS), 5)
    model.generation_config.eos_token_id = 0
    return model


@torch.no_grad()
def distribution(model: PreTrainedModel, prompt: Sequence[int], tokens: int) -> dict[str, float]:
    """The probability of every text of at most so many letters, by enumeration."""
    chances: Counter[str] = Counter()
    for letters in product(range(len(LETTERS)), repeat=tokens):
        until = letters.index(0) + 1 if 0 in letters else tokens
        if any(letters[until:]):
            continue  # one representative of all that differ behind the end
        logits = model(torch.tensor([[*prompt, *letters]]), use_cache=False).logits[0].double()
        steps = logits.log_softmax(-1)[len(prompt) - 1 : len(prompt) - 1 + until]
        chance = float(steps.gather(1, torch.tensor(letters[:until])[:, None]).sum().exp())
        chances["".join(LETTERS[i] for i in letters[:until] if i)] += chance
    assert sum(chances.values()) == pytest.approx(1)
    return chances


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_samples_have_the_models_distribution(kind: str) -> None:
    """Two prompts of different length in one batch, all 40 texts of at most three letters, 6,000 samples of each."""
    model, tokenizer, prompts = toy(kind), toy_tokenizer(), [[1, 2, 3, 1], [2]]
    drawn = sample(model, tokenizer, prompts, Sampling(samples=6000, max_new_tokens=3), rows=12000)
    for prompt, texts in zip(prompts, drawn, strict=True):
        chances = distribution(model, prompt, 3)
        frequent = [text for text, chance in chances.items() if chance * len(texts) >= 5]
        counts = Counter(texts)
        assert set(counts) <= set(chances)
        seen = [counts[text] for text in frequent] + [len(texts) - sum(counts[text] for text in frequent)]
        expected = [chances[text] * len(texts) for text in frequent]
        expected.append(len(texts) - sum(expected))
        kept = slice(None) if expected[-1] > 1 else slice(-1)
        scale = sum(seen[kept]) / sum(expected[kept])
        assert len(frequent) > 10
        assert chisquare(seen[kept], [e * scale for e in expected[kept]]).pvalue > 0.001


def test_a_draw_inverts_the_distribution_function() -> None:
    logits = torch.tensor([0.5, 0.0, 0.25, 0.25]).log().expand(5, 4)
    noise = torch.tensor([0.0, 0.4999, 0.5, 0.7501, 1 - 1e-12], dtype=torch.float64)
    assert draw(logits, noise).tolist() == [0, 0, 2, 3, 3]


def test_rare_tokens_of_a_large_vocabulary_are_not_lost() -> None:
    """In float32, a sum near 1 cannot grow by 1e-9: the last half of the tokens would share a few numbers."""
    logits = torch.zeros(1, 200_000)
    noise = torch.tensor([0.999999], dtype=torch.float64)
    assert draw(logits, noise).item() == 199_999
    each = draw(logits.expand(400, -1), torch.arange(400, dtype=torch.float64) / 400)
    assert (each - torch.arange(400) * 500).abs().max() <= 1


def test_streams_are_uniform_independent_and_extend() -> None:
    short, long = Sampling(samples=9, max_new_tokens=4), Sampling(samples=99, max_new_tokens=400)
    assert stream([1, 2], 3, long)[:4].tolist() == stream([1, 2], 3, short).tolist()
    other = [stream([1, 2], 4, long), stream([2, 1], 3, long), stream([1, 2], 3, Sampling(
        samples=9, max_new_tokens=400, seed=1))]  # fmt: skip
    for noise in other:
        assert abs(np.corrcoef(noise, stream([1, 2], 3, long))[0, 1]) < 0.2
        assert kstest(noise, "uniform").pvalue > 0.001


@torch.no_grad()
def plainly(model: PreTrainedModel, tiny: Tiny, prompt: Sequence[int], index: int, how: Sampling) -> str:
    """One sample, without cache, padding or batch."""
    ids = list(prompt)
    for noise in stream(prompt, index, how):
        token = int(draw(model(torch.tensor([ids]), use_cache=False).logits[:, -1], torch.tensor([noise])))
        if token == 1 or token in how.ends:
            break
        ids.append(token)
    return str(tiny.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)).strip()


def prompts_of(tiny: Tiny, count: int = 5) -> list[tuple[int, ...]]:
    rows = [make_row(i).texts()[0] for i in range(count)]
    return list(ask(rows, tiny.tokenizer, Template.of(tiny.tokenizer)).prompts)


@pytest.mark.parametrize("kind", ["llama", "gemma with windows", "mamba"])
def test_as_plain_sampling_draws(tiny: Tiny, kind: str) -> None:
    makers = {"llama": make_llama, "gemma with windows": make_gemma, "mamba": make_mamba}
    model, prompts = makers[kind](len(tiny.tokenizer)), prompts_of(tiny)
    model.generation_config.eos_token_id = 1
    # Half of the vocabulary ends a sample, so some samples end at once, others later, some not at all.
    ends = frozenset(range(3, len(tiny.tokenizer), 11))
    how = Sampling(samples=3, max_new_tokens=21, ends=ends)
    expected = [[plainly(model, tiny, prompt, i, how) for i in range(3)] for prompt in prompts]
    assert sample(model, tiny.tokenizer, prompts, how, rows=7) == expected
    assert sample(model, tiny.tokenizer, prompts[:2], how, rows=1) == expected[:2]
    assert len({len(text) for texts in expected for text in texts}) > 5


def test_more_samples_continue_fewer(tiny: Tiny) -> None:
    prompts = prompts_of(tiny, 3)
    few, many = Sampling(samples=2, max_new_tokens=9), Sampling(samples=5, max_new_tokens=9)
    every = sample(tiny.model, tiny.tokenizer, prompts, many)
    assert sample(tiny.model, tiny.tokenizer, prompts, few) == [texts[:2] for texts in every]
    finished: dict[int, list[str]] = {}
    rest = sample(tiny.model, tiny.tokenizer, prompts, many, first=[2, 5, 0], finish=finished.__setitem__)
    assert rest == [every[0][2:], [], every[2]]
    assert finished == {0: every[0][2:], 2: every[2]}


def test_each_prompt_is_read_once(tiny: Tiny) -> None:
    prompts, read = prompts_of(tiny), 0

    def count(module: object, args: object, options: dict[str, torch.Tensor]) -> None:
        nonlocal read
        read += options["input_ids"].numel()

    hook = tiny.model.register_forward_pre_hook(count, with_kwargs=True)
    sample(tiny.model, tiny.tokenizer, prompts, Sampling(samples=16, max_new_tokens=2))
    hook.remove()
    assert read == len(prompts) * max(map(len, prompts)) + len(prompts) * 16


def test_batches_fit_into_the_memory(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = prompts_of(tiny)
    row = 2 * 2 * 32 * (max(map(len, prompts)) + 5) * 4
    monkeypatch.setattr(sampling, "MEMORY", 8 * row)
    how, sizes = Sampling(samples=4, max_new_tokens=5), []
    hook = tiny.model.register_forward_pre_hook(
        lambda module, args, options: sizes.append(len(options["input_ids"])), with_kwargs=True
    )
    sample(tiny.model, tiny.tokenizer, prompts, how)
    hook.remove()
    assert max(sizes) == 8


def test_a_batch_that_does_not_fit_is_halved(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, how = prompts_of(tiny), Sampling(samples=3, max_new_tokens=9)
    expected = sample(tiny.model, tiny.tokenizer, prompts, how)
    real, tried = sampling._draw_batch, []

    def fits(most: int) -> None:
        def draws(model, tokenizer, own, *rest):
            tried.append(len(own))
            if len(own) > most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return real(model, tokenizer, own, *rest)

        monkeypatch.setattr(sampling, "_draw_batch", draws)

    fits(1)
    finished: dict[int, list[str]] = {}
    assert sample(tiny.model, tiny.tokenizer, prompts, how, finish=finished.__setitem__) == expected
    assert finished == dict(enumerate(expected))
    assert tried == [5, 2, 1, 1, 3, 1, 2, 1, 1]
    fits(0)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sample(tiny.model, tiny.tokenizer, prompts[:1], how)
