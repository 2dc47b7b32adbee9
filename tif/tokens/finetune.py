"""Plain fine-tuning on questions and answers: the loop for relearning, for a retain model and for the demo's models.

A long run saves its state every ten minutes, and goes on from there to the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tif import files
from tif.console import progress, say
from tif.errors import InputError, UsageError
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.forward import statistics
from tif.tokens.limits import Limits
from tif.tokens.masks import Encoded
from tif.tokens.packing import pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SECONDS = 600.0
"""Seconds between two checkpoints."""
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """How a model is fine-tuned: AdamW on the mean loss over a step's answer tokens.

    Raises:
        UsageError: for a value that trains nothing.
    """

    epochs: int
    """Passes over the examples, each in a new order."""
    lr: float
    """Peak learning rate."""
    batch_size: int = 32
    """Examples a step."""
    packed: bool = False
    """Put a step's examples into one row. Otherwise they go through the model one by one, which takes less memory."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """`linear` falls to 0 and `cosine` to 5% of `lr`, both after a warm-up."""
    warmup_steps: int | None = None
    """Steps of the warm-up; an epoch where None, none where 0."""
    max_grad_norm: float | None = None
    """Gradients are clipped to this norm; None clips nothing."""
    seed: int = 0
    """Seed of the order."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.lr < math.inf or not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"{self.epochs} epochs at learning rate {self.lr} train nothing")

    def rate(self, step: int, epoch: int) -> float:
        """The learning rate of a step, counted from 0.

        Args:
            step: number of the step.
            epoch: steps an epoch.
        """
        steps, warmup = self.epochs * epoch, epoch if self.warmup_steps is None else self.warmup_steps
        rise = (step + 1) / warmup if warmup else 1.0
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "linear":
            return self.lr * min(rise, (steps - step) / max(1, steps - warmup))
        return self.lr * min(1.0, rise) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))


def fine_tune(
    model: PreTrainedModel,
    encoder: Encoder,
    examples: Sequence[Example],
    how: FineTuning,
    *,
    title: str,
    checkpoint: Path | None = None,
    autocast: bool = False,
) -> None:
    """Train a model on answers.

    Args:
        model: changed in place. Its weights are float32 afterwards.
        encoder: how the examples become token sequences.
        examples: questions and answers.
        how: steps and learning rate.
        title: shown beside the progress.
        checkpoint: file to save the state in. If it exists, training goes on from it. The caller makes sure that it
            belongs to the same work, and deletes it afterwards.
        autocast: compute in bfloat16. Weights, their moments and the loss stay in float32.

    Raises:
        InputError: for a checkpoint that cannot be read, or an example that the model cannot read.
    """
    items = [encoder.encode(example) for example in examples]
    fine_tune_tokens(model, items, how, title=title, checkpoint=checkpoint, autocast=autocast)


def fine_tune_tokens(
    model: PreTrainedModel,
    items: Sequence[Encoded],
    how: FineTuning,
    *,
    title: str,
    checkpoint: Path | None = None,
    watch: Callable[[int], None] | None = None,
    autocast: bool = False,
) -> None:
    """Train a model on the supervised tokens of encoded examples.

    Args:
        model: changed in place. Its weights are float32 afterwards.
        items: encoded examples, each with a supervised token.
        how: steps and learning rate.
        title: shown beside the progress.
        checkpoint: as in `fine_tune`.
        watch: called with the number of finished steps, before the first step and after each. It may use the model, but
            not change it.
        autocast: as in `fine_tune`.

    Raises:
        InputError: as `fine_tune`.
    """
    Limits.of(model).check(items, hint="Leave it out, or use a model that reads longer texts.")
    model.float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=how.lr, betas=how.betas, weight_decay=how.weight_decay)
    batches = _batches(len(items), how)
    done = 0
    if checkpoint is not None and checkpoint.is_file():
        done = _take_up(model, optimizer, checkpoint)
        say(f"{title} goes on after step {done} of {len(batches)}")
    written = time.monotonic()
    with progress(title, how.epochs * len(items)) as advance, own_random_states(model):
        advance(sum(map(len, batches[:done])))
        if watch is not None:
            watch(done)
        for step in range(done, len(batches)):
            model.train()
            torch.manual_seed(how.seed + step)  # for dropout: the same in a resumed run
            for group in optimizer.param_groups:
                group["lr"] = how.rate(step, len(batches) // how.epochs)
            loss = _accumulate(model, [items[i] for i in batches[step]], packed=how.packed, autocast=autocast)
            if how.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), how.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            advance(len(batches[step]), note=f"loss {loss:.3f}")
            if watch is not None:
                watch(step + 1)
            if checkpoint is not None and step + 1 < len(batches) and time.monotonic() - written >= SECONDS:
                _write(model, optimizer, step + 1, checkpoint)
                written = time.monotonic()
    model.eval()


def steps_of(examples: int, how: FineTuning) -> int:
    """Return the number of steps in one epoch."""
    return math.ceil(examples / how.batch_size)


@contextmanager
def own_random_states(model: PreTrainedModel) -> Iterator[None]:
    """Restore torch's random states of the CPU and of the model's device afterwards."""
    device = model.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _batches(examples: int, how: FineTuning) -> list[list[int]]:
    """The examples of each step. They depend on the seed alone, so that a resumed run sees the same ones."""
    generator = torch.Generator().manual_seed(how.seed)
    orders = [torch.randperm(examples, generator=generator).tolist() for _ in range(how.epochs)]
    return [order[at : at + how.batch_size] for order in orders for at in range(0, examples, how.batch_size)]


def _accumulate(model: PreTrainedModel, batch: Sequence[Encoded], *, packed: bool, autocast: bool) -> float:
    """Add the gradients of the mean loss over the batch's answer tokens, and return that loss."""
    total = sum(item.supervised for item in batch)
    loss = torch.zeros((), device=model.device)
    for row in [batch] if packed else [[item] for item in batch]:
        # Autocast keeps its copies of the weights until its block ends, so a block must not outlast a step.
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            share = -statistics(model, pack(row).to(model.device)).logprob.sum() / total
        share.backward()  # type: ignore[no-untyped-call]
        loss += share.detach()
    return loss.item()


def _write(model: PreTrainedModel, optimizer: torch.optim.Optimizer, step: int, path: Path) -> None:
    """Save weights and AdamW's moments in one file."""
    held = {}
    for name, parameter in model.named_parameters():
        held[f"weight {name}"] = parameter.detach()
        for moment in _MOMENTS:
            held[f"{moment} {name}"] = optimizer.state[parameter][moment]
    with files.replacing(path) as new:
        save_file(held, new, metadata={"step": str(step)})


def _take_up(model: PreTrainedModel, optimizer: torch.optim.Optimizer, path: Path) -> int:
    """Load weights and moments, and return how many steps are done."""
    try:
        with safe_open(path, framework="pt") as held, torch.no_grad():
            step = int(held.metadata()["step"])
            for name, parameter in model.named_parameters():
                parameter.copy_(held.get_tensor(f"weight {name}"))
                moments = {m: held.get_tensor(f"{m} {name}").to(parameter.device) for m in _MOMENTS}
                optimizer.state[parameter] = {"step": torch.tensor(float(step)), **moments}
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
        hint = "Delete it to start anew."
        raise InputError("the checkpoint cannot be read", where=str(path), why=str(error)[:160], hint=hint) from None
    return step


__all__ = ["FineTuning", "fine_tune", "fine_tune_tokens", "own_random_states", "steps_of"]
