"""Greedy decoding against the plainest one there is: one prompt, no cache, the likeliest token, again."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from tests.eval.conftest import Tiny, make_gemma, make_llama, make_row
from tests.tokens.architectures import STATEFUL, build
from tif.errors import InputError
from tif.eval.measure import complete as completion
from tif.eval.measure.cache import make_roomy
from tif.eval.measure.complete import complete
from tif.tokens.generate import ask
from tif.tokens.masks import Template


@torch.no_grad()
def plainly(model: PreTrainedModel, tiny: Tiny, prompt: Sequence[int], tokens: int, ends: Sequence[int] = (1,)) -> str:
    ids = list(prompt)
    for _ in range(tokens):
        ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] in ends:
            ids.pop()
            break
    return str(tiny.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)).strip()


def prompts_of(tiny: Tiny, count: int = 7) -> list[list[int]]:
    asked = ask([make_row(i).texts()[0] for i in range(count)], tiny.tokenizer, Template.of(tiny.tokenizer))
    return [list(prompt) for prompt in asked.prompts]


@pytest.mark.parametrize("kind", ["llama", "gemma with windows"])
def test_as_plain_decoding_says(tiny: Tiny, kind: str) -> None:
    model = make_llama(len(tiny.tokenizer)) if kind == "llama" else make_gemma(len(tiny.tokenizer))
    prompts = prompts_of(tiny)
    assert complete(model, tiny.tokenizer, prompts, max_new_tokens=37, rows=3) == [
        plainly(model, tiny, prompt, 37) for prompt in prompts
    ]


@pytest.mark.parametrize("where", ["generation config", "template", "both"])
@pytest.mark.parametrize("rows", [2, 3, 64])
def test_rows_that_end_leave_the_batch(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, where: str, rows: int) -> None:
    """Ends are chosen among what the model really says, so that some rows end early, some late, some not at all."""
    model, prompts = make_llama(len(tiny.tokenizer), 3), prompts_of(tiny)
    prompts = [prompt[: len(prompt) - 2 * i] for i, prompt in enumerate(prompts)]
    with torch.no_grad():
        said = [model.generate(torch.tensor([p]), do_sample=False, max_new_tokens=40)[0, len(p) :] for p in prompts]
    ends = [1, int(said[0][2]), int(said[1][20])]
    model.generation_config.eos_token_id = {"generation config": ends, "template": None, "both": ends[0]}[where]
    of_template = {"generation config": [], "template": ends, "both": ends[1:]}[where]
    monkeypatch.setattr(completion, "STEP", 4)
    complete(model, tiny.tokenizer, prompts, max_new_tokens=1)  # the model is tried on padding once
    sizes: list[int] = []
    real = model.generate
    monkeypatch.setattr(model, "generate", lambda ids, **options: (sizes.append(len(ids)), real(ids, **options))[1])
    found = complete(model, tiny.tokenizer, prompts, max_new_tokens=40, ends=of_template, rows=rows)
    expected = [plainly(model, tiny, prompt, 40, ends) for prompt in prompts]
    assert found == expected
    assert sizes[0] == min(rows, len(prompts))
    assert sizes[-1] < sizes[0]
    # A batch stays full as long as prompts wait.
    steps = [1 + len(tiny.tokenizer.encode(text)) // 4 for text in expected]
    assert len(sizes) <= sum(steps) // rows + max(steps) + 1


@pytest.mark.parametrize(("prefix", "ends"), [(0, [330, 364]), (70, [106])])
def test_prompts_that_wait_join_a_batch_at_any_time(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, prefix: int, ends: list[int]
) -> None:
    """Prompts of one to sixty tokens, with and without a common beginning, in batches that are refilled at once."""
    model = make_llama(len(tiny.tokenizer), 4)
    words = tiny.tokenizer("Orla Venn of Tarsk is a glassblower, and Ivo Brandt-Kell a harbour pilot. " * 6)[
        "input_ids"
    ]
    lengths = [1, 60, 2, 33, 3, 47, 5, 21]
    prompts = [words[:prefix] + words[at : at + n] for at, n in enumerate(lengths, start=7)]
    monkeypatch.setattr(completion, "STEP", 3)
    joined: list[int] = []
    real = completion._Batch.join
    monkeypatch.setattr(
        completion._Batch, "join", lambda batch, other: (joined.append(len(other.index)), real(batch, other))[1]
    )
    for rows in (1, 2, 3, 4):
        found = complete(model, tiny.tokenizer, prompts, max_new_tokens=29, ends=ends, rows=rows)
        assert found == [plainly(model, tiny, prompt, 29, (1, *ends)) for prompt in prompts]
        assert rows > 1 or not joined
    assert joined


def test_a_cache_with_room_holds_what_a_plain_cache_holds(tiny: Tiny) -> None:
    model = make_llama(len(tiny.tokenizer))
    ids = torch.tensor([prompts_of(tiny, 1)[0][:12], prompts_of(tiny, 2)[1][:12], prompts_of(tiny, 3)[2][:12]])
    caches = []
    with torch.no_grad():
        for roomy in (False, True):
            cache = model(ids[:, :4], use_cache=True).past_key_values
            assert not roomy or make_roomy(cache)
            for at in range(4, 12):
                if at == 9:
                    cache.batch_select_indices(torch.tensor([0, 2]))
                    ids_now = ids[[0, 2]]
                elif at < 9:
                    ids_now = ids
                model(ids_now[:, at : at + 1], past_key_values=cache, use_cache=True)
            caches.append(cache)
    for plain, roomy in zip(*(cache.layers for cache in caches), strict=True):
        assert torch.equal(plain.keys, roomy.keys)
        assert torch.equal(plain.values, roomy.values)
        # The memory behind the states is not copied for each token.
        assert roomy.keys.untyped_storage().nbytes() > plain.keys.untyped_storage().nbytes()


@pytest.mark.parametrize("rows", [2, 64])
def test_a_common_beginning_is_read_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    beginning = tiny.tokenizer("Question: Who keeps the bees of Pell Bay?\nAnswer: Sunniva Okoro.\n\n" * 5)["input_ids"]
    prompts = [[*beginning, *prompt] for prompt in prompts_of(tiny, 5)]
    model, read = make_llama(len(tiny.tokenizer), 2), 0
    complete(model, tiny.tokenizer, prompts, max_new_tokens=1)  # the model is tried on padding once

    def count(module: object, args: object, options: dict[str, torch.Tensor]) -> None:
        nonlocal read
        read += options["input_ids"].numel()

    hook = model.register_forward_pre_hook(count, with_kwargs=True)
    found = complete(model, tiny.tokenizer, prompts, max_new_tokens=20, rows=rows)
    hook.remove()
    assert found == [plainly(model, tiny, prompt, 20) for prompt in prompts]
    assert len(beginning) >= completion.SHORTEST_PREFIX
    assert read < 2 * len(beginning) + sum(map(len, prompts_of(tiny, 5))) + 5 * 40


def test_stop_strings_end_an_answer(tiny: Tiny) -> None:
    model, prompts = make_llama(len(tiny.tokenizer), 2), prompts_of(tiny, 4)
    whole = complete(model, tiny.tokenizer, prompts, max_new_tokens=40)
    stops = (whole[0][5:7], whole[1][9:11])
    found = complete(model, tiny.tokenizer, prompts, max_new_tokens=40, stop=stops)
    for said, cut in zip(whole, found, strict=True):
        assert cut == said[: min([at for s in stops if (at := said.find(s)) >= 0], default=len(said))].strip()
    assert found != whole


@pytest.mark.parametrize("kind", STATEFUL + ("gpt_neo", "bloom"))
@pytest.mark.parametrize("beginning", [0, 70], ids=["apart", "shared"])
def test_models_with_a_state_answer_as_plain_decoding_says(tiny: Tiny, kind: str, beginning: int) -> None:
    """Each of them reads padding, or cannot share a beginning, or has a cache whose rows cannot leave."""
    if kind == "recurrent_gemma" and transformers.__version__.startswith("5.0."):
        pytest.skip("beyond its window, `generate` of this transformers version disagrees with its own forward")
    model = build(kind, len(tiny.tokenizer), eos_token_id=1)
    prompts = [[*range(9, 9 + beginning), *prompt] for prompt in prompts_of(tiny, 4)]
    prompts[1] = prompts[1][: beginning + 3]
    found = complete(model, tiny.tokenizer, prompts, max_new_tokens=20)
    assert found == [plainly(model, tiny, prompt, 20) for prompt in prompts]


@pytest.mark.parametrize("kind", ["gpt2", "opt"])
def test_an_answer_ends_with_the_last_position(tiny: Tiny, kind: str) -> None:
    model = build(kind, len(tiny.tokenizer), max_position_embeddings=48, eos_token_id=1)
    prompts = [[7 + i] * length for i, length in enumerate((48, 47, 30, 5))]
    ends = [plainly(model, tiny, prompt, 49 - len(prompt)) for prompt in prompts]
    assert complete(model, tiny.tokenizer, prompts, max_new_tokens=200) == ends
    few = complete(model, tiny.tokenizer, prompts, max_new_tokens=6)
    assert few[3] == plainly(model, tiny, prompts[3], 6)
    assert few[0] == ends[0]


@pytest.mark.parametrize(
    ("prompt", "what"),
    [([5] * 49, "49 tokens are more than the model's 48 positions"), ([5, 400], "gives token 400, and .* for 400")],
)
def test_a_prompt_that_cannot_be_read_is_told(tiny: Tiny, prompt: list[int], what: str) -> None:
    model = build("gpt2", 400, max_position_embeddings=48)
    with pytest.raises(InputError, match=f"^prompt 2: .*{what}"):
        complete(model, tiny.tokenizer, [[5, 6], prompt])


def test_padding_without_an_embedding_is_not_used(tiny: Tiny) -> None:
    """A padding token that somebody added to the tokenizer, and not to the model."""
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<added>"})
    assert tokenizer.pad_token_id == len(tiny.tokenizer)
    prompts = prompts_of(tiny, 3)
    found = complete(tiny.model, tokenizer, prompts, max_new_tokens=9)
    assert found == [plainly(tiny.model, tiny, prompt, 9) for prompt in prompts]
