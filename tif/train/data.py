"""Forget examples and the samples to keep, paired anew each epoch and packed into one row a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tif.tokens.masks import Encoded
from tif.tokens.packing import pack
from tif.train.reference import supervised


class Part(IntEnum):
    """What an example in a row is there for."""

    FORGET = 0
    RETAIN = 1
    IDK = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """An example, and what the reference says of its k supervised tokens."""

    item: Encoded
    reference: Tensor
    """[k, 2] float32: logit, log-probability."""
    floor: Tensor
    """[k] float32: the log-probability below which a token is pushed no further; -inf for none."""
    base: Tensor | None = None
    """[k] float32: the log-probability under the base model, where there is one."""

    @classmethod
    def plain(cls, item: Encoded) -> Sample:
        """An example whose reference nobody asks for."""
        k = supervised(item)
        return cls(item, torch.zeros(k, 2), torch.full((k,), -torch.inf))


Pair = tuple[int, int]


class Pairs(Dataset[list[tuple[Part, Sample]]]):
    """Indexed by (forget, retain): the examples of one forget example's share of a step."""

    def __init__(self, forget: Sequence[Sample], retain: Sequence[Sample] = (), idk: Sequence[Sample] = ()) -> None:
        self.forget, self.retain, self.idk = forget, retain, idk

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, pair: Pair) -> list[tuple[Part, Sample]]:
        i, j = pair
        share = [(Part.FORGET, self.forget[i])]
        if self.retain:
            share.append((Part.RETAIN, self.retain[j]))
        if self.idk:
            share.append((Part.IDK, self.idk[i]))
        return share


class PairSampler(Sampler[Pair]):
    """Each epoch every forget example once, in a new order; retain samples go round in a new order each round.

    Order and pairs depend on the seed and the epoch alone, so that a resumed run sees what an uninterrupted one does.
    The global random state is left alone.
    """

    def __init__(self, forget: int, retain: int, seed: int) -> None:
        self.forget, self.retain, self.seed = forget, retain, seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.forget

    def __iter__(self) -> Iterator[Pair]:
        forget = self._order("forget", self.epoch, self.forget)
        if not self.retain:
            yield from ((i, 0) for i in forget)
            return
        first = self.epoch * self.forget
        laps = range(first // self.retain, (first + self.forget - 1) // self.retain + 1)
        retain = [j for lap in laps for j in self._order("retain", lap, self.retain)]
        yield from zip(forget, retain[first % self.retain :], strict=False)

    def _order(self, what: str, turn: int, size: int) -> list[int]:
        # torch's CPU generator drops all but the low 32 bits of a seed. An odd factor keeps seeds apart in those.
        stream = (2 * turn + (what == "retain") + self.seed * 2654435761) % 2**32
        generator = torch.Generator().manual_seed(stream)
        return torch.randperm(size, generator=generator).tolist()


def collate(shares: Sequence[Sequence[tuple[Part, Sample]]], *, whole: bool = False) -> dict[str, Tensor]:
    """One packed row of a step's examples: forget first, then retain, then IDK. `whole` is that of `pack`.

    Returns:
        The tensors of `Packed`, `reference` [n, 2], `floor` [n] and `base` [n] (NaN where there is none) beside its
        targets, and `part` [B].
    """
    flat = sorted((entry for share in shares for entry in share), key=lambda entry: entry[0])
    packed = pack([sample.item for _, sample in flat], whole=whole)
    return {
        "input_ids": packed.input_ids,
        "position_ids": packed.position_ids,
        "keep": packed.keep,
        "target": packed.target,
        "kind": packed.kind,
        "row": packed.row,
        "position": packed.position,
        "reference": torch.cat([sample.reference for _, sample in flat]),
        "floor": torch.cat([sample.floor for _, sample in flat]),
        "base": torch.cat([torch.full_like(s.floor, torch.nan) if s.base is None else s.base for _, s in flat]),
        "part": torch.tensor([int(part) for part, _ in flat], dtype=torch.int64),
    }


__all__ = ["Pair", "PairSampler", "Pairs", "Part", "Sample", "collate"]
