"""Examples -> one row without padding, and the list of what is supervised in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tif.tokens.masks import Encoded


@dataclass(frozen=True, slots=True)
class Packed:
    """T tokens of B examples in one row, of which n are supervised.

    The row needs no attention mask: positions that restart at 0 tell transformers where an example begins, provided
    that no key-value cache is in use.
    """

    input_ids: Tensor
    """[1, T] int64."""
    position_ids: Tensor
    """[1, T] int64, restarting at 0 for each example."""
    keep: Tensor
    """[1, T] bool: positions whose *next* token is supervised. What `logits_to_keep` takes; it must be bool."""
    target: Tensor
    """[n] int64: the supervised tokens, in the order of the row."""
    kind: Tensor
    """[n] int64: `Kind.GW` or `Kind.UW`."""
    row: Tensor
    """[n] int64: which of the B examples."""
    position: Tensor
    """[n] int64: the supervised token's index in its `Encoded`."""
    size: int
    """B: how many examples, with those that supervise nothing."""

    def to(self, device: torch.device | str) -> Packed:
        """The same on another device."""
        return self.each(lambda tensor: tensor.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Packed:
        """The same with each tensor changed."""
        changed = {f.name: change(getattr(self, f.name)) for f in fields(self) if f.name != "size"}
        return Packed(**changed, size=self.size)


def pack(items: Sequence[Encoded], *, complete: bool = False) -> Packed:
    """Put examples one behind the other in one row, each up to the token that predicts its last supervised one.

    A causal model needs nothing later. That saves the last token of most examples, which is only predicted. The
    examples have at least one token together.

    Args:
        items: the examples.
        complete: keep every token, for an objective that reads the hidden states of supervised tokens themselves.
    """
    ids: list[int] = []
    positions: list[int] = []
    keep: list[bool] = []
    target: list[int] = []
    kind: list[int] = []
    row: list[int] = []
    position: list[int] = []
    for b, item in enumerate(items):
        predicting = item.predicting
        supervised = (False, *predicting[:-1])
        # The index of the last supervised token is the number of those before it.
        length = len(item) if complete else max((t for t, yes in enumerate(supervised) if yes), default=0)
        ids += item.input_ids[:length]
        positions += range(length)
        keep += predicting[:length]
        for t, yes in enumerate(supervised):
            if yes:
                target.append(item.input_ids[t])
                kind.append(int(item.kinds[t]))
                row.append(b)
                position.append(t)
    if not ids:
        # Nothing is supervised, and a model takes no empty row.
        ids, positions, keep = [next(i for item in items for i in item.input_ids)], [0], [False]
    return Packed(
        input_ids=torch.tensor([ids], dtype=torch.int64),
        position_ids=torch.tensor([positions], dtype=torch.int64),
        keep=torch.tensor([keep], dtype=torch.bool),
        target=torch.tensor(target, dtype=torch.int64),
        kind=torch.tensor(kind, dtype=torch.int64),
        row=torch.tensor(row, dtype=torch.int64),
        position=torch.tensor(position, dtype=torch.int64),
        size=len(items),
    )


__all__ = ["Packed", "pack"]
