"""The third of the model calls: random samples of each prompt, at temperature 1 over the full vocabulary.

Each prompt is read once. Its samples start from copies of its key-value cache. The samples of several prompts form one
batch, and finished samples leave it.

Samples do not depend on the batch: sample i of a prompt draws from a random stream of its own, seeded by the prompt's
tokens and i. A resumed evaluation, or one with more samples, therefore continues the same samples. Each token is drawn
by inverting the distribution function, so one random number is enough and the distribution is exact.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from tif.eval.measure.cache import fitting_rows, free_memory, holds_rows, make_roomy
from tif.eval.measure.complete import end_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS: Final = 512
"""Samples per batch on a CPU, if their caches fit into the memory."""
GPU_ROWS: Final = 4096
"""The same on a GPU, where a step of a small model takes about as long for many rows as for few."""
STEP: Final = 8
"""Tokens between two checks for finished samples."""
MEMORY: Final = 2**30
"""Bytes for the caches of a batch on a CPU."""
GPU_SHARE: Final = 1 / 3
"""Share of a GPU's free memory for them."""
BLOCK: Final = 64
"""Tokens whose probabilities are summed before the search for a block."""
LOGITS: Final = 2**23
"""Logits that become probabilities at once on a CPU."""
GPU_LOGITS: Final = 2**26
"""The same on a GPU."""

