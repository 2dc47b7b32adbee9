"""The options of `tif train`, each declared once: name, type, default, help, and when it has no effect."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from tif.errors import UsageError
from tif.options import Option, Options, needs
from tif.sources import Keeps
from tif.tokens.encoding import Encoding
from tif.train.every import Every
from tif.train.floor import Floor
from tif.train.frames import Frame
from tif.train.freeze import Freeze
from tif.train.idle import (
    ADD_RETAIN,
    base_model_idle,
    early_stop_idle,
    floor_idle,
    floor_kind_idle,
    for_need,
    frame_retain_idle,
    freeze_idle,
    prompt_field_idle,
    read_by_formula,
    reduction_idle,
    retain_idle,
    retain_loss_idle,
    settle_idle,
)
from tif.train.objectives import OBJECTIVES, Objective, RetainLoss
from tif.train.settings import ObjectiveSettings, Per, Preservation, Reduction, Scope, Space
from tif.train.settle import Settle
from tif.train.stop_rule import StopRule

_DATA: Final = "Data"
_LOSS: Final = "Objective"
_STEPS: Final = "Training"
_COMPUTE: Final = "Compute"

_OWN: Final = "the objective's own"


class DataOptions(Options):
    """What is forgotten and kept, from which model, and where the run goes."""

    masks: Annotated[
        str,
        Option("Annotation set whose marks are forgotten.", _DATA, metavar="FILE[@N]", outcome=False),
    ]
    model: Annotated[
        str,
        Option("Starting model: a model folder, a run folder or a hub id.", _DATA, metavar="MODEL", outcome=False),
    ]
    out: Annotated[
        str,
        Option(
            "Run folder to write. The same command continues from the last checkpoint in it.",
            _DATA,
            metavar="FOLDER",
            outcome=False,
        ),
    ]
    retain: Annotated[
        Keeps,
        Option("Samples to keep: tofu:retain95, a file or a hub id. Repeat the option for a mixture in equal shares, "
               "or in others: SOURCE=3.", _DATA, metavar="SOURCE[=WEIGHT]", idle=retain_idle),
    ] = ()  # fmt: skip
    data_dir: Annotated[
        str | None,
        Option("Folder with local copies of benchmark files.", _DATA, metavar="FOLDER",
               otherwise="TIF_DATA_DIR, else the hub", outcome=False),
    ] = None  # fmt: skip
    limit: Annotated[int | None, Option("Forget the first N examples only.", _DATA, metavar="N", least=1)] = None
    limit_retain: Annotated[
        int | None,
        Option(
            "Keep the first N samples of each source only.",
            _DATA,
            metavar="N",
            least=1,
            idle=needs("retain", ADD_RETAIN),
        ),
    ] = None
    prompt_field: Annotated[
        str | None,
        Option('Field of retain samples and alternates that holds the prompt; several as A,B; "" for plain text.',
               _DATA, metavar="FIELD", otherwise="the usual names", idle=prompt_field_idle, outcome=False),
    ] = None  # fmt: skip
    text_field: Annotated[
        str | None,
        Option("Field of the retain samples that holds the text.", _DATA, metavar="FIELD", otherwise="the usual names",
               idle=needs("retain", ADD_RETAIN), outcome=False),
    ] = None  # fmt: skip
    encoding: Annotated[
        str | None,
        Option("Encoding of text files with retain samples and alternates, such as cp1252 for Windows.", _DATA,
               metavar="NAME", otherwise="UTF-8", idle=prompt_field_idle, outcome=False),
    ] = None  # fmt: skip
    skip_failed: Annotated[
        bool, Option("Leave out examples that failed, are in conflict or wait for review.", _DATA)
    ] = False
    alternates: Annotated[
        str | None,
        Option("altpo: other answers to the questions of the forget set, with the same questions. Several answers to a "
               "question are used in turn, one an epoch.", _DATA, metavar="SOURCE",
               idle=for_need("alternates", "alternates", "altpo")),
    ] = None  # fmt: skip
    alternate_field: Annotated[
        str | None,
        Option("Field of the alternates that holds the answer.", _DATA, metavar="FIELD", otherwise="the usual names",
               idle=needs("alternates"), outcome=False),
    ] = None  # fmt: skip
    frames: Annotated[
        tuple[Frame, ...],
        Option("Forget each question a second time, with this answer: 'The answer is {words}.' {words} stands for the "
               "unwanted words. Repeat the option for several frames, which are used in turn.", _DATA,
               names=("--frame",), metavar="TEXT"),
    ] = ()  # fmt: skip

    frame_retain: Annotated[
        str | None,
        Option("Annotation set of samples to keep: each is also put into the frames, with its own marked words, and "
               "held where the starting model has it. It is one more source, of weight 1.", _DATA, metavar="FILE[@N]",
               idle=frame_retain_idle, outcome=False),
    ] = None  # fmt: skip


class TrainOptions(Encoding, DataOptions):
    """What a training run forgets, from which model, and how.

    Raises:
        UsageError: for a value outside its range, options that contradict each other, or one without an effect.
    """

    objective: Annotated[str, Option(f"{', '.join(OBJECTIVES)}, or the name of a plugin's objective.", _LOSS)] = "tpo"
    base_model: Annotated[
        str | None,
        Option("Base model, which never saw the forget set: usually the model before fine-tuning. Required by anchored "
               "and by --floor base.", _LOSS, metavar="MODEL", idle=base_model_idle, outcome=False),
    ] = None  # fmt: skip
    beta: Annotated[
        float | None,
        Option("The beta of the objective's formula.", _LOSS, above=0, otherwise=_OWN, idle=read_by_formula("beta")),
    ] = None
    beta2: Annotated[
        float | None,
        Option("satimp: the second exponent.", _LOSS, otherwise=_OWN, idle=read_by_formula("beta2")),
    ] = None
    gamma: Annotated[
        float | None,
        Option("simnpo: the margin. anchored: hold general words at the base model's level (0), at the starting "
               "model's (1) or between them.", _LOSS, otherwise=_OWN, idle=read_by_formula("gamma")),
    ] = None  # fmt: skip
    alpha: Annotated[
        float | None,
        Option("rmu: weight of keeping activations.", _LOSS, otherwise=_OWN, idle=read_by_formula("alpha")),
    ] = None
    skip_tokens: Annotated[
        int | None,
        Option("ceu: leave the first N tokens of each answer alone.", _LOSS, metavar="N", least=0, otherwise=_OWN,
               idle=read_by_formula("skip_tokens")),
    ] = None  # fmt: skip
    scope: Annotated[
        Scope | None,
        Option("Push all tokens of the answer, or unwanted words only (uw).", _LOSS, otherwise="as published"),
    ] = None
    reduction: Annotated[
        Reduction,
        Option("Average over each sample, then over samples. token: average over all tokens of the batch, as most "
               "released code does, where a loss is a mean over tokens. batch, for tpo: one sigmoid over the batch.",
               _LOSS, idle=reduction_idle),
    ] = "sample"  # fmt: skip
    space: Annotated[
        Space,
        Option("tpo: compare logits (paper) or log-probabilities.", _LOSS, idle=read_by_formula("space")),
    ] = "logit"
    per: Annotated[
        Per,
        Option("anchored: push each unwanted token down to its floor, or each phrase. A phrase is an unbroken run of "
               "unwanted tokens. It is pushed until their summed log-probability is at that of their floors.", _LOSS,
               idle=read_by_formula("per")),
    ] = "token"  # fmt: skip
    pl: Annotated[
        Preservation,
        Option("tpo: sum the preservation loss over an example (released code), or take its mean.", _LOSS,
               idle=read_by_formula("pl")),
    ] = "sum"  # fmt: skip
    pl_weight: Annotated[
        float,
        Option("Weight of the preservation loss.", _LOSS, least=0, idle=read_by_formula("pl_weight")),
    ] = 1.0
    retain_loss: Annotated[
        RetainLoss | None,
        Option(
            "Loss on the samples to keep: ce (cross-entropy), kl (divergence from the starting model, which stays in "
            "memory) or coin (the same of each token against all others, from stored scores).",
            _LOSS,
            otherwise=_OWN,
            idle=retain_loss_idle,
        ),
    ] = None
    retain_weight: Annotated[
        float | None,
        Option("Weight of the retain term.", _LOSS, least=0, idle=needs("retain", ADD_RETAIN),
               otherwise=f"{_OWN}: anchored {OBJECTIVES['anchored'].retain_weight:g}, others 1"),
    ] = None  # fmt: skip
    retain_bound: Annotated[
        float,
        Option("pdu: raise the weight of the retain term while its loss is above this, in nats, and lower it below.",
               _LOSS, metavar="NATS", least=0, idle=for_need("dual", "bound of the retain loss", "pdu")),
    ] = 0.0  # fmt: skip
    dual_step: Annotated[
        float,
        Option("pdu: how far the weight of the retain term moves in a step, for each nat above the bound.", _LOSS,
               above=0, idle=for_need("dual", "bound of the retain loss", "pdu")),
    ] = 1.0  # fmt: skip
    floor: Annotated[
        Floor | None,
        Option("Push an unwanted token no further than this: base (the base model's level), primed (the same behind "
               "retain samples), proxy (the base model after a few steps on retain samples), a log-probability (-8), "
               "or a drop in nats (5).", _LOSS, metavar="base|primed|proxy|NATS",
               otherwise="base for anchored, else none", idle=floor_idle),
    ] = None  # fmt: skip
    floor_samples: Annotated[
        int,
        Option("Retain samples that the base model reads before each text.", _LOSS, metavar="N", least=1,
               idle=floor_kind_idle("primed")),
    ] = 4  # fmt: skip
    floor_steps: Annotated[
        int,
        Option("Steps of LoRA on retain samples, eight in each, before the base model gives the floor.", _LOSS,
               metavar="N", least=1, idle=floor_kind_idle("proxy")),
    ] = 40  # fmt: skip
    sharpness: Annotated[
        float,
        Option("Against relearning (SAM): compute the forget term's gradient where the model remembers most, at "
               "weights this far away. An optimizer step then takes about three times as long.", _LOSS,
               metavar="RADIUS", least=0),
    ] = 0.0  # fmt: skip
    rmu_layer: Annotated[
        int,
        Option("rmu: the layer whose output is steered, counted from 0 as in the model's own layers.", _LOSS, least=0,
               idle=for_need("activations", "rmu_layer", "rmu")),
    ] = 7  # fmt: skip
    rmu_scale: Annotated[
        float, Option("rmu: the steering coefficient c.", _LOSS, idle=for_need("activations", "rmu_scale", "rmu"))
    ] = 20.0

    epochs: Annotated[float, Option("Passes over the forget set.", _STEPS, above=0)] = 5.0
    max_steps: Annotated[int | None, Option("Optimizer steps, instead of --epochs.", _STEPS, metavar="N", least=1)] = (
        None
    )
    early_stop: Annotated[
        StopRule | None,
        Option("End when this fraction of unwanted tokens, or of phrases with --per phrase, is at its floor "
               "(floor:0.95), when the tokens' mean probability is this low (uw:0.05), or when general tokens have "
               "this fraction left of what they had (gw:0.8).", _STEPS,
               metavar="RULE", idle=early_stop_idle),
    ] = None  # fmt: skip
    early_stop_every: Annotated[
        int | None,
        Option("Steps between two checks of the early stop.", _STEPS, metavar="N", least=1, otherwise="an epoch",
               idle=needs("early_stop")),
    ] = None  # fmt: skip
    validation: Annotated[
        str | None,
        Option("Annotation set for the early stop. It is never trained on.", _STEPS, metavar="FILE[@N]",
               otherwise="the forget set", idle=needs("early_stop"), outcome=False),
    ] = None  # fmt: skip
    settle: Annotated[
        Settle | None,
        Option("N: the last N steps minimise the retain term alone. line: after the last step, move the weights back "
               "towards the starting weights, until unwanted phrases are as probable as their floor.", _STEPS,
               metavar="line|N", idle=settle_idle),
    ] = None  # fmt: skip
    freeze: Annotated[
        tuple[Freeze, ...],
        Option("Leave a part of the model as it is: embeddings, head (the output layer), or layers by number from 0, "
               "such as layers:0-11 or layers:12-. Repeat it for several.", _STEPS, metavar="PART", idle=freeze_idle),
    ] = ()  # fmt: skip
    evaluate_every: Annotated[
        Every | None,
        Option("Evaluate every epoch or every N steps as `tif eval` does, before the first and after the last. The "
               "report shows these numbers. They never choose or stop anything.", _STEPS, metavar="epoch|N",
               outcome=False),
    ] = None  # fmt: skip
    evaluate_limit: Annotated[
        int | None,
        Option("Evaluate the first N samples of each part.", _STEPS, metavar="N", least=1, idle=needs("evaluate_every"),
               outcome=False),
    ] = None  # fmt: skip
    batch_size: Annotated[
        int, Option("Forget examples in one step of one process. They are packed into one row.", _STEPS, least=1)
    ] = 4
    accumulate: Annotated[int, Option("Batches in one optimizer step.", _STEPS, least=1)] = 1
    lr: Annotated[float, Option("Highest learning rate.", _STEPS, above=0)] = 1e-5
    scheduler: Annotated[str, Option("Learning rate schedule, by its name in transformers.", _STEPS)] = "linear"
    warmup: Annotated[
        float, Option("Fraction of the steps in which the learning rate rises.", _STEPS, least=0, below=1)
    ] = 0.0
    weight_decay: Annotated[float, Option("Weight decay of AdamW.", _STEPS, least=0)] = 0.01
    max_grad_norm: Annotated[float, Option("Clip gradients at this norm; 0 for no clipping.", _STEPS, least=0)] = 1.0
    optimizer: Annotated[str, Option("Optimizer, by its name in transformers.", _STEPS)] = "adamw_torch_fused"
    seed: Annotated[int, Option("Seed of the order, of the pairs and of adapters.", _STEPS, least=0, below=2**32)] = 0

    lora: Annotated[
        int, Option("Rank of LoRA adapters on all linear layers; 0 trains every weight.", _COMPUTE, least=0)
    ] = 0
    lora_alpha: Annotated[
        int | None,
        Option("Alpha of the adapters.", _COMPUTE, least=1, otherwise="twice the rank",
               idle=needs("lora", "without adapters: add --lora RANK")),
    ] = None  # fmt: skip
    dtype: Annotated[Literal["float32", "bfloat16"], Option("Type of weights and optimizer.", _COMPUTE)] = "float32"
    autocast: Annotated[bool, Option("Compute in bfloat16, and keep weights in float32.", _COMPUTE)] = False
    gradient_checkpointing: Annotated[bool, Option("Use less memory and more time.", _COMPUTE)] = False
    attention: Annotated[
        str | None,
        Option("Attention implementation, by its name in transformers.", _COMPUTE, otherwise="that of transformers"),
    ] = None
    cpu: Annotated[bool, Option("Train on the CPU, even beside an accelerator.", _COMPUTE)] = False
    save_steps: Annotated[int, Option("Steps between two checkpoints.", _COMPUTE, least=1, outcome=False)] = 50
    keep_checkpoints: Annotated[int, Option("Checkpoints kept on disk.", _COMPUTE, least=1, outcome=False)] = 1
    log_steps: Annotated[int, Option("Steps between two log records.", _COMPUTE, least=1, outcome=False)] = 1
    report_to: Annotated[
        tuple[str, ...],
        Option("Also log to tensorboard, wandb, or another integration of transformers. Repeat it for several.",
               _COMPUTE, metavar="NAME", outcome=False),
    ] = ()  # fmt: skip

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.scheduler == "reduce_lr_on_plateau":
            raise UsageError(
                "reduce_lr_on_plateau cannot be used", where="--scheduler", why="training runs no evaluation"
            )
        if self.floor is not None and self.floor.of_base_model and self.base_model is None:
            raise UsageError(f"{self.floor} needs a base model", where="--floor", hint="Add --base-model MODEL.")
        if self.floor is not None and self.floor.of_retain and not self.retain:
            raise UsageError(f"{self.floor} needs samples to keep", where="--floor", hint="Add --retain SOURCE.")
        if self.early_stop is not None and self.settle is not None and self.settle.kind == "steps":
            raise UsageError(
                "cannot come before steps that settle", where="--early-stop", why="the run would end before them",
                hint="Use --settle line, or leave one out.",
            )  # fmt: skip
        if self.objective in OBJECTIVES:
            self._give(OBJECTIVES[self.objective])

    def check_for(self, objective: Objective) -> None:
        """Refuse what an objective cannot use, and a lack of what it needs.

        Raises:
            UsageError: naming the first such option.
        """
        self._give(objective)
        self.refuse_idle(objective)

    def retain_term(self, objective: Objective) -> RetainLoss:
        """The loss on the samples to keep: the chosen one, or the objective's own; none without samples."""
        return self.retain_loss or (objective.retain if self.retain else "none")

    def weight_of_retain(self, objective: Objective) -> float:
        """The weight of the retain term."""
        return objective.retain_weight if self.retain_weight is None else self.retain_weight

    def floor_of(self, objective: Objective) -> Floor | None:
        """The floor of unwanted tokens. An objective that needs a base model has that model's level as its floor."""
        return self.floor or (Floor("base") if "base" in objective.needs else None)

    def settings_of(self, objective: Objective) -> ObjectiveSettings:
        """The numbers of the formula, with the objective's own where these options have none."""
        given = {name: getattr(self, name) for name in ("beta", "beta2", "gamma", "alpha", "skip_tokens")}
        numbers = {**objective.defaults, **{name: value for name, value in given.items() if value is not None}}
        return ObjectiveSettings(
            **numbers,
            scope=self.scope or objective.scope,
            reduction=self.reduction,
            space=self.space,
            per=self.per,
            pl=self.pl,
            pl_weight=self.pl_weight,
        )

    def _give(self, objective: Objective) -> None:
        if "base" in objective.needs and self.base_model is None:
            raise UsageError(
                f"{objective.name} needs a base model, which never saw the forget set",
                where="--objective",
                hint="Add --base-model MODEL: usually the model before fine-tuning.",
            )
        if objective.needs_retain and self.retain_term(objective) == "none":
            raise UsageError(
                f"{objective.name} needs samples to keep",
                where="--objective",
                hint="Add --retain SOURCE, or use --objective ga.",
            )
        if "alternates" in objective.needs and self.alternates is None:
            raise UsageError(
                f"{objective.name} needs other answers to the questions of the forget set",
                where="--objective",
                hint="Add --alternates SOURCE, or use --objective idkdpo.",
            )


__all__ = ["TrainOptions"]
