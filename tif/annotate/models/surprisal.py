"""Mark the words that the starting model knows and the base model, which never saw the forget set, does not know.

For each word, the gap is `log p_model(word) - log p_base(word)` in nats. Each term is a sum over the word's tokens,
given all text before them, so the two models may have different tokenizers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tif.annotate.models.options import SurprisalOptions
from tif.annotate.models.word_spans import joined, word_bounds
from tif.errors import MaskError
from tif.spans import Example

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tif.tokens.masks import Encoded


class SurprisalAnnotator:
    """Marks words whose log-probability under the model exceeds that under the base model by more than a threshold.

    Raises:
        MissingError: if a model does not exist.
    """

    name = "surprisal"

    def __init__(self, options: SurprisalOptions) -> None:
        from tif.tokens.models import load_model, load_tokenizer, model_digest

        self._options = options
        specs = (options.model, options.base_model)
        self._readers = [(load_model(spec), load_tokenizer(spec)) for spec in specs]
        self._digests = [model_digest(reader) for reader, _ in self._readers]

    def describe(self) -> dict[str, object]:
        """Return the method's provenance."""
        return {
            "name": self.name,
            "version": 1,
            "model": self._options.model,
            "base_model": self._options.base_model,
            "model_digests": self._digests,
            "threshold": self._options.threshold,
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in order. An example that a model cannot tokenize, or that is too long for it, fails."""
        batch: list[Example] = []
        for example in examples:
            batch.append(example)
            if len(batch) == self._options.batch_size:
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
            least = self._options.threshold
            unwanted = [(w, 1 - math.exp(-max(gap, 0.0))) for w, gap in zip(words, gaps, strict=True) if gap > least]
            yield example.with_spans(joined(example.text, unwanted, source="surprisal"), status="auto")


def word_log_probs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    failed: dict[str, str],
) -> dict[str, list[float]]:
    """Return the log-probability in nats of each word of each example's text, given all text before it.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        examples: the examples of one packed forward pass.
        failed: receives the ids of examples that the model cannot read, with the reason.
    """
    import torch

    from tif.tokens.apart import keeps_packed_apart
    from tif.tokens.forward import statistics
    from tif.tokens.limits import Limits
    from tif.tokens.masks import encode
    from tif.tokens.packing import pack
    from tif.tokens.templates import Template

    template, limits = Template.of(tokenizer), Limits.of(model)
    readable: list[tuple[Example, Encoded]] = []
    for example in examples:
        try:
            encoded = encode(example.with_spans(()), tokenizer, template)
        except MaskError as error:
            failed[example.id] = str(error)
            continue
        if limits.context is not None and len(encoded) > limits.context:
            failed[example.id] = f"the sample has {len(encoded)} tokens, and the model takes {limits.context}"
        elif (fault := limits.fault(encoded.input_ids)) is not None:
            failed[example.id] = ". ".join(fault)
        else:
            readable.append((example, encoded))
    if not readable:
        return {}
    rows = [readable]
    if len(readable) > 1 and not keeps_packed_apart(model, [encoded for _, encoded in readable]):
        # A model that carries a state would score a sample by the one before it.
        rows = [[each] for each in readable]
    by_example: dict[str, list[float]] = {}
    for samples in rows:
        packed = pack([encoded for _, encoded in samples])
        with torch.inference_mode():
            logprob = statistics(model, packed.to(model.device)).logprob.float().tolist()
        for number, (example, encoded) in enumerate(samples):
            words = word_bounds(example.text)
            sums = [0.0] * len(words)
            for row, position, value in zip(packed.row.tolist(), packed.position.tolist(), logprob, strict=True):
                if row == number:
                    start, end = encoded.offsets[position]
                    for at, word in enumerate(words):
                        if start < word[1] and word[0] < end:
                            sums[at] += value
            by_example[example.id] = sums
    return by_example


__all__ = ["SurprisalAnnotator", "word_log_probs"]
