"""Read a text of any length with a token-classification model: overlapping windows, merged on the logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST: Final = 512
"""Tokens in a window unless the model takes fewer. Attention to more costs time, and most models learned on these."""


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens of a text that the model reads together."""

    text: int
    """The text's number."""
    first: int
    end: int
    """One past the last token."""


def context_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return how many tokens a model can read, control tokens included; None if nothing limits it."""
    import torch

    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < 1_000_000 else []
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its kin count positions from behind the padding token's number.
        reserved = [
            module.padding_idx + 1
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Embedding)
            and name.endswith("position_embeddings")
            and module.padding_idx is not None
        ]
        limits.append(positions - max(reserved, default=0))
    return min(limits, default=None)


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the tokens that a tokenizer puts before and after a text."""
    probe = tokenizer("a", return_special_tokens_mask=True)
    ids, mask = list(probe["input_ids"]), list(probe["special_tokens_mask"])
    own = [at for at, special in enumerate(mask) if not special]
    return (ids[: own[0]], ids[own[-1] + 1 :]) if own else (ids, [])


def windows(text: int, tokens: int, room: int, overlap: int) -> Iterator[Window]:
    """Yield the windows of a text. The last one ends with the text and has the full length, so it has most context.

    Args:
        text: the text's number.
        tokens: how many tokens it has.
        room: tokens in a window.
        overlap: tokens that two windows share, fewer than `room`.
    """
    for first in range(0, max(tokens - overlap, 1), room - overlap):
        first = max(0, min(first, tokens - room))
        yield Window(text, first, min(first + room, tokens))


def merged(tokens: int, tags: int, read: Sequence[tuple[Window, Tensor]]) -> Tensor:
    """Return the logits of a text, [tokens, tags]: the mean over its windows.

    A token weighs more in a window the further it is from the window's edge, because it has more context there.

    Args:
        tokens: how many tokens the text has.
        tags: how many tags the model has.
        read: each window with its logits, [tokens of the window, tags].
    """
    import torch

    if len(read) == 1:
        return read[0][1]
    sums, weights = torch.zeros(tokens, tags, dtype=torch.float64), torch.zeros(tokens, 1, dtype=torch.float64)
    for window, logits in read:
        places = torch.arange(window.end - window.first)
        weight = (torch.minimum(places, places.flip(0)) + 1).double()[:, None]
        sums[window.first : window.end] += weight * logits
        weights[window.first : window.end] += weight
    return sums / weights


__all__ = ["LONGEST", "Window", "context_of", "control_tokens", "merged", "windows"]
