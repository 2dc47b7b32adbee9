"""The second of the two model calls: what does the model say when asked?

Greedy, left-padded, sorted by length, with a key-value cache that prompts of the same beginning share, and rows
leave the batch when they have ended. The prompt is exactly what the model sees before the
answer when that is scored, so that likelihoods and completions speak of the same question.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import DynamicCache

from tif.eval.settings import MAX_NEW_TOKENS
from tif.spans import Example
from tif.tokens.masks import Kind, Template, encode

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.console import Advance

ROWS: Final = 64
"""Prompts a batch: decoding costs about the same for one row as for some dozens."""
STEP: Final = 16
"""Tokens between two looks at which rows have ended."""
WORTH: Final = 64
"""Tokens of a common beginning that are worth a pass of their own."""


def prompt_ids(example: Example, tokenizer: PreTrainedTokenizerBase, template: Template) -> list[int]:
    """The tokens before the first supervised one.

    They are cut from prompt and answer tokenized together: a template that ends in a space, tokenized alone, would
    end in a token that never stands before an answer.
    """
    encoded = encode(example, tokenizer, template)
    first = next(i for i, kind in enumerate(encoded.kinds) if kind != Kind.PROMPT)
    return [int(token) for token in encoded.input_ids[:first]]


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = MAX_NEW_TOKENS,
    stop: Collection[str] = (),
    rows: int = ROWS,
    advance: Advance | None = None,
) -> list[str]:
    """Greedy completions, in the order of `prompts`, trimmed, without special tokens.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        prompts: token ids, none empty.
        max_new_tokens: at most so many tokens a completion.
        stop: a completion ends before the first of these strings.
        rows: prompts a batch.
        advance: called with the number of prompts done.
    """
    model.eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    shared = _shared(prompts) if _takes_gaps(model) else 0
    found: dict[int, str] = {}
    with torch.inference_mode():
        # Prompts that begin alike, as few-shot ones do: the beginning goes through the model once.
        start = _prefill(model, prompts[0][:shared]) if shared else None
        for at in range(0, len(order), rows):
            chosen = order[at : at + rows]
            ids, mask = _padded([prompts[i] for i in chosen], shared, pad, model.device)
            cache = copy.deepcopy(start)
            if cache is not None:
                cache.batch_repeat_interleave(len(chosen))
            answers = _decode(model, tokenizer, ids, mask, cache, pad, max_new_tokens, stop)
            found |= dict(zip(chosen, answers, strict=True))
            if advance is not None:
                advance(len(chosen))
    return [found[index] for index in range(len(prompts))]


def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: Any,
    pad: int,
    max_new_tokens: int,
    stop: Collection[str],
) -> list[str]:
    """Greedy answers of one batch; every `STEP` tokens the rows that have ended leave it."""
    ends = model.generation_config.eos_token_id
    ended = torch.tensor([] if ends is None else ends, device=ids.device).flatten()
    alive, width = torch.arange(len(ids), device=ids.device), ids.shape[1]
    answers = [""] * len(ids)
    while len(alive):
        output = model.generate(
            ids,
            attention_mask=mask,
            past_key_values=cache,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=min(STEP, max_new_tokens - (ids.shape[1] - width)),
            use_cache=True,  # a checkpoint saved after training may have it switched off
            pad_token_id=pad,
            return_dict_in_generate=True,
        )
        said = output.sequences[:, width:]
        texts = tokenizer.batch_decode(said, skip_special_tokens=True)
        done = torch.isin(said, ended).any(1)
        for row, (index, text) in enumerate(zip(alive.tolist(), texts, strict=True)):
            cut = min((at for end in stop if (at := text.find(end)) >= 0), default=None)
            answers[index] = text[:cut].strip()
            done[row] |= cut is not None
        if said.shape[1] >= max_new_tokens:
            break
        going = (~done).nonzero()[:, 0]
        mask = torch.cat([mask, mask.new_ones(len(mask), output.sequences.shape[1] - mask.shape[1])], 1)[going]
        ids, alive, cache = output.sequences[going], alive[going], output.past_key_values
        # Other caches (states of recurrent models, for one) cannot be cut by rows: what was said is read again.
        if not isinstance(cache, DynamicCache):
            cache = None
        elif len(going) < len(done):
            cache.batch_select_indices(going)
    return answers


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many first tokens all prompts have in common, one left over at least; 0 where it is not worth a pass."""
    if len(prompts) < 2:
        return 0
    # What the least and the greatest have in common, all have.
    ordered = [tuple(prompt) for prompt in prompts]
    low, high = min(ordered), max(ordered)
    longest = min(map(len, prompts)) - 1
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), longest)
    return min(shared, longest) if min(shared, longest) >= WORTH else 0


def _takes_gaps(model: PreTrainedModel) -> bool:
    """Whether padding may stand between the shared beginning and the rest: not where attention counts distances in
    the cache (sliding windows), nor for kernels without a mask."""
    config = model.config.get_text_config()
    window = config.to_dict().get("sliding_window")
    return window is None and config._attn_implementation in ("sdpa", "eager")


def _prefill(model: PreTrainedModel, prefix: Sequence[int]) -> DynamicCache | None:
    ids = torch.tensor([list(prefix)], device=model.device)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    return cache if isinstance(cache, DynamicCache) else None


def _padded(
    prompts: Sequence[Sequence[int]], shared: int, pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """`[B, T]` ids and mask: the shared beginning, padding, the rest. Positions count what the mask shows."""
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
    """ROUGE-1 recall, ROUGE-L recall (TOFU) and ROUGE-L F1 (MUSE) of one completion, by the `rouge-score` package.

    Args:
        reference: the right answer.
        text: the completion.
        stemmer: as TOFU and open-unlearning have it; MUSE's own code leaves words unstemmed.
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


__all__ = ["complete", "prompt_ids", "rouge"]
