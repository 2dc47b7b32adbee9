"""One forward over a packed row -> what every objective and every score is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint
from transformers import modeling_utils

from tif.tokens.packing import Packed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


AT_ONCE: Final = 2**25
"""Logits in one tensor at most (128 MiB in float32). `statistics` splits more into pieces."""

PIECE: Final = 2**23
"""Logits in a piece."""

_MASK_OF_ROWS: Final = hasattr(modeling_utils, "slice_logits_to_keep")
"""Whether `logits_to_keep` can be a [B, T] mask. transformers 5.21 and newer can, older versions take [T] only."""

_plain: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per supervised token, in the order of `Packed.target`; all [n], in float32."""

    logit: Tensor
    """The target token's raw logit, after soft-capping where the model has it. Differentiable."""
    logprob: Tensor
    """The target token's log-probability in nats. Differentiable."""


def outputs(model: Any, input_ids: Tensor, position_ids: Tensor, keep: Tensor, **more: Any) -> Any:
    """One forward with logits only where `keep` is true: at the positions that predict a supervised token.

    The cache is switched off: with it transformers builds no packed mask, and examples silently see each other.

    Args:
        model: a causal language model, or what wraps one.
        input_ids: [B, T].
        position_ids: [B, T], restarting at 0 where an example begins.
        keep: [B, T] bool. The n logits come out in its order.
        more: further arguments of the model's forward.
    """
    inputs = {"input_ids": input_ids, "position_ids": position_ids, "use_cache": False, **more}
    if _MASK_OF_ROWS:
        return model(**inputs, logits_to_keep=keep)
    # One mask of columns serves all rows. It keeps more logits than needed only where the rows differ.
    columns = keep.any(dim=0)
    output = model(**inputs, logits_to_keep=columns)
    output.logits = output.logits[0] if len(keep) == 1 else output.logits[keep[:, columns]]
    return output


def logits(model: PreTrainedModel, packed: Packed) -> Tensor:
    """[n, V] float32 logits at the positions that predict a supervised token, through the model's own head."""
    output = outputs(model, packed.input_ids, packed.position_ids, packed.keep)
    return output.logits.float()  # type: ignore[no-any-return]


def statistics(model: PreTrainedModel, packed: Packed, *, at_once: bool = False) -> Statistics:
    """The target's logit and log-probability at each supervised token, by one forward.

    The logits of long rows (2,048 tokens of text) are most of a step's memory. Above `AT_ONCE` logits the head computes
    `PIECE` logits at a time, and again in the backward pass. That is a third more work in the head, and at most one
    piece in memory. A model that changes its logits after the head, as soft-capping does, gets no pieces.

    Args:
        model: a causal language model on the device of `packed`.
        packed: from `pack`.
        at_once: no pieces. FSDP and DeepSpeed gather sharded weights inside the model's forward only.
    """
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    vocabulary = inner.config.get_text_config().vocab_size
    if at_once or len(packed.target) * vocabulary <= AT_ONCE or not _head_is_last(inner, packed):
        return statistics_of(logits(model, packed), packed.target)
    head = inner.get_output_embeddings()
    # Without its head the model's own forward, with whatever wraps it, returns hidden states.
    inner.set_output_embeddings(nn.Identity())
    try:
        hidden = outputs(model, packed.input_ids, packed.position_ids, packed.keep).logits
    finally:
        inner.set_output_embeddings(head)
    rows = max(1, PIECE // vocabulary)
    pieces = [
        checkpoint(_piece, head, h, y, use_reentrant=False)
        for h, y in zip(torch.split(hidden, rows), torch.split(packed.target, rows), strict=True)
    ]
    return Statistics(*(torch.cat(part) for part in zip(*pieces, strict=True)))


def _piece(head: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    result = statistics_of(head(hidden).float(), target)
    return result.logit, result.logprob


def _head_is_last(model: PreTrainedModel, packed: Packed) -> bool:
    """Whether the model returns its head's output unchanged. Tried once a model, on a few tokens."""
    if model not in _plain:
        seen: list[Tensor] = []

        def look(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            seen.append(output)

        handle = model.get_output_embeddings().register_forward_hook(look)
        # Dropout would move the random state of a run that is to be resumed bit for bit.
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                few = {"input_ids": packed.input_ids[:, :2], "position_ids": packed.position_ids[:, :2]}
                z = model(**few, use_cache=False).logits
        finally:
            handle.remove()
            model.train(training)
        _plain[model] = len(seen) == 1 and torch.equal(seen[0], z)
    return _plain[model]


class _Target(torch.autograd.Function):
    """[n, V] logits and [n] tokens -> the token's logit and log-probability, [n] each.

    torch's own operators give the same numbers, but their backward pass fills several new matrices of that size. This
    one reuses the matrix of log-probabilities.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logprobs, index = torch.log_softmax(z, dim=1), target[:, None]
        ctx.save_for_backward(logprobs, index)
        return z.gather(1, index)[:, 0], logprobs.gather(1, index)[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_logit: Tensor, of_logprob: Tensor) -> tuple[Tensor, None]:
        logprobs, index = ctx.saved_tensors
        # d logprob / dz = onehot - p. Written over what was saved: autograd itself refuses to come here twice.
        grad = logprobs.exp_().mul_(-of_logprob[:, None])
        return grad.scatter_add_(1, index, (of_logit + of_logprob)[:, None]), None


def statistics_of(z: Tensor, target: Tensor) -> Statistics:
    """The same from [n, V] float32 logits and the [n] tokens they should have predicted."""
    return Statistics(*_Target.apply(z, target))  # type: ignore[no-untyped-call]


__all__ = ["Statistics", "logits", "outputs", "statistics", "statistics_of"]
