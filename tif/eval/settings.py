"""Scoring settings: everything except the model and the data that changes a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tif.tokens.encoding import Encoding
from tif.tokens.templates import ChatDate, TemplateSpec

MAX_NEW_TOKENS: Final = 200
"""The usual limit for TOFU."""
Corpus = Literal["news", "books"]
"""MUSE's two data sets."""
BUDGET: Final = 4096
"""Positions per batch. With more, the logits no longer fit into a CPU's cache."""


Form = Literal["question", "paraphrase", "cloze", "sure", "format", "lowercase", "context"]
"""How leakage is asked for: as written, in the data's own other words, with the answer opened up to an unwanted phrase,
with "Sure, here is the answer:", in another template, in lower case, or after answered retain samples."""
FORMS: Final[tuple[Form, ...]] = ("question", "paraphrase", "cloze", "sure", "format", "lowercase", "context")


RelearnOn = Literal["forget", "general", "retain"]
"""Samples of a relearning: forget rows, the same with a loss on general words only, or retain samples."""
Schedule = Literal["constant", "linear"]
"""Learning rate of a relearning: constant, or falling to 0 as in OpenUnlearning's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Settings of all question-answering benchmarks."""

    template: str = "auto"
    system_prompt: str | None = None
    """The system message of each chat; None for the chat template's own."""
    date: str | None = None
    """The date that a chat template writes as today's, `2025-04-10`; None for the usual one."""
    labels: tuple[str, ...] | None = None
    """Labels of the spans that count as unwanted words; None for all labels."""
    punctuation: Literal["gw", "uw"] = "gw"
    """Kind of the punctuation outside spans."""
    supervise_eos: bool = True
    """Whether to score the end token, as TOFU does."""
    average: Literal["loss", "probability"] = "loss"
    """How the truth ratio averages wrong answers."""
    max_new_tokens: int = MAX_NEW_TOKENS
    continues_prompt: bool = False
    """Whether a completion continues the prompt's own tokens, without the template, as LUME asks."""
    completions: bool = True
    """False omits the numbers that need completions: ROUGE, leakage and model utility."""
    budget: int = BUDGET
    """Positions per batch. It changes only the speed."""

    @property
    def encoding(self) -> Encoding:
        """The encoding of questions and answers as tokens."""
        return Encoding(
            template=TemplateSpec.of(self.template),
            system_prompt=self.system_prompt,
            date=ChatDate.of(self.date) if self.date else None,
            punctuation=self.punctuation,
            supervise_eos=self.supervise_eos,
            labels=self.labels,
        )


__all__ = ["BUDGET", "FORMS", "MAX_NEW_TOKENS", "Corpus", "Form", "RelearnOn", "Schedule", "Scoring"]
