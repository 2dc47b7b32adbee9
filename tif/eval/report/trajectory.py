"""The report's section of evaluations during training (`tif train --evaluate-every`)."""

from __future__ import annotations

from typing import Final

from tif.eval.report.evaluations import Evaluations
from tif.eval.report.section import Curves, Section
from tif.records import EVALUATION

HEADING: Final = "During training"
GLOSS: Final = (
    "Each number by training step, evaluated during training as `tif eval` does. No checkpoint was chosen by it."
)
_DRAWN: Final = (
    ("uw_probability", "UW probability", "How probable the unwanted words (UW) are: the mean over questions."),
    ("phrases_written", "share of phrases written", "The share of unwanted phrases that the model writes when asked."),
    ("retain_probability", "retain probability", "How probable the answers to keep are: the mean over questions."),
)


def section(evaluations: Evaluations) -> Section | None:
    """Return the curves of each number; None if no run was evaluated during training at two steps."""
    parts = [
        Curves(
            xlabel="step",
            ylabel=ylabel,
            curves={label: dict(zip(*points, strict=True)) for label, points in lines.items()},
            caption=caption,
            order=evaluations.labels,
        )
        for name, ylabel, caption in _DRAWN
        if (lines := evaluations.logged(f"{EVALUATION}{name}"))
    ]
    return Section(heading=HEADING, gloss=GLOSS, parts=parts) if parts else None


__all__ = ["HEADING", "section"]
