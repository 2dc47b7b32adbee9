"""How questions and answers are scored: what changes a number and is neither the model nor the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tif.tokens.encoding import Encoding
from tif.tokens.templates import TemplateSpec

MAX_NEW_TOKENS: Final = 200
"""The field's limit for TOFU."""
BUDGET: Final = 4096
"""Positions in a batch on a CPU. With more, the logits no longer fit the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Settings that every benchmark of questions and answers shares."""

    template: str = "auto"
    labels: tuple[str, ...] | None = None
    """Labels of the spans that are unwanted words; None for every label."""
    punctuation: Literal["gw", "uw"] = "gw"
    """Kind of punctuation outside spans."""
    supervise_eos: bool = True
    """Score the end token, as TOFU does."""
    average: Literal["loss", "probability"] = "loss"
    """How wrong answers are averaged in the truth ratio."""
    max_new_tokens: int = MAX_NEW_TOKENS
    completions: bool = True
    """False leaves out what needs generation: ROUGE, leakage, and with them model utility."""
    budget: int = BUDGET
    """Positions in a batch. It changes the speed alone."""

    @property
    def encoding(self) -> Encoding:
        """How questions and answers become tokens."""
        return Encoding(
            template=TemplateSpec.of(self.template),
            punctuation=self.punctuation,
            supervise_eos=self.supervise_eos,
            labels=self.labels,
        )


__all__ = ["BUDGET", "MAX_NEW_TOKENS", "Scoring"]
