"""`train(options)`: an annotation set and a model -> an unlearned model, in a run folder with its record.

    RUN/run.json       what was forgotten, from which model, how, with which code, and what it cost
    RUN/log.jsonl      one record a log step: loss and its terms, UW and GW probability, learning rate
    RUN/model/         the unlearned model: safetensors, config, tokenizer
    RUN/adapter/       with LoRA: the adapter alone; `model/` has it merged
    RUN/checkpoints/   what a killed run continues from
    RUN/trajectory/    the evaluations on the way, where the options ask for them

The same call on the same folder continues from the last checkpoint. It returns at once if the run is finished.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainingArguments, set_seed

from tif import files
from tif.console import say
from tif.errors import UsageError
from tif.records import CHECKPOINTS, ModelIdentity, ReferencePass, RunRecord, Settled
from tif.tokens.adapters import with_adapters
from tif.tokens.layers import count_layers, layer_of
from tif.tokens.memory import fits_in_memory
from tif.tokens.models import load_model, model_digest
from tif.train import checkpoint, record
from tif.train.arguments import training_arguments
from tif.train.callbacks import Watch, reporters
from tif.train.data import ScoredExample
from tif.train.early import EarlyStop
from tif.train.freeze import freeze, trained_weights
from tif.train.objectives import Objective, find
from tif.train.options import TrainOptions
from tif.train.prepare import Prepared, check_kept, prepare
from tif.train.scores import Scores, score_all
from tif.train.settle import back_along_the_line
from tif.train.trainer import LossPlan, Unlearner
from tif.train.trajectory import Evaluate, Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ALONE: Final = "only `tif train` and `tif.train` can evaluate on the way"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished run."""

    folder: Path
    model: Path
    """The unlearned model's folder."""
    record: RunRecord
    history: tuple[dict[str, float], ...]
    """The records of `log.jsonl`."""
    resumed_from: int
    """The step that this call continued from: 0 for a new run, `steps` if nothing was left to do."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the run, over all sessions."""
        return self.record.steps or 0


@fits_in_memory(
    "Use a smaller --batch-size with more --accumulate, --max-length, --gradient-checkpointing, --lora or "
    "--dtype bfloat16."
)
def train(options: TrainOptions, *, evaluate: Evaluate | None = None) -> RunResult:
    """Unlearn.

    Args:
        options: what to forget and how.
        evaluate: evaluates the model on the way, where the options ask for it. Nothing depends on its numbers.

    Raises:
        UsageError: for a folder with another run in it, or options that do not fit the objective or the data.
        MaskError: for spans that the tokenizer cannot carry, before any training.
        StoreError, InputError, MissingError: for what cannot be read.
        WriteError: for what cannot be written.
        TifError: for a loss that is not finite, a model that cannot be packed, or a lack of memory.
    """
    folder = Path(options.out)
    objective = find(options.objective)
    options.check_for(objective)
    if options.evaluate_every is not None and evaluate is None:
        raise UsageError(_ALONE, where="--evaluate-every", hint="Leave it out, or use `tif train`.")
    plan = _plan(options, objective)
    integrations = reporters(options.report_to, folder)
    prepared = prepare(options, plan.settings.scope, needs=objective.needs)
    check_kept(prepared, options, objective)
    run = record.new(options, plan, prepared, _identity(options.model), _base_identity(options))
    known = record.read(folder)
    if known is not None:
        record.check_same_run(known, run, folder)
        if known.status == "finished":
            known.check_outputs(folder)
            say(f"{folder} is finished already")
            return _result(folder, known, resumed_from=known.steps or 0)
    arguments = training_arguments(options, folder / CHECKPOINTS)
    # Rows are packed without padding, so a saved tokenizer and the model's own config stay untouched.
    set_seed(options.seed)
    model = load_model(options.model, dtype=options.dtype, attn_implementation=options.attention)
    model.to(arguments.device)
    _check_layer(plan, model)
    if options.freeze:
        freeze(model, options.freeze)
        say("training {:,} of {:,} weights".format(*trained_weights(model)))
    with arguments.main_process_first(local=True):
        scores = score_all(
            options,
            prepared,
            model,
            digest=str(run.model.digest),
            base_digest=run.base_model.digest if run.base_model else None,
            scope=plan.settings.scope,
            floor=options.floor_of(objective),
            retain_loss=plan.retain_loss,
        )
    every = _check_every(options, len(scores.training), arguments.world_size)
    _check_settle(options, prepared, len(scores.training), arguments.world_size)
    run = known or replace(run, reference=_reference_pass(scores))
    if arguments.should_save:
        files.make_folder(folder)
        run = record.begin(run, folder)
    watch = Watch(folder / "log.jsonl")
    trainer = _trainer(options, plan, model, arguments, scores, [watch, *integrations])
    early = None
    if options.early_stop is not None:
        early = EarlyStop(trainer, options.early_stop, scores.validation, every)
        trainer.add_callback(early)
    trajectory = None
    if options.evaluate_every is not None and evaluate is not None:
        epoch, _ = _schedule(options, len(scores.training), arguments.world_size)
        trajectory = Trajectory(trainer, evaluate, options.evaluate_every.steps or epoch, folder)
        trainer.add_callback(trajectory)
    _check_sharpness(trainer, options)
    starting = _starting_weights(trainer, options)
    last = _last_checkpoint(trainer, folder)
    start = int(last.name.partition("-")[2]) if last else 0
    began = time.monotonic()
    try:
        # After the last step only saving is left: transformers would take one more step.
        if last is None or not trainer.finished(last):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        watch.close()
    trainer.check_finite()
    settled = _settle(trainer, starting, scores.training.forget[: len(prepared.forget)])
    if trajectory is not None:
        trajectory.finish()
    if arguments.should_save:
        _save_model(trainer, prepared, folder, lora=bool(options.lora))
        stopped = early.stopped if early else None
        seconds = time.monotonic() - began
        record.finish(run, folder, trainer, seconds=seconds, from_step=start, stopped=stopped, settled=settled)
    trainer.accelerator.wait_for_everyone()
    return _result(folder, cast(RunRecord, record.read(folder)), resumed_from=start)


