"""Unwanted is what the target model knows and a model that never saw the data does not.

For each word, the gap is `log p_target(word) - log p_base(word)`, each the sum over the word's tokens given all that
stands before it: in nats, and comparable even where the two models have different tokenizers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tif.annotate.models.word_spans import joined, word_bounds
from tif.errors import MaskError, UsageError
from tif.spans import Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.tokens.masks import Encoded


class SurprisalAnnotator:
    """Words whose log-probability the target model raises over the base model's by more than a threshold.

    Args:
        model: folder or hub id of the model that is to forget.
        base_model: one that never saw the data, e.g. the same model before fine-tuning.
        threshold: gap in nats from which a word is unwanted.
        batch_size: examples in one packed forward.

    Raises:
        MissingError: if a model is not there.
        UsageError: for a threshold that is no number, or a batch below one.
    """

    name = "surprisal"

    def __init__(self, model: str, *, base_model: str, threshold: float = 2.0, batch_size: int = 4) -> None:
        from tif.tokens.models import load_model, load_tokenizer, model_digest

        if not math.isfinite(threshold):
            raise UsageError(f"{threshold} is no number of nats", where="--threshold")
        if batch_size < 1:
            raise UsageError(f"{batch_size} is below 1", where="--batch-size")
        self._readers = [(load_model(spec), load_tokenizer(spec)) for spec in (model, base_model)]
        self._ids = (model, base_model)
        self._digests = [model_digest(reader) for reader, _ in self._readers]
        self._threshold, self._batch_size = threshold, batch_size

    def describe(self) -> dict[str, Any]:
        """The method's provenance."""
        return {
            "name": self.name,
            "version": 1,
            "model": self._ids[0],
            "base_model": self._ids[1],
            "model_digests": self._digests,
            "threshold": self._threshold,
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Every example, in order; one that is too long for a model, or that it cannot tokenize, fails."""
        batch: list[Example] = []
        for example in examples:
            batch.append(example)
            if len(batch) == self._batch_size:
                yield from self._annotated(batch)
                batch = []
        if batch:
            yield from self._annotated(batch)

    def _annotated(self, examples: Sequence[Example]) -> Iterator[Example]:
        failed: dict[str, str] = {}
        known = [word_log_probs(model, tokenizer, examples, failed) for model, tokenizer in self._readers]
        for example in examples:
            if example.id in failed:
                yield example.with_spans((), status="failed", error=failed[example.id])
                continue
            words = word_bounds(example.text)
            gaps = [a - b for a, b in zip(known[0][example.id], known[1][example.id], strict=True)]
            unwanted = [
                (w, 1 - math.exp(-max(gap, 0.0))) for w, gap in zip(words, gaps, strict=True) if gap > self._threshold
            ]
            yield example.with_spans(joined(example.text, unwanted, source="surprisal"), status="auto")


def word_log_probs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    failed: dict[str, str],
) -> dict[str, list[float]]:
    """Log-probability in nats of each word of each example's text, given everything before it.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        examples: one packed forward's worth.
        failed: takes the ids of examples that the model cannot read, with the reason.
    """
    import torch

    from tif.tokens.forward import statistics
    from tif.tokens.masks import encode
    from tif.tokens.packing import pack
    from tif.tokens.templates import Template

    template = Template.of(tokenizer)
    readable: list[tuple[Example, Encoded]] = []
    for example in examples:
        try:
            encoded = encode(example.with_spans(()), tokenizer, template)
        except MaskError as error:
            failed[example.id] = str(error)
            continue
        # Bloom and other models with relative positions name no limit.
        longest = getattr(model.config, "max_position_embeddings", None)
        if longest is not None and len(encoded) > longest:
            failed[example.id] = f"{len(encoded)} tokens are more than the model's {longest}"
        else:
            readable.append((example, encoded))
    if not readable:
        return {}
    packed = pack([encoded for _, encoded in readable])
    with torch.inference_mode():
        logprob = statistics(model, packed.to(model.device)).logprob.float().tolist()
    found: dict[str, list[float]] = {}
    for number, (example, encoded) in enumerate(readable):
        words = word_bounds(example.text)
        sums = [0.0] * len(words)
        for row, position, value in zip(packed.row.tolist(), packed.position.tolist(), logprob, strict=True):
            if row == number:
                start, end = encoded.offsets[position]
                for at, word in enumerate(words):
                    if start < word[1] and word[0] < end:
                        sums[at] += value
        found[example.id] = sums
    return found


__all__ = ["SurprisalAnnotator", "word_log_probs"]
