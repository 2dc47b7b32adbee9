"""`train(config)`: an annotation set and a model -> an unlearned model, in a run folder that tells how it came about.

    RUN/run.json       what was forgotten, from which model, how, with which code, and what it cost
    RUN/log.jsonl      one record a log step: loss and its parts, UW and GW probability, learning rate
    RUN/model/         the unlearned model: safetensors, config, tokenizer
    RUN/adapter/       with LoRA: the adapter alone; `model/` has it merged
    RUN/checkpoints/   what a killed run goes on from

The same call on the same folder goes on from the last checkpoint, and returns at once when the run is finished.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainingArguments, set_seed

from tif.console import say
from tif.errors import MissingError, UsageError
from tif.tokens.models import load_model, model_digest
from tif.train import checkpoint, record
from tif.train.callbacks import Watch, reporters
from tif.train.config import StopRule, TrainConfig, floor_value
from tif.train.data import Pairs, Sample
from tif.train.early import EarlyStop
from tif.train.objectives import Objective, Settings, find
from tif.train.prepare import Prepared, prepare
from tif.train.reference import check_packing, score_cached
from tif.train.trainer import Recipe, Unlearner

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run."""

    folder: Path
    model: Path
    """The unlearned model's folder."""
    steps: int
    history: tuple[dict[str, float], ...]
    """The records of `log.jsonl`."""
    resumed_from: int
    """The step that this call went on from; 0 for a start, `steps` when there was nothing left to do."""


def train(config: TrainConfig) -> RunResult:
    """Unlearn.

    Raises:
        UsageError: for a folder that holds another run, or options that do not go with the data.
        MaskError: for spans that the tokenizer cannot carry, before any training.
        StoreError, InputError, MissingError: for what cannot be read.
        TifError: for a loss that is not finite, or a model that cannot be packed.
    """
    folder = Path(config.out)
    objective = find(config.objective)
    if "base" in objective.needs and config.floor_model is None:
        raise UsageError(
            f"{objective.name} needs a model that never saw the forget set",
            hint="Give the one before fine-tuning: --floor base --floor-model MODEL.",
        )
    settings, retain_loss = _settings(config, objective)
    told = reporters(config.report_to, folder)
    prepared = prepare(config, settings.scope, needs_idk="idk" in objective.needs)
    digest = model_digest(config.model)
    retain_weight = objective.retain_weight if config.retain_weight is None else config.retain_weight
    numbers = {"paper": objective.paper, **asdict(settings), "retain_loss": retain_loss, "retain_weight": retain_weight}
    identity = record.identity(config, prepared, digest, numbers)
    known = record.read(folder)
    if known is not None:
        record.same_run(known, identity, folder)
        if known["status"] == "finished":
            say(f"{folder} is finished already")
            return _result(folder, known["steps"])

    arguments = _arguments(config, folder / "checkpoints")
    # Rows are packed without padding, so a saved tokenizer and the model's own config stay untouched.
    set_seed(config.seed)
    model = load_model(config.model, dtype=config.dtype, attn_implementation=config.attention)
    model.to(arguments.device)
    began = time.monotonic()
    with arguments.main_process_first(local=True):
        pairs, validation, reused = _score(config, prepared, model, digest, settings)
    reference_seconds = time.monotonic() - began
    recipe = _recipe(config, objective, settings, retain_loss, retain_weight, model)
    frozen = copy.deepcopy(model).requires_grad_(False) if recipe.needs_frozen and not config.lora else None
    policy = _with_lora(model, config) if config.lora else model

    if arguments.should_save:
        folder.mkdir(parents=True, exist_ok=True)
        known = record.begin(folder, known, identity, prepared, reference_seconds, reused)
    watch = Watch(folder / "log.jsonl")
    trainer = Unlearner(policy, arguments, pairs, recipe, frozen=frozen, callbacks=[watch, *told])
    early = _early_stop(config, trainer, validation)
    last = checkpoint.latest(folder / "checkpoints") if arguments.should_save else None
    trainer.accelerator.wait_for_everyone()
    last = last or checkpoint.latest(folder / "checkpoints")
    start = int(last.name.partition("-")[2]) if last else 0
    if start:
        say(f"going on from step {start}")
    began = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        watch.close()
    if arguments.should_save:
        assert known is not None
        _save_model(trainer, prepared, folder, lora=bool(config.lora))
        record.finish(folder, known, trainer, time.monotonic() - began, start, early and early.stopped)
    trainer.accelerator.wait_for_everyone()
    return replace(_result(folder, trainer.state.global_step), resumed_from=start)


def _settings(config: TrainConfig, objective: Objective) -> tuple[Settings, str]:
    """The objective's numbers and the retain term, with the objective's own values where the config has none."""
    chosen: dict[str, Any] = dict(objective.defaults)
    for name in ("beta", "beta2", "gamma", "alpha"):
        if getattr(config, name) is not None:
            chosen[name] = getattr(config, name)
    settings = Settings(
        **chosen,
        scope=config.scope or objective.scope,
        reduction=config.reduction,
        space=config.space,
        pl=config.pl,
        pl_weight=config.pl_weight,
    )
    retain = config.retain_loss or (objective.retain if config.retain else "none")
    if objective.name == "graddiff" and retain == "none":
        raise UsageError("graddiff needs samples to keep", hint="Add --retain SOURCE, or use --objective ga.")
    return settings, retain


