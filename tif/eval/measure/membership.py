"""Membership inference on questions and answers: the forget set against a holdout set, beside a retain model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tif.eval.measure.composites import MIA, auc_gap, closeness
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.measures import harmonic_mean
from tif.eval.measure.privacy import auc_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackArea:
    """The AUC of one attack. 1: the forget set is clearly a member. 0.5: a guess."""

    auc: float
    retain_auc: float | None = None
    """The retain model's AUC. None without a retain log of the same texts, as the other two."""
    gap: float | None = None
    """AUC - AUC_retain. Positive: forgets too little. Negative: forgets too much."""
    closeness: float | None = None
    """s_x: 1 if the two are equal, 0 at both ends."""

    def beside(self, retain: float) -> AttackArea:
        """Return the same beside the retain model's AUC."""
        return replace(self, retain_auc=retain, gap=auc_gap(self.auc, retain), closeness=closeness(self.auc, retain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The attacks on the forget set against a holdout set."""

    holdout: str
    """Where the holdout questions come from."""
    forget_questions: int
    holdout_questions: int
    texts_sha256: str
    """Digest of all questions and answers. Only AUCs of the same texts are comparable."""
    attacks: Mapping[str, AttackArea]
    score: float | None = None
    """MIA: harmonic mean of s_x over the four attacks."""

    def interval(self, attack: str) -> Interval:
        """Return an attack's AUC with its 95% interval over questions."""
        area = self.attacks[attack].auc
        return Interval(area, *auc_interval(area, self.forget_questions, self.holdout_questions))

    def beside(self, retain: Membership | None) -> Membership:
        """Return the same beside the retain model's, if that is of the same texts."""
        if retain is None or retain.texts_sha256 != self.texts_sha256:
            return self
        attacks = {
            name: area.beside(retain.attacks[name].auc) if name in retain.attacks else area
            for name, area in self.attacks.items()
        }
        terms = [attacks[name].closeness if name in attacks else None for name in MIA]
        known = [term for term in terms if term is not None]
        return replace(self, attacks=attacks, score=harmonic_mean(known) if len(known) == len(MIA) else None)


__all__ = ["AttackArea", "Membership"]
