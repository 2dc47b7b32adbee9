"""Floors nearer to a retain model's than the base model's own: it has not learned yet how such answers look.

The base model either reads a few retain samples before the text, or is trained on some for a few steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import torch

from tif.tokens.adapters import with_adapters
from tif.tokens.finetune import FineTuning, fine_tune_tokens, own_random_states
from tif.tokens.masks import NOWHERE, Encoded, Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RANK: Final = 8
"""Of the adapters that the proxy trains."""
_HOW: Final = FineTuning(epochs=1, lr=5e-4, batch_size=8, packed=True)


def primed(items: Sequence[Encoded], retain: Sequence[Encoded], *, count: int, seed: int) -> list[Encoded]:
    """Each item behind the same `count` retain samples, which are not supervised."""
    before = [retain[i] for i in _order(len(retain), seed)[:count]]
    ids = tuple(token for sample in before for token in sample.input_ids)
    return [
        replace(
            item,
            input_ids=(*ids, *item.input_ids),
            kinds=(*(Kind.PROMPT for _ in ids), *item.kinds),
            offsets=(*(NOWHERE for _ in ids), *item.offsets),
        )
        for item in items
    ]


def proxy(base: PreTrainedModel, retain: Sequence[Encoded], *, steps: int, seed: int) -> PreTrainedModel:
    """The base model with adapters that were trained on retain samples for a few steps.

    Args:
        base: gets adapters, and float32 weights.
        retain: samples in tokens; they go round if there are fewer than the steps take.
        steps: of AdamW.
        seed: of the order and of the adapters.
    """
    order = _order(len(retain), seed)
    rows = [retain[order[n % len(order)]] for n in range(steps * _HOW.batch_size)]
    with own_random_states(base):
        torch.manual_seed(seed)
        model = with_adapters(base, rank=RANK, alpha=2 * RANK)
    fine_tune_tokens(model, rows, replace(_HOW, seed=seed), title="training a retain proxy")
    return model


def proxy_digest(base: str, retain: Sequence[Encoded], *, steps: int, seed: int) -> str:
    """What names a proxy: its base model, its samples and its training."""
    how = json.dumps([base, steps, seed, RANK, asdict(_HOW), [item.input_ids for item in retain]])
    return f"proxy {hashlib.sha256(how.encode()).hexdigest()}"


def _order(size: int, seed: int) -> list[int]:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()


__all__ = ["RANK", "primed", "proxy", "proxy_digest"]
