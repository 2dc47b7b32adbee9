"""Does what was forgotten come back? The same scores after a short relearning, or after 4-bit quantization.

    relearn   one epoch of plain language modelling on the forget set, learning rate 2e-5, batches of 32 examples
              (OpenUnlearning, arXiv 2506.12618, section 4.2)
    nf4       the weights of linear layers rounded to 4-bit NormalFloat in blocks of 64 and back (QLoRA, arXiv
              2305.14314, appendix E; attack: arXiv 2410.16454). Exact on any device; bitsandbytes is not needed

Either changes the model in place: load it anew for anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import torch

from tif.errors import InputError
from tif.eval.benchmarks.questions import Row
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Attack = Literal["relearn", "nf4"]
ATTACKS: Final = ("relearn", "nf4")
RELEARNING: Final = FineTuning(epochs=1, lr=2e-5)
"""OpenUnlearning's relearning (arXiv 2506.12618, section 4.2)."""
BLOCK: Final = 64

NF4: Final = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The sixteen values of NormalFloat (QLoRA, appendix E)."""


def relearn(model: PreTrainedModel, encoder: Encoder, rows: Sequence[Row], how: FineTuning = RELEARNING) -> None:
    """Train the model on questions and answers again."""
    fine_tune(model, encoder, [row.texts()[0] for row in rows], how, title="relearning")


@torch.no_grad()
def quantize(model: PreTrainedModel) -> float:
    """Round every linear layer but the head to NF4 and back, as a 4-bit load does.

    The head stays as it is, as in bitsandbytes' and transformers' 4-bit loading. GPT-2's `Conv1D` is a linear layer
    whose weight lies the other way round; a stack `[experts, out, in]`, which such a load leaves alone, is rounded too,
    for with 4-bit experts the attack would be one on them.

    Returns:
        The share of the model's numbers that were rounded, 0..1.

    Raises:
        InputError: for a model in which there is no such layer.
    """
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    rounded = 0
    for module in model.modules():
        if module is head or isinstance(module, torch.nn.modules.conv._ConvNd):
            continue
        for weight in module.parameters(recurse=False):
            if weight.dim() == 3 or (weight.dim() == 2 and isinstance(module, torch.nn.Linear)):
                weight.copy_(nf4(weight))
            elif weight.dim() == 2 and isinstance(module, Conv1D):
                weight.copy_(nf4(weight.T).T)
            else:
                continue
            rounded += weight.numel()
    if not rounded:
        raise InputError("no linear layer that nf4 rounds", where=type(model).__name__)
    return rounded / int(model.num_parameters())


def nf4(weight: torch.Tensor) -> torch.Tensor:
    """The nearest NF4 value of each weight, scaled by the largest magnitude of its block of 64 in row-major order."""
    flat = weight.detach().float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True)
    levels = torch.tensor(NF4, device=weight.device)
    # Between two levels lies their midpoint, and a weight beyond it belongs to the upper one.
    index = torch.bucketize(blocks / scale.clamp(min=torch.finfo(torch.float32).tiny), (levels[1:] + levels[:-1]) / 2)
    return (levels[index] * scale).flatten()[: len(flat)].view_as(weight).to(weight.dtype)


__all__ = ["ATTACKS", "NF4", "RELEARNING", "Attack", "nf4", "quantize", "relearn"]
