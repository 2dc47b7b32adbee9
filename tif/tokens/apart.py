"""Whether a model keeps apart what shares a forward pass: packed examples, and the padding before a prompt.

Two forwards that differ only in what must not be seen have the same shapes, and so the same rounding. A sound model
gives the same numbers to the bit, in bfloat16 as well. Any other difference is a leak, however small. Mixtures of
experts group their tokens by expert, which rounds differently: a control, in which nothing can leak, shows how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from tif.errors import TifError
from tif.tokens.forward import statistics
from tif.tokens.masks import Encoded, Kind
from tif.tokens.packing import pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_EXACT: Final = 1e-5
"""Nats by which a number may change for what must not be seen, in float32."""
_EXACT_ELSE: Final = 1e-3
_ROUGH: Final = 1e-3
"""Nats by which it may change with the shape of the forward, which changes the rounding; in float32."""
_ROUGH_ELSE: Final = 0.1

_packs: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
_ignores_padding: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def check_packing(model: PreTrainedModel, items: Sequence[Encoded]) -> None:
    """Make sure that this model keeps packed examples apart: score one example behind two different ones.

    Architectures that carry a state (state-space models, some linear attention, short convolutions) let one example
    change the next. They would be trained on answers that depend on another sample.

    Args:
        model: in evaluation mode, on its device.
        items: what it is to be trained on. The shortest examples are scored.

    Raises:
        TifError: if the scores differ, or are not finite.
    """
    if (why := _packing_fault(model, items)) is not None:
        raise TifError(
            f"{type(model).__name__} does not keep packed examples apart",
            why=why,
            hint="Use a model whose only memory is attention: tif packs the examples of a step into one row.",
        )


def keeps_packed_apart(model: PreTrainedModel, items: Sequence[Encoded]) -> bool:
    """Return whether `check_packing` lets this model pass. Tried once a model."""
    if model not in _packs:
        _packs[model] = _packing_fault(model, items) is None
    return _packs[model]


def _packing_fault(model: PreTrainedModel, items: Sequence[Encoded]) -> str | None:
    shortest = sorted((item for item in items if item.supervised), key=len)[:2]
    if not shortest:
        return None
    # All tokens are scored, the prompt's too: a state fades, and shows most in the first tokens behind another example.
    one, example = (_supervised(item) for item in (shortest[0], shortest[-1]))
    other = replace(one, input_ids=other_tokens(one.input_ids, model))
    with torch.no_grad():
        behind = [_logprobs(model, [stranger, example])[1] for stranger in (one, other)]
        # A causal model reads nothing of what comes later.
        before = [_logprobs(model, [example, stranger])[0] for stranger in (one, other)]
    if not torch.isfinite(before[0]).all():
        raise TifError("the model gives log-probabilities that are not finite", where=f"record {example.id!r}")
    noise, leak = _distance(*before), _distance(*behind)
    shift = float((behind[0] - before[0]).abs().mean())
    if is_rounding(model, leak, noise) and max(noise, shift) <= _rough(model):
        return None
    return f"log-probabilities of one example change by {max(leak, shift, noise):.3g} beside another"


def _supervised(item: Encoded) -> Encoded:
    return replace(item, kinds=(Kind.PROMPT, *(Kind.GW for _ in item.kinds[1:])))


def ignores_padding(model: PreTrainedModel, prompts: Sequence[Sequence[int]]) -> bool:
    """Return whether left-padded prompts are answered as they are without padding. Tried once a model.

    Args:
        model: in evaluation mode, on its device.
        prompts: token ids of prompts of two lengths at least.
    """
    if model not in _ignores_padding:
        short = list(min(prompts, key=len)[:32])
        long = list(max(prompts, key=len)[: len(short) + 12])
        _ignores_padding[model] = _padding_is_unseen(model, short, long)
    return _ignores_padding[model]


@torch.inference_mode()
def _padding_is_unseen(model: PreTrainedModel, short: list[int], long: list[int]) -> bool:
    pad, other_pad = long[0], other_tokens(long, model)[0]
    try:
        one, other = (_next(model, [long, short], pad=token) for token in (pad, other_pad))
        control = _next(model, [list(other_tokens(long, model)), short], pad=pad)
        alone = _next(model, [short], pad=pad)
    except (RuntimeError, ValueError, IndexError, TypeError):
        # A model that cannot take two prompts at once may still take one.
        return False
    noise = _distance(*_alike(one, control))
    leak, shift = _distance(*_alike(one, other)), _distance(*_alike(one, alone))
    # Over a whole vocabulary rounding is larger than at one token.
    return is_rounding(model, leak, noise) and max(noise, shift) <= 10 * _rough(model)


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The same steps of two answers: after a first token that differs, the second belongs to another text."""
    steps = len(a) if a[0].argmax() == b[0].argmax() else 1
    return a[:steps], b[:steps]


def _next(model: PreTrainedModel, prompts: Sequence[list[int]], *, pad: int) -> Tensor:
    """Log-probabilities of two tokens after the last prompt, [2, V], by the path that completions take.

    The first is predicted from the prompt, and the second from the cache.
    """
    width = max(map(len, prompts))
    rows = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    output = model.generate(
        rows,
        attention_mask=mask,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        min_new_tokens=2,
        max_new_tokens=2,
        use_cache=True,
        pad_token_id=pad,
        return_dict_in_generate=True,
        output_logits=True,
    )
    return torch.stack([step[-1] for step in output.logits]).float().log_softmax(-1)


def _logprobs(model: PreTrainedModel, items: Sequence[Encoded]) -> list[Tensor]:
    packed = pack(items).to(model.device)
    return list(torch.split(statistics(model, packed).logprob, [item.supervised for item in items]))


def other_tokens(ids: Sequence[int], model: PreTrainedModel) -> tuple[int, ...]:
    """Return as many tokens that the model can read, each of them another."""
    vocabulary = len(model.get_input_embeddings().weight)
    step = 1 + vocabulary // 3
    return tuple((token + step + at) % vocabulary for at, token in enumerate(ids))


def is_rounding(model: PreTrainedModel, leak: float, noise: float) -> bool:
    """Return whether a number is the same under two contents of what must not be seen.

    Args:
        model: whose type has its rounding.
        leak: the difference, in nats.
        noise: the same difference where nothing can leak.
    """
    exact = _EXACT if model.dtype == torch.float32 else _EXACT_ELSE
    return leak <= exact + 10 * min(noise, _rough(model))


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _rough(model: PreTrainedModel) -> float:
    return _ROUGH if model.dtype == torch.float32 else _ROUGH_ELSE


__all__ = ["check_packing", "ignores_padding", "is_rounding", "keeps_packed_apart", "other_tokens"]
