from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.tokens import tiny
from tif.errors import TifError, UsageError
from tif.tokens import forward
from tif.tokens.forward import outputs, statistics, statistics_of
from tif.tokens.masks import Encoded, Kind, Template, encode
from tif.tokens.packing import pack
from tif.tokens.windows import windows
from tif.train.reference import check_packing, score


@pytest.fixture(scope="module")
def items() -> list[Encoded]:
    tokenizer = tiny.byte_level()
    return [encode(e, tokenizer, Template.of(tokenizer)) for e in tiny.examples()]


@pytest.mark.parametrize("build", [tiny.llama, lambda v: tiny.llama(v, tied=True), tiny.gemma2])
def test_statistics_are_those_of_full_logits(build, items: list[Encoded]) -> None:
    model = build(400)
    packed = pack(items)
    with torch.no_grad():
        said = statistics(model, packed)
    for b, item in enumerate(items):
        with torch.no_grad():
            z = model(torch.tensor([item.input_ids]), use_cache=False).logits[0].double()
        lp = z.log_softmax(-1)
        for n in (packed.row == b).nonzero()[:, 0]:
            t, y = int(packed.position[n]) - 1, int(packed.target[n])
            assert item.input_ids[t + 1] == y
            assert said.logit[n].item() == pytest.approx(z[t, y].item(), abs=1e-4)
            assert said.logprob[n].item() == pytest.approx(lp[t, y].item(), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_logits_at_kept_positions_are_those_of_the_full_forward(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every transformers: 5.21 and newer take a mask of rows, older versions a mask of columns."""
    model = tiny.llama(400)
    torch.manual_seed(0)
    ids, keep = torch.randint(400, (rows, 9)), torch.rand(rows, 9) < 0.4
    positions = torch.arange(9).expand(rows, 9)
    with torch.no_grad():
        expected = model(ids, use_cache=False).logits[keep]
        torch.testing.assert_close(outputs(model, ids, positions, keep).logits, expected)
        monkeypatch.setattr(forward, "_MASK_OF_ROWS", False)
        torch.testing.assert_close(outputs(model, ids, positions, keep).logits, expected)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (0.7, -1.3)], ids=["logit", "logprob", "both"])
def test_gradients_are_those_of_the_formula(weights: tuple[float, float]) -> None:
    torch.manual_seed(0)
    z, y = (6 * torch.randn(9, 50)).requires_grad_(), torch.randint(50, (9,))
    with torch.no_grad():
        z[0, y[0]] += 60
        z[1, y[1]] -= 200
    exact = z.detach().double().requires_grad_()
    # Unlike upstream gradients for each token, as an objective's weights are.
    each = torch.linspace(-2, 3, 9)
    said = statistics_of(z, y)
    (each * (weights[0] * said.logit + weights[1] * said.logprob)).sum().backward(retain_graph=True)
    logit = exact.gather(1, y[:, None])[:, 0]
    (each.double() * (weights[0] * logit + weights[1] * (logit - exact.logsumexp(1)))).sum().backward()
    torch.testing.assert_close(z.grad.double(), exact.grad, atol=1e-5, rtol=1e-5)
    # What was saved has been written over: a second time is refused, not wrong.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        said.logprob.sum().backward()


def test_no_token_is_read_that_nothing_is_predicted_from(items: list[Encoded]) -> None:
    mute = Encoded("mute", (5, 6, 7), (Kind.PROMPT,) * 3, ((-1, -1),) * 3)
    packed, whole = pack([*items, mute]), pack([*items, mute], complete=True)
    assert whole.input_ids.numel() == sum(map(len, items)) + 3
    assert packed.input_ids.numel() == sum(int(packed.position[packed.row == b].max()) for b in range(len(items)))
    assert torch.equal(packed.target, whole.target)
    z, z_whole = (forward.logits(tiny.llama(400), p) for p in (packed, whole))
    torch.testing.assert_close(z, z_whole, atol=1e-5, rtol=1e-5)
    alone = pack([mute])
    assert alone.input_ids.tolist() == [[5]]
    assert statistics(tiny.llama(400), alone).logprob.shape == (0,)


@pytest.mark.parametrize("name", ["llama", "tied", "soft-capped", "checkpointed", "adapter"])
def test_logits_by_pieces_are_the_whole_ones(name: str, items: list[Encoded], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.gemma2(400) if name == "soft-capped" else tiny.llama(400, tied=name == "tied")
    if name == "checkpointed":
        model.gradient_checkpointing_enable()
    if name == "adapter":
        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    model.train()
    packed = pack(items)
    largest: list[int] = []
    honest = forward.statistics_of
    monkeypatch.setattr(
        forward, "statistics_of", lambda z, y, **how: (largest.append(z.numel()), honest(z, y, **how))[1]
    )

    def run() -> tuple[torch.Tensor, list[torch.Tensor | None]]:
        largest.clear()
        model.zero_grad()
        said = statistics(model, packed)
        (said.logit.square().mean() - said.logprob.mean()).backward()
        return torch.stack([said.logit, said.logprob]).detach(), [w.grad for w in model.parameters()]

    expected, gradients = run()
    assert largest == [len(packed.target) * 400]
    monkeypatch.setattr(forward, "AT_ONCE", 0)
    monkeypatch.setattr(forward, "PIECE", 7 * 400)
    said, found = run()
    # What comes behind the head, as soft-capping does, must not be left out: then the logits stay whole.
    assert max(largest) == (len(packed.target) if name == "soft-capped" else 7) * 400
    torch.testing.assert_close(said, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(found, gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert model.training


def test_a_key_value_cache_lets_packed_examples_see_each_other(items: list[Encoded]) -> None:
    model = tiny.llama(400)
    packed = pack(items[:2])
    alone = statistics(model, pack(items[1:2])).logprob
    here = packed.row == 1
    torch.testing.assert_close(statistics(model, packed).logprob[here], alone, atol=1e-5, rtol=0)
    keep = packed.keep[0]
    z = model(packed.input_ids, position_ids=packed.position_ids, logits_to_keep=keep, use_cache=True).logits[0]
    leaked = z.log_softmax(-1).gather(1, packed.target[:, None])[here, 0]
    assert (leaked - alone).abs().max() > 1e-2


def test_a_model_that_leaks_is_refused(items: list[Encoded]) -> None:
    model = tiny.llama(400)
    check_packing(model, items)
    forward = model.forward
    model.forward = lambda **inputs: forward(**{**inputs, "use_cache": True})
    with pytest.raises(TifError, match="does not keep packed examples apart"):
        check_packing(model, items)


def test_scores_do_not_depend_on_how_rows_are_packed(items: list[Encoded]) -> None:
    model = tiny.llama(400)
    for budget in (1, 60, 4096):
        for got, item in zip(score(model, items, budget=budget), items, strict=True):
            with torch.no_grad():
                alone = statistics(model, pack([item]))
            torch.testing.assert_close(got, torch.stack([alone.logit, alone.logprob], 1), atol=1e-5, rtol=0)


def test_an_example_that_supervises_nothing_is_harmless() -> None:
    model = tiny.llama(400)
    nothing = Encoded("x", (5, 6), (Kind.PROMPT, Kind.PROMPT), ((-1, -1), (-1, -1)))
    assert score(model, [nothing])[0].shape == (0, 2)


@pytest.mark.parametrize("size", [2, 7, 64])
def test_windows_supervise_every_token_once_and_carry_spans_across(size: int) -> None:
    tokenizer = tiny.metaspace()
    person = tiny.examples()[3]
    whole = encode(type(person)("x", "", person.text, person.spans), tokenizer, Template.of(tokenizer))
    pieces = windows(whole, size)
    assert all(len(piece) <= size for piece in pieces)
    supervised = [
        (i, k, o)
        for piece in pieces
        for i, k, o in zip(piece.input_ids, piece.kinds, piece.offsets, strict=True)
        if k != Kind.PROMPT
    ]
    expected = list(zip(whole.input_ids, whole.kinds, whole.offsets, strict=True))[1:]
    assert supervised == expected
    with pytest.raises(UsageError):
        windows(whole, 1)
