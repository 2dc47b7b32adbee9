"""What a training run is: everything that decides its outcome, in one frozen record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from tif.errors import UsageError
from tif.train.frames import Frame


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a run ends early, by what the model says of the validation examples."""

    what: Literal["floor", "uw", "gw"]
    level: float
    """`floor`: fraction of unwanted tokens at or below their floor. `uw`: their mean probability. `gw`: the mean
    probability of general tokens as a fraction of what it was before the first step."""

    @classmethod
    def of(cls, text: str) -> StopRule:
        """`floor:0.95`, `uw:0.05` or `gw:0.8`.

        Raises:
            UsageError: for anything else, and for a level outside 0..1.
        """
        what, _, level = text.partition(":")
        try:
            value = float(level)
        except ValueError:
            value = math.nan
        if what not in ("floor", "uw", "gw") or not 0 < value <= 1:
            raise UsageError(
                f"early stop {text!r} cannot be read",
                hint="Use floor:FRACTION, uw:PROBABILITY or gw:FRACTION, each above 0 and at most 1.",
            )
        return cls(what, value)  # type: ignore[arg-type]  # one of the three, by the test above

    def __str__(self) -> str:
        return f"{self.what}:{self.level:g}"


_ADD: Final = "Add --retain SOURCE."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One `tif train`. What is None takes the objective's own value.

    Raises:
        UsageError: for a value outside its range, or values that contradict each other.
    """

    masks: str
    """Annotation set: `FILE` or `FILE@N`."""
    model: str
    """Folder, run folder or hub id of the model that forgets."""
    out: str
    """Run folder."""
    retain: str | None = None
    """Source of samples to keep (`tofu:retain95`, a file, ...)."""
    data_dir: str | None = None
    limit: int | None = None
    """Forget only the first so many examples."""
    limit_retain: int | None = None

    objective: str = "tpo"
    beta: float | None = None
    beta2: float | None = None
    gamma: float | None = None
    alpha: float | None = None
    scope: Literal["all", "uw"] | None = None
    reduction: Literal["sample", "batch"] = "sample"
    space: Literal["logit", "logprob"] = "logit"
    pl: Literal["sum", "mean"] = "sum"
    pl_weight: float = 1.0
    retain_loss: Literal["ce", "kl", "none"] | None = None
    retain_weight: float | None = None
    floor: str | None = None
    """Bounded forgetting: `base` (log-probability under `floor_model`), a negative number (log-probability), or a
    positive one (so many nats below the reference). A token that has fallen there is pushed no further."""
    floor_model: str | None = None
    rmu_layer: int = 7
    rmu_scale: float = 20.0
    """RMU's steering coefficient c."""

    template: str = "auto"
    max_length: int | None = None
    """Tokens an example at most; a longer plain text is cut into windows of this length."""
    punctuation: Literal["gw", "uw"] = "gw"
    supervise_eos: bool = True
    labels: tuple[str, ...] | None = None
    """Labels of the spans to forget; every label of the set where None."""
    unmarked: Literal["refuse", "skip"] = "refuse"
    """What to do with an example without an unwanted word."""
    skip_failed: bool = False
    frames: tuple[str, ...] = ()
    """`The answer is {words}.`, ...: each example with a question is forgotten once more with one of these as its
    answer, in turn, `{words}` being its unwanted words. The forget set has then twice as many examples."""

    epochs: float = 5.0
    max_steps: int | None = None
    """Overrides `epochs`."""
    early_stop: str | None = None
    """A `StopRule` as text."""
    early_stop_every: int | None = None
    """Steps between two checks of it; an epoch where None."""
    validation: str | None = None
    """Annotation set that the rule looks at; the one that is forgotten where None. It is never trained on."""
    batch_size: int = 4
    """Forget examples a step and process, packed into one row."""
    accumulate: int = 1
    lr: float = 1e-5
    scheduler: str = "linear"
    warmup: float = 0.0
    """Fraction of the steps over which the learning rate rises."""
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    optimizer: str = "adamw_torch_fused"
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of weights and optimizer."""
    autocast: bool = False
    """Compute in bfloat16 while weights stay float32."""
    lora: int = 0
    """Rank of LoRA adapters on all linear layers; 0 trains every weight."""
    lora_alpha: int | None = None
    """Twice the rank where None."""
    gradient_checkpointing: bool = False
    attention: str | None = None
    """transformers' `attn_implementation`."""
    cpu: bool = False
    """Stay on the CPU where there is an accelerator."""

    save_steps: int = 50
    keep_checkpoints: int = 1
    log_steps: int = 1
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "report_to", tuple(self.report_to))
        object.__setattr__(self, "frames", tuple(self.frames))
        if self.labels is not None:
            object.__setattr__(self, "labels", tuple(self.labels))
        for frame in self.frames:
            Frame.of(frame)
        for name in ("epochs", "lr", "batch_size", "accumulate", "save_steps", "keep_checkpoints", "log_steps"):
            _above(name, getattr(self, name), 0, open_end=True)
        for name in ("limit", "limit_retain", "max_steps", "beta", "lora_alpha", "early_stop_every"):
            if getattr(self, name) is not None:
                _above(name, getattr(self, name), 0, open_end=True)
        for name in ("pl_weight", "retain_weight", "weight_decay", "max_grad_norm", "warmup", "lora", "seed"):
            if getattr(self, name) is not None:
                _above(name, getattr(self, name), 0)
        if self.max_length is not None:
            _above("max_length", self.max_length, 1, open_end=True)
        if self.seed >= 2**32:
            raise UsageError(f"seed is {self.seed}, and must be below {2**32}")
        if self.warmup >= 1:
            raise UsageError(f"warmup is {self.warmup}, not a fraction of the steps", hint="Give less than 1.")
        if self.scheduler == "reduce_lr_on_plateau":
            raise UsageError("reduce_lr_on_plateau follows an evaluation, and none takes place while training")
        if self.lora_alpha is not None and not self.lora:
            raise UsageError("lora_alpha without adapters", hint="Add --lora RANK.")
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known and not (value is None and name in ("scope", "retain_loss")):
                raise UsageError(f"{name} is {value!r}", hint=f"Known: {', '.join(known)}.")
        floor_value(self.floor)
        if (self.floor == "base") != (self.floor_model is not None):
            raise UsageError("floor 'base' and floor_model go together", hint="Use --floor base --floor-model MODEL.")
        if self.early_stop is not None and StopRule.of(self.early_stop).what == "floor" and self.floor is None:
            raise UsageError("early stop at the floor without a floor", hint="Add --floor.")
        if self.early_stop is None and (self.validation is not None or self.early_stop_every is not None):
            raise UsageError("validation without a rule that ends the run", hint="Add --early-stop.")
        if self.retain is None:
            if self.retain_loss in ("ce", "kl"):
                raise UsageError(f"retain loss {self.retain_loss!r} without samples to keep", hint=_ADD)
            if self.retain_weight is not None or self.limit_retain is not None:
                raise UsageError("a retain term without samples to keep", hint=_ADD)

    def to_json(self) -> dict[str, Any]:
        """As it stands in `run.json`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def floor_value(floor: str | None) -> float | None:
    """The number that a floor is, or None for no floor and for `base`.

    Raises:
        UsageError: for anything else.
    """
    if floor is None or floor == "base":
        return None
    try:
        value = float(floor)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value == 0:
        raise UsageError(
            f"floor {floor!r} cannot be read",
            hint="Use 'base', a log-probability such as -8, or a drop in nats such as 5.",
        )
    return value


_CHOICES = {
    "scope": ("all", "uw"),
    "reduction": ("sample", "batch"),
    "space": ("logit", "logprob"),
    "pl": ("sum", "mean"),
    "retain_loss": ("ce", "kl", "none"),
    "punctuation": ("gw", "uw"),
    "unmarked": ("refuse", "skip"),
    "dtype": ("float32", "bfloat16"),
}


def _above(name: str, value: float, limit: float, *, open_end: bool = False) -> None:
    if not math.isfinite(value) or value < limit or (open_end and value == limit):
        raise UsageError(f"{name} is {value}, and must be {'above' if open_end else 'at least'} {limit}")


__all__ = ["StopRule", "TrainConfig", "floor_value"]
