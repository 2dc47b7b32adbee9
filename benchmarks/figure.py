"""The figure of docs/results.md, with a name at each mark, and how the plots of all experiments are saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from benchmarks import names
from tif import files
from tif.eval.report.figures import MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["own", "rival", "reference"]
"""The anchored objective, another one, or a model that nothing was unlearned from."""
DPI: Final = 110
_STYLES: Final[dict[Kind, tuple[str, str]]] = {
    "own": (MARKERS[0], PALETTE[0]),
    "rival": (MARKERS[1], PALETTE[1]),
    "reference": (MARKERS[3], "white"),
}
"""Marker and colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A row of a table: its two numbers and its name."""

    label: str
    kind: Kind
    x: float
    y: float


def plot(marks: Sequence[Mark], *, xlabel: str, ylabel: str, goal: tuple[float, float] | None) -> Figure:
    """Return a figure of marks with their names. The best marks are at the top left.

    Args:
        marks: at least one. No y is above 1.
        xlabel: label of the horizontal axis.
        ylabel: label of the vertical axis.
        goal: the largest x and the smallest y of the green area; None for no area.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.8), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for mark in marks:
        marker, color = _STYLES[mark.kind]
        axes.plot(mark.x, mark.y, marker, color=color, markersize=8, markeredgecolor="black", clip_on=False, zorder=3)
    right = max(0.1, *(mark.x for mark in marks), goal[0] if goal else 0)
    axes.set_xlim(-0.02 * right, 1.05 * right)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if goal:
        x, y = goal
        axes.fill_between([axes.get_xlim()[0], x], y, axes.get_ylim()[1], color=PALETTE[2], alpha=0.2, linewidth=0)
        axes.annotate("goal", (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", color=PALETTE[2])
    _write_names(figure, axes, marks)
    return figure


def save(figure: Figure, path: Path, *, description: str | None = None) -> None:
    """Write a figure as a PNG. The same figure has the same bytes every time.

    Args:
        figure: the figure.
        path: the file.
        description: text for the file's metadata.
    """
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=DPI, metadata={"Software": None, "Description": description})
    files.write(path, sink.getvalue())


def _write_names(figure: Figure, axes: Axes, marks: Sequence[Mark]) -> None:
    """Write each name near its mark. A line leads to a name for which there is no place at its mark."""
    figure.draw_without_rendering()
    texts = [
        axes.annotate(
            mark.label, (mark.x, mark.y), (0, 0), textcoords="offset pixels", ha="center", va="center", fontsize=9,
            in_layout=False, zorder=5,
        )
        for mark in marks
    ]  # fmt: skip
    middles = [(float(x), float(y)) for x, y in axes.transData.transform([(mark.x, mark.y) for mark in marks])]
    sizes = [(extent.width, extent.height) for extent in (text.get_window_extent() for text in texts)]
    for text, (x, y), box in zip(texts, middles, names.place(middles, sizes, axes.bbox.extents), strict=True):
        text.set_position(((box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y))
        if to := names.end((x, y), box):
            line = axes.transData.inverted().transform([(x, y), to])
            axes.plot(*zip(*line, strict=True), color="grey", linewidth=0.8, zorder=4)


__all__ = ["DPI", "Kind", "Mark", "plot", "save"]
