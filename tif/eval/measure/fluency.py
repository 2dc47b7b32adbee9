"""Fluency: does a text read as language? A classifier's probability of its first class, as open-unlearning computes it.

open-unlearning takes `madhurjindal/autonlp-Gibberish-Detector-492513457`, whose first class is "clean", and the first
32 tokens of each answer (`utility.py`, `configs/eval/tofu_metrics/forget_Q_A_gibberish.yaml`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOKENS: Final = 32
"""Tokens of an answer that the classifier reads, special tokens included."""
_BATCH: Final = 32


def fluency(
    classifier: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    tokens: int = TOKENS,
    advance: Callable[[int], object] | None = None,
) -> list[float]:
    """Return the probability of the classifier's first class for each text.

    Args:
        classifier: a text classifier.
        tokenizer: its tokenizer. Without a padding token, each text is read alone.
        texts: the texts.
        tokens: the classifier reads this many tokens of a text.
        advance: called with the number of texts that are done.
    """
    import torch

    size = _BATCH if tokenizer.pad_token is not None else 1
    values: list[float] = []
    for start in range(0, len(texts), size):
        batch = list(texts[start : start + size])
        inputs = tokenizer(batch, return_tensors="pt", padding=size > 1, truncation=True, max_length=tokens)
        with torch.no_grad():
            logits = classifier(**inputs.to(classifier.device)).logits
        values += logits.float().softmax(-1)[:, 0].tolist()
        if advance is not None:
            advance(len(batch))
    return values


__all__ = ["TOKENS", "fluency"]
