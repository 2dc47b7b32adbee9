"""The second of the two model calls: the model's greedy answers.

Prompts are left-padded and sorted by length. Prompts with a common prefix share its key-value cache. Finished rows
leave the batch, and waiting prompts take their places. A new token does not copy the keys and values of earlier ones.
`tif.tokens.generate` gives the prompts, which have exactly the tokens that precede the answer in `score`, and the
tokens that end an answer.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from rouge_score.rouge_scorer import RougeScorer

from tif.console import warn
from tif.errors import InputError
from tif.eval.measure.cache import fitting_rows, free_memory, holds_rows, join, join_left_padded, make_roomy, trim
from tif.eval.settings import MAX_NEW_TOKENS
from tif.tokens.apart import ignores_padding
from tif.tokens.limits import Limits, attention_window

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

    from tif.console import Advance

ROWS: Final = 64
"""Prompts per batch on a CPU. Decoding one row costs about as much as decoding several dozen."""
GPU_ROWS: Final = 256
"""The same on a GPU, if their caches fit into `GPU_SHARE` of its free memory."""
GPU_SHARE: Final = 1 / 8
STEP: Final = 16
"""Tokens between two checks for finished rows."""
REFILL: Final = 8
"""New prompts join a batch as soon as one row in so many is free. Reading single prompts takes longer."""
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
    rows: int | None = None,
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
        rows: prompts per batch; by default `ROWS` or `GPU_ROWS`.
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
    rows = rows or _rows(model, max(map(len, prompts), default=0) + max_new_tokens)
    pads = len(set(map(len, prompts))) > 1 or len(prompts) > rows
    if rows > 1 and pads and not ignores_padding(model, prompts):
        warn("this model reads the padding before a prompt, so tif completes prompts one by one")
        rows = 1
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    how = _How(max_new_tokens, end_tokens(model, ends), tuple(stop), pad, limits.positions)
    shared = _common_prefix(prompts) if _allows_gaps(model) else 0
    completions: dict[int, str] = {}
    with torch.inference_mode():
        # Few-shot prompts begin alike: compute their common prefix once.
        start = _prefill(model, prompts[0][:shared]) if shared else None
        shared = shared if start is not None else 0
        batch: _Batch | None = None
        while order or batch is not None:
            free = rows - (0 if batch is None else len(batch.index))
            if order and (batch is None or (batch.takes_rows and free >= min(len(order), max(1, rows // REFILL)))):
                chosen, order = order[:free], order[free:]
                # The last token of a row that joins is read apart from those before it, of which there must be one.
                least = 0 if batch is None else shared + 2
                ids, mask = _padded([prompts[i] for i in chosen], shared, pad, model.device, least)
                cache = copy.deepcopy(start)
                if cache is not None:
                    cache.batch_repeat_interleave(len(chosen))
                new = _Batch(chosen, ids, mask, torch.zeros_like(ids[:, 0]), cache)
                if batch is not None:
                    _read(model, new)
                    batch.join(new)
                else:
                    batch = new
            assert batch is not None
            finished = _advance(model, tokenizer, batch, how)
            completions |= finished
            if not batch.index:
                batch = None
            if advance is not None and finished:
                advance(len(finished))
    return [completions[index] for index in range(len(prompts))]


def _rows(model: PreTrainedModel, tokens: int) -> int:
    """Return how many prompts a batch has, if none is longer than so many tokens with its completion."""
    free = free_memory(model, GPU_SHARE)
    return min(GPU_ROWS, max(ROWS, fitting_rows(model, tokens, free))) if free else ROWS


@dataclass(frozen=True, slots=True)
class _How:
    """How to decode."""

    max_new_tokens: int
    ends: list[int]
    stop: tuple[str, ...]
    pad: int
    positions: int | None
    """An answer ends where the model has no further position."""


@dataclass(slots=True)
class _Batch:
    """The rows that are being decoded. Rows leave when they are finished, and others take their places."""

    index: list[int]
    """The prompt of each row."""
    ids: torch.Tensor
    """`[B, T]`, padded on the left."""
    mask: torch.Tensor
    """`[B, T]`, 1 except for padding."""
    made: torch.Tensor
    """`[B]`, number of generated tokens."""
    cache: Any
    """Keys and values of all tokens but the last, or None."""
    takes_rows: bool = False
    """Whether the cache has only keys and values, so that rows can join."""

    def join(self, other: _Batch) -> None:
        """Append other rows. Padding hides the difference in length."""
        self.index += other.index
        self.ids = join_left_padded(self.ids, other.ids, 1)
        self.mask = join_left_padded(self.mask, other.mask, 1)
        self.made = torch.cat([self.made, other.made])
        join(self.cache, other.cache)

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only these rows, and no column that is padding in all of them."""
        self.index = [self.index[row] for row in rows.tolist()]
        self.ids, self.mask, self.made = self.ids[rows], self.mask[rows], self.made[rows]
        if self.cache is not None and self.index:
            self.cache.batch_select_indices(rows)
        if not self.takes_rows or not self.index:
            return
        if empty := int(self.mask.any(0).int().argmax()):
            self.ids, self.mask = self.ids[:, empty:], self.mask[:, empty:]
            trim(self.cache, empty)


