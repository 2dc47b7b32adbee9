"""One forward over a packed row -> what every objective and every score is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tif.tokens.packing import Packed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per supervised token, in the order of `Packed.target`; all [n], in float32."""

    logit: Tensor
    """The target token's raw logit, after soft-capping where the model has it. Differentiable."""
    logprob: Tensor
    """The target token's log-probability in nats. Differentiable."""
    mean: Tensor | None = None
    """Expectation, under the model, of the log-probability of the next token (minus the entropy)."""
    variance: Tensor | None = None
    """Its variance."""
    top1: Tensor | None = None
    """bool: whether the target is the most probable token."""


def logits(model: PreTrainedModel, packed: Packed) -> Tensor:
    """[n, V] float32 logits at the supervised positions, through the model's own head.

    The cache is switched off: with it transformers builds no packed mask, and examples silently see each other.
    """
    output = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        logits_to_keep=packed.keep,
        use_cache=False,
    )
    return output.logits.float()  # type: ignore[no-any-return]


def statistics(model: PreTrainedModel, packed: Packed, *, moments: bool = False) -> Statistics:
    """The target's logit and log-probability at each supervised token, by one forward.

    Args:
        model: a causal language model on the device of `packed`.
        packed: from `pack`.
        moments: also mean and variance of the log-probability under the model (for min-k%++) and the top-1 hit, which
            are not differentiable.
    """
    return statistics_of(logits(model, packed), packed.target, moments=moments)


def statistics_of(z: Tensor, target: Tensor, *, moments: bool = False) -> Statistics:
    """The same from [n, V] float32 logits and the [n] tokens they should have predicted."""
    logit = z.gather(1, target[:, None])[:, 0]
    logprob = logit - torch.logsumexp(z, dim=1)
    if not moments:
        return Statistics(logit, logprob)
    with torch.no_grad():
        lp = torch.log_softmax(z, dim=1)
        p = lp.exp()
        # A probability of zero has log-probability -inf; it adds nothing.
        first = torch.where(p > 0, p * lp, 0.0).sum(1)
        second = torch.where(p > 0, p * (lp - first[:, None]) ** 2, 0.0).sum(1)
        top1 = z.argmax(1) == target
    return Statistics(logit, logprob, first, second, top1)


__all__ = ["Statistics", "logits", "statistics", "statistics_of"]
