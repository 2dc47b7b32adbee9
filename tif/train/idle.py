"""Which options of `tif train` have no effect, and why: each rule returns the reason, or None."""

from __future__ import annotations

from collections.abc import Sized
from typing import Final, Protocol

from tif.options import Idle
from tif.train.floor import Floor
from tif.train.objectives import OBJECTIVES, Need, Objective, RetainLoss
from tif.train.settings import Reduction
from tif.train.settle import Settle
from tif.train.stop_rule import StopRule

ADD_RETAIN: Final = "without samples to keep: add --retain SOURCE"
_MASKED: Final = frozenset({"logits", "distributions", "activations"})
"""What an objective needs whose forget term is not a function of the token's own log-probability."""


class Asked(Protocol):
    """The options that the rules read. `TrainOptions` has them, and its module imports this one."""

    objective: str
    retain: Sized
    retain_loss: RetainLoss | None
    reduction: Reduction
    floor: Floor | None
    early_stop: StopRule | None
    settle: Settle | None
    frames: Sized
    alternates: str | None
    lora: int

    def retain_term(self, objective: Objective) -> RetainLoss:
        """As in `TrainOptions`."""

    def floor_of(self, objective: Objective) -> Floor | None:
        """As in `TrainOptions`."""


def objective_of(options: Asked, objective: Objective | None) -> Objective | None:
    """The objective: the caller's, else a built-in one. A plugin's is not known before training loads it."""
    return objective or OBJECTIVES.get(options.objective)


def read_by_formula(name: str) -> Idle:
    """The rule of a setting that only some formulas have."""

    def reason(options: Asked, context: Objective | None) -> str | None:
        objective = objective_of(options, context)
        if objective is None or objective.reads is None or name in objective.reads:
            return None
        return f"{objective.name} has no {name}; it reads {', '.join(sorted(objective.reads)) or 'only the scope'}"

    return reason


def reduction_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `reduction`, which needs means over tokens or TPO's sigmoid."""
    objective = objective_of(options, context)
    if objective is None or objective.reads is None or options.reduction == "sample":
        return None
    if options.reduction == "batch":
        return None if "reduction" in objective.reads else f"{objective.name} has no reduction batch; it is for tpo"
    if objective.by_token or options.retain_term(objective) != "none":
        return None
    return f"{objective.name} has no reduction token here: it takes no mean over tokens, and has no retain term"


def for_need(need: Need, name: str, users: str) -> Idle:
    """The rule of an option for objectives with a need, which `users` names."""

    def reason(options: Asked, context: Objective | None) -> str | None:
        objective = objective_of(options, context)
        if objective is None or need in objective.needs:
            return None
        return f"{objective.name} has no {name}; it is for {users}"

    return reason


def floor_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `floor`, which is a log-probability."""
    objective = objective_of(options, context)
    if objective is None or not objective.needs & _MASKED:
        return None
    return f"{objective.name} pushes no log-probability, so a floor would not hold it"


def floor_kind_idle(kind: str) -> Idle:
    """The rule of an option for one kind of floor."""

    def reason(options: Asked, _: Objective | None) -> str | None:
        return None if options.floor is not None and options.floor.kind == kind else f"it is for --floor {kind}"

    return reason


def base_model_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `base_model`, which an objective or a floor reads."""
    objective = objective_of(options, context)
    floor = options.floor is not None and options.floor.of_base_model
    if objective is None or "base" in objective.needs or floor:
        return None
    users = ", ".join(name for name, each in OBJECTIVES.items() if "base" in each.needs)
    return f"{objective.name} reads it with --floor base, primed or proxy only; it is also for --objective {users}"


def retain_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `retain`, which needs a retain term."""
    objective = objective_of(options, context)
    if objective is None or options.retain_term(objective) != "none" or "activations" in objective.needs:
        return None
    hint = "use graddiff, which is ga with one" if objective.name == "ga" else "give --retain-loss ce or kl"
    return f"{objective.name} has no retain term here; {hint}"


def prompt_field_idle(options: Asked, _: Objective | None) -> str | None:
    """The rule of `prompt_field`, which is for records of samples to keep and of alternates."""
    return ADD_RETAIN if not options.retain and options.alternates is None else None


def retain_loss_idle(options: Asked, _: Objective | None) -> str | None:
    """The rule of `retain_loss`, which needs samples to keep."""
    return ADD_RETAIN if not options.retain and options.retain_loss != "none" else None


def early_stop_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `early_stop`, which may need a floor."""
    objective = objective_of(options, context)
    rule = options.early_stop
    if objective is None or rule is None or rule.what != "floor" or options.floor_of(objective) is not None:
        return None
    return "no token has a floor; add --floor"


def settle_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `settle`, which needs a floor or a retain term."""
    objective, settle = objective_of(options, context), options.settle
    if objective is None or settle is None:
        return None
    if settle.kind == "line":
        return None if options.floor_of(objective) is not None else "no token has a floor; add --floor"
    return ADD_RETAIN if options.retain_term(objective) == "none" else None


def frame_retain_idle(options: Asked, context: Objective | None) -> str | None:
    """The rule of `frame_retain`, which needs frames and a retain term."""
    if not options.frames:
        return "it needs --frame"
    objective = objective_of(options, context)
    return ADD_RETAIN if objective is not None and options.retain_term(objective) == "none" else None


def freeze_idle(options: Asked, _: Objective | None) -> str | None:
    """The rule of `freeze`, which LoRA makes needless."""
    if not options.lora:
        return None
    return "with --lora only the adapters are trained, and every weight of the model stays as it is"


__all__ = [
    "ADD_RETAIN",
    "Asked",
    "base_model_idle",
    "early_stop_idle",
    "floor_idle",
    "floor_kind_idle",
    "for_need",
    "frame_retain_idle",
    "freeze_idle",
    "objective_of",
    "prompt_field_idle",
    "read_by_formula",
    "reduction_idle",
    "retain_idle",
    "retain_loss_idle",
    "settle_idle",
]
