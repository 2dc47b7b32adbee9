"""Examples -> one row without padding, and the list of what is supervised in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tif.tokens.masks import Encoded, Kind


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
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "size"}
        return Packed(**moved, size=self.size)


def pack(items: Sequence[Encoded]) -> Packed:
    """Lay examples one behind the other. At least one token is needed in all."""
    ids: list[int] = []
    positions: list[int] = []
    keep: list[bool] = []
    target: list[int] = []
    kind: list[int] = []
    row: list[int] = []
    position: list[int] = []
    for b, item in enumerate(items):
        ids += item.input_ids
        positions += range(len(item))
        # Logits at t speak of token t + 1, so the mask is the kinds moved left by one; the last position keeps nothing.
        supervised = [k != Kind.PROMPT for k in item.kinds]
        keep += [*supervised[1:], False][: len(item)]
        for t, yes in enumerate(supervised):
            if yes:
                target.append(item.input_ids[t])
                kind.append(int(item.kinds[t]))
                row.append(b)
                position.append(t)
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
