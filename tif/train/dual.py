"""The weight of the retain term as a dual variable: it rises while the retain loss is above a bound, as PDU has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import TrainerCallback

FILE: Final = "dual.json"
"""The file of a checkpoint that holds the weight."""


def ascend(weight: float, retain_loss: float, *, bound: float, step: float) -> float:
    """One step of dual ascent, arXiv 2506.05314: `max(0, weight + step (retain_loss - bound))`."""
    return max(0.0, weight + step * (retain_loss - bound))


class DualWeight(TrainerCallback):  # type: ignore[misc]
    """The weight of the retain term, which `ascend` moves after every optimizer step.

    Args:
        weight: before the first step.
        bound: the retain loss, in nats, at which the weight stands still.
        step: how far the weight moves for each nat above the bound.
        add_up: adds a tensor up over all processes.
    """

    def __init__(self, weight: float, *, bound: float, step: float, add_up: Callable[[Tensor], Tensor]) -> None:
        self.weight, self.bound, self.step, self.add_up = weight, bound, step, add_up
        self._seen: Tensor | None = None

    def see(self, retain_loss: Tensor, samples: Tensor) -> None:
        """Note the retain loss of one micro-batch, a mean over its samples. The device is not waited for."""
        count = samples.to(retain_loss).detach()
        entry = torch.stack([retain_loss.detach() * count, count]).float()
        self._seen = entry if self._seen is None else self._seen + entry

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Move the weight by the mean retain loss of the step, over all its micro-batches and processes."""
        if self._seen is None:
            return
        total, count = self.add_up(self._seen).tolist()
        self._seen = None
        if count:
            self.weight = ascend(self.weight, total / count, bound=self.bound, step=self.step)

    def save(self, folder: Path) -> None:
        """Write the weight into a checkpoint."""
        (folder / FILE).write_text(json.dumps({"weight": self.weight}))

    def load(self, folder: Path) -> None:
        """Take the weight of a checkpoint."""
        self.weight = float(json.loads((folder / FILE).read_text())["weight"])


__all__ = ["DualWeight", "ascend"]
