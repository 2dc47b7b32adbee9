"""What follows the push: steps on retain samples alone, or the way back along the line to the starting weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tif.errors import UsageError
from tif.options import Written, counted
from tif.records import Settled

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from tif.train.data import ScoredExample

HALVINGS: Final = 12
"""Forwards over the forget set. They place the point on the line to 1/4096."""


@dataclass(frozen=True, slots=True)
class Settle(Written):
    """How a run settles. `Settle.of` reads it."""

    kind: Literal["line", "steps"]
    steps: int = 0
    """The last optimizer steps, which minimise the retain term alone."""

    @classmethod
    def of(cls, text: str) -> Settle:
        """`line`, or a number of steps.

        Raises:
            UsageError: for anything else.
        """
        if text == "line":
            return cls("line")
        steps = counted(text)
        if steps is None:
            raise UsageError(f"{text!r} is no way to settle", hint="Use 'line', or a number of steps such as 10.")
        return cls("steps", steps)

    def __str__(self) -> str:
        return "line" if self.kind == "line" else str(self.steps)


def bisect(probability: Callable[[float], float], level: float) -> float:
    """The point between 0 and 1 at which a falling function passes a level, from the side of 1; 1 if it never does.

    Args:
        probability: of unwanted phrases, at a fraction of the way from the starting to the final weights.
        level: the floor.

    Returns:
        A fraction at which the probability is at most `level`, or 1.
    """
    if probability(1.0) >= level:
        return 1.0
    above, below = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (above + below) / 2
        if probability(middle) > level:
            above = middle
        else:
            below = middle
    return below


def back_along_the_line(model: PreTrainedModel, start: dict[str, Tensor], samples: Sequence[ScoredExample]) -> Settled:
    """Move the weights back towards the start, to where the forget set's unwanted phrases are at their floor.

    Nothing but the training samples decides where. If they are above their floor, the weights stay as they are.

    Args:
        model: after the last step; changed in place. With adapters, its adapters are the way.
        start: the weights that are moved, before the first step.
        samples: the forget set as it was annotated, with floors.
    """
    import torch

    from tif.train.phrases import Level, level
    from tif.train.reference import score

    final = {name: weight.detach().clone() for name, weight in model.named_parameters() if name in start}
    items = [sample.item for sample in samples]
    floor = level(items, [sample.floor for sample in samples])

    def move(fraction: float) -> Level:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in start:
                    # lerp gives the end points to the bit.
                    weight.copy_(torch.lerp(start[name].to(weight), final[name], fraction))
        return level(items, [tokens[:, 1] for tokens in score(model, items, title=None)])

    training = model.training
    model.eval()
    fraction = bisect(lambda at: move(at).phrase, floor.phrase)
    there = move(fraction)
    model.train(training)
    return Settled(
        fraction=fraction,
        uw_probability=there.token,
        floor_probability=floor.token,
        phrase_probability=there.phrase,
        phrase_floor=floor.phrase,
    )


__all__ = ["HALVINGS", "Settle", "back_along_the_line", "bisect"]
