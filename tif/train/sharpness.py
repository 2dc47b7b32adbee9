"""Sharpness-aware forgetting: the gradient of the forget term where a small step of the weights undoes most of it.

Foret et al., arXiv 2010.01412; for unlearning Fan et al., arXiv 2502.05374.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def worst_gradient(loss: Callable[[], Tensor], weights: Sequence[Tensor], radius: float) -> list[Tensor]:
    """The gradient of a loss at `w + radius * g / |g|`, g the gradient at the weights w and |g| its norm over all.

    Args:
        loss: computes the loss at the weights as they are.
        weights: what is trained. They are the same afterwards, to the bit.
        radius: in the units of the weights.
    """
    first = _gradient(loss(), weights)
    norm = torch.stack([torch.linalg.vector_norm(g.float()) for g in first]).norm()
    before = [weight.detach().clone() for weight in weights]
    try:
        for weight, gradient in zip(weights, first, strict=True):
            # Through `data`, autograd does not see that the weights move.
            weight.data.add_(gradient * (radius / (norm + 1e-12)).to(gradient))
        # Autocast keeps the weights in its own type, as they were.
        torch.clear_autocast_cache()
        return _gradient(loss(), weights)
    finally:
        for weight, old in zip(weights, before, strict=True):
            weight.data.copy_(old)
        torch.clear_autocast_cache()


def with_gradient(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """A scalar 0 whose gradient by the weights is the given one."""
    products = [(weight * gradient).sum() for weight, gradient in zip(weights, gradients, strict=True)]
    return torch.stack([product - product.detach() for product in products]).sum()


def _gradient(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(weights), allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


__all__ = ["with_gradient", "worst_gradient"]
