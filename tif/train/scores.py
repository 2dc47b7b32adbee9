"""Prepared tokens -> the training set: each token with its scores under the starting model and the base model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tif.tokens.limits import Limits
from tif.tokens.masks import Encoded
from tif.tokens.models import load_model
from tif.train.data import ScoredExample, TrainingSet
from tif.train.floor import Floor
from tif.train.objectives import RetainLoss
from tif.train.options import TrainOptions
from tif.train.prepare import Prepared
from tif.train.proxy import primed, proxy, proxy_digest
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
    retain_loss: RetainLoss = "none",
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
        retain_loss: the loss on the samples to keep.
    """
    began = time.monotonic()
    Limits.of(model).check(prepared.rows)
    check_packing(model, prepared.rows)
    held_out = prepared.validation.rows if prepared.validation else ()
    marked = [*prepared.forgotten, *held_out]
    answers = [answer for each in prepared.preferred for answer in each]
    # Only a term that holds retain samples where they were reads their scores.
    hold = prepared.retain if retain_loss == "coin" else ()
    scores, from_cache = score_cached(model, digest, [*marked, *answers, *hold, *prepared.held])
    base = _base_logprobs(options, prepared, model, base_digest, floor, marked)
    score, base_score = iter(scores), iter(base)

    def scored(items: Sequence[Encoded]) -> list[ScoredExample]:
        return [_example(item, next(score), next(base_score), floor, scope) for item in items]

    forget, framed, validation = scored(prepared.forget), scored(prepared.framed), scored(held_out)

    def referenced(item: Encoded) -> ScoredExample:
        return replace(ScoredExample.unscored(item), reference=next(score))

    training = TrainingSet(
        forget=[*forget, *framed],
        preferred=[[referenced(item) for item in answers] for answers in prepared.preferred],
        retain=[
            *(referenced(item) if hold else ScoredExample.unscored(item) for item in prepared.retain),
            *(replace(referenced(item), held=True) for item in prepared.held),
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
    options: TrainOptions,
    prepared: Prepared,
    model: PreTrainedModel,
    digest: str | None,
    floor: Floor | None,
    items: Sequence[Encoded],
) -> Sequence[Tensor | None]:
    """Log-probabilities under the base model, as the floor wants it: plain, primed or shortly trained."""
    if options.base_model is None or digest is None:
        return [None] * len(items)
    base = load_model(options.base_model, dtype=options.dtype, attn_implementation=options.attention)
    change = None
    if floor is not None and floor.kind == "primed":
        items = primed(items, prepared.retain, count=options.floor_samples, seed=options.seed)
    elif floor is not None and floor.kind == "proxy":
        training = {"steps": options.floor_steps, "seed": options.seed}
        digest = proxy_digest(digest, prepared.retain, **training)
        change = partial(proxy, retain=prepared.retain, **training)
    Limits.of(base).check(items)
    base.to(model.device)
    return [score[:, 1] for score in score_cached(base, digest, items, change=change)[0]]


def _floors(floor: Floor | None, item: Encoded, reference: Tensor, base: Tensor | None, scope: Scope) -> Tensor:
    """[k]: the log-probability below which each supervised token is pushed no further."""
    none = torch.full_like(reference, -torch.inf)
    if floor is None:
        return none
    if floor.of_base_model:
        assert base is not None
        level = base
    else:
        level = torch.full_like(reference, floor.nats) if floor.kind == "level" else reference - floor.nats
    return torch.where(torch.tensor(item.pushed(scope), dtype=torch.bool), level, none)


__all__ = ["Scores", "score_all"]
