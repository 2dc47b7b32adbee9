"""The report's figures of evaluations during training (`tif train --evaluate-every`)."""

from __future__ import annotations

from typing import Final

from tif.eval.report import figures
from tif.eval.report.evaluations import Evaluations
from tif.records import EVALUATION

_DRAWN: Final = (
    ("uw_probability", "UW probability", "How probable the unwanted words are: the mean over questions"),
    ("phrases_written", "share of phrases written", "The share of unwanted phrases that the model writes when asked"),
    ("retain_probability", "retain probability", "How probable the answers to keep are: the mean over questions"),
)
_WATCHED: Final = "evaluated during training as `tif eval` does. No checkpoint was chosen by it."


def trajectory_plots(evaluations: Evaluations) -> list[tuple[str, str]]:
    """Return one figure for each number that a run was evaluated by during training, each with its caption."""
    drawn = []
    for name, ylabel, caption in _DRAWN:
        if lines := evaluations.logged(f"{EVALUATION}{name}"):
            svg = figures.curves(lines, "step", ylabel, order=evaluations.labels)
            drawn.append((svg, f"{caption}, {_WATCHED}"))
    return drawn


__all__ = ["trajectory_plots"]
