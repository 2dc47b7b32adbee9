"""The report's figures as SVG, drawn by matplotlib. Ink is the page's text colour, so a figure suits light and dark.

The colours are Okabe and Ito's, which colour-blind readers can distinguish. Lines also differ in their marker, and bars
in their hatch.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


def bars(groups: Mapping[str, Mapping[str, tuple[float, float, float] | None]], ylabel: str) -> str:
    """Grouped bars with intervals.

    Args:
        groups: (value, low, high) by the name of the group (a run) and of the bar. None leaves a gap.
        ylabel: label of the vertical axis.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    with _figure(max(5.0, 1.25 * len(groups) + 2.2), 3.3) as (figure, axes, svg):
        width = 0.8 / max(1, len(names))
        for number, name in enumerate(names):
            for place, group in enumerate(groups.values()):
                bar = group.get(name)
                if bar is None:
                    continue
                value, low, high = bar
                x = place + (number - (len(names) - 1) / 2) * width
                axes.bar(
                    x, value, width * 0.9, color=PALETTE[number], hatch=HATCHES[number % 4], edgecolor=_INK,
                    linewidth=0.6, label=_plain(name) if place == 0 else None,
                    yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
                    error_kw={"ecolor": _INK, "elinewidth": 1, "capsize": 2},
                )  # fmt: skip
                axes.text(x, max(value, high) + 0.02, f"{value:.2f}", ha="center", fontsize=8)
        axes.set_xticks(range(len(groups)), [_plain(name) for name in groups])
        axes.set_ylim(0, 1.12)
        axes.set_ylabel(ylabel)
        figure.legend(loc="outside upper center", ncols=len(names), frameon=False)
    return svg[0]


def pareto(
    points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, *, log: bool, order: Sequence[str] = ()
) -> str:
    """Labelled points, and a dashed line through those that no other point beats on both axes.

    Args:
        points: (x, y) by name.
        xlabel: label of the horizontal axis.
        ylabel: label of the vertical axis.
        log: draw y, a p-value, on a logarithmic scale. Values below 1e-30 are drawn at 1e-30.
        order: all names of the report, so that each has the same colour and marker in every figure.
    """
    with _figure(5.4, 3.8) as (_, axes, svg):
        shown = {name: (x, max(y, 1e-30) if log else y) for name, (x, y) in points.items()}
        front = sorted(
            (x, y)
            for x, y in shown.values()
            if not any((a >= x and b >= y) and (a, b) != (x, y) for a, b in shown.values())
        )
        axes.plot([x for x, _ in front], [y for _, y in front], color=_INK, alpha=0.4, linestyle="--", linewidth=1)
        for number, (name, (x, y)) in enumerate(shown.items()):
            style = _place(order, name, number)
            axes.plot(x, y, MARKERS[style], color=PALETTE[style], markersize=8, markeredgecolor=_INK)
            axes.annotate(
                _plain(name), (x, y), textcoords="offset points", xytext=(8, 5 if number % 2 else -11), fontsize=9
            )
        if log:
            axes.set_yscale("log")
            axes.axhline(0.05, color=_INK, alpha=0.35, linewidth=0.8)
            axes.annotate(
                "p = 0.05", (1, 0.05), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
            )
        axes.margins(x=0.18, y=0.15)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
    return svg[0]


def drops(points: Mapping[str, tuple[float, float]], *, order: Sequence[str] = ()) -> str:
    """The drop on unwanted words, to the right, and on general words, upwards.

    On the diagonal both drop alike: the method forgets without aim.
    """
    with _figure(5.4, 3.8) as (figure, axes, svg):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linestyle="--", linewidth=1)
        axes.annotate("both drop alike", (0.06, 0.11), rotation=32, fontsize=8)
        for number, (name, (x, y)) in enumerate(points.items()):
            style = _place(order, name, number)
            axes.plot(
                x, y, MARKERS[style], color=PALETTE[style], markersize=8, markeredgecolor=_INK, label=_plain(name)
            )
        axes.set_xlim(min(-0.05, *(x - 0.05 for x, _ in points.values())), 1.05)
        axes.set_ylim(min(-0.1, *(y - 0.1 for _, y in points.values())), 1.05)
        axes.set_xlabel("drop on unwanted words (UW)")
        axes.set_ylabel("drop on general words (GW)")
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return svg[0]


def _plain(name: str) -> str:
    """A name that matplotlib shows letter by letter: `$` starts no formula, and a leading `_` does not hide it."""
    name = name.replace("$", r"\$")
    return f"\u200b{name}" if name.startswith("_") else name


def _place(order: Sequence[str], name: str, number: int) -> int:
    return (order.index(name) if name in order else len(order) + number) % 8


def distributions(samples: Mapping[str, Sequence[float]], xlabel: str, *, order: Sequence[str] = ()) -> str:
    """Cumulative distributions on a logarithmic axis. A Kolmogorov-Smirnov test compares these."""
    with _figure(5.4, 3.5) as (figure, axes, svg):
        for number, (name, values) in enumerate(samples.items()):
            style = _place(order, name, number)
            ordered = np.sort(np.clip(np.asarray(values, dtype=np.float64), 1e-6, 1e6))
            axes.plot(
                ordered, np.arange(1, len(ordered) + 1) / len(ordered), drawstyle="steps-post",
                color=PALETTE[style], label=_plain(name), marker=MARKERS[style], markevery=0.12, markersize=4.5,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.axvline(1, color=_INK, alpha=0.35, linewidth=0.8)
        axes.set_xlabel(xlabel)
        axes.set_ylabel("share of questions")
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return svg[0]


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str, *, order: Sequence[str] = ()
) -> str:
    """Lines of (x, y) by name."""
    with _figure(5.4, 3.2) as (figure, axes, svg):
        for number, (name, (x, y)) in enumerate(lines.items()):
            style = _place(order, name, number)
            axes.plot(
                x, y, color=PALETTE[style], label=_plain(name), marker=MARKERS[style], markevery=0.15, markersize=4.5
            )
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return svg[0]


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, Axes, list[str]]]:
    """A figure and its axes. On leaving the context, the list holds the SVG element."""
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
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield figure, axes, drawn
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    drawn.append(svg)


__all__ = ["HATCHES", "MARKERS", "PALETTE", "bars", "curves", "distributions", "drops", "pareto"]
