"""A section of a report: its tables and curves, which the page and Markdown both show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from tif.escape import markdown_text
from tif.eval.measure.leak_at_k import Interval
from tif.eval.report import figures
from tif.eval.report.tables import Line, Table, cell, decimals

Curve = Mapping[float, Interval | float]
"""y by x, in the order of x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Curves of several models: a figure on the page, and a table in Markdown."""

    xlabel: str
    ylabel: str
    curves: Mapping[str, Curve]
    """By name: a label of the report, or the name of a model beside it."""
    caption: str
    order: Sequence[str] = ()
    """All labels of the report: a model keeps its colour in every figure."""
    show: Callable[[float], str] = decimals
    """Returns a number as text."""

    def html(self) -> str:
        """Return the figure with its caption. An interval is drawn as its mean."""
        lines = {name: ([*curve], [_mean(y) for y in curve.values()]) for name, curve in self.curves.items()}
        svg = figures.curves(lines, self.xlabel, self.ylabel, order=self.order)
        return f"<figure>{svg}<figcaption>{escape(self.caption)}</figcaption></figure>"

    def markdown(self) -> str:
        """Return the caption, and a table with a line for each x."""
        places = sorted({x for curve in self.curves.values() for x in curve})
        lines = [Line(f"{x:.10g}", [cell(curve.get(x), self.show) for curve in self.curves.values()]) for x in places]
        table = Table(corner=self.xlabel, columns=[*self.curves], lines=lines)
        heading = f"{self.ylabel[0].upper()}{self.ylabel[1:]}, by {self.xlabel}"
        return f"#### {markdown_text(heading)}\n\n{markdown_text(self.caption)}\n\n{table.markdown()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What an evaluation measured of one kind."""

    heading: str
    gloss: str
    """What a reader sees here, plain text."""
    parts: Sequence[Table | Curves]
    remarks: Sequence[str] = ()
    """Sentences below them, plain text."""

    def html(self) -> str:
        """Return the tables and figures as trusted HTML, without heading and gloss."""
        body = ""
        for drawn, parts in groupby(self.parts, key=lambda part: isinstance(part, Curves)):
            inner = "".join(part.html() for part in parts)
            body += f'<div class="figures">{inner}</div>' if drawn else inner
        return body + "".join(f'<p class="soft">{escape(remark)}</p>' for remark in self.remarks)

    def markdown(self) -> str:
        """Return the section as Markdown."""
        parts = [part.markdown() for part in self.parts]
        remarks = [f"{markdown_text(remark)}\n" for remark in self.remarks]
        blocks = "\n".join([*parts, *remarks])
        return f"### {markdown_text(self.heading)}\n\n{markdown_text(self.gloss)}\n\n{blocks}"


def not_measured(labels: Sequence[str]) -> list[str]:
    """Return a remark that names the models without a number; empty if there are none."""
    return [f"Not measured for {', '.join(labels)}."] if labels else []


def _mean(y: Interval | float) -> float:
    return y.mean if isinstance(y, Interval) else y


__all__ = ["Curve", "Curves", "Section", "not_measured"]
