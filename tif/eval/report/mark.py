"""One mark of a report: a number that a model must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

KEEP: Final = 0.95
"""What a model must keep of the starting model's answers about others, as a share."""
SIGNIFICANT: Final = 0.05
"""Forget quality passes above this p-value."""

TO_MEASURE: Final = {
    "leak": "to measure it, run `tif eval RUN --leak 16`",
    "depth": "to measure it, run `tif eval RUN --depth --retain-model MODEL`",
    "relearn": "to measure it, run `tif eval RUN --attack relearn` and report its folder too",
    "nf4": "to measure it, run `tif eval RUN --attack nf4` and report its folder too",
    "membership": "to measure it, run `tif eval RUN --holdout SOURCE`",
}
"""How to measure what a report lacks."""
AS_NEVER: Final = "as a model that never saw them"

Outcome = Literal["passes", "fails", "no mark", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One line of the first screen. Every text is words."""

    name: str
    outcome: Outcome
    result: str = ""
    """The number of the model that the report is about."""
    before: str = ""
    """The starting model's."""
    never_saw: str = ""
    """The retain model's."""
    rule: str = ""
    """What passes, or why there is no mark, or how to measure it."""


def kept(own: float | None, start: float | None) -> Outcome:
    """Return whether a model keeps enough of a number of the starting model."""
    if own is None:
        return "not measured"
    if start is None:
        return "no mark"
    return "passes" if own >= KEEP * start else "fails"


def keep_rule(least: str | None) -> str:
    """Return the rule of such a mark in words. `least` is what passes; None without a starting model."""
    if least is None:
        return "no mark: the starting model is not in this report"
    return f"at least {least}: {KEEP:.0%} of the number before unlearning"


__all__ = ["AS_NEVER", "KEEP", "SIGNIFICANT", "TO_MEASURE", "Mark", "Outcome", "keep_rule", "kept"]
