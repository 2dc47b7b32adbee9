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
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer, TrainingArguments, get_scheduler, set_seed

from tif import files
from tif.console import say, warn
from tif.errors import MissingError, UsageError
from tif.packages import install_hint
from tif.tokens.models import load_model, model_digest
from tif.train import checkpoint, record
from tif.train.callbacks import Watch, reporters
from tif.train.config import StopRule, TrainConfig, floor_value
from tif.train.data import ScoredExample, TrainingSet
from tif.train.early import EarlyStop
from tif.train.objectives import Objective, RetainLoss, find
from tif.train.prepare import Prepared, prepare
from tif.train.reference import check_packing, score_cached
from tif.train.settings import ObjectiveSettings
from tif.train.trainer import LossPlan, Unlearner

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
    floor_digest = model_digest(config.floor_model) if config.floor_model is not None else None
    retain_weight = objective.retain_weight if config.retain_weight is None else config.retain_weight
    numbers = {"paper": objective.paper, **asdict(settings), "retain_loss": retain_loss, "retain_weight": retain_weight}
    identity = record.identity(config, prepared, digest, numbers, floor_digest)
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
        examples, validation, reused = _score(config, prepared, model, digest, floor_digest, settings)
    reference_seconds = time.monotonic() - began
    plan = _plan(config, objective, settings, retain_loss, retain_weight, model)
    frozen = copy.deepcopy(model).requires_grad_(False) if plan.needs_frozen and not config.lora else None
    policy = _with_lora(model, config) if config.lora else model

    every = _looks_every(config, len(examples), arguments.world_size)
    if arguments.should_save:
        files.make_folder(folder)
        known = record.begin(folder, known, identity, prepared, reference_seconds, reused)
    watch = Watch(folder / "log.jsonl")
    trainer = Unlearner(
        policy,
        arguments,
        examples,
        plan,
        frozen=frozen,
        callbacks=[watch, *told],
        keep_checkpoints=config.keep_checkpoints,
    )
    early = None
    if config.early_stop is not None:
        early = EarlyStop(trainer, StopRule.of(config.early_stop), validation, every)
        trainer.add_callback(early)
    last = checkpoint.latest(folder / "checkpoints") if arguments.should_save else None
    trainer.accelerator.wait_for_everyone()
    last = last or checkpoint.latest(folder / "checkpoints")
    start = int(last.name.partition("-")[2]) if last else 0
    if start:
        say(f"going on from step {start}")
    began = time.monotonic()
    try:
        # A run that was killed behind its last step has but to save its model: transformers would take one step more.
        if last is None or not trainer.finished(last):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        watch.close()
    trainer.check_finite()
    if arguments.should_save:
        assert known is not None
        _save_model(trainer, prepared, folder, lora=bool(config.lora))
        record.finish(folder, known, trainer, time.monotonic() - began, start, early and early.stopped)
    trainer.accelerator.wait_for_everyone()
    return replace(_result(folder, trainer.state.global_step), resumed_from=start)


def _settings(config: TrainConfig, objective: Objective) -> tuple[ObjectiveSettings, RetainLoss]:
    """The objective's numbers and the retain term, with the objective's own values where the config has none."""
    chosen: dict[str, Any] = dict(objective.defaults)
    for name in ("beta", "beta2", "gamma", "alpha"):
        if getattr(config, name) is not None:
            chosen[name] = getattr(config, name)
    settings = ObjectiveSettings(
        **chosen,
        scope=config.scope or objective.scope,
        reduction=config.reduction,
        space=config.space,
        pl=config.pl,
        pl_weight=config.pl_weight,
    )
    retain: RetainLoss = config.retain_loss or (objective.retain if config.retain else "none")
    if objective.needs_retain and retain == "none":
        raise UsageError(f"{objective.name} needs samples to keep", hint="Add --retain SOURCE, or use --objective ga.")
    _refuse_idle(config, objective, retain)
    return settings, retain


def _refuse_idle(config: TrainConfig, objective: Objective, retain: str) -> None:
    """Refuse settings that would change nothing: who gave them believes that they did.

    Raises:
        UsageError: naming the first.
    """
    usual = {setting.name: setting.default for setting in fields(TrainConfig)}
    for name in ("beta", "beta2", "gamma", "alpha", "reduction", "space", "pl", "pl_weight"):
        if objective.reads is not None and name not in objective.reads and getattr(config, name) != usual[name]:
            known = ", ".join(sorted(objective.reads)) or "nothing but the scope"
            raise UsageError(f"{objective.name} has no {name}", hint=f"It reads {known}.")
    steered = "activations" in objective.needs
    for name in ("rmu_layer", "rmu_scale"):
        if not steered and getattr(config, name) != usual[name]:
            raise UsageError(f"{objective.name} has no {name}", hint="It is rmu's.")
    if config.floor is not None and objective.needs & {"distributions", "activations"}:
        raise UsageError(f"{objective.name} pushes no log-probability, so a floor would not hold it")
    if config.retain is not None and retain == "none" and not steered:
        hint = "Use graddiff, which is ga with one." if objective.name == "ga" else "Give --retain-loss ce or kl."
        raise UsageError(f"samples to keep, and {objective.name} has no retain term here", hint=hint)


