"""Memorization and membership inference against their definitions written out over full distributions."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.measure import memorization, privacy
from tif.eval.measure.score import Scored, score
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Template, encode


def scored_with(hits: list[bool]) -> Scored:
    n = len(hits) + 1
    ints, floats = np.zeros(n, np.int32), np.zeros(n, np.float32)
    start = np.r_[np.arange(n - 1), -1].astype(np.int32)
    rank = np.r_[[0 if hit else 3 for hit in hits], 7].astype(np.int32)
    return Scored("x", ints, start, start + 1, np.ones(n, np.int8), floats, floats, floats, rank)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_memorization_is_its_definition(hits: list[bool]) -> None:
    scored, n = scored_with(hits), len(hits)
    assert memorization.exact_memorization(scored) == pytest.approx(sum(hits) / n)
    for k in range(n):  # open-unlearning's loop, letter by letter
        if all(hits[k:]):
            break
    assert memorization.extraction_strength(scored) == pytest.approx(1 - k / n)
    whole = next(k for k in range(n + 1) if all(hits[k:]))
    assert memorization.extraction_strength(scored, floor=False) == pytest.approx(1 - whole / n)


def test_nothing_to_memorize_is_not_a_number() -> None:
    assert math.isnan(memorization.exact_memorization(scored_with([])))
    assert math.isnan(memorization.extraction_strength(scored_with([])))


@pytest.mark.parametrize("plain", [False, True])
def test_attacks_are_their_definitions(tiny: Tiny, plain: bool) -> None:
    template, row = Template.of(tiny.tokenizer), make_row(1)
    example = Example("x", "" if plain else row.question, row.answer)
    (scored,) = score(tiny.model, Encoder(tiny.tokenizer, template), [example])
    encoded = encode(example, tiny.tokenizer, template)
    with torch.no_grad():
        lp = tiny.model(torch.tensor([encoded.input_ids])).logits[0].double().log_softmax(-1)
    at = [t for t, (k, o) in enumerate(zip(encoded.kinds, encoded.offsets, strict=True)) if k and o[0] >= 0]
    chosen = [float(lp[t - 1, encoded.input_ids[t]]) for t in at]
    normal = []
    for t, value in zip(at, chosen, strict=True):
        mean = float((lp[t - 1].exp() * lp[t - 1]).sum())
        square = float((lp[t - 1].exp() * lp[t - 1].square()).sum())
        normal.append((value - mean) / math.sqrt(max(square - mean**2, 1e-6)))
    k = max(1, int(0.4 * len(at)))
    expected = {
        "loss": -sum(chosen) / len(chosen),
        "zlib": -sum(chosen) / len(chosen) / len(zlib.compress(row.answer.encode())),
        "min_k": -sum(sorted(chosen)[:k]) / k,
        "min_k_plus_plus": -sum(sorted(normal)[:k]) / k,
    }
    found = privacy.attacks([scored], [row.answer])
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=2e-4), name


def test_reference_attack(tiny: Tiny) -> None:
    template, texts = Template.of(tiny.tokenizer), make_row(1).texts()[:1]
    other = make_llama(len(tiny.tokenizer), 9)
    (a,), (b,) = (score(m, Encoder(tiny.tokenizer, template), texts) for m in (tiny.model, other))
    assert privacy.reference(a, b) == pytest.approx(privacy.loss(a) - privacy.loss(b))
    assert privacy.reference(a, a) == 0


def test_gradnorm_is_that_of_the_mean_loss(tiny: Tiny) -> None:
    template, example = Template.of(tiny.tokenizer), make_row(1).texts()[0]
    encoded = encode(example, tiny.tokenizer, template)
    model = make_llama(len(tiny.tokenizer), 4)
    found = privacy.gradnorm(model, Encoder(tiny.tokenizer, template), example)
    assert all(p.grad is None for p in model.parameters())
    labels = [
        i if k and o[0] >= 0 else -100
        for i, k, o in zip(encoded.input_ids, encoded.kinds, encoded.offsets, strict=True)
    ]
    model(input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([labels])).loss.backward()
    norms = [float(p.grad.norm()) for p in model.parameters()]
    assert found == pytest.approx(sum(norms) / len(norms), rel=1e-4)


def test_auc_counts_pairs() -> None:
    forget, holdout = [0.1, 0.4, 0.4, 0.9], [0.4, 0.8, 1.2]
    wins = [(h > f) + 0.5 * (h == f) for f in forget for h in holdout]
    assert privacy.auc(forget, holdout) == pytest.approx(sum(wins) / len(wins))


def test_privleak() -> None:
    assert privacy.privleak(0.5) == 0
    assert privacy.privleak(1.0) == -100
    assert privacy.privleak(0.2, 0.6) == pytest.approx(100 * (0.8 - 0.4) / 0.4)


@given(st.integers(0, 40), st.integers(2, 60), st.integers(2, 60))
def test_the_interval_of_an_auc_ends_where_hanley_and_mcneil_have_1_96_standard_errors(
    step: int, members: int, others: int
) -> None:
    area = step / 40
    low, high = privacy.auc_interval(area, members, others)
    assert 0 <= low <= area <= high <= 1
    assert low < high, "an AUC of few texts is never certain, not even at 0 and 1"
    more = (members + others) / 2 - 1
    for end in (low, high):
        if end in (0.0, 1.0):
            assert end == area
            continue
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        variance = (end * (1 - end) + more * (q1 - end**2) + more * (q2 - end**2)) / (members * others)
        assert abs(area - end) == pytest.approx(1.96 * math.sqrt(variance), rel=1e-6, abs=1e-9)
    mirrored = privacy.auc_interval(1 - area, others, members)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_the_interval_of_an_auc_covers_it() -> None:
    """Normal scores one standard deviation apart: the true AUC is in about 95 of 100 intervals."""
    rng, true, covered = np.random.default_rng(0), 0.5 * (1 + math.erf(0.5)), 0
    for _ in range(400):
        area = privacy.auc(rng.normal(0, 1, 30), rng.normal(1, 1, 30))
        assert area is not None
        low, high = privacy.auc_interval(area, 30, 30)
        covered += low <= true <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_interval_of_an_auc_needs_texts() -> None:
    with pytest.raises(ValueError, match="needs texts on both sides"):
        privacy.auc_interval(0.5, 0, 3)
