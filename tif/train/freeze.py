"""Which weights stay as they are: embeddings, the output layer, and decoder layers by their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tif.errors import UsageError
from tif.options import Written

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_LAYERS = re.compile(r"layers:(\d+)(?:-(\d*))?")


@dataclass(frozen=True, slots=True)
class Freeze(Written):
    """A part of the model that is not trained. `Freeze.of` reads one."""

    part: Literal["embeddings", "head", "layers"]
    first: int = 0
    last: int | None = None
    """The last of the layers; None for the model's last."""

    @classmethod
    def of(cls, text: str) -> Freeze:
        """`embeddings`, `head`, `layers:0-11`, `layers:12-` for all from the twelfth on, or `layers:7`.

        Raises:
            UsageError: for anything else, and for layers in falling order.
        """
        if text == "embeddings" or text == "head":
            return cls(text)  # type: ignore[arg-type]  # one of the two, by the test above
        match = _LAYERS.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} is no part of a model",
                hint="Use embeddings, head, or layers by number from 0: layers:0-11, layers:12- or layers:7.",
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2]) if match[2] else None
        if last is not None and last < first:
            raise UsageError(f"{text!r} names no layer", hint=f"Give the lower number first: layers:{last}-{first}.")
        return cls("layers", first, last)

    def __str__(self) -> str:
        if self.part != "layers":
            return self.part
        if self.last == self.first:
            return f"layers:{self.first}"
        return f"layers:{self.first}-{'' if self.last is None else self.last}"


def freeze(model: PreTrainedModel, parts: Sequence[Freeze]) -> None:
    """Switch off the gradient of these parts.

    Raises:
        UsageError: for layers that the model does not have, and if no weight is left to train.
    """
    for part in parts:
        for module in _modules(model, part):
            module.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise UsageError(
            "leaves no weight to train", where="--freeze", hint="Freeze fewer parts: the rest of the model is trained."
        )


def trained_weights(model: PreTrainedModel) -> tuple[int, int]:
    """How many numbers are trained, and how many the model has. Tied weights count once."""
    return (
        sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        sum(weight.numel() for weight in model.parameters()),
    )


def _modules(model: PreTrainedModel, part: Freeze) -> Sequence[nn.Module]:
    from tif.tokens.layers import layers_of

    if part.part == "embeddings":
        return [model.get_input_embeddings()]
    if part.part == "head":
        return [model.get_output_embeddings()]
    layers = layers_of(model)
    last = len(layers) - 1 if part.last is None else part.last
    if max(part.first, last) >= len(layers):
        raise UsageError(
            f"is {part}, but the model has {len(layers)} layers",
            where="--freeze",
            hint=f"Layers count from 0: the last is {len(layers) - 1}.",
        )
    return list(layers)[part.first : last + 1]


__all__ = ["Freeze", "freeze", "trained_weights"]
