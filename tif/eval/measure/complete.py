"""The second of the two model calls: the model's greedy answers.

Prompts are left-padded and sorted by length. Prompts with a common prefix share its key-value cache. Finished rows
leave the batch. `tif.tokens.generate` gives the prompts, which have exactly the tokens that precede the answer in
`score`, and the tokens that end an answer.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tif.console import warn
from tif.errors import InputError
from tif.eval.settings import MAX_NEW_TOKENS
from tif.tokens.apart import ignores_padding
from tif.tokens.limits import Limits, attention_window

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.console import Advance

ROWS: Final = 64
"""Prompts per batch. Decoding one row costs about as much as decoding several dozen."""
STEP: Final = 16
"""Tokens between two checks for finished rows."""
SHORTEST_PREFIX: Final = 64
"""Shortest common prefix, in tokens, that gets a forward pass of its own."""


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    ends: Collection[int] = (),
    stop: Collection[str] = (),
    rows: int = ROWS,
    advance: Advance | None = None,
) -> list[str]:
    """Return greedy completions in the order of `prompts`, trimmed, without special tokens.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        prompts: token ids of each prompt; no prompt is empty.
        max_new_tokens: the longest completion, in tokens.
        ends: a completion ends before the first of these tokens, and before the model's own
            `generation_config.eos_token_id`.
        stop: a completion ends before the first of these strings.
        rows: prompts per batch.
        advance: called with the number of finished prompts.

    Raises:
        InputError: for a prompt that the model cannot read.
    """
    model.eval()
    limits = Limits.of(model)
    for number, prompt in enumerate(prompts, start=1):
        if (fault := limits.fault(prompt)) is not None:
            what, _ = fault
            raise InputError(what, where=f"prompt {number}", hint="Give a shorter prompt, or a model that reads it.")
    pad = _pad(tokenizer, limits)
    if rows > 1 and len(set(map(len, prompts))) > 1 and not ignores_padding(model, prompts):
        warn("this model reads the padding before a prompt, so tif completes prompts one by one")
        rows = 1
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    ending = end_tokens(model, ends)
    shared = _common_prefix(prompts) if _allows_gaps(model) else 0
    completions: dict[int, str] = {}
    with torch.inference_mode():
        # Few-shot prompts begin alike: compute their common prefix once.
        start = _prefill(model, prompts[0][:shared]) if shared else None
        shared = shared if start is not None else 0
        for at in range(0, len(order), rows):
            chosen = order[at : at + rows]
            ids, mask = _padded([prompts[i] for i in chosen], shared, pad, model.device)
            cache = copy.deepcopy(start)
            if cache is not None:
                cache.batch_repeat_interleave(len(chosen))
            answers = _decode(model, tokenizer, ids, mask, cache, pad, max_new_tokens, ending, stop, limits.positions)
            completions |= dict(zip(chosen, answers, strict=True))
            if advance is not None:
                advance(len(chosen))
    return [completions[index] for index in range(len(prompts))]


def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: Any,
    pad: int,
    max_new_tokens: int,
    ends: Sequence[int],
    stop: Collection[str],
    positions: int | None,
) -> list[str]:
    """Return the greedy answers of one batch. Every `STEP` tokens, finished rows leave the batch.

    An answer ends where the model has no further position.
    """
    ended = torch.tensor(ends, dtype=torch.long, device=ids.device)
    alive, width = torch.arange(len(ids), device=ids.device), ids.shape[1]
    answers = [""] * len(ids)
    while len(alive):
        steps = min(STEP, max_new_tokens - (ids.shape[1] - width))
        if positions is not None:
            # The last token is only predicted, so it needs no position.
            room = positions + 1 - mask.sum(1)
            steps = min(steps, int(room.min()))
        output = model.generate(
            ids,
            attention_mask=mask,
            past_key_values=cache,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=steps,
            use_cache=True,  # a checkpoint saved after training may switch it off
            pad_token_id=pad,
            eos_token_id=list(ends) or None,
            return_dict_in_generate=True,
        )
        generated = output.sequences[:, width:]
        at_end = torch.isin(generated, ended)
        done = at_end.any(1)
        # Behind an end there is only padding. An end that is no special token would be decoded as text.
        lengths = torch.where(done, at_end.int().argmax(1), generated.shape[1]).tolist()
        texts = tokenizer.batch_decode(
            [row[:length] for row, length in zip(generated.tolist(), lengths, strict=True)], skip_special_tokens=True
        )
        for row, (index, text) in enumerate(zip(alive.tolist(), texts, strict=True)):
            cut = min((at for end in stop if (at := text.find(end)) >= 0), default=None)
            answers[index] = text[:cut].strip()
            done[row] |= cut is not None
        if positions is not None:
            done |= room <= steps
        if generated.shape[1] >= max_new_tokens:
            break
        going = (~done).nonzero()[:, 0]
        mask = torch.cat([mask, mask.new_ones(len(mask), output.sequences.shape[1] - mask.shape[1])], 1)[going]
        ids, alive, cache = output.sequences[going], alive[going], output.past_key_values
        # Rows of other caches (e.g. recurrent states) cannot be removed: the model reads the generated tokens again.
        if not _holds_only(cache, DynamicLayer, DynamicSlidingWindowLayer):
            cache = None
        elif len(going) < len(done):
            cache.batch_select_indices(going)
    return answers


def end_tokens(model: PreTrainedModel, ends: Collection[int]) -> list[int]:
    """Return the tokens that end a completion: these, and the model's own `generation_config.eos_token_id`."""
    own = model.generation_config.eos_token_id
    return sorted({*ends, *([] if own is None else [own] if isinstance(own, int) else own)})