Finish = Callable[[int, list[str]], None]
"""Called with the index of a prompt and its samples, as soon as they are finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw samples."""

    samples: int
    """Samples of each prompt."""
    max_new_tokens: int
    """The longest sample, in tokens."""
    ends: frozenset[int] = frozenset()
    """A sample ends before the first of these tokens, or of the model's own `generation_config.eos_token_id`."""
    seed: int = 0


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    how: Sampling,
    *,
    first: Sequence[int] | None = None,
    rows: int | None = None,
    finish: Finish | None = None,
) -> list[list[str]]:
    """Return each prompt's samples as texts, trimmed, without special tokens.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        prompts: token ids of each prompt; no prompt is empty.
        how: how to draw.
        first: for each prompt, the index of its first sample to draw; those before are left out. Default: 0.
        rows: samples per batch; by default `ROWS` or `GPU_ROWS`.
        finish: see `Finish`.
    """
    model.eval()
    starts = first if first is not None else [0] * len(prompts)
    ends = end_tokens(model, how.ends)
    texts: list[list[str]] = [[] for _ in prompts]
    with torch.inference_mode():
        batches = _batches(model, prompts, starts, how, rows or (GPU_ROWS if model.device.type == "cuda" else ROWS))
        while batches:
            batch = batches.pop(0)
            own = [(prompts[i], range(starts[i], how.samples)) for i in batch]
            noise = np.stack([stream(prompt, i, how) for prompt, indices in own for i in indices])
            drawn = _draw_if_fits(model, tokenizer, own, torch.from_numpy(noise).to(model.device), how, ends)
            if drawn is None:
                # Other processes on the GPU may have taken the memory since it was measured.
                torch.cuda.empty_cache()
                batches = [batch[: len(batch) // 2], batch[len(batch) // 2 :], *batches]
                continue
            lines = iter(tokenizer.batch_decode(drawn, skip_special_tokens=True))
            for i, (_, indices) in zip(batch, own, strict=True):
                texts[i] = [next(lines).strip() for _ in indices]
                if finish is not None:
                    finish(i, texts[i])
    return texts


def stream(prompt: Sequence[int], index: int, how: Sampling) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the random numbers of one sample, `[max_new_tokens]` in [0, 1). More tokens continue the same stream."""
    digest = hashlib.sha256(np.asarray(prompt, dtype=np.int64).tobytes()).digest()
    seeds = [how.seed, index, *np.frombuffer(digest, dtype=np.uint32).tolist()]
    return np.random.default_rng(seeds).random(how.max_new_tokens)


def draw(logits: Tensor, noise: Tensor) -> Tensor:
    """Return one token for each row, `[R]`, distributed as softmax of the logits.

    Args:
        logits: `[R, V]`.
        noise: `[R]`, uniform in [0, 1).
    """
    at_once = max(1, (GPU_LOGITS if logits.device.type == "cuda" else LOGITS) // logits.shape[1])
    return torch.cat(
        [_invert(*piece) for piece in zip(torch.split(logits, at_once), torch.split(noise, at_once), strict=True)]
    )


def _invert(logits: Tensor, noise: Tensor) -> Tensor:
    # float32 sums over a large vocabulary would lose rare tokens, and float64 is slow. So sum blocks of tokens, search
    # a block in float64, then a token in it. MPS has no float64.
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    probabilities = logits.float().softmax(-1)
    if missing := -logits.shape[1] % BLOCK:
        probabilities = torch.nn.functional.pad(probabilities, (0, missing))
    probabilities = probabilities.view(len(logits), -1, BLOCK)
    sums = probabilities.sum(-1).to(exact).cumsum(-1)
    target = noise.to(exact)[:, None] * sums[:, -1:]
    block = _search(sums, target)
    inside = probabilities[torch.arange(len(logits), device=logits.device), block[:, 0]].to(exact).cumsum(-1)
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0)
    # The block's two sums differ by their rounding, so scale the rest of the target to the second.
    rest = (target - before) / (sums.gather(1, block) - before) * inside[:, -1:]
    return (block * BLOCK + _search(inside, rest))[:, 0]


def _search(sums: Tensor, target: Tensor) -> Tensor:
    """Return the first index, `[R, 1]`, whose sum is larger than the target. An index of probability 0 is never it."""
    index = torch.searchsorted(sums, target, right=True)
    # Rounding may lift a target to the total: then the last index of nonzero probability.
    return torch.minimum(index, torch.searchsorted(sums, sums[:, -1:].contiguous()))


# --- batches -----------------------------------------------------------------------------------------------------


def _batches(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], starts: Sequence[int], how: Sampling, rows: int
) -> list[list[int]]:
    """Return the indices of the prompts of each batch, long prompts first."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    # Padding outside a sliding window leaves nothing to attend to.
    padded = model.config.get_text_config().to_dict().get("sliding_window") is None
    batches: list[list[int]] = []
    used = limit = 0
    for i in order:
        need = how.samples - starts[i]
        if need <= 0:
            continue
        alike = bool(batches) and (padded or len(prompts[batches[-1][0]]) == len(prompts[i]))
        if not alike or used + need > limit:
            batches.append([])
            memory = free_memory(model, GPU_SHARE) or MEMORY
            used, limit = 0, min(rows, fitting_rows(model, len(prompts[i]) + how.max_new_tokens, memory))
        batches[-1].append(i)
        used += need
    return batches


def _draw_if_fits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    own: Sequence[tuple[Sequence[int], range]],
    *rest: Any,
) -> list[list[int]] | None:
    """Return what `_draw_batch` returns; None for several prompts that are too many for the GPU's memory."""
    try:
        return _draw_batch(model, tokenizer, own, *rest)
    except torch.cuda.OutOfMemoryError:
        if len(own) == 1:
            raise
    return None


def _draw_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    own: Sequence[tuple[Sequence[int], range]],
    noise: Tensor,
    how: Sampling,
    ends: Sequence[int],
) -> list[list[int]]:
    """Return the tokens of every sample of these prompts, before the first end."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    ids, mask = _padded([prompt for prompt, _ in own], pad, model.device)
    counts = torch.tensor([len(indices) for _, indices in own], device=model.device)
    ended = torch.tensor(ends, dtype=torch.long, device=model.device)
    positions = _takes_positions(model)
    inputs: dict[str, Any] = {"attention_mask": mask}
    if positions:
        inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
    output = model(input_ids=ids, use_cache=True, logits_to_keep=1, **inputs) if _standard(model) else None
    if output is None or not holds_rows(getattr(output, "past_key_values", None)):
        return _through_generate(model, own, noise, how, ends, pad)
    cache, tokens = output.past_key_values, torch.full_like(noise, -1, dtype=torch.long)
    alive = torch.arange(len(noise), device=model.device)
    prompt_of = torch.repeat_interleave(torch.arange(len(own), device=model.device), counts)
    make_roomy(cache)
    cache.batch_select_indices(prompt_of)
    logits, mask = output.logits[:, -1][prompt_of], mask[prompt_of]
    at = mask.sum(1)  # the position of the next token
    plain = bool(mask.all())
    done = torch.zeros(len(noise), dtype=torch.bool, device=model.device)
    for step in range(how.max_new_tokens):
        token = draw(logits, noise[alive, step])
        tokens[alive, step] = token
        if step + 1 == how.max_new_tokens:
            break
        done |= torch.isin(token, ended)
        if step % STEP == STEP - 1 and bool(done.any()):
            going = (~done).nonzero()[:, 0]
            if not len(going):
                break
            cache.batch_select_indices(going)
            alive, token, at, mask, done = alive[going], token[going], at[going], mask[going], done[going]
        inputs = {"position_ids": at[:, None]} if positions else {}
        if not plain:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            inputs["attention_mask"] = mask
        logits = model(input_ids=token[:, None], past_key_values=cache, use_cache=True, **inputs).logits[:, -1]
        at = at + 1
    return [_before_end(row, {*ends, -1}) for row in tokens.tolist()]


def _before_end(tokens: Sequence[int], ends: Collection[int]) -> list[int]:
    return list(tokens[: next((i for i, token in enumerate(tokens) if token in ends), len(tokens))])


def _padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return `[B, T]` ids and mask, padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask


# --- models with other caches ------------------------------------------------------------------------------------


def _standard(model: PreTrainedModel) -> bool:
    return {"past_key_values", "logits_to_keep", "attention_mask"} <= set(inspect.signature(model.forward).parameters)


def _takes_positions(model: PreTrainedModel) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters


class _Drawing(LogitsProcessor):  # type: ignore[misc]
    """Leave only the drawn token, so that greedy decoding takes it."""

    def __init__(self, noise: Tensor) -> None:
        self.noise, self.step = noise, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        token = draw(scores, self.noise[:, self.step])
        self.step += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, token[:, None], 0.0)


def _through_generate(
    model: PreTrainedModel,
    own: Sequence[tuple[Sequence[int], range]],
    noise: Tensor,
    how: Sampling,
    ends: Sequence[int],
    pad: int,
) -> list[list[int]]:
    """Return the samples of a model whose state cannot be copied (for example recurrent), prompt by prompt."""
    texts: list[list[int]] = []
    for prompt, indices in own:
        ids = torch.tensor([list(prompt)] * len(indices), device=model.device)
        drawing = _Drawing(noise[len(texts) : len(texts) + len(indices)])
        generated = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            max_new_tokens=how.max_new_tokens,
            use_cache=True,
            pad_token_id=pad,
            eos_token_id=list(ends) or None,
            logits_processor=LogitsProcessorList([drawing]),
        )
        texts += [_before_end(row, ends) for row in generated[:, len(prompt) :].tolist()]
    return texts


__all__ = ["GPU_ROWS", "ROWS", "Finish", "Sampling", "draw", "sample", "stream"]
