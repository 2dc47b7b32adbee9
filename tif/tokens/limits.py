"""What a model can read: which token ids, and how many tokens.

A token beyond its embeddings, or a position beyond its table of positions, is an index error in the forward pass. On a
GPU that is an error of the device, which names neither. So both are compared before the first forward.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from tif.console import warn
from tif.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tif.tokens.masks import Encoded

_POSITIONS: Final = re.compile(r"wpe|pos")
_EXTRA: Final = 4
"""Rows that a table of positions may have beyond the longest text: OPT and RoBERTa reserve two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model can read. Made by `Limits.of`."""

    model: str
    """Name for errors."""
    vocabulary: int
    """Tokens that it has embeddings for, and logits."""
    positions: int | None
    """Rows of its table of positions; None for a model that computes positions, as rotary ones do."""
    context: int | None
    """Longest text that it is made for, in tokens; None where its config names none."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Limits:
        """Return the limits of a causal language model."""
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        ends = (model.get_input_embeddings(), model.get_output_embeddings())
        rows = [len(end.weight) for end in ends if end is not None]
        return cls(
            model=model.name_or_path or type(model).__name__,
            vocabulary=min(rows, default=model.config.get_text_config().vocab_size),
            positions=context if context is not None and _has_table(model, context) else None,
            context=context,
        )

    def fault(self, ids: Sequence[int]) -> tuple[str, str] | None:
        """Return why the model cannot read a text, and what to do; None if it can.

        Args:
            ids: the text's tokens.
        """
        if max(ids, default=0) >= self.vocabulary:
            return (
                f"the tokenizer gives token {max(ids)}, and {self.model} has embeddings for {self.vocabulary} tokens",
                "Resize the model's embeddings (resize_token_embeddings), or use the tokenizer that belongs to it.",
            )
        if self.positions is not None and len(ids) > self.positions:
            return f"{len(ids)} tokens are more than the model's {self.positions} positions", self._shorter()
        return None

    def check(self, items: Iterable[Encoded], *, hint: str | None = None) -> None:
        """Make sure that the model can read these texts, and warn of those that are longer than its context.

        Args:
            items: the texts.
            hint: what to do about a text that is too long, if not `--max-length`.

        Raises:
            InputError: naming the first text that it cannot read.
        """
        longer = []
        for item in items:
            if (fault := self.fault(item.input_ids)) is not None:
                what, remedy = fault
                too_long = len(item) > (self.positions or len(item))
                raise InputError(what, where=f"record {item.id!r}", hint=hint if hint and too_long else remedy)
            if self.context is not None and len(item) > self.context:
                longer.append(item.id)
        if longer:
            more = f" and {len(longer) - 1} more" if longer[1:] else ""
            warn(
                f"{longer[0]}{more}: longer than the {self.context} tokens that the model is made for. "
                f"{hint or self._shorter()}"
            )

    def _shorter(self) -> str:
        return f"Use --max-length {self.context}."


def attention_window(model: PreTrainedModel) -> int | None:
    """Return the number of tokens that local attention looks back; None for a model that has none.

    Its name in the config differs: `sliding_window`, GPT-Neo's `window_size`, RecurrentGemma's `attention_window_size`.
    """
    config = model.config.get_text_config().to_dict()
    windows = [value for name, value in config.items() if name.endswith(("window", "window_size"))]
    return min((value for value in windows if isinstance(value, int) and value), default=None)


def _has_table(model: PreTrainedModel, rows: int) -> bool:
    """Return whether a model looks positions up in a table, be it learned or computed once."""
    decoder = model.get_decoder() or model
    return any(
        tensor.dim() == 2 and rows <= len(tensor) <= rows + _EXTRA and _POSITIONS.search(name)
        for name, tensor in chain(decoder.named_parameters(), decoder.named_buffers())
    )


__all__ = ["Limits", "attention_window"]