def _plan(options: TrainOptions, objective: Objective) -> LossPlan:
    return LossPlan(
        objective=objective,
        settings=options.settings_of(objective),
        retain_loss=options.retain_term(objective),
        retain_weight=options.weight_of_retain(objective),
        retain_bound=options.retain_bound,
        dual_step=options.dual_step,
        settle_steps=options.settle.steps if options.settle else 0,
        sharpness=options.sharpness,
        rmu_layer=options.rmu_layer,
        rmu_scale=options.rmu_scale,
    )


def _identity(model: str) -> ModelIdentity:
    return ModelIdentity(model, model_digest(model))


def _base_identity(options: TrainOptions) -> ModelIdentity | None:
    return None if options.base_model is None else _identity(options.base_model)


def _check_layer(plan: LossPlan, model: PreTrainedModel) -> None:
    if "activations" not in plan.objective.needs:
        return
    layers = count_layers(model)
    if plan.rmu_layer >= layers:
        raise UsageError(
            f"is {plan.rmu_layer}, but the model has {layers} layers", where="--rmu-layer",
            hint=f"Layers count from 0: the last is {layers - 1}.",
        )  # fmt: skip
    layer_of(model, plan.rmu_layer)


def _schedule(options: TrainOptions, examples: int, processes: int) -> tuple[int, int]:
    """Optimizer steps in an epoch, and in the run."""
    epoch = math.ceil(math.ceil(examples / (options.batch_size * processes)) / options.accumulate)
    return epoch, options.max_steps or math.ceil(options.epochs * epoch)


def _check_settle(options: TrainOptions, prepared: Prepared, examples: int, processes: int) -> None:
    if options.settle is not None and options.settle.kind == "line" and not prepared.marks:
        raise UsageError("line needs marked words: their level decides", where="--settle", hint="Leave it out.")
    _, steps = _schedule(options, examples, processes)
    if options.settle is not None and options.settle.steps >= steps:
        raise UsageError(
            f"settles for {options.settle.steps} steps, and the run has {steps}",
            where="--settle",
            hint="Give fewer: the steps before them forget.",
        )


