"""Depth: can the unwanted words still be read from a model's hidden layers?

It needs three models: the starting model, the retain model, and the unlearned model. A *reading* is the mean
log-probability of an example's unwanted tokens under the starting model, with a hidden state of one of the models at
one layer (`tif.eval.measure.patching`).

    D1_l = reading of the starting model - reading with the retain model's layer l     what the layer could lose
    D2_l = reading of the starting model - reading with the unlearned model's layer l  what it has lost
    KE   = the layers with D1_l > 0.05
    depth = sum over KE of min(max(D2_l, 0), D1_l) / sum over KE of D1_l

Depth is 0 for the starting model and 1 for the retain model. With activation patching, this is the Unlearning Depth
Score (UDS). With the logit lens, it is UDS's cheaper baseline. An example whose KE is empty has no depth.

Definitions: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tif.records import ModelIdentity

THRESHOLD: Final = 0.05
"""UDS's tau, in nats. With less, a layer's difference says nothing about the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDepth:
    """One way to read the layers, over all examples."""

    score: float | None
    """Mean depth over the examples that have one, 0..1; None if no example has one."""
    n: int
    """Number of these examples."""
    could_lose: tuple[float, ...]
    """Mean of D1 over all examples, by layer."""
    lost: tuple[float, ...]
    """Mean of D2 over all examples, by layer."""
    counted: tuple[int, ...]
    """Number of examples whose KE contains the layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How deep the forget set's unwanted words were removed."""

    examples: int
    """Number of examples with unwanted words."""
    layers: int
    patching: LayerDepth
    """Activation patching: the Unlearning Depth Score."""
    lens: LayerDepth
    """Logit lens."""
    starting_model: ModelIdentity
    retain_model: ModelIdentity
    threshold: float = THRESHOLD


def drops(reading: NDArray[np.float64], patched: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the patched readings are lower than the starting model's, `[n, L]`.

    Args:
        reading: the starting model's, `[n]` for patching or `[n, L]` for the lens.
        patched: `[n, L]`.
    """
    return np.asarray((reading[:, None] if reading.ndim == 1 else reading) - patched)


def depths(
    could_lose: NDArray[np.float64], lost: NDArray[np.float64], *, threshold: float = THRESHOLD
) -> list[float | None]:
    """Return each example's depth; None if no layer could lose more than the threshold.

    Args:
        could_lose: D1, `[n, L]`.
        lost: D2, `[n, L]`.
        threshold: in nats.
    """
    counted = could_lose > threshold
    weight = np.where(counted, could_lose, 0.0).sum(1)
    erased = np.where(counted, np.clip(lost, 0.0, np.maximum(could_lose, 0.0)), 0.0).sum(1)
    return [float(e / w) if w > 0 else None for e, w in zip(erased, weight, strict=True)]


def summarise(could_lose: NDArray[np.float64], lost: NDArray[np.float64], scores: Sequence[float | None]) -> LayerDepth:
    """Return the means over examples. `scores` are from `depths`."""
    known = [score for score in scores if score is not None]
    return LayerDepth(
        score=float(np.mean(known)) if known else None,
        n=len(known),
        could_lose=tuple(could_lose.mean(0).tolist()),
        lost=tuple(lost.mean(0).tolist()),
        counted=tuple((could_lose > THRESHOLD).sum(0).tolist()),
    )


__all__ = ["THRESHOLD", "Depth", "LayerDepth", "depths", "drops", "summarise"]
