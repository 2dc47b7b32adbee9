"""The report's section on membership inference: each attack's AUC with its interval, and beside the retain model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.section import Section, not_measured
from tif.eval.report.tables import DASH, Line, Table, cell, decimals

HEADING: Final = "Was it in the training data?"
GLOSS: Final = (
    "Membership inference: each attack ranks the texts to forget and texts that no model saw. An AUC of 0.5 means that "
    "it guesses; 1, that it recognises each text to forget. After unlearning, the AUC should be the retain model's. "
    "Ranges are 95% intervals over texts."
)
ATTACKS: Final[Mapping[str, tuple[str, str]]] = {
    "loss": ("loss", "mean negative log-probability"),
    "zlib": ("zlib", "loss divided by the compressed length of the text"),
    "min_k": ("min-k", "mean of the lowest 40% of the log-probabilities"),
    "min_k_plus_plus": ("min-k++", "the same, each relative to all tokens at its position"),
    "reference": ("reference", "loss minus the base model's loss"),
    "gradnorm": ("gradient norm", "norm of the gradient of the loss"),
}
"""Name and definition of each attack, by its key in the record."""
_AREA: Final = "AUC"
_GAP: Final = "AUC minus the retain model's"
_CLOSENESS: Final = "s"
_GROUPS: Final[Mapping[str, str]] = {
    _GAP: "above 0, the model forgets too little; below 0, too much. Beside it: the retain model's AUC",
    _CLOSENESS: "1 - |AUC - the retain model's| / the retain model's, at least 0. It is 1 at the retain model's AUC, "
    "and 0 both at an AUC of 0 and from twice the retain model's on",
}
"""What the numbers beside a retain model are."""


def section(evaluations: Evaluations) -> Section | None:
    """Return the table; None if no evaluation has membership inference."""
    measured = {e.label: e.record.membership for e in evaluations.entries if e.record.membership is not None}
    if not measured:
        return None
    names = [name for name in ATTACKS if any(name in each.attacks for each in measured.values())]
    lines = [
        Line(ATTACKS[name][0], [_area(each, name) for each in measured.values()], title=ATTACKS[name][1], group=_AREA)
        for name in names
    ]
    areas = {name: [each.attacks.get(name) for each in measured.values()] for name in names}
    for group, shown in ((_GAP, _gap), (_CLOSENESS, _closeness)):
        lines += [
            Line(ATTACKS[name][0], [shown(area) for area in areas[name]], title=ATTACKS[name][1], group=group)
            for name in names
            if any(area is not None and area.gap is not None for area in areas[name])
        ]
    if any(each.score is not None for each in measured.values()):
        title = "harmonic mean of s over loss, zlib, min-k and min-k++"
        scores = [cell(each.score) for each in measured.values()]
        lines.append(Line("all four (MIA)", scores, title=title, group=_CLOSENESS))
    known = dict(ATTACKS[name] for name in names)
    known |= {group: text for group, text in _GROUPS.items() if any(line.group == group for line in lines)}
    others = [entry.label for entry in evaluations.unattacked if entry.label not in measured]
    return Section(
        heading=HEADING,
        gloss=GLOSS,
        parts=[Table(corner="attack", columns=list(measured), lines=lines, notes=known)],
        remarks=[*not_measured(others), *_remarks(measured)],
    )


def _area(membership: Membership, name: str) -> str:
    return cell(membership.interval(name) if name in membership.attacks else None)


def _gap(area: AttackArea | None) -> str:
    if area is None or area.gap is None or area.retain_auc is None:
        return DASH
    return f"{area.gap:+.3f}<small>retain {decimals(area.retain_auc)}</small>"


def _closeness(area: AttackArea | None) -> str:
    return cell(area.closeness if area else None)


def _remarks(measured: Mapping[str, Membership]) -> list[str]:
    """Return the numbers of texts, and which models are not comparable or have no retain model beside them."""
    sizes: dict[str, list[str]] = {}
    texts: dict[str, list[str]] = {}
    for label, each in measured.items():
        words = f"{each.forget_questions:,} to forget and {each.holdout_questions:,} that no model saw"
        sizes.setdefault(words, []).append(label)
        texts.setdefault(each.texts_sha256, []).append(label)
    lines = [f"Texts: {words}." if len(sizes) == 1 else f"{', '.join(who)}: {words}." for words, who in sizes.items()]
    if len(texts) > 1:
        groups = "; ".join(", ".join(who) for who in texts.values())
        lines.append(f"These models were measured on different texts, so do not compare their AUCs: {groups}.")
    if not any(area.gap is not None for each in measured.values() for area in each.attacks.values()):
        lines.append(
            "No retain model's AUC is known for these texts. To compare, run tif eval with --retain-log, the log of a "
            "retain model with the same holdout texts."
        )
    return lines


__all__ = ["ATTACKS", "HEADING", "section"]
