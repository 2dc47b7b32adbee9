"""The second of the two model calls: what does the model say when asked?

Greedy, left-padded, sorted by length, with a key-value cache. The prompt is exactly what the model sees before the
answer when that is scored, so that likelihoods and completions speak of the same question.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import torch
from rouge_score.rouge_scorer import RougeScorer

from tif.spans import Example
from tif.tokens.masks import Kind, Template, encode

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.console import Advance

MAX_NEW_TOKENS: Final = 200
"""The field's limit for TOFU."""
ROWS: Final = 64
"""Prompts a batch: decoding costs about the same for one row as for some dozens."""


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
    found: dict[int, str] = {}
    for at in range(0, len(order), rows):
        chosen = order[at : at + rows]
        width = len(prompts[chosen[0]])
        ids = torch.full((len(chosen), width), pad)
        mask = torch.zeros_like(ids)
        for number, index in enumerate(chosen):
            ids[number, width - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask[number, width - len(prompts[index]) :] = 1
        with torch.inference_mode():
            output = model.generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=max_new_tokens,
                use_cache=True,  # a checkpoint saved after training may have it switched off
                pad_token_id=pad,
            )
        for index, text in zip(
            chosen, tokenizer.batch_decode(output[:, width:], skip_special_tokens=True), strict=True
        ):
            for end in stop:
                text = text.split(end)[0]
            found[index] = text.strip()
        if advance is not None:
            advance(len(chosen))
    return [found[index] for index in range(len(prompts))]


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


__all__ = ["MAX_NEW_TOKENS", "complete", "prompt_ids", "rouge"]
