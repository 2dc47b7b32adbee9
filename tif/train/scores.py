"""Prepared tokens -> the training set: each token with its scores under the starting model and the base model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tif.tokens.limits import Limits
from tif.tokens.masks import Encoded
from tif.tokens.models import load_model
from tif.train.data import ScoredExample, TrainingSet
from tif.train.floor import Floor
from tif.train.options import TrainOptions
from tif.train.prepare import Prepared
from tif.train.reference import check_packing, score_cached
from tif.train.settings import Scope

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a run trains on and is checked with, scored before the first step."""

    training: TrainingSet
    validation: Sequence[ScoredExample]
    """The examples of the early stop: forget examples, unless there is a validation set."""
    seconds: float
    """Time that scoring took."""
    from_cache: bool


def score_all(
    options: TrainOptions,
    prepared: Prepared,
    model: PreTrainedModel,
    *,
    digest: str,
    base_digest: str | None,
    scope: Scope,
    floor: Floor | None,
) -> Scores:
    """Score everything that a run needs the scores of.

    Args:
        options: of the run.
        prepared: its tokens.
        model: the starting model, on its device.
        digest: of the starting model.
        base_digest: of the base model, where there is one.
        scope: which tokens the objective pushes. Only these have a floor: the others are to rise.
        floor: where the pushing of a token ends.
    """
    began = time.monotonic()
    Limits.of(model).check(prepared.rows)
    check_packing(model, prepared.rows)
    held_out = prepared.validation.rows if prepared.validation else ()
    marked = [*prepared.forgotten, *held_out]
    scores, from_cache = score_cached(model, digest, [*marked, *(a for answers in prepared.preferred for a in answers)])
    base = _base_logprobs(options, model, base_digest, marked)
    score, base_score = iter(scores), iter(base)

    def scored(items: Sequence[Encoded]) -> list[ScoredExample]:
        return [_example(item, next(score), next(base_score), floor, scope) for item in items]

    forget, framed, validation = scored(prepared.forget), scored(prepared.framed), scored(held_out)
    training = TrainingSet(
        forget=[*forget, *framed],
        retain=[ScoredExample.unscored(item) for item in prepared.retain],
        preferred=[
            [replace(ScoredExample.unscored(item), reference=next(score)) for item in answers]
            for answers in prepared.preferred
        ],
        parts=prepared.parts,
    )
    return Scores(
        training=training,
        # The early stop judges by what people wrote, not by the frames.
        validation=validation if prepared.validation else forget,
        seconds=time.monotonic() - began,
        from_cache=from_cache,
    )


def _example(item: Encoded, score: Tensor, base: Tensor | None, floor: Floor | None, scope: Scope) -> ScoredExample:
    return ScoredExample(item=item, reference=score, floor=_floors(floor, item, score[:, 1], base, scope), base=base)


def _base_logprobs(
    options: TrainOptions, model: PreTrainedModel, digest: str | None, items: Sequence[Encoded]
) -> Sequence[Tensor | None]:
    if options.base_model is None or digest is None:
        return [None] * len(items)
    base = load_model(options.base_model, dtype=options.dtype, attn_implementation=options.attention)
    Limits.of(base).check(items)
    base.to(model.device)
    return [score[:, 1] for score in score_cached(base, digest, items)[0]]


def _floors(floor: Floor | None, item: Encoded, reference: Tensor, base: Tensor | None, scope: Scope) -> Tensor:
    """[k]: the log-probability below which each supervised token is pushed no further."""
    none = torch.full_like(reference, -torch.inf)
    if floor is None:
        return none
    if floor.kind == "base":
        assert base is not None
        level = base
    else:
        level = torch.full_like(reference, floor.nats) if floor.kind == "level" else reference - floor.nats
    return torch.where(torch.tensor(item.pushed(scope), dtype=torch.bool), level, none)


__all__ = ["Scores", "score_all"]
