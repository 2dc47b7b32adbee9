"""A model's decoder layers and their outputs, for objectives that steer activations and for measuring depth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tif.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def count_layers(model: PreTrainedModel) -> int:
    """Return the number of decoder layers. A multimodal model has them in the config of its text part."""
    return int(model.config.get_text_config().num_hidden_layers)


def layers_of(model: nn.Module) -> nn.ModuleList:
    """Return the decoder layers, in the order of the model's own `layers`.

    Args:
        model: a causal language model, or what wraps one.

    Raises:
        UsageError: for a model whose layers are not one list.
    """
    inner: Any = model
    while not hasattr(inner, "config"):
        inner = inner.module
    layers = count_layers(inner)
    # The decoder comes first: the vision part of a multimodal model may have as many layers.
    for part in (inner.get_decoder(), inner):
        for module in part.modules() if part is not None else ():
            if isinstance(module, nn.ModuleList) and len(module) == layers:
                return module
    raise UsageError(
        f"{type(inner).__name__} has no list of its {layers} layers",
        hint="Only --objective rmu and `tif eval --depth` need it. Leave them out.",
    )


def layer_of(model: nn.Module, index: int) -> nn.Module:
    """Return a decoder layer, counted from 0 as in the model's own `layers`.

    Args:
        model: a causal language model, or what wraps one.
        index: below the number of layers.

    Raises:
        UsageError: for a model whose layers are not one list.
    """
    return layers_of(model)[index]


def state_of(output: Any) -> Tensor:
    """Return the hidden state in a layer's output, which is the state itself or a tuple that begins with it."""
    return output[0] if isinstance(output, tuple) else output  # type: ignore[no-any-return]


def with_state(output: Any, state: Tensor) -> Any:
    """Return a layer's output with another hidden state, in the same form."""
    return (state, *output[1:]) if isinstance(output, tuple) else state


@contextmanager
def watching(model: nn.Module, index: int | None) -> Iterator[list[Tensor]]:
    """Yield a list that receives the output of a layer in each forward, [B, T, H].

    The last of the hidden states that transformers returns went through the final norm, and the layer's own did not.

    Args:
        model: a causal language model, or what wraps one.
        index: of the layer, from 0; None to watch nothing.
    """
    seen: list[Tensor] = []
    if index is None:
        yield seen
        return

    def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
        seen.append(state_of(output))

    handle = layer_of(model, index).register_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


__all__ = ["count_layers", "layer_of", "layers_of", "state_of", "watching", "with_state"]
