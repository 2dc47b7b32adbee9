"""Attacks that may bring back forgotten knowledge: a short relearning, or 4-bit quantization.

    relearn   by default one epoch of language modelling on the forget set, learning rate 2e-5, batches of 32 examples
              (OpenUnlearning, arXiv 2506.12618, section 4.2); other samples and steps: `relearning`
    nf4       the weights of linear layers rounded to 4-bit NormalFloat in blocks of 64 and back (QLoRA, arXiv
              2305.14314, appendix E; attack: arXiv 2410.16454). Exact on any device, without bitsandbytes

Both change the model in place. Load it again for any other use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from tif.console import say
from tif.errors import InputError
from tif.eval.benchmarks.questions import Row
from tif.eval.compare.relearning import Relearning, fine_tuning
from tif.eval.options import EvaluateOptions
from tif.options import declared
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RELEARNING: Final = fine_tuning(epochs=1, lr=2e-5)
"""OpenUnlearning's relearning (arXiv 2506.12618, section 4.2)."""
BLOCK: Final = 64
_VARIANTS: Final = {
    "relearn_on": "",
    "relearn_share": "",
    "relearn_schedule": "",
    "relearn_epochs": "epochs",
    "relearn_lr": "lr",
    "relearn_batch_size": "batch",
}
"""Options of relearning, and what stands before their values in the name of a folder."""

NF4: Final = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The sixteen values of NormalFloat (QLoRA, appendix E)."""


def relearn(model: PreTrainedModel, encoder: Encoder, rows: Sequence[Row], how: FineTuning = RELEARNING) -> None:
    """Train the model again on questions and answers."""
    fine_tune(model, encoder, [row.texts()[0] for row in rows], how, title="relearning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack on any model with the same tokenizer."""

    relearning: Relearning | None = None
    """None for nf4."""

    @classmethod
    def of(cls, options: EvaluateOptions, relearning: Callable[[], Relearning] | None = None) -> Attack | None:
        """Return the attack of the options; None if they have none.

        Args:
            options: the options of the evaluation.
            relearning: returns what to relearn. MUSE has no questions to relearn.

        Raises:
            ValueError: if the options ask for relearning, and there is none.
        """
        match options.attack:
            case None:
                return None
            case "nf4":
                return cls()
            case "relearn":
                if relearning is None:
                    raise ValueError("nothing to relearn")
                return cls(relearning=relearning())

    @property
    def key(self) -> Mapping[str, object]:
        """What determines the result, besides the model."""
        return self.relearning.key if self.relearning else {"nf4": BLOCK}

    def prepare(self, model: PreTrainedModel) -> None:
        """Give the weights the type that they have after the attack."""
        if self.relearning is not None:
            model.float()

    def apply(self, model: PreTrainedModel, measure: Callable[[int], None] | None = None, *, whose: str = "") -> None:
        """Attack the model.

        Args:
            model: changed in place.
            measure: called with the step at each point of the curve: for nf4, 0 before and 1 after it.
            whose: "the retain model", for messages about another model than the evaluated one.
        """
        if self.relearning is not None:
            title = f"relearning ({whose})" if whose else "relearning"
            self.relearning.apply(model, measure, title=title)
            return
        if measure is not None:
            measure(0)
        rounded = quantize(model)
        say(f"nf4: rounded {rounded:.0%} of {whose or 'the model'}'s parameters")
        if measure is not None:
            measure(1)


def name_of(options: EvaluateOptions) -> str | None:
    """Return the attack with what differs from its defaults: `relearn`, `relearn-general-0.25`, `relearn-lr0.0001`."""
    if options.attack is None:
        return None
    usual = {each.name: each.default for each in declared(EvaluateOptions)}
    named: list[str] = [options.attack]
    for name, prefix in _VARIANTS.items():
        if (value := getattr(options, name)) != usual[name]:
            named.append(f"{prefix}{value}")
    return "-".join(named)


@torch.no_grad()
def quantize(model: PreTrainedModel) -> float:
    """Round every linear layer except the head to NF4 and back, as 4-bit loading does.

    bitsandbytes and transformers skip the head, too. GPT-2's `Conv1D` is a linear layer with a transposed weight.
    Stacked experts `[experts, out, in]` are rounded as well, although 4-bit loading skips them: the attack asks what
    a model with 4-bit experts remembers.

    Returns:
        The share of the model's parameters that were rounded, 0..1.

    Raises:
        InputError: if the model has no such layer.
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
        raise InputError("has no linear layer that nf4 can round", where=type(model).__name__)
    return rounded / int(model.num_parameters())


def nf4(weight: torch.Tensor) -> torch.Tensor:
    """Return each weight's nearest NF4 value, scaled by the largest magnitude in its row-major block of 64."""
    flat = weight.detach().float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1, keepdim=True)
    levels = torch.tensor(NF4, device=weight.device)
    # A weight above the midpoint of two levels rounds to the upper level.
    index = torch.bucketize(blocks / scale.clamp(min=torch.finfo(torch.float32).tiny), (levels[1:] + levels[:-1]) / 2)
    return (levels[index] * scale).flatten()[: len(flat)].view_as(weight).to(weight.dtype)


__all__ = ["NF4", "RELEARNING", "Attack", "name_of", "nf4", "quantize", "relearn"]
