"""Key-value caches whose rows come and go while a batch is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

GROWTH: Final = 32
"""Tokens that a layer makes room for at once."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values with room for more tokens.

    transformers' own layer copies all earlier keys and values for every new token. This one writes into free memory,
    and copies only when the memory is full or was cut. Selected rows are copied once, with their room.
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values
        self._memory: tuple[Tensor, ...] = ()

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values, and return all."""
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if not self._has_room(end):
            states = (self.keys, self.values)
            self._memory = tuple(_with_room(each, end + GROWTH) for each in states)
            for memory, each in zip(self._memory, states, strict=True):
                memory[:, :, :start] = each
        keys, values = self._memory
        keys[:, :, start:end], values[:, :, start:end] = key_states, value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only these rows, or repeat them."""
        length = self.keys.shape[-2]
        if self._has_room(length):
            self._memory = tuple(memory.index_select(0, indices) for memory in self._memory)
        else:
            states = (self.keys, self.values)
            self._memory = tuple(_with_room(each, length + GROWTH, rows=len(indices)) for each in states)
            for memory, each in zip(self._memory, states, strict=True):
                # Indexing with a tensor is several times slower.
                torch.index_select(each, 0, indices, out=memory[:, :, :length])
        keys, values = self._memory
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]

    def _has_room(self, end: int) -> bool:
        """Return whether the states still are in the memory, at its beginning, and `end` tokens fit."""
        return bool(self._memory) and all(
            memory.data_ptr() == states.data_ptr() and len(memory) == len(states) and end <= memory.shape[-2]
            for memory, states in zip(self._memory, (self.keys, self.values), strict=True)
        )


def _with_room(states: Tensor, tokens: int, *, rows: int | None = None) -> Tensor:
    """Memory for states of so many tokens, with the same number of rows or another one."""
    _, heads, _, size = states.shape
    return states.new_empty(len(states) if rows is None else rows, heads, tokens, size)


def holds_rows(cache: Any) -> bool:
    """Return whether the cache has only keys and values, so that rows can leave. Other states have no rows."""
    known = (DynamicLayer, DynamicSlidingWindowLayer, RoomyLayer)
    return type(cache) is DynamicCache and all(type(layer) in known for layer in cache.layers)


def make_roomy(cache: Any) -> bool:
    """Give every layer room; return False for a cache without the keys and values of every token (sliding windows)."""
    if type(cache) is not DynamicCache or not all(type(a) in (DynamicLayer, RoomyLayer) for a in cache.layers):
        return False
    cache.layers = [layer if isinstance(layer, RoomyLayer) else RoomyLayer(layer) for layer in cache.layers]
    return True


def join(cache: DynamicCache, other: DynamicCache) -> None:
    """Append the rows of `other` to `cache`. Shorter rows get zeros before them, which a mask must hide."""
    for layer, more in zip(cache.layers, other.layers, strict=True):
        layer.keys = join_left_padded(layer.keys, more.keys, -2)
        layer.values = join_left_padded(layer.values, more.values, -2)


def trim(cache: DynamicCache, tokens: int) -> None:
    """Remove the first tokens of every row."""
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[:, :, tokens:], layer.values[:, :, tokens:]


def join_left_padded(a: Tensor, b: Tensor, dim: int, fill: float = 0) -> Tensor:
    """Return the rows of both tensors. The shorter ones are filled up before their beginning along `dim`."""
    length = max(a.shape[dim], b.shape[dim])
    return torch.cat([_filled(x, length, dim, fill) for x in (a, b)])


def _filled(x: Tensor, length: int, dim: int, fill: float) -> Tensor:
    if x.shape[dim] == length:
        return x
    shape: Sequence[int] = [*x.shape[:dim], length - x.shape[dim], *(x.shape[dim:][1:])]
    return torch.cat([x.new_full(tuple(shape), fill), x], dim)


def fitting_rows(model: PreTrainedModel, tokens: int, memory: int) -> int:
    """Return how many rows of so many tokens have keys and values that fit into the memory, in bytes; at least 1."""
    config = model.config.get_text_config().to_dict()
    width = config["hidden_size"]
    if heads := config.get("num_attention_heads"):
        width = (config.get("head_dim") or width // heads) * (config.get("num_key_value_heads") or heads)
    row: int = 2 * config["num_hidden_layers"] * width * tokens * model.dtype.itemsize
    return max(1, memory // row)


def free_memory(model: PreTrainedModel, share: float) -> int:
    """Return a share of the free memory of the model's GPU, in bytes; 0 without a GPU."""
    return int(torch.cuda.mem_get_info(model.device)[0] * share) if model.device.type == "cuda" else 0


__all__ = [
    "GROWTH",
    "RoomyLayer",
    "fitting_rows",
    "free_memory",
    "holds_rows",
    "join",
    "join_left_padded",
    "make_roomy",
    "trim",
]
