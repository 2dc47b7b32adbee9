"""The reference scores of each supervised token: two numbers a token, computed once and cached.

The reference is the model before the first step, so no second model is loaded for it. The same pass scores the tokens
under the base model, for the floor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tif import files
from tif.console import progress
from tif.errors import WriteError
from tif.tokens.apart import check_packing
from tif.tokens.forward import statistics
from tif.tokens.masks import Encoded
from tif.tokens.packing import pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BUDGET = 1024
"""Tokens in a row of the reference pass. Longer rows cost more than they save: the mask is dense."""


def score(
    model: PreTrainedModel,
    items: Sequence[Encoded],
    *,
    budget: int = BUDGET,
    title: str | None = "scoring under the reference",
) -> list[Tensor]:
    """Logit and log-probability of each supervised token.

    Args:
        model: in evaluation mode, on its device.
        items: any order.
        budget: tokens packed into one forward; a longer example has a row of its own.
        title: of the progress bar; None for none.

    Returns:
        One [k, 2] float32 tensor on the CPU an example, k its supervised tokens.
    """
    rows: list[list[int]] = []
    room = 0
    for index in sorted(range(len(items)), key=lambda i: len(items[i])):
        if not rows or len(items[index]) > room:
            rows.append([])
            room = budget
        rows[-1].append(index)
        room -= len(items[index])
    scores: dict[int, Tensor] = {}
    with torch.no_grad(), progress(title, len(items)) if title else nullcontext(lambda _: None) as advance:
        for row in rows:
            packed = pack([items[i] for i in row]).to(model.device)
            if len(packed.target):
                tokens = statistics(model, packed)
                both = torch.stack([tokens.logit, tokens.logprob], dim=1).cpu()
            else:
                both = torch.zeros(0, 2)
            parts = torch.split(both, [items[i].supervised for i in row])
            scores.update(zip(row, parts, strict=True))
            advance(len(row))
    return [scores[i] for i in range(len(items))]


def score_cached(
    model: PreTrainedModel,
    digest: str,
    items: Sequence[Encoded],
    *,
    change: Callable[[PreTrainedModel], PreTrainedModel] | None = None,
) -> tuple[list[Tensor], bool]:
    """`score`, cached by the model's digest, its type, and the tokens.

    The tokens stand for mask set, template and truncation: a change of one of these changes the key.

    Args:
        model: in evaluation mode, on its device.
        digest: names the model, as it is after `change`.
        items: any order.
        change: makes the model that scores, if the cache has nothing.

    Returns:
        The scores, and whether they came from the cache.
    """
    key = hashlib.sha256(
        json.dumps([digest, str(model.dtype), model.device.type, model.config._attn_implementation]).encode()
    )
    for item in items:
        key.update(json.dumps([item.input_ids, item.kinds]).encode())
    path = cache_folder() / f"{key.hexdigest()}.safetensors"
    counts = [item.supervised for item in items]
    known = _stored(path)
    if known is not None and known.shape == (sum(counts), 2):
        return list(torch.split(known, counts)), True
    scores = score(change(model) if change else model, items)
    both = torch.cat(scores) if scores else torch.zeros(0, 2)
    # Without a cache the next run repeats this pass, nothing else.
    with suppress(WriteError), files.replacing(path) as temporary:
        save_file({"scores": both}, temporary, metadata={"sha256": _digest(both)})
    return scores, False


def _stored(path: Path) -> Tensor | None:
    """Return the scores in a file; None if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            scores: Tensor = file.get_tensor("scores")
            recorded = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError, KeyError):
        return None
    return scores if recorded == _digest(scores) else None


def _digest(scores: Tensor) -> str:
    return hashlib.sha256(scores.float().contiguous().numpy().tobytes()).hexdigest()


def cache_folder() -> Path:
    """Where reference scores are kept: `reference` in the cache folder. Safe to delete."""
    return files.cache_folder("reference")


__all__ = ["cache_folder", "check_packing", "score", "score_cached"]
