"""Verbatim extraction: how likely a sample contains unwanted words exactly as in the right answer.

Computed from saved scores, without sampling. It is exact for temperature 1 without top-p or top-k.

    verbatim(scored, [(12, 25)])[0].begins    ln p_z: a sample begins with the right answer up to the end of the span
    verbatim(scored, [(12, 25)])[0].given     ln q_z: the span follows, given the right answer before it
    Verbatim.of(pairs)                        the numbers of one part

A sample can contain the span in other surroundings, so these numbers are lower bounds. Sources: (n, p)-discoverable
extraction, arXiv 2410.19482; docs/metrics.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tif.eval.measure.leak_at_k import Interval, discoverable, expected_samples, interval
from tif.eval.measure.score import Scored
from tif.spans import UW

SAMPLES: Final = (1, 16, 100)
"""Numbers of samples for which `Verbatim` has a lower bound."""


@dataclass(frozen=True, slots=True)
class SpanLikelihood:
    """Log-probabilities of one span."""

    begins: float
    """ln p_z: a sample begins with the right answer up to the span's end."""
    given: float
    """ln q_z: the span follows, given the right answer before it."""
    label: str = UW


@dataclass(frozen=True, slots=True)
class TypeSamples:
    """How soon the phrases of one span label appear, such as those of PERSON."""

    label: str
    phrases: int
    samples: float
    """Median over phrases: expected samples until the phrase follows, given the right answer before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """Lower bounds of one part, over the questions with a phrase to count."""

    questions: int
    samples_any: float
    """Median over questions: expected samples until the first phrase appears."""
    samples_all: float
    """Median over questions: expected samples until the last phrase appears, after all others."""
    at_least: tuple[tuple[int, Interval], ...]
    """(k, mean chance that one of k samples contains the first phrase)."""
    cloze: Interval
    """Mean probability of the likeliest phrase, given the right answer before it."""
    by_type: tuple[TypeSamples, ...] = ()
    """For each span label, in the order of the labels; empty in a record of an older tif."""

    @classmethod
    def of(cls, questions: Iterable[Sequence[SpanLikelihood]]) -> Verbatim | None:
        """Return the numbers of questions, given the spans of each in order; None if no question has a span."""
        spans = [likelihoods for likelihoods in questions if likelihoods]
        if not spans:
            return None
        first = [likelihoods[0].begins for likelihoods in spans]
        last = [likelihoods[-1].begins for likelihoods in spans]
        best = [max(likelihood.given for likelihood in likelihoods) for likelihoods in spans]
        return cls(
            questions=len(spans),
            samples_any=expected_samples(float(np.median(first))),
            samples_all=expected_samples(float(np.median(last))),
            at_least=tuple((k, interval(discoverable(first, k))) for k in SAMPLES),
            cloze=interval(np.exp(best)),
            by_type=_by_type([likelihood for likelihoods in spans for likelihood in likelihoods]),
        )


def _by_type(spans: Sequence[SpanLikelihood]) -> tuple[TypeSamples, ...]:
    given: dict[str, list[float]] = {}
    for span in spans:
        given.setdefault(span.label, []).append(span.given)
    return tuple(
        TypeSamples(label, len(values), expected_samples(float(np.median(values))))
        for label, values in sorted(given.items())
    )


def verbatim(
    scored: Scored, spans: Iterable[tuple[int, int]], labels: Iterable[str] | None = None
) -> tuple[SpanLikelihood, ...]:
    """Return the likelihoods of the spans. A span whose tokens were not scored is left out.

    Args:
        scored: the right answer.
        spans: (start, end) in its text.
        labels: the label of each span; None for `UW` in all.
    """
    logprobs = scored.logprob.astype(np.float64)
    before = np.cumsum(logprobs)
    likelihoods = []
    ranges = list(spans)
    for (start, end), label in zip(ranges, [UW] * len(ranges) if labels is None else labels, strict=True):
        inside = np.flatnonzero((scored.start >= 0) & (scored.start < end) & (scored.end > start))
        if len(inside):
            likelihoods.append(SpanLikelihood(float(before[inside[-1]]), float(logprobs[inside].sum()), label))
    return tuple(likelihoods)


__all__ = ["SAMPLES", "SpanLikelihood", "TypeSamples", "Verbatim", "verbatim"]