def _read(model: PreTrainedModel, batch: _Batch) -> None:
    """Compute the keys and values of new rows, as many as they have tokens but the last."""
    done = 0 if batch.cache is None else batch.cache.get_seq_length()
    inputs: dict[str, Any] = {"attention_mask": batch.mask[:, :-1]}
    if "position_ids" in inspect.signature(model.forward).parameters:
        inputs["position_ids"] = (batch.mask.cumsum(1) - 1).clamp(min=0)[:, done:-1]
    output = model(
        input_ids=batch.ids[:, done:-1], past_key_values=batch.cache, use_cache=True, logits_to_keep=1, **inputs
    )
    batch.cache = output.past_key_values
    make_roomy(batch.cache)


def _advance(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: _Batch, how: _How) -> dict[int, str]:
    """Decode up to `STEP` tokens, remove the rows that are finished, and return their completions."""
    steps = min(STEP, how.max_new_tokens - int(batch.made.max()))
    if how.positions is not None:
        # The last token is only predicted, so it needs no position.
        steps = min(steps, how.positions + 1 - int(batch.mask.sum(1).max()))
    output = model.generate(
        batch.ids,
        attention_mask=batch.mask,
        past_key_values=batch.cache,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        max_new_tokens=steps,
        use_cache=True,  # a checkpoint saved after training may switch it off
        pad_token_id=how.pad,
        eos_token_id=how.ends or None,
        return_dict_in_generate=True,
    )
    steps = output.sequences.shape[1] - batch.ids.shape[1]
    batch.ids = output.sequences
    batch.mask = torch.cat([batch.mask, batch.mask.new_ones(len(batch.mask), steps)], 1)
    batch.made = batch.made + steps
    # Rows of other caches (e.g. recurrent states) cannot be removed: the model reads the generated tokens again.
    batch.cache = output.past_key_values if holds_rows(output.past_key_values) else None
    batch.takes_rows = make_roomy(batch.cache)
    ends = torch.tensor(how.ends, dtype=torch.long, device=batch.ids.device)
    done = torch.isin(batch.ids[:, -steps:], ends).any(1) | (batch.made >= how.max_new_tokens)
    if how.positions is not None:
        done |= batch.mask.sum(1) > how.positions
    # Stop strings are looked for in the text: they may begin and end within tokens.
    shown = list(range(len(done))) if how.stop else done.nonzero()[:, 0].tolist()
    texts = _texts(tokenizer, batch, shown, how)
    finished: dict[int, str] = {}
    for row, text in zip(shown, texts, strict=True):
        cut = min((at for end in how.stop if (at := text.find(end)) >= 0), default=None)
        done[row] |= cut is not None
        if done[row]:
            finished[batch.index[row]] = text[:cut].strip()
    if finished:
        batch.keep((~done).nonzero()[:, 0])
    return finished


def _texts(tokenizer: PreTrainedTokenizerBase, batch: _Batch, rows: Sequence[int], how: _How) -> list[str]:
    """Return the generated texts of these rows. Behind an end there is only padding."""
    generated = [batch.ids[row, -int(batch.made[row]) :].tolist() for row in rows]
    ends = set(how.ends)
    before = [row[: next((i for i, token in enumerate(row) if token in ends), len(row))] for row in generated]
    # An end that is no special token would be decoded as text.
    return list(tokenizer.batch_decode(before, skip_special_tokens=True)) if before else []


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
    return cache if make_roomy(cache) else None


def _padded(
    prompts: Sequence[Sequence[int]], shared: int, pad: int, device: torch.device, least: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `[B, T]` ids and mask: shared prefix, padding, rest. Only positions inside the mask are counted.

    T is the longest prompt, or `least` if that is more.
    """
    width = max(least, *map(len, prompts))
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
