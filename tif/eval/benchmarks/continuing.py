"""Completion of plain text: whether a model writes an unwanted phrase after the words before it.

    continued = continuations(load, encoder, rows, "forget", settings, cache)
    continued[rows[0].id][0].written        whether the model writes the first phrase of the first text

The prompts are those of the form `cloze`. A phrase with no word before it has no prompt, and a phrase that the words
before it contain already does not count. Definitions: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tif.eval.benchmarks.asking import ask_in
from tif.eval.benchmarks.questions import Row
from tif.eval.completions import cached_completions
from tif.eval.measure import leakage
from tif.eval.parts import PartsCache
from tif.eval.settings import Scoring
from tif.tokens.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """The greedy continuation of a text from the words before one unwanted phrase."""

    opening: str
    """The text before the phrase."""
    phrase: str
    """The normalised phrase."""
    completion: str
    written: bool
    """Whether the completion contains the phrase as complete words."""


def continuations(
    load: Callable[[], PreTrainedModel],
    encoder: Encoder,
    rows: Sequence[Row],
    part: str,
    settings: Scoring,
    cache: PartsCache,
) -> Mapping[str, tuple[Continuation, ...]]:
    """Return the continuations of each annotated plain text by its id, in the order of its phrases.

    Args:
        load: loads the model; called only if the continuations are not in the cache.
        encoder: the model's tokenizer and template.
        rows: rows of one part. Questions are ignored.
        part: the part's name, for the cache.
        settings: the labels that count, and the longest completion. A continuation is also limited by the longest
            phrase, as `cloze` limits it.
        cache: the evaluation's parts cache.
    """
    texts = [row for row in rows if row.plain and (row.annotated or row.spans)]
    if not texts:
        return {}
    asking = ask_in("cloze", texts, encoder, labels=settings.labels)
    tokens = min(settings.max_new_tokens, asking.longest)
    ids = [prompt.ids for prompt in asking.prompts]
    completions = cached_completions(
        load, encoder.tokenizer, ids, name=f"{part}.continuations", doing=f"continuing {part}",
        tokens=tokens, ends=asking.ends, cache=cache,
    ) if ids else []  # fmt: skip
    continued: dict[str, list[Continuation]] = {row.id: [] for row in texts}
    for prompt, completion in zip(asking.prompts, completions, strict=True):
        for phrase, written in zip(prompt.texts, leakage.written(completion, prompt.texts), strict=True):
            continued[prompt.row].append(
                Continuation(opening=prompt.opening, phrase=phrase, completion=completion, written=written)
            )
    return {id_: tuple(each) for id_, each in continued.items()}


__all__ = ["Continuation", "continuations"]
