"""Tables of a report, for the page and for Markdown.

Most have one line a number and one column a model, so that they fit one to eight models. A table of forms of asking or
of attacks has one line a model and one column a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Final

from tif.escape import markdown_row, markdown_text
from tif.eval.measure.leak_at_k import Interval

DASH: Final = '<span class="soft">–</span>'
"""The cell of a number that a model does not have."""
_SMALL: Final = re.compile("<small[^>]*>(.*?)</small>")
_TAG: Final = re.compile("<[^>]*>")


@dataclass(frozen=True, slots=True)
class Line:
    """One number of every model, or all numbers of one model."""

    name: str
    cells: Sequence[str]
    """Trusted HTML, one for each column."""
    sizes: Sequence[int | None] = ()
    """Examples behind each cell, or one number for the line; None where that is unknown or several."""
    title: str = ""
    """What the number is, shown at the pointer."""
    group: str = ""
    """Lines of one group stand below its name."""

    @property
    def counted(self) -> bool:
        """Whether the number of examples is known for any model."""
        return any(size is not None for size in self.sizes)

    @property
    def examples(self) -> str:
        """The number of examples. Models with different numbers show the least and the most."""
        known = sorted({size for size in self.sizes if size is not None})
        return " – ".join(f"{number:,}" for number in dict.fromkeys((known[0], known[-1]))) if known else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A section's table, for the page and for Markdown."""

    corner: str
    columns: Sequence[str]
    """Heads of the columns: labels of models, or names of numbers. A line feed is a line break on the page."""
    lines: Sequence[Line]
    heading: str = ""
    """Above it, if a section has several tables."""
    groups: str = "part"
    """Markdown's head of the column with the groups."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Definitions by name, plain text."""

    def html(self) -> str:
        """Return the table and the definitions as HTML."""
        heading = f"<h3>{escape(self.heading)}</h3>" if self.heading else ""
        notes = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in self.notes.items())
        return heading + grid(self.corner, self.columns, self.lines) + (f"<dl>{notes}</dl>" if notes else "")

    def markdown(self) -> str:
        """Return the definitions and the table as Markdown.

        The table has a column for the groups and for n if there are any.
        """
        grouped, counted = any(line.group for line in self.lines), any(line.counted for line in self.lines)
        head = [*([self.groups] if grouped else []), self.corner, *(["n"] if counted else []), *self.columns]
        rows = [
            [
                *([line.group] if grouped else []),
                line.name,
                *([line.examples] if counted else []),
                *map(as_text, line.cells),
            ]
            for line in self.lines
        ]
        heading = f"#### {markdown_text(self.heading)}\n\n" if self.heading else ""
        notes = "".join(f"- {markdown_text(f'{name}: {text}')}\n" for name, text in self.notes.items())
        return heading + (f"{notes}\n" if notes else "") + markdown_table(head, rows)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose cells show the characters of the given texts."""
    return "\n".join([markdown_row(head), f"|{' --- |' * len(head)}", *map(markdown_row, rows)]) + "\n"


def as_text(cell: str) -> str:
    """Return a cell as plain text, with its small print in brackets: `0.600 (0.463 – 0.725)`."""
    return unescape(_TAG.sub("", _SMALL.sub(r" (\1)", cell)))


def grid(corner: str, columns: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the table as HTML, with a column for the number of examples if any line has one."""
    counted = any(line.counted for line in lines)
    head = f'<th scope="col">{escape(corner)}</th>' + ('<th class="n" scope="col">n</th>' if counted else "")
    for column in columns:
        head += f'<th class="n" scope="col">{escape(column).replace(chr(10), "<br>")}</th>'
    body, group = "", ""
    for line in lines:
        if line.group != group:
            group = line.group
            body += f'<tr><th scope="rowgroup" colspan="{len(columns) + 1 + counted}">{escape(group)}</th></tr>'
        title = f' title="{escape(line.title)}"' if line.title else ""
        body += f'<tr><th scope="row"{title}>{escape(line.name)}</th>'
        if counted:
            body += f'<td class="n">{line.examples}</td>'
        body += "".join(f'<td class="n">{cell}</td>' for cell in line.cells) + "</tr>"
    return f'<div class="scroll"><table class="grid"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def decimals(value: float) -> str:
    """Return a number with three decimals; one that would be shown as 0.000 with its power of ten."""
    if value == 0 or abs(value) >= 0.0005:
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}"


def cell(value: Interval | float | None, show: Callable[[float], str] = decimals) -> str:
    """Return a number as trusted HTML, an interval as small print under its mean. `show` returns a number as text."""
    match value:
        case None:
            return DASH
        case Interval(mean=mean, low=low, high=high):
            return f"{show(mean)}<small>{show(low)} – {show(high)}</small>"
        case _:
            return show(value)


__all__ = ["DASH", "Line", "Table", "as_text", "cell", "decimals", "grid", "markdown_table"]
