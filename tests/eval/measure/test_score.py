"""Scores against log-softmax of full logits, one text at a time, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.eval.conftest import Tiny, make_gemma, make_row
from tests.tokens.architectures import build
from tif.errors import InputError
from tif.eval.measure.score import _batches, _Row, from_table, score, table
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Kind, Template, encode


def brute_force(model, tokenizer, example, template):
    encoded = encode(example, tokenizer, template)
    logits = model(torch.tensor([encoded.input_ids])).logits[0].double().log_softmax(-1)
    found = {"logprob": [], "mean": [], "variance": [], "rank": [], "kind": [], "token": []}
    for t, (token, kind) in enumerate(zip(encoded.input_ids, encoded.kinds, strict=True)):
        if kind == Kind.PROMPT:
            continue
        lp = logits[t - 1]
        mean = (lp.exp() * lp).sum()
        found["logprob"].append(float(lp[token]))
        found["mean"].append(float(mean))
        found["variance"].append(float((lp.exp() * (lp - mean) ** 2).sum()))
        found["rank"].append(int((lp > lp[token]).sum()))
        found["kind"].append(int(kind))
        found["token"].append(token)
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "gemma", "eager"])
@pytest.mark.parametrize("budget", [64, 4096])
@torch.no_grad()
def test_scores_are_those_of_each_text_alone(tiny: Tiny, architecture: str, share: bool, budget: int) -> None:
    model = tiny.model if architecture == "llama" else make_gemma(len(tiny.tokenizer))
    if architecture == "eager":
        model.set_attn_implementation("eager")
    template = Template.of(tiny.tokenizer)
    texts = [text for i in range(5) for text in make_row(i).texts()]
    texts.insert(3, Example("plain/0", "", "Nothing is asked here, yet it is scored all the same."))
    found = score(model, Encoder(tiny.tokenizer, template), texts, share=share, budget=budget)
    assert [s.id for s in found] == [t.id for t in texts]
    for text, scored in zip(texts, found, strict=True):
        expected = brute_force(model, tiny.tokenizer, text, template)
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(scored, name), values, atol=2e-4, err_msg=f"{text.id} {name}")
        assert scored.start[-1] == -1  # the end token is scored, and is no part of the text


def test_answers_to_one_question_share_it(tiny: Tiny) -> None:
    template = Template.of(tiny.tokenizer)
    texts = make_row(0).texts()
    encoded = [encode(text, tiny.tokenizer, template) for text in texts]
    tree = _Row.of(range(len(texts)), encoded, [True] * len(texts))
    prompt = encoded[0].kinds.count(Kind.PROMPT)
    assert len(tree) == sum(map(len, encoded)) - (len(texts) - 1) * (prompt - 1)
    assert tree.keep.sum() == sum(len(e) - e.kinds.count(Kind.PROMPT) for e in encoded)


def test_unwanted_tokens_spell_the_span(tiny: Tiny) -> None:
    row = make_row(2)
    scored = score(tiny.model, Encoder.of(tiny.tokenizer), row.texts()[:1])[0]
    said = tiny.tokenizer.decode(scored.of(Kind.UW).token)
    assert said.strip() == row.answer[row.spans[0].start : row.spans[0].end]
    assert len(scored.of(Kind.UW)) + len(scored.of(Kind.GW)) == len(scored)
    assert len(scored.without_end()) == len(scored) - 1


def test_light_texts_have_the_same_log_probabilities_and_nothing_else(tiny: Tiny) -> None:
    texts, template = make_row(1).texts(), Template.of(tiny.tokenizer)
    whole = score(tiny.model, Encoder(tiny.tokenizer, template), texts)
    some = score(tiny.model, Encoder(tiny.tokenizer, template), texts, light={t.id for t in texts[1:]})
    for a, b in zip(whole, some, strict=True):
        np.testing.assert_array_equal(a.logprob, b.logprob)
    np.testing.assert_array_equal(whole[0].rank, some[0].rank)
    assert (some[1].rank == -1).all()
    assert np.isnan(some[1].mean).all()


def test_scores_survive_the_disk(tiny: Tiny) -> None:
    found = score(tiny.model, Encoder.of(tiny.tokenizer), make_row(1).texts())
    back = from_table(table(found))
    assert list(back) == [s.id for s in found]
    for scored in found:
        for name in ("token", "start", "end", "kind", "logprob", "mean", "variance", "rank"):
            np.testing.assert_array_equal(getattr(back[scored.id], name), getattr(scored, name))
    assert from_table(table([])) == {}


def test_batches_hold_every_row_once_within_the_budget(tiny: Tiny) -> None:
    template = Template.of(tiny.tokenizer)
    texts = [text for i in range(9) for text in make_row(i).texts()]
    encoded = [encode(text, tiny.tokenizer, template) for text in texts]
    rows = [_Row.of([i], encoded, [True] * len(texts)) for i in range(len(texts))]
    batches = list(_batches(rows, 128))
    assert sorted(m for batch in batches for row in batch for m in row.members) == list(range(len(texts)))
    assert all(max(map(len, batch)) * len(batch) <= 128 or len(batch) == 1 for batch in batches)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["mamba", "jamba", "lfm2", "bloom", "recurrent_gemma"])
def test_models_that_cannot_take_a_tree_are_asked_one_by_one(tiny: Tiny, kind: str, dtype: torch.dtype, capsys) -> None:
    """A branch would read the state of the branch before it, or the model takes no such mask."""
    window = {"attention_window_size": 512} if kind == "recurrent_gemma" else {}
    model = build(kind, len(tiny.tokenizer), **window).to(dtype)
    encoder = Encoder.of(tiny.tokenizer)
    texts = [text for i in range(3) for text in make_row(i).texts()]
    found = score(model, encoder, texts)
    assert "one by one" in " ".join(capsys.readouterr().err.split())
    for text, scored in zip(texts, found, strict=True):
        (alone,) = score(model, encoder, [text], share=False)
        np.testing.assert_allclose(scored.logprob, alone.logprob, atol=1e-4 if dtype == torch.float32 else 0.1)


def test_a_text_that_the_model_cannot_read_is_named(tiny: Tiny) -> None:
    texts = [make_row(0).texts()[0], Example("long", "", "word " * 40)]
    model = build("gpt2", len(tiny.tokenizer), max_position_embeddings=60)
    with pytest.raises(InputError, match=r"^record 'long': \d+ tokens are more than the model's 60 positions\. Leave"):
        score(model, Encoder.of(tiny.tokenizer), texts)
    with pytest.raises(InputError, match=r"^record .*the tokenizer gives token \d+, and .* embeddings for 100 tokens"):
        score(build("llama", 100), Encoder.of(tiny.tokenizer), texts)
