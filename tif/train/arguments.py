"""The options of a run as transformers' own arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
import transformers
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.training_args import OptimizerNames

from tif.console import warn
from tif.errors import UsageError
from tif.train.options import TrainOptions

_CHECKPOINTING: Final = (
    "activation_checkpointing" if hasattr(TrainingArguments, "activation_checkpointing") else "gradient_checkpointing"
)
"""The argument's name. transformers renamed it in 5.23."""


def training_arguments(options: TrainOptions, folder: Path) -> TrainingArguments:
    """transformers' arguments, with checkpoints in `folder`.

    Raises:
        UsageError: for an unknown scheduler or optimizer, or one that needs further arguments or another package; for
            any other argument that transformers refuses.
    """
    with _refused(f"scheduler {options.scheduler!r} cannot be used"):
        number = torch.nn.Parameter(torch.zeros(1))
        get_scheduler(options.scheduler, torch.optim.SGD([number]), num_warmup_steps=0, num_training_steps=2)
    with _refused(f"optimizer {options.optimizer!r} cannot be used"):
        OptimizerNames(options.optimizer)
    with _refused(f"transformers {transformers.__version__} refuses the training arguments"):
        arguments = _arguments(options, folder)
    with _refused(f"optimizer {options.optimizer!r} cannot be used"):
        Trainer.get_optimizer_cls_and_kwargs(arguments)
    if arguments.n_gpu > 1:
        # One process drives one device: transformers would wrap the model in DataParallel, which splits no packed row.
        warn(f"{arguments.n_gpu} devices are visible, and one is used; torchrun --nproc-per-node uses all")
        arguments._n_gpu = 1
    return arguments


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Turn what transformers raises for an unusable argument into one line."""
    try:
        yield
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(what, why=" ".join(str(error).split())[:200]) from None


def _arguments(options: TrainOptions, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulate,
        learning_rate=options.lr,
        lr_scheduler_type=options.scheduler,
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        optim=options.optimizer,
        seed=options.seed,
        bf16=options.autocast,
        use_cpu=options.cpu,
        save_strategy="steps",
        save_steps=options.save_steps,
        logging_steps=options.log_steps,
        logging_first_step=True,
        # A NaN must be seen, not replaced by the mean of what came before.
        logging_nan_inf_filter=False,
        report_to="none",
        include_num_input_tokens_seen="all",
        remove_unused_columns=False,
        dataloader_pin_memory=not options.cpu and torch.cuda.is_available(),
        ddp_find_unused_parameters=options.objective == "rmu",
        disable_tqdm=True,
        **{_CHECKPOINTING: options.gradient_checkpointing},
    )


__all__ = ["training_arguments"]