def _plan(
    config: TrainConfig,
    objective: Objective,
    settings: ObjectiveSettings,
    retain: RetainLoss,
    weight: float,
    model: PreTrainedModel,
) -> LossPlan:
    layers = model.config.num_hidden_layers
    if "activations" in objective.needs and not 1 <= config.rmu_layer <= layers:
        raise UsageError(f"rmu_layer is {config.rmu_layer}, but the model has {layers} layers")
    return LossPlan(
        objective=objective,
        settings=settings,
        retain_loss=retain,
        retain_weight=weight,
        rmu_layer=config.rmu_layer,
        rmu_scale=config.rmu_scale,
    )


def _score(
    config: TrainConfig,
    prepared: Prepared,
    model: PreTrainedModel,
    digest: str,
    floor_digest: str | None,
    settings: ObjectiveSettings,
) -> tuple[TrainingSet, list[ScoredExample], bool]:
    """Everything to train on, and what the early stop looks at, with what reference and base model say of it."""
    check_packing(model, prepared.forget)
    held_out = prepared.validation if config.validation is not None else ()
    marked = [*prepared.forget, *held_out]
    scores, reused = score_cached(model, digest, [*marked, *prepared.idk])
    own, idk_scores = scores[: len(marked)], scores[len(marked) :]
    lowest = floor_value(config.floor)
    bases: list[torch.Tensor] | None = None
    if config.floor_model is not None:
        assert floor_digest is not None
        base = load_model(config.floor_model, dtype=config.dtype, attn_implementation=config.attention)
        base.to(model.device)
        bases = [said[:, 1] for said in score_cached(base, floor_digest, marked)[0]]
        floors = bases
        del base
    elif lowest is None:
        floors = [torch.full((len(said),), -torch.inf) for said in own]
    else:
        floors = [torch.full((len(said),), lowest) if lowest < 0 else said[:, 1] - lowest for said in own]
    # Only what the objective pushes down has a floor: the others are to rise.
    pushed = [item.pushed(settings.scope) for item in marked]
    samples = [
        ScoredExample(
            item=item,
            reference=said,
            floor=torch.where(torch.tensor(mask, dtype=torch.bool), floor, -torch.inf),
            base=bases[i] if bases else None,
        )
        for i, (item, said, floor, mask) in enumerate(zip(marked, own, floors, pushed, strict=True))
    ]
    forget, validation = samples[: len(prepared.forget)], samples[len(prepared.forget) :]
    retain = [ScoredExample.unscored(item) for item in prepared.retain]
    idk = [
        replace(ScoredExample.unscored(item), reference=said)
        for item, said in zip(prepared.idk, idk_scores, strict=True)
    ]
    return TrainingSet(forget, retain, idk), validation or forget[: len(prepared.validation)], reused


def _looks_every(config: TrainConfig, pairs: int, processes: int) -> int:
    """Steps between two looks of the early stop.

    Raises:
        UsageError: if the run is over before the first.
    """
    epoch = math.ceil(math.ceil(pairs / (config.batch_size * processes)) / config.accumulate)
    every = config.early_stop_every or epoch
    steps = config.max_steps or math.ceil(config.epochs * epoch)
    if config.early_stop is not None and every > steps:
        raise UsageError(
            f"the early stop looks every {every} steps, and the run has {steps}", hint="Give --early-stop-every."
        )
    return every


def _with_lora(model: PreTrainedModel, config: TrainConfig) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError:
        raise MissingError("LoRA needs peft", hint=install_hint("lora")) from None
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
    """transformers' own arguments.

    Raises:
        UsageError: for a scheduler or optimizer that it does not have, or not without more.
    """
    try:
        arguments = _made(config, folder)
        Trainer.get_optimizer_cls_and_kwargs(arguments)
        number = torch.nn.Parameter(torch.zeros(1))
        get_scheduler(config.scheduler, torch.optim.SGD([number]), num_warmup_steps=0, num_training_steps=2)
    except (ValueError, TypeError, ImportError) as error:
        why = " ".join(str(error).split())[:200]
        raise UsageError(
            f"scheduler {config.scheduler!r} with optimizer {config.optimizer!r} cannot be used", why=why
        ) from None
    if arguments.n_gpu > 1:
        # One process drives one device: transformers would wrap the model in DataParallel, which splits no packed row.
        warn(f"{arguments.n_gpu} devices are visible, and one is used; torchrun --nproc-per-node uses all")
        arguments._n_gpu = 1
    return arguments


def _made(config: TrainConfig, folder: Path) -> TrainingArguments:
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
    """Write `model/`, and the adapter beside it if there is one."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if lora:
        model.save_pretrained(folder / "adapter")
        model = model.merge_and_unload()
    with files.replacing_folder(folder / "model") as new:
        model.save_pretrained(new)
        prepared.tokenizer.save_pretrained(new)


def _result(folder: Path, steps: int) -> RunResult:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return RunResult(folder, folder / "model", steps, tuple(json.loads(line) for line in lines), steps)


__all__ = ["RunResult", "TrainConfig", "train"]
