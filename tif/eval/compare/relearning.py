"""Relearning: on which samples, by which steps, and where the curve has its points.

    forget    the forget rows, or a share of them; then only the other rows are evaluated
    general   the same rows with a loss on general words only: the model reads the unwanted words, but no gradient
              comes from predicting them
    retain    as many retain samples: it shows what training alone brings back

The evaluated model and the retain model relearn on the same tokens in the same order.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tif.errors import UsageError
from tif.eval.benchmarks.questions import Row
from tif.eval.measure.recovery import RelearningUsed
from tif.eval.options import EvaluateOptions
from tif.eval.settings import RelearnOn, Schedule
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune_tokens, steps_of
from tif.tokens.masks import Encoded, Kind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

QUARTERS: Final = 4
"""Points of the curve in an epoch."""
_NEEDS_MARKS: Final = "--relearn-on general needs unwanted words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relearning:
    """A relearning of any model with the same tokenizer."""

    items: tuple[Encoded, ...]
    """The samples. A token that is not supervised is read, but gives no loss."""
    how: FineTuning
    on: RelearnOn = "forget"
    share: float = 1.0

    @classmethod
    def of(
        cls,
        options: EvaluateOptions,
        forget: Sequence[Row],
        retain: Sequence[Row],
        encoder: Encoder,
    ) -> Relearning:
        """Return the relearning that the options describe.

        Args:
            options: the options of the evaluation.
            forget: the forget rows to relearn on (`divide`).
            retain: the retain samples of the evaluation.
            encoder: the tokenizer, the template, and what is an unwanted word.

        Raises:
            UsageError: if there are no retain samples, or no unwanted words, but the options need them.
        """
        on = options.relearn_on
        encoder = Encoder(encoder.tokenizer, encoder.template, encoder.encoding.but(supervise_eos=True))
        if on == "retain" and not retain:
            raise UsageError(
                "--relearn-on retain needs retain samples", hint="Give them as --retain SOURCE, with local or set."
            )
        rows = retain[: len(forget)] if on == "retain" else forget
        items = [encoder.encode(row.texts()[0]) for row in rows]
        if on == "general":
            if not any(item.count(Kind.UW) for item in items):
                raise UsageError(_NEEDS_MARKS, hint="Give an annotation set of the forget set as --masks.")
            items = [item.without(Kind.UW) for item in items]
        return cls(
            items=tuple(item for item in items if item.supervised),
            how=fine_tuning(
                epochs=options.relearn_epochs,
                lr=options.relearn_lr,
                batch_size=options.relearn_batch_size,
                schedule=options.relearn_schedule,
            ),
            on=on,
            share=options.relearn_share,
        )

    @property
    def epoch(self) -> int:
        """Steps in an epoch."""
        return steps_of(len(self.items), self.how)

    @property
    def points(self) -> tuple[int, ...]:
        """The steps after which the curve has a point: the start, and the step nearest to each quarter of an epoch.

        An epoch of fewer than four steps has fewer points.
        """
        quarters = range(QUARTERS * self.how.epochs + 1)
        return tuple(dict.fromkeys(math.floor(number * self.epoch / QUARTERS + 0.5) for number in quarters))

    @property
    def digest(self) -> str:
        """SHA-256 over the tokens and the tokens with a loss."""
        tokens = [[item.input_ids, item.kinds] for item in self.items]
        return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()

    @property
    def key(self) -> Mapping[str, object]:
        """What determines the result, besides the model."""
        return {"relearn": asdict(self.how), "samples": self.digest}

    @property
    def used(self) -> RelearningUsed:
        """The entry in the record."""
        schedule: Schedule = "linear" if self.how.schedule == "linear" else "constant"
        return RelearningUsed(
            on=self.on,
            share=self.share,
            samples=len(self.items),
            samples_sha256=self.digest,
            epochs=self.how.epochs,
            lr=self.how.lr,
            batch_size=self.how.batch_size,
            schedule=schedule,
            steps=self.epoch * self.how.epochs,
        )

    def apply(
        self, model: PreTrainedModel, measure: Callable[[int], None] | None = None, *, title: str = "relearning"
    ) -> None:
        """Train the model. Its weights are float32 afterwards.

        Args:
            model: changed in place.
            measure: called with the step at each of `points`.
            title: shown beside the progress.
        """
        points = frozenset(self.points)

        def watch(step: int) -> None:
            if measure is not None and step in points:
                measure(step)

        fine_tune_tokens(model, self.items, self.how, title=title, watch=watch)


def fine_tuning(*, epochs: int, lr: float, batch_size: int = 32, schedule: Schedule = "constant") -> FineTuning:
    """Return the settings of a relearning. `linear` has no warm-up, as OpenUnlearning's."""
    return FineTuning(epochs=epochs, lr=lr, batch_size=batch_size, schedule=schedule, warmup_steps=0)


def divide(rows: Sequence[Row], share: float, *, seed: int = 0) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Divide the forget rows into those to relearn on and those to evaluate, both in their order.

    Args:
        rows: the forget rows.
        share: share to relearn on. With 1, all rows are in both parts.
        seed: seed of the random draw.

    Raises:
        UsageError: if fewer than two rows are to be divided.
    """
    if share == 1:
        return tuple(rows), tuple(rows)
    if len(rows) < 2:
        raise UsageError("--relearn-share needs at least two forget rows", hint="Leave it out, or use more samples.")
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    drawn = set(np.random.default_rng(seed).permutation(len(rows))[:count].tolist())
    relearned = tuple(row for at, row in enumerate(rows) if at in drawn)
    return relearned, tuple(row for at, row in enumerate(rows) if at not in drawn)


__all__ = ["QUARTERS", "Relearning", "divide", "fine_tuning"]
