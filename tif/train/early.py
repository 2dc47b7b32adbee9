"""Early stop by the probability of marked words, never by a benchmark's metric.

Every N steps the model scores the validation examples: those of the forget set, or of a held-out set with marks of its
own. This is one forward without gradient. The numbers go to the log, and a rule on them ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState

from tif.console import say
from tif.records import Stopped
from tif.tokens.masks import Encoded
from tif.train.data import ScoredExample
from tif.train.phrases import at_floor, of_item
from tif.train.reference import score
from tif.train.settings import Per
from tif.train.stop_rule import StopRule

if TYPE_CHECKING:
    from tif.train.trainer import Unlearner


@dataclass(frozen=True, slots=True)
class Validation:
    """How probable the validation examples are. Each number is a mean over tokens."""

    uw_probability: float
    gw_probability: float
    at_floor: float
    """The fraction of unwanted tokens whose log-probability is at or below their floor; 0 without floors. Of phrases,
    where the objective pushes each phrase."""

    def meets(self, rule: StopRule, start: Validation) -> bool:
        """Whether a rule ends the run here, given the numbers before the first step."""
        if rule.what == "floor":
            return self.at_floor >= rule.level
        if rule.what == "uw":
            return self.uw_probability <= rule.level
        return self.gw_probability <= rule.level * start.gw_probability


def sums(
    items: Sequence[Encoded], logprobs: Sequence[Tensor], floors: Sequence[Tensor], *, per: Per = "token"
) -> Tensor:
    """[6] float64: sum of p over UW tokens, over GW tokens; how many UW tokens, GW tokens; at their floor, of how many.

    The last two count UW tokens or, with `per` phrase, phrases.
    """
    total = torch.zeros(6, dtype=torch.float64)
    for item, logprob, floor in zip(items, logprobs, floors, strict=True):
        unwanted = torch.tensor(item.pushed("uw"), dtype=torch.bool)
        p, low = logprob.double().exp(), (logprob <= floor)[unwanted]
        if per == "phrase":
            low = at_floor(logprob, floor, of_item(item))
        counts = [unwanted.sum(), (~unwanted).sum(), low.sum(), torch.tensor(len(low))]
        total += torch.stack([p[unwanted].sum(), p[~unwanted].sum(), *counts])
    return total


def means(total: Tensor) -> Validation:
    """The means of which `sums` gives the parts."""
    uw, gw, uws, gws, low, lows = total.tolist()
    return Validation(uw / max(uws, 1), gw / max(gws, 1), low / max(lows, 1))


class EarlyStop(TrainerCallback):  # type: ignore[misc]
    """Scores the validation examples every so many steps and ends the run by a rule.

    Args:
        trainer: whose model is scored; every process scores its share.
        rule: when to stop.
        samples: validation examples with the reference's scores, and with floors where the rule is about these.
        every: optimizer steps between two checks.
    """

    def __init__(self, trainer: Unlearner, rule: StopRule, samples: Sequence[ScoredExample], every: int) -> None:
        self.trainer, self.rule, self.every = trainer, rule, every
        rank, count = trainer.args.process_index, trainer.args.world_size
        self.mine = samples[rank::count]
        self.start = means(
            sums(
                [s.item for s in samples],
                [s.reference[:, 1] for s in samples],
                [s.floor for s in samples],
                per=trainer.plan.settings.per,
            )
        )
        self.stopped: Stopped | None = None
        """Where the rule was met, if it was."""

    def on_step_end(self, _args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        """Check every N steps."""
        if state.global_step % self.every:
            return control
        measured = self._measure()
        numbers = {
            "validation_uw_probability": measured.uw_probability,
            "validation_gw_probability": measured.gw_probability,
            "validation_at_floor": measured.at_floor,
        }
        self.trainer.log_beside(numbers)
        if measured.meets(self.rule, self.start):
            if state.is_world_process_zero:
                say(f"early stop at step {state.global_step}: {self.rule}")
            self.stopped = Stopped(rule=str(self.rule), step=state.global_step, **numbers)
            control.should_training_stop = True
            # No checkpoint of this step: a run that continued from it would not know that it was to stop.
            control.should_save = False
        return control

    def _measure(self) -> Validation:
        accelerator = self.trainer.accelerator
        model = accelerator.unwrap_model(self.trainer.model)
        training = model.training
        model.eval()
        items = [sample.item for sample in self.mine]
        logprobs = [scores[:, 1] for scores in score(model, items, title=None)]
        model.train(training)
        total = sums(items, logprobs, [s.floor for s in self.mine], per=self.trainer.plan.settings.per)
        return means(accelerator.reduce(total.to(self.trainer.args.device), "sum"))


__all__ = ["EarlyStop", "Validation", "means", "sums"]
