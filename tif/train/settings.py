"""The numbers that an objective's formula has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["all", "uw"]
"""Which tokens of an answer the forget term pushes: all of them, or unwanted words only."""
Space = Literal["logit", "logprob"]
Reduction = Literal["sample", "batch", "token"]
"""How the samples of a batch become one loss. `sample`: each sample's loss, then their mean. `batch`: TPO's sigmoid
once over the batch. `token`: means over all tokens of the batch, where a loss is a mean over tokens."""
Per = Literal["token", "phrase"]
"""What the anchored objective pushes down to its floor: each unwanted token, or each unbroken run of them."""
Preservation = Literal["sum", "mean"]
"""How the preservation loss adds up the general words of an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSettings:
    """Numbers of an objective. Each objective reads the ones that its formula has."""

    beta: float = 0.25
    gamma: float = 0.0
    """SimNPO: the margin. Anchored: the level that general words are held at, from the base model's (0) to the
    starting model's (1)."""
    beta2: float = 1.0
    """SatImp: the second exponent."""
    alpha: float = 100.0
    """RMU: the weight of keeping the activations of samples to keep."""
    skip_tokens: int = 0
    """CE-U: the first tokens of an answer, which it leaves alone."""
    scope: Scope = "uw"
    reduction: Reduction = "sample"
    space: Space = "logit"
    per: Per = "token"
    pl: Preservation = "sum"
    pl_weight: float = 1.0


__all__ = ["ObjectiveSettings", "Per", "Preservation", "Reduction", "Scope", "Space"]
