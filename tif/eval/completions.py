"""Greedy completions of prompts, from the parts cache or shared among the processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from tif.eval import processes
from tif.eval.measure.complete import complete
from tif.eval.parts import PartsCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def cached_completions(
    load: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    name: str,
    doing: str,
    tokens: int,
    ends: Collection[int],
    stop: Sequence[str] | None = None,
    cache: PartsCache,
) -> list[str]:
    """Return the completions in the order of their prompts.

    Args:
        load: loads the model; called only if the completions are not in the cache.
        tokenizer: the model's.
        prompts: token ids of each prompt.
        name: the part's name in the cache.
        doing: the progress bar's words.
        tokens: the longest completion.
        ends: tokens that end a completion.
        stop: strings that end a completion; they are part of the cache's key, also if there are none.
        cache: the evaluation's parts cache.
    """

    def work(share: Sequence[Sequence[int]]) -> list[str]:
        with processes.shown(doing, len(share)) as advance:
            return complete(
                load(), tokenizer, share, max_new_tokens=tokens, ends=ends, stop=tuple(stop or ()), advance=advance
            )

    key = [tokens, sorted(ends), *([] if stop is None else [list(stop)]), prompts]
    return cache.texts(name, key, lambda: processes.split(prompts, work))


__all__ = ["cached_completions"]
