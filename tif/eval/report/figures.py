"""The report's plots: matplotlib drawn to SVG that takes its ink from the page, so that it serves light and dark.

Colours are Okabe and Ito's, told apart by colour-blind readers; lines and bars differ in marker or hatch besides.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#7A7A7A")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES: Final = ("", "///", "...", "xx")
_INK: Final = "#010203"
"""Stands for the page's own ink until the SVG is written."""


def bars(groups: Mapping[str, Mapping[str, tuple[float, float, float] | None]], ylabel: str) -> str:
    """Grouped bars with intervals.

    Args:
        groups: by the group's name (a run), by the bar's name, (value, low, high); None leaves a gap.
        ylabel: what is measured.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    with _figure(max(5.0, 1.25 * len(groups) + 2.2), 3.3) as (figure, axes, done):
        width = 0.8 / max(1, len(names))
        for number, name in enumerate(names):
            for place, group in enumerate(groups.values()):
                found = group.get(name)
                if found is None:
                    continue
                value, low, high = found
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
    return done[0]


def pareto(
    points: Mapping[str, tuple[float, float]], xlabel: str, ylabel: str, *, log: bool, order: Sequence[str] = ()
) -> str:
    """Labelled points, up and to the right is better; the front of undominated points is drawn.

    Args:
        points: (x, y) by name.
        xlabel: what x is.
        ylabel: what y is.
        log: whether y is shown on a logarithmic scale (p-values); values below 1e-30 are drawn at 1e-30.
        order: all names there are: each keeps its colour and marker in every plot.
    """
    with _figure(5.4, 3.8) as (_, axes, done):
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
    return done[0]


def drops(points: Mapping[str, tuple[float, float]], *, order: Sequence[str] = ()) -> str:
    """What unwanted words have lost, to the right, against what general words have lost, upwards; the diagonal is
    forgetting that cannot tell them apart."""
    with _figure(5.4, 3.8) as (figure, axes, done):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.4, linestyle="--", linewidth=1)
        axes.annotate("no aim", (0.06, 0.1), rotation=32, fontsize=8)
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
    return done[0]


def _plain(name: str) -> str:
    """A name as matplotlib shows it letter by letter: no formula between dollars, and not hidden by a first `_`."""
    name = name.replace("$", r"\$")
    return f"\u200b{name}" if name.startswith("_") else name


def _place(order: Sequence[str], name: str, number: int) -> int:
    return (order.index(name) if name in order else len(order) + number) % 8


def distributions(samples: Mapping[str, Sequence[float]], xlabel: str, *, order: Sequence[str] = ()) -> str:
    """Cumulative distributions, which is what a Kolmogorov-Smirnov test compares, on a logarithmic axis."""
    with _figure(5.4, 3.5) as (figure, axes, done):
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
    return done[0]


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str, *, order: Sequence[str] = ()
) -> str:
    """Lines of (x, y) by name."""
    with _figure(5.4, 3.2) as (figure, axes, done):
        for number, (name, (x, y)) in enumerate(lines.items()):
            style = _place(order, name, number)
            axes.plot(
                x, y, color=PALETTE[style], label=_plain(name), marker=MARKERS[style], markevery=0.15, markersize=4.5
            )
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return done[0]


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, Any, list[str]]]:
    """A figure and its axes; what stands in the list afterwards is the SVG element."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    done: list[str] = []
    style: dict[str, Any] = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    )
    # Text stays text, in the page's font: legible at any zoom, and found by search.
    style |= {"svg.fonttype": "none", "svg.hashsalt": "tif", "font.family": "sans-serif", "font.size": 10.0}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "hatch.linewidth": 0.6}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield figure, axes, done
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    done.append(svg)


__all__ = ["PALETTE", "bars", "curves", "distributions", "pareto"]
