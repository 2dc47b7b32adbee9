"""The training set: forget examples and samples to keep, paired anew each epoch and packed into one row a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tif.tokens.masks import Encoded
from tif.tokens.packing import Packed, pack


class Role(IntEnum):
    """What an example in a row is there for."""

    FORGET = 0
    RETAIN = 1
    PREFERRED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredExample:
    """An example, and the scores of its k supervised tokens before the first step."""

    item: Encoded
    reference: Tensor
    """[k, 2] float32: logit and log-probability under the starting model."""
    floor: Tensor
    """[k] float32: the log-probability below which a token is pushed no further; -inf for none."""
    base: Tensor | None = None
    """[k] float32: the log-probability under the base model, where there is one."""
    held: bool = False
    """Whether a sample to keep is held where the reference has it, whatever the loss on the others."""

    @classmethod
    def unscored(cls, item: Encoded) -> ScoredExample:
        """An example whose scores no loss reads."""
        k = item.supervised
        return cls(item=item, reference=torch.zeros(k, 2), floor=torch.full((k,), -torch.inf))


Share = list[tuple[Role, ScoredExample]]
"""What one forget example brings to a step: itself, a sample to keep, another answer that is preferred."""
Pair = tuple[int, int]
"""Indices of a forget example and of the sample to keep beside it."""


Part = tuple[int, float]
"""How many samples to keep a source has, and its weight in the mixture."""


class TrainingSet(Dataset[Share]):
    """The examples of a run. A `Pair` is the index of a `Share`.

    Args:
        forget: what the forget term is about.
        retain: samples to keep.
        parts: size and weight of each source of the samples to keep, in their order; one source if empty.
        preferred: for each forget example the answers that are preferred to it, of which each epoch takes one in turn;
            or empty.
    """

    def __init__(
        self,
        forget: Sequence[ScoredExample],
        retain: Sequence[ScoredExample] = (),
        preferred: Sequence[Sequence[ScoredExample]] = (),
        *,
        parts: Sequence[Part] = (),
    ) -> None:
        self.forget, self.retain, self.preferred, self.parts = forget, retain, preferred, parts
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, pair: Pair) -> Share:
        i, j = pair
        share = [(Role.FORGET, self.forget[i])]
        if self.retain:
            share.append((Role.RETAIN, self.retain[j]))
        if self.preferred:
            answers = self.preferred[i]
            share.append((Role.PREFERRED, answers[self.epoch % len(answers)]))
        return share


class PairSampler(Sampler[Pair]):
    """Each epoch every forget example once, in a new order; retain samples go round in a new order each round.

    Several sources of retain samples take turns by their weights, and each goes round for itself. After any number of
    draws, a source is at most one draw away from its share.
    Order and pairs depend on the seed and the epoch alone, so that a resumed run sees what an uninterrupted one does.
    The global random state is left alone.
    """

    def __init__(self, forget: int, retain: int, seed: int, *, parts: Sequence[Part] = ()) -> None:
        self.forget, self.retain, self.seed = forget, retain, seed
        self.parts = tuple(parts) or ((retain, 1.0),)
        self.epoch = 0

    def __len__(self) -> int:
        return self.forget

    def __iter__(self) -> Iterator[Pair]:
        forget = self._order("forget", self.epoch, self.forget)
        if not self.retain:
            yield from ((i, 0) for i in forget)
            return
        yield from zip(forget, self._drawn(self.epoch * self.forget, self.forget), strict=True)

    def _drawn(self, first: int, count: int) -> Iterator[int]:
        """`count` retain samples after the first `first` draws."""
        offsets = list(accumulate((size for size, _ in self.parts), initial=0))
        total = sum(weight for _, weight in self.parts)
        taken = [0] * len(self.parts)
        orders: dict[tuple[int, int], list[int]] = {}
        for draw in range(first + count):
            # The source that is furthest behind its share; the first of several.
            k = max(range(len(taken)), key=lambda k: (draw + 1) * self.parts[k][1] / total - taken[k])
            lap, place = divmod(taken[k], self.parts[k][0])
            taken[k] += 1
            if draw >= first:
                if (k, lap) not in orders:
                    orders[k, lap] = self._order("retain", lap, self.parts[k][0], part=k)
                yield offsets[k] + orders[k, lap][place]

    def _order(self, what: str, turn: int, size: int, *, part: int = 0) -> list[int]:
        # torch's CPU generator drops all but the low 32 bits of a seed. An odd factor keeps seeds apart in those.
        stream = (2 * (turn + 1_000_003 * part) + (what == "retain") + self.seed * 2654435761) % 2**32
        generator = torch.Generator().manual_seed(stream)
        return torch.randperm(size, generator=generator).tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One packed row of examples: those to forget first, then those to keep, then preferred answers.

    transformers and accelerate take a batch that can be moved, and that counts its tokens under `input_ids`. So a step
    has `to` and `pin_memory`, and answers for that one name as a dictionary would.
    """

    packed: Packed
    reference: Tensor
    """[n, 2], beside the packed targets."""
    floor: Tensor
    """[n]."""
    base: Tensor
    """[n]; NaN for an example without a score of the base model."""
    role: Tensor
    """[B] int64: the `Role` of each example."""
    held: Tensor
    """[B] bool: the samples to keep that are held where the reference has them."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Step:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Step:
        """The same in page-locked memory."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Step:
        return Step(
            packed=self.packed.each(change),
            reference=change(self.reference),
            floor=change(self.floor),
            base=change(self.base),
            role=change(self.role),
            held=change(self.held),
        )

    def __len__(self) -> int:
        return self.packed.size

    def __contains__(self, name: object) -> bool:
        return name == "input_ids"

    def __getitem__(self, name: str) -> Tensor:
        if name != "input_ids":
            raise KeyError(name)
        return self.packed.input_ids


def collate(shares: Sequence[Share], *, complete: bool = False) -> Step:
    """The examples of a step as one packed row. `complete` is that of `pack`."""
    flat = sorted((entry for share in shares for entry in share), key=lambda entry: entry[0])
    examples = [example for _, example in flat]
    return Step(
        packed=pack([example.item for example in examples], complete=complete),
        reference=torch.cat([example.reference for example in examples]),
        floor=torch.cat([example.floor for example in examples]),
        base=torch.cat([torch.full_like(e.floor, torch.nan) if e.base is None else e.base for e in examples]),
        role=torch.tensor([int(role) for role, _ in flat], dtype=torch.int64),
        held=torch.tensor([example.held for example in examples], dtype=torch.bool),
    )


__all__ = ["Pair", "PairSampler", "Part", "Role", "ScoredExample", "Share", "Step", "TrainingSet", "collate"]