def _check_sharpness(trainer: Unlearner, options: TrainOptions) -> None:
    if options.sharpness and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise UsageError(
            "needs complete weights, and FSDP or DeepSpeed divides them", where="--sharpness", hint="Leave it out."
        )


def _starting_weights(trainer: Unlearner, options: TrainOptions) -> dict[str, Tensor] | None:
    """The trained weights before the first step, where the run is to go back towards them.

    Raises:
        UsageError: for a model whose weights are divided between processes.
    """
    if options.settle is None or options.settle.kind != "line":
        return None
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UsageError(
            "line needs complete weights, and FSDP or DeepSpeed divides them", where="--settle", hint="Leave it out."
        )
    weights = {name: weight for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    if options.lora:
        # The weights move along a line where one of the two factors does; it starts at 0.
        return {name: torch.zeros_like(weight) for name, weight in weights.items() if "lora_B" in name}
    return {name: weight.detach().clone() for name, weight in weights.items()}


def _settle(trainer: Unlearner, starting: dict[str, Tensor] | None, samples: Sequence[ScoredExample]) -> Settled | None:
    if starting is None:
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    settled = back_along_the_line(model, starting, samples)
    if trainer.args.should_save:
        say(
            f"settled at {settled.fraction:.3f} of the way: unwanted phrases at {settled.phrase_probability:.4f}, "
            f"their floor at {settled.phrase_floor:.4f}"
        )
    return settled


def _check_every(options: TrainOptions, examples: int, processes: int) -> int:
    """Steps between two checks of the early stop.

    Raises:
        UsageError: if the run is over before the first.
    """
    epoch, steps = _schedule(options, examples, processes)
    every = options.early_stop_every or epoch
    if options.early_stop is not None and every > steps:
        raise UsageError(
            f"is checked every {every} steps, and the run has {steps}",
            where="--early-stop",
            hint="Give a smaller --early-stop-every.",
        )
    return every


def _reference_pass(scores: Scores) -> ReferencePass:
    return ReferencePass(seconds=round(scores.seconds, 3), from_cache=scores.from_cache)


def _trainer(
    options: TrainOptions,
    plan: LossPlan,
    model: PreTrainedModel,
    arguments: TrainingArguments,
    scores: Scores,
    callbacks: list[TrainerCallback],
) -> Unlearner:
    frozen = copy.deepcopy(model).requires_grad_(False) if plan.needs_frozen and not options.lora else None
    return Unlearner(
        _with_lora(model, options) if options.lora else model,
        arguments,
        scores.training,
        plan,
        frozen=frozen,
        callbacks=callbacks,
        keep_checkpoints=options.keep_checkpoints,
    )


def _last_checkpoint(trainer: Unlearner, folder: Path) -> Path | None:
    """The checkpoint to continue from. One process deletes what was cut short before the others look."""
    last = checkpoint.latest(folder / CHECKPOINTS) if trainer.args.should_save else None
    trainer.accelerator.wait_for_everyone()
    last = last or checkpoint.latest(folder / CHECKPOINTS)
    if last:
        say(f"continuing from step {last.name.partition('-')[2]}")
    return last


def _with_lora(model: PreTrainedModel, options: TrainOptions) -> PreTrainedModel:
    if options.gradient_checkpointing:
        # Frozen embeddings give activations without gradient, and checkpointed layers then silently train nothing.
        model.enable_input_require_grads()
    return with_adapters(model, rank=options.lora, alpha=options.lora_alpha or 2 * options.lora)


def _save_model(trainer: Unlearner, prepared: Prepared, folder: Path, *, lora: bool) -> None:
    """Write `model/`, and the adapter beside it if there is one."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if lora:
        with files.replacing_folder(folder / "adapter") as new:
            model.save_pretrained(new)
        model = model.merge_and_unload()
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        prepared.tokenizer.save_pretrained(new)


def _result(folder: Path, run: RunRecord, *, resumed_from: int) -> RunResult:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return RunResult(
        folder=folder,
        model=folder / "model",
        record=run,
        history=tuple(json.loads(line) for line in lines),
        resumed_from=resumed_from,
    )


__all__ = ["RunResult", "train"]