def _pad(tokenizer: PreTrainedTokenizerBase, limits: Limits) -> int:
    """Return a token for padding that the model can read: padding added to a tokenizer may have no embedding."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((token for token in known if token is not None and token < limits.vocabulary), 0)


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Return the length of the prompts' common prefix, or 0 if it is too short.

    At least one token of each prompt stays outside the prefix.
    """
    if len(prompts) < 2:
        return 0
    # A prefix of both the smallest and the largest prompt is a prefix of all prompts.
    ordered = [tuple(prompt) for prompt in prompts]
    low, high = min(ordered), max(ordered)
    longest = min(map(len, prompts)) - 1
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), longest)
    return min(shared, longest) if min(shared, longest) >= SHORTEST_PREFIX else 0


def _allows_gaps(model: PreTrainedModel) -> bool:
    """Return whether padding may separate the shared prefix from the rest.

    It may not if attention counts distances in the cache (sliding windows), or if the kernel takes no mask.
    """
    return attention_window(model) is None and model.config.get_text_config()._attn_implementation in ("sdpa", "eager")


def _prefill(model: PreTrainedModel, prefix: Sequence[int]) -> DynamicCache | None:
    ids = torch.tensor([list(prefix)], device=model.device)
    cache = getattr(model(input_ids=ids, use_cache=True, logits_to_keep=1), "past_key_values", None)
    return cache if _holds_only(cache, DynamicLayer) else None


def _holds_only(cache: Any, *kinds: type) -> bool:
    """Return whether a cache is keys and values alone. A state has no rows to remove, and reads what padding is."""
    return type(cache) is DynamicCache and all(type(layer) in kinds for layer in cache.layers)


def _padded(
    prompts: Sequence[Sequence[int]], shared: int, pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `[B, T]` ids and mask: shared prefix, padding, rest. Only positions inside the mask are counted."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros_like(ids)
    for number, prompt in enumerate(prompts):
        for where, tokens in (
            (slice(0, shared), prompt[:shared]),
            (slice(width - len(prompt) + shared, width), prompt[shared:]),
        ):
            ids[number, where], mask[number, where] = torch.tensor(tokens, dtype=torch.long), 1
    return ids.to(device), mask.to(device)


def rouge(reference: str, text: str, *, stemmer: bool = True) -> dict[str, float]:
    """Return ROUGE-1 recall, ROUGE-L recall (TOFU) and ROUGE-L F1 (MUSE) of one completion.

    Args:
        reference: the right answer.
        text: the completion.
        stemmer: stem words, as TOFU and open-unlearning do. MUSE's own code does not.
    """
    scores = _scorer(stemmer).score(reference, text)
    return {
        "rouge1_recall": scores["rouge1"].recall,
        "rougeL_recall": scores["rougeL"].recall,
        "rougeL_f1": scores["rougeL"].fmeasure,
    }


@cache
def _scorer(stemmer: bool) -> RougeScorer:
    return RougeScorer(["rouge1", "rougeL"], use_stemmer=stemmer)


__all__ = ["complete", "end_tokens", "rouge"]
