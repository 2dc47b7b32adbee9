"""Composites of OpenUnlearning's paper (arXiv 2506.12618): memorization, privacy, utility and overall.

OpenUnlearning's code does not compute them. The formulas are those of the Unlearning Depth Score's code, whose table of
152 models they reproduce.

    Mem     = HM(1 - ES, 1 - EM, 1 - paraphrase probability, 1 - truth ratio)     forget set; truth ratio: c / (c + w)
    s_x     = clip(1 - |AUC_x - AUC_x,retain| / AUC_x,retain, 0, 1)               x: an attack of membership inference
    Privacy = HM(s_loss, s_zlib, s_min-k, s_min-k++), or HM(that, depth)
    Utility = HM(model utility, fluency), relative to the starting model's. Fluency is the mean probability that a
              classifier takes the forget answers for language and not for gibberish
    Overall = HM(Mem, Privacy, relative utility)

A composite hides its terms. s_x is 0 if the AUC is at least twice the retain model's, so too little was forgotten, and
also if the AUC is 0, so too much was forgotten. So print the terms and `auc_gap` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tif.eval.measure.measures import harmonic_mean

MIA: Final = ("loss", "zlib", "min_k", "min_k_plus_plus")
"""The attacks in the composite, as `tif.eval.measure.privacy.attacks` names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorization:
    """Mem on the forget set and its terms, each 0..1; higher is less memorized."""

    score: float
    """Harmonic mean of the other four; 0 if one of them is 0."""
    extraction_strength: float
    """1 - extraction strength. The others likewise."""
    exact_memorization: float
    paraphrase_probability: float
    truth_ratio: float

    @classmethod
    def of(cls, means: Mapping[str, float | int | None]) -> Memorization | None:
        """Return the composite of a part's means; None if one of the four is missing."""
        terms = {
            "extraction_strength": means.get("extraction_strength"),
            "exact_memorization": means.get("exact_memorization"),
            "paraphrase_probability": means.get("paraphrase_probability"),
            "truth_ratio": means.get("truth_ratio_prob_mean"),
        }
        known = {name: 1 - value for name, value in terms.items() if value is not None}
        return cls(score=harmonic_mean([*known.values()]), **known) if len(known) == len(terms) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Composites:
    """The composites of an evaluation. None where a term is missing; `reasons` explains why."""

    memorization: float | None = None
    """Mem."""
    privacy: float | None = None
    """Harmonic mean of s_x over the four attacks."""
    privacy_with_depth: float | None = None
    """Harmonic mean of `privacy` and the Unlearning Depth Score, as the latter's authors compute it."""
    fluency: float | None = None
    utility: float | None = None
    """Harmonic mean of model utility and fluency."""
    relative_utility: float | None = None
    """`utility` as a share of the starting model's, at most 1."""
    overall: float | None = None
    """Harmonic mean of `memorization`, `privacy` and `relative_utility`."""
    overall_with_depth: float | None = None
    """The same with `privacy_with_depth`."""
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        memorization: float | None,
        closeness: Mapping[str, float | None],
        depth: float | None,
        model_utility: float | None,
        fluency: float | None,
        starting_utility: float | None,
        why: Mapping[str, str] | None = None,
    ) -> Composites:
        """Compute the composites from their terms.

        Args:
            memorization: Mem of the forget set.
            closeness: s_x of each attack, by its name.
            depth: Unlearning Depth Score.
            model_utility: of the evaluated model.
            fluency: of its answers to the forget questions.
            starting_utility: the starting model's `utility`.
            why: why one of these terms is None, by its name.
        """
        reasons: dict[str, str] = {}
        why = why or {}

        def mean(name: str, **terms: float | None) -> float | None:
            absent = [term for term, value in terms.items() if value is None]
            if absent:
                reasons[name] = "missing: " + ", ".join(f"{t} ({why[t]})" if t in why else t for t in absent)
                return None
            return harmonic_mean([value for value in terms.values() if value is not None])

        privacy = mean("privacy", **{f"s_{attack}": closeness.get(attack) for attack in MIA})
        if privacy is None and "closeness" in why:
            reasons["privacy"] = why["closeness"]
        utility = mean("utility", model_utility=model_utility, fluency=fluency)
        relative = None
        if utility is None or not starting_utility:
            absent = "utility" if utility is None else "starting_utility"
            reasons["relative_utility"] = f"missing: {absent}" + (f" ({why[absent]})" if absent in why else "")
        else:
            relative = relative_utility(utility, starting_utility)
        with_depth = mean("privacy_with_depth", privacy=privacy, depth=depth)
        return cls(
            memorization=memorization,
            privacy=privacy,
            privacy_with_depth=with_depth,
            fluency=fluency,
            utility=utility,
            relative_utility=relative,
            overall=mean("overall", memorization=memorization, privacy=privacy, relative_utility=relative),
            overall_with_depth=mean(
                "overall_with_depth",
                memorization=memorization,
                privacy_with_depth=with_depth,
                relative_utility=relative,
            ),
            reasons=reasons,
        )

    @property
    def known(self) -> bool:
        """Whether any number is known that the record does not have elsewhere."""
        return any(value is not None for value in (self.privacy, self.fluency, self.utility))


def auc_gap(area: float, retain_area: float) -> float:
    """Return AUC - AUC_retain. Positive: forgets too little. Negative: forgets too much."""
    return area - retain_area


def closeness(area: float, retain_area: float) -> float | None:
    """Return s_x: 1 if the AUC is the retain model's, 0 if it is 0 or at least twice as large; None if that is 0."""
    if retain_area <= 0:
        return None
    return min(1.0, max(0.0, 1 - abs(auc_gap(area, retain_area)) / retain_area))


def relative_utility(value: float, starting: float) -> float:
    """Return Utility as a share of the starting model's, at most 1."""
    return min(1.0, value / starting)


__all__ = ["MIA", "Composites", "Memorization", "auc_gap", "closeness", "relative_utility"]
