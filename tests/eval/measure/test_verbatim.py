"""Verbatim probabilities against counting every continuation of a toy vocabulary."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.eval.conftest import Tiny, make_row
from tif.eval.measure.score import Scored, score
from tif.eval.measure.verbatim import Verbatim, verbatim
from tif.tokens.encoding import Encoder
from tif.tokens.generate import ask
from tif.tokens.masks import Template


def scored(logprobs: list[float], width: int = 1) -> Scored:
    n = len(logprobs)
    at = np.arange(n, dtype=np.int32) * width
    zeros = np.zeros(n, dtype=np.float32)
    return Scored(
        "x",
        token=at,
        start=at,
        end=at + width,
        kind=zeros.astype(np.int8),
        logprob=np.asarray(logprobs, dtype=np.float32),
        mean=zeros,
        variance=zeros,
        rank=zeros.astype(np.int32),
    )


def test_against_every_continuation() -> None:
    """Three words, any answer of four of them: the share of samples that begin with the right words is p_z."""
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], size=4)
    right = (2, 0, 1, 1)
    text = scored([float(np.log(chances[i, word])) for i, word in enumerate(right)])
    (second, last) = verbatim(text, [(1, 2), (2, 4)])
    begins = given = 0.0
    for words in product(range(3), repeat=4):
        chance = float(np.prod([chances[i, word] for i, word in enumerate(words)]))
        begins += chance * (words[:2] == right[:2])
        given += chance * (words[2:] == right[2:])
    assert np.exp(second.begins) == pytest.approx(begins)
    assert np.exp(last.given) == pytest.approx(given)
    assert np.exp(last.begins) == pytest.approx(np.prod([chances[i, word] for i, word in enumerate(right)]))


def test_of_a_model_that_scored_an_answer(tiny: Tiny) -> None:
    row = make_row(0)
    encoder = Encoder.of(tiny.tokenizer)
    example = row.texts()[0]
    (one,) = score(tiny.model, encoder, [example])
    (span,) = row.spans
    (found,) = verbatim(one, [(span.start, span.end)])
    prompt = ask([example], tiny.tokenizer, Template.of(tiny.tokenizer)).prompts[0]
    item = encoder.encode(example)
    inside = [i for i, (a, b) in enumerate(item.offsets) if a >= 0 and a < span.end and b > span.start]
    with torch.no_grad():
        logprobs = tiny.model(torch.tensor([item.input_ids])).logits[0].log_softmax(-1)
    each = {i: float(logprobs[i - 1, item.input_ids[i]]) for i in range(len(prompt), inside[-1] + 1)}
    assert found.begins == pytest.approx(sum(each.values()), rel=1e-4)
    assert found.given == pytest.approx(sum(each[i] for i in inside), rel=1e-4)


def test_over_questions() -> None:
    two = verbatim(scored([np.log(0.5), np.log(0.25)]), [(0, 1), (1, 2)])
    one = verbatim(scored([np.log(0.125)]), [(0, 1)])
    found = Verbatim.of([two, (), one])
    assert found is not None
    assert found.questions == 2
    assert found.samples_any == pytest.approx(np.exp(-np.mean(np.log([0.5, 0.125]))))
    assert found.samples_all == pytest.approx(8)
    assert [(k, share.mean) for k, share in found.at_least][:1] == [(1, pytest.approx((0.5 + 0.125) / 2))]
    assert found.cloze.mean == pytest.approx((0.5 + 0.125) / 2)
    assert Verbatim.of([(), ()]) is None


def test_expected_samples_by_type() -> None:
    one = verbatim(scored([np.log(0.5), np.log(0.25)]), [(0, 1), (1, 2)], ["PERSON", "DATE"])
    two = verbatim(scored([np.log(0.1), np.log(0.125)]), [(0, 1), (1, 2)], ["PERSON", "PERSON"])
    found = Verbatim.of([one, two])
    assert found is not None
    assert [(each.label, each.phrases) for each in found.by_type] == [("DATE", 1), ("PERSON", 3)]
    # Each phrase is given what comes before it: 1/0.25, and the median of 1/0.5, 1/0.1 and 1/0.125.
    assert [each.samples for each in found.by_type] == pytest.approx([4, 8])
    with pytest.raises(ValueError, match="zip"):
        verbatim(scored([-1.0]), [(0, 1)], [])


def test_a_span_that_was_cut_off_is_left_out() -> None:
    assert verbatim(scored([-1.0, -2.0]), [(5, 9)]) == ()