def _recipe(
    config: TrainConfig, objective: Objective, settings: Settings, retain: str, weight: float, model: PreTrainedModel
) -> Recipe:
    layers = model.config.num_hidden_layers
    if "activations" in objective.needs and not 1 <= config.rmu_layer <= layers:
        raise UsageError(f"rmu_layer is {config.rmu_layer}, but the model has {layers} layers")
    return Recipe(
        objective,
        settings,
        retain,
        weight,
        config.rmu_layer,
        config.rmu_scale,
        config.keep_checkpoints,
    )


def _score(
    config: TrainConfig, prepared: Prepared, model: PreTrainedModel, digest: str, settings: Settings
) -> tuple[Pairs, list[Sample], bool]:
    """Everything to train on, and what the early stop looks at, with what reference and base model say of it."""
    check_packing(model, prepared.forget)
    held_out = prepared.validation if config.validation is not None else ()
    marked = [*prepared.forget, *held_out]
    scores, reused = score_cached(model, digest, [*marked, *prepared.idk])
    own, idk_scores = scores[: len(marked)], scores[len(marked) :]
    lowest = floor_value(config.floor)
    bases: list[torch.Tensor] | None = None
    if config.floor_model is not None:
        base = load_model(config.floor_model, dtype=config.dtype, attn_implementation=config.attention)
        base.to(model.device)
        bases = [said[:, 1] for said in score_cached(base, model_digest(config.floor_model), marked)[0]]
        floors = bases
        del base
    elif lowest is None:
        floors = [torch.full((len(said),), -torch.inf) for said in own]
    else:
        floors = [torch.full((len(said),), lowest) if lowest < 0 else said[:, 1] - lowest for said in own]
    # Only what the objective pushes down has a floor: the others are to rise.
    pushed = [item.pushed(settings.scope) for item in marked]
    samples = [
        Sample(item, said, torch.where(torch.tensor(mask), floor, -torch.inf), bases[i] if bases else None)
        for i, (item, said, floor, mask) in enumerate(zip(marked, own, floors, pushed, strict=True))
    ]
    forget, validation = samples[: len(prepared.forget)], samples[len(prepared.forget) :]
    retain = [Sample.plain(item) for item in prepared.retain]
    idk = [replace(Sample.plain(item), reference=said) for item, said in zip(prepared.idk, idk_scores, strict=True)]
    return Pairs(forget, retain, idk), validation or forget[: len(prepared.validation)], reused


def _early_stop(config: TrainConfig, trainer: Unlearner, validation: list[Sample]) -> EarlyStop | None:
    if config.early_stop is None:
        return None
    batches = math.ceil(len(trainer.pairs) / (config.batch_size * trainer.args.world_size))
    every = config.early_stop_every or math.ceil(batches / config.accumulate)
    early = EarlyStop(trainer, StopRule.of(config.early_stop), validation, every)
    trainer.add_callback(early)
    return early


def _with_lora(model: PreTrainedModel, config: TrainConfig) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError:
        raise MissingError("LoRA needs peft", hint="pip install 'tif[lora]'") from None
    if config.gradient_checkpointing:
        # Frozen embeddings give activations without gradient, and checkpointed layers then silently train nothing.
        model.enable_input_require_grads()
    lora = LoraConfig(
        r=config.lora,
        lora_alpha=config.lora_alpha or 2 * config.lora,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def _arguments(config: TrainConfig, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.lr,
        lr_scheduler_type=config.scheduler,
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim=config.optimizer,
        seed=config.seed,
        bf16=config.autocast,
        activation_checkpointing=config.gradient_checkpointing,
        use_cpu=config.cpu,
        save_strategy="steps",
        save_steps=config.save_steps,
        logging_steps=config.log_steps,
        logging_first_step=True,
        # A NaN must be seen, not replaced by the mean of what came before.
        logging_nan_inf_filter=False,
        report_to="none",
        include_num_input_tokens_seen="all",
        remove_unused_columns=False,
        dataloader_pin_memory=not config.cpu and torch.cuda.is_available(),
        ddp_find_unused_parameters=config.objective == "rmu",
        disable_tqdm=True,
    )


def _save_model(trainer: Unlearner, prepared: Prepared, folder: Path, *, lora: bool) -> None:
    """Write the model beside its final place and rename, so that `model/` is whole or not there."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if lora:
        model.save_pretrained(folder / "adapter")
        model = model.merge_and_unload()
    staging, final = folder / "model.tmp", folder / "model"
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    prepared.tokenizer.save_pretrained(staging)
    if final.exists():
        shutil.rmtree(final)
    staging.rename(final)


def _result(folder: Path, steps: int) -> RunResult:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return RunResult(folder, folder / "model", steps, tuple(json.loads(line) for line in lines), steps)


__all__ = ["RunResult", "TrainConfig", "train"]
