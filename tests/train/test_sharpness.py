"""Sharpness-aware forgetting: the gradient by hand, and what a run does with it."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tif.train.run import train
from tif.train.sharpness import with_gradient, worst_gradient


def test_the_gradient_is_taken_at_the_worst_point():
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    matrix = root @ root.T
    start = torch.randn(5, generator=generator, dtype=torch.float64)
    a, b = start[:2].clone().requires_grad_(), start[2:].clone().requires_grad_()

    def loss():
        w = torch.cat([a, b])
        return w @ matrix @ w / 2

    gradients = worst_gradient(loss, [a, b], 0.3)
    g = matrix @ start
    expected = matrix @ (start + 0.3 * g / g.norm())
    # The norm is in float32, as for weights of any type.
    torch.testing.assert_close(torch.cat(gradients), expected, rtol=1e-6, atol=0)
    assert torch.equal(torch.cat([a, b]).detach(), start)
    zero = with_gradient([a, b], gradients)
    zero.backward()
    assert zero.item() == 0
    assert torch.equal(torch.cat([a.grad, b.grad]), torch.cat(gradients))


def test_a_flat_loss_and_an_unused_weight_have_no_gradient():
    w, unused = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    gradients = worst_gradient(lambda: (w * 0).sum(), [w, unused], 0.1)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients)


def test_the_weights_come_back_if_the_loss_fails():
    w, calls = torch.ones(3, requires_grad=True), []

    def loss():
        calls.append(w.detach().clone())
        if len(calls) == 2:
            raise RuntimeError("full")
        return (w**2).sum()

    with pytest.raises(RuntimeError, match="full"):
        worst_gradient(loss, [w], 0.5)
    assert torch.equal(w.detach(), torch.ones(3))
    assert (calls[1] - calls[0]).norm().item() == pytest.approx(0.5, rel=1e-6)


PLAIN = {
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "max_grad_norm": 0.0,
    "lr": 0.1,
    "max_steps": 1,
    "scheduler": "constant",
}


def weights(result):
    return load_file(result.model / "model.safetensors")


@pytest.mark.parametrize(
    "extra",
    [{}, {"accumulate": 2}, {"lora": 2}, {"freeze": ["embeddings"]}, {"gradient_checkpointing": True}],
    ids=["plain", "accumulated", "lora", "frozen", "checkpointed"],
)
def test_with_a_radius_of_almost_nothing_a_step_is_the_usual_one(workshop, extra):
    usual = train(workshop.config("usual", **PLAIN, **extra))
    near = train(workshop.config("near", **PLAIN, **extra, sharpness=1e-9))
    far = train(workshop.config("far", **PLAIN, **extra, sharpness=0.5))
    start = load_file(workshop.model / "model.safetensors")
    a, b, c = map(weights, (usual, near, far))
    moved = sum(float((a[key] - start[key]).norm()) for key in a)
    assert sum(float((a[key] - b[key]).norm()) for key in a) < 1e-3 * moved
    # With adapters, the first step moves one factor from 0, and the other has no gradient yet.
    assert sum(float((a[key] - c[key]).norm()) for key in a) > 1e-3 * moved
    # The log has the loss at the weights themselves.
    assert usual.history[0]["loss"] == near.history[0]["loss"] == far.history[0]["loss"]


def test_a_step_goes_by_the_gradient_at_the_worst_point(workshop):
    """By three runs of one step. Gradient ascent reads no reference, so its gradient does not depend on the start."""
    radius, rate = 0.2, PLAIN["lr"]
    alone = PLAIN | {"objective": "ga", "scope": "uw", "beta": None, "retain": None, "batch_size": 6}
    start = load_file(workshop.model / "model.safetensors")
    usual = weights(train(workshop.config("usual", **alone)))
    g = {key: (start[key] - usual[key]) / rate for key in start}
    norm = sum(float(each.norm()) ** 2 for each in g.values()) ** 0.5
    worst = shutil.copytree(workshop.model, workshop.root / "worst")
    at = {key: start[key] + radius * g[key] / norm for key in start}
    save_file(at, worst / "model.safetensors", metadata={"format": "pt"})
    from_there = weights(train(workshop.config("there", **alone, model=str(worst))))
    sharp = weights(train(workshop.config("sharp", **alone, sharpness=radius)))
    for key in start:
        torch.testing.assert_close(sharp[key] - start[key], from_there[key] - at[key], rtol=1e-2, atol=2e-5)
    apart = sum(float((sharp[key] - usual[key]).norm()) ** 2 for key in start) ** 0.5
    assert apart > 0.02 * rate * norm


def test_steps_that_settle_have_no_forget_term_to_sharpen(workshop):
    result = train(workshop.config("run", settle="2", max_steps=4, sharpness=0.05))
    assert ["lpl" in record for record in result.history if "loss" in record] == [True, True, False, False]
