"""The report's figures as SVG, drawn by matplotlib. Ink is the page's text colour, so a figure suits light and dark.

The colours are Okabe and Ito's, which colour-blind readers can distinguish. Lines also differ in their marker, and bars
in their hatch. Every model is named in a legend outside the axes, so that no name covers a point.
"""

from __future__ import annotations

import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#7A7A7A")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES: Final = ("", "///", "...", "xx")
_INK: Final = "#010203"
"""A stand-in for the page's text colour until the SVG is complete."""
_WIDTH: Final = 5.4
"""Inches. All figures have the same width, so their text has one size on the page."""
_CHARACTER: Final = 0.072
"""Width of a legend's wide characters on average, in inches."""
_HANDLE: Final = 0.62
"""Width of a legend's line and of the gaps around it, in inches."""
_LINE: Final = 0.2
"""Height of a line of a legend, in inches."""
_LONGEST: Final = 56
"""Characters of a name on one line."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a model is drawn in every figure."""

    color: str
    marker: str
    dashed: bool = False

    @classmethod
    def of(cls, order: Sequence[str], name: str, number: int) -> Style:
        """Return the style of a model by its place in the report.

        A name that is not in the report, such as a retain log's, is a dashed line in the colour of text. Without an
        order, the place is `number`.
        """
        if order and name not in order:
            return cls(_INK, "", dashed=True)
        place = order.index(name) if order else number
        return cls(PALETTE[place % 8], MARKERS[(place + place // 8) % 8])

    @property
    def line(self) -> str:
        """Matplotlib's line style."""
        return "--" if self.dashed else "-"


def bars(groups: Mapping[str, Mapping[str, tuple[float, float, float] | None]], xlabel: str) -> str:
    """Grouped horizontal bars with intervals. Each bar has a line to itself, so that numbers do not collide.

    Args:
        groups: (value, low, high) by the name of the group (a run) and of the bar. None leaves a gap.
        xlabel: label of the horizontal axis.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    labels = [_wrapped(name, 22) for name in groups]
    lines = [max(len(names), label.count("\n") + 1) + 0.7 for label in labels]
    with _figure(0.22 * sum(lines) + 0.7, names) as (figure, axes, svg):
        middles, top = [], 0.0
        for group, height in zip(groups.values(), lines, strict=True):
            middle = top + height / 2
            middles.append(middle)
            for number, name in enumerate(names):
                if (bar := group.get(name)) is None:
                    continue
                value, low, high = bar
                y = middle + number - (len(names) - 1) / 2
                axes.barh(
                    y, value, 0.86, color=PALETTE[number], hatch=HATCHES[number % 4], edgecolor=_INK, linewidth=0.6,
                    xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
                    error_kw={"ecolor": _INK, "elinewidth": 1, "capsize": 2},
                )  # fmt: skip
                axes.annotate(
                    f"{value:.2f}", (max(value, high), y), textcoords="offset points", xytext=(5, 0), va="center",
                    fontsize=8,
                )  # fmt: skip
            top += height
        axes.set_yticks(middles, labels)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(top, 0)
        axes.set_xlim(0, 1.12)
        axes.set_xlabel(xlabel)
        _legend_of_bars(figure, names)
    return svg[0]


def front(points: Collection[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point beats on both axes, from left to right."""
    return sorted((x, y) for x, y in points if not any((a >= x and b >= y) and (a, b) != (x, y) for a, b in points))


def pareto(
    points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, *, log: bool, order: Sequence[str] = ()
) -> str:
    """Points, and a dashed line through those that no other point beats on both axes.

    Args:
        points: (x, y) by name.
        xlabel: label of the horizontal axis.
        ylabel: label of the vertical axis.
        log: draw y, a p-value, on a logarithmic scale. Values below 1e-30 are drawn at 1e-30.
        order: all names of the report, so that each has the same colour and marker in every figure.
    """
    with _figure(3.2, points) as (figure, axes, svg):
        shown = {name: (x, max(y, 1e-30) if log else y) for name, (x, y) in points.items()}
        best = front(shown.values())
        axes.plot([x for x, _ in best], [y for _, y in best], color=_INK, alpha=0.4, linestyle="--", linewidth=1)
        _points(axes, shown, order)
        if log:
            axes.set_yscale("log")
            axes.axhline(0.05, color=_INK, alpha=0.35, linewidth=0.8)
            axes.annotate(
                "p = 0.05", (1, 0.05), xycoords=("axes fraction", "data"), textcoords="offset points", xytext=(4, 0),
                va="center", fontsize=8,
            )  # fmt: skip
        axes.margins(x=0.18, y=0.15)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        _legend(figure, axes, points)
    return svg[0]


def drops(points: Mapping[str, tuple[float, float]], *, order: Sequence[str] = ()) -> str:
    """The drop on unwanted words, to the right, and on general words, upwards.

    On the diagonal both drop alike: the method forgets without aim.
    """
    with _figure(3.2, points) as (figure, axes, svg):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linestyle="--", linewidth=1)
        _points(axes, points, order)
        axes.set_xlim(min(-0.05, *(x - 0.05 for x, _ in points.values())), 1.05)
        axes.set_ylim(min(-0.1, *(y - 0.1 for _, y in points.values())), 1.05)
        axes.set_xlabel("drop on unwanted words (UW)")
        axes.set_ylabel("drop on general words (GW)")
        _legend(figure, axes, points)
    return svg[0]


def distributions(samples: Mapping[str, Sequence[float]], xlabel: str, *, order: Sequence[str] = ()) -> str:
    """Cumulative distributions on a logarithmic axis. A Kolmogorov-Smirnov test compares these."""
    with _figure(2.9, samples) as (figure, axes, svg):
        for number, (name, values) in enumerate(samples.items()):
            style = Style.of(order, name, number)
            ordered = np.sort(np.clip(np.asarray(values, dtype=np.float64), 1e-6, 1e6))
            axes.plot(
                ordered, np.arange(1, len(ordered) + 1) / len(ordered), drawstyle="steps-post", color=style.color,
                linestyle=style.line, label=_legend_name(name), marker=style.marker, markevery=0.12, markersize=4.5,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.axvline(1, color=_INK, alpha=0.35, linewidth=0.8)
        axes.set_xlabel(xlabel)
        axes.set_ylabel("share of questions")
        _legend(figure, axes, samples)
    return svg[0]


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str, *, order: Sequence[str] = ()
) -> str:
    """Lines of (x, y) by name. Where all x are whole numbers, such as steps, all ticks are."""
    from matplotlib.ticker import MaxNLocator

    with _figure(2.6, lines) as (figure, axes, svg):
        for number, (name, (x, y)) in enumerate(lines.items()):
            style = Style.of(order, name, number)
            axes.plot(
                x, y, color=style.color, linestyle=style.line, label=_legend_name(name), marker=style.marker,
                markevery=max(1, len(x) // 8), markersize=4.5,
            )  # fmt: skip
        whole = all(float(value).is_integer() for x, _ in lines.values() for value in x)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=whole, min_n_ticks=1))
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        _legend(figure, axes, lines)
    return svg[0]


def _points(axes: Axes, points: Mapping[str, tuple[float, float]], order: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    for number, (name, (x, y)) in enumerate(points.items()):
        style = Style.of(order, name, number)
        axes.plot(
            x, y, style.marker or "o", color=style.color, markersize=8, markeredgecolor=_INK, label=_legend_name(name)
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(axis="x", useOffset=False)


def _plain(name: str) -> str:
    """A name that matplotlib shows letter by letter: `$` starts no formula, and a leading `_` does not hide it."""
    name = name.replace("$", r"\$")
    return f"\u200b{name}" if name.startswith("_") else name


def _wrapped(name: str, longest: int) -> str:
    return _plain("\n".join(textwrap.wrap(name, longest) or [name]))


def _legend_name(name: str) -> str:
    return _wrapped(name, _LONGEST)


def _columns(names: Sequence[str]) -> int:
    """Columns of a legend that fit the figure."""
    widest = max((_cells(line) for name in names for line in _legend_name(name).split("\n")), default=0)
    return max(1, min(4, len(names), int((_WIDTH - 0.1) / (widest * _CHARACTER + _HANDLE))))


def _cells(line: str) -> int:
    """Width of a line in characters. Those of East Asian scripts are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def _legend_height(names: Sequence[str]) -> float:
    lines = sorted((_legend_name(name).count("\n") + 1 for name in names), reverse=True)
    return _LINE * sum(lines[:: _columns(names)]) + 0.15


def _legend(figure: Figure, axes: Axes, names: Mapping[str, object]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=_columns(list(names)), frameon=False, fontsize=9,
        columnspacing=1.2,
    )  # fmt: skip


def _legend_of_bars(figure: Figure, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=PALETTE[number], hatch=HATCHES[number % 4], edgecolor=_INK, linewidth=0.6, label=_plain(name))
        for number, name in enumerate(names)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=_columns(names), frameon=False, fontsize=9)


@contextmanager
def _figure(height: float, names: Sequence[str] | Mapping[str, object]) -> Iterator[tuple[Figure, Axes, list[str]]]:
    """A figure and its axes, with space for a legend of these names. On leaving, the list holds the SVG element."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawn: list[str] = []
    style: dict[str, str | float | bool] = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    )
    # Text stays text, in the page's font: it is legible at any zoom, and a search finds it.
    style |= {"svg.fonttype": "none", "svg.hashsalt": "tif", "font.family": "sans-serif", "font.size": 10.0}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.6}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(_WIDTH, height + _legend_height(list(names))), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield figure, axes, drawn
        axes.grid(axis="x" if axes.yaxis_inverted() else "y", color=_INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
        sink = io.StringIO()
        with warnings.catch_warnings():
            # The page's fonts draw the text, so it does not matter which glyphs matplotlib's own font lacks.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    drawn.append(svg)


__all__ = ["HATCHES", "MARKERS", "PALETTE", "Style", "bars", "curves", "distributions", "drops", "front", "pareto"]
