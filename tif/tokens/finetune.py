"""Plain fine-tuning on questions and answers: what an attack relearns by, and what a retain model is made by.

A long one writes where it is every ten minutes, and goes on from there with the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tif import files
from tif.console import progress, say
from tif.errors import InputError
from tif.spans import Example
from tif.tokens.masks import Encoded, Kind, Template, encode

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EXAMPLES: Final = 32
"""Of a step."""
SECONDS = 600.0
"""Between two checkpoints."""
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    template: Template,
    *,
    epochs: int,
    rate: float,
    weight_decay: float = 0.0,
    warm: bool = False,
    what: str,
    checkpoint: Path | None = None,
) -> None:
    """Plain language modelling on answers: AdamW, 32 examples a step, in the order of a fixed seed.

    Args:
        model: changed in place, and in float32 afterwards.
        tokenizer: its tokenizer.
        examples: questions and answers.
        template: how they become token sequences.
        epochs: passes over the rows.
        rate: learning rate.
        weight_decay: AdamW's.
        warm: let the rate rise over the first epoch and fall to 0 over the others, as TOFU's fine-tuning does.
        what: shown beside the progress.
        checkpoint: file to keep the state in, and to go on from if it is there. Whoever gives it sees to it that it is
            of the same work, and deletes it afterwards.

    Raises:
        InputError: for a checkpoint that cannot be read.
    """
    model.float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    each = -(-len(examples) // EXAMPLES)
    steps = epochs * each

    def factor(step: int) -> float:
        return min((step + 1) / each, (steps - step) / max(1, steps - each)) if warm else 1.0

    done = 0
    if checkpoint is not None and checkpoint.is_file():
        done = _take_up(model, optimizer, checkpoint)
        say(f"{what} goes on after step {done} of {steps}")
    generator = torch.Generator().manual_seed(0)
    encoded = [encode(example, tokenizer, template) for example in examples]
    orders = [torch.randperm(len(examples), generator=generator).tolist() for _ in range(epochs)]
    batches = [order[at : at + EXAMPLES] for order in orders for at in range(0, len(order), EXAMPLES)]
    written = time.monotonic()
    with progress(what, epochs * len(examples)) as advance:
        advance(sum(map(len, batches[:done])))
        for step in range(done, steps):
            batch = [encoded[i] for i in batches[step]]
            for group in optimizer.param_groups:
                group["lr"] = rate * factor(step)
            _accumulate(model, batch)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            advance(len(batch))
            if checkpoint is not None and step + 1 < steps and time.monotonic() - written >= SECONDS:
                _write(model, optimizer, step + 1, checkpoint)
                written = time.monotonic()
    model.eval()


def _accumulate(model: PreTrainedModel, batch: Sequence[Encoded]) -> None:
    """Gradients of the mean loss over the batch's answer tokens, one example at a time."""
    total = sum(sum(k != Kind.PROMPT for k in item.kinds) for item in batch)
    for item in batch:
        ids = torch.tensor([item.input_ids], device=model.device)
        kept = [k != Kind.PROMPT for k in item.kinds][1:] + [False]
        keep = torch.tensor([kept], device=model.device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=keep).logits
        target = ids[0, 1:][keep[0, :-1]]
        loss = torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum") / total
        loss.backward()  # type: ignore[no-untyped-call]


def _write(model: PreTrainedModel, optimizer: torch.optim.Optimizer, step: int, path: Path) -> None:
    """Weights and AdamW's moments in one file, so that it is whole or not there."""
    held = {}
    for name, parameter in model.named_parameters():
        held[f"weight {name}"] = parameter.detach()
        for moment in _MOMENTS:
            held[f"{moment} {name}"] = optimizer.state[parameter][moment]
    with files.replacing(path) as new:
        save_file(held, new, metadata={"step": str(step)})


def _take_up(model: PreTrainedModel, optimizer: torch.optim.Optimizer, path: Path) -> int:
    """Put weights and moments back; returns the steps done."""
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


__all__ = ["EXAMPLES", "fine_tune"]
