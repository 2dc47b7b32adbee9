"""Tables with one line a number and one column a model, which fit one to eight models."""

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
    """One number of every model."""

    name: str
    cells: Sequence[str]
    """Trusted HTML, one for each model."""
    sizes: Sequence[int | None] = ()
    """Examples behind the number, one for each model; None where that is unknown or several."""
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
    models: Sequence[str]
    lines: Sequence[Line]
    remarks: Sequence[str] = ()
    """Sentences below it, plain text."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Definitions by name, plain text."""

    def html(self) -> str:
        """Return the table, the remarks and the definitions as HTML."""
        remarks = "".join(f'<p class="soft">{escape(remark)}</p>' for remark in self.remarks)
        notes = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in self.notes.items())
        return grid(self.corner, self.models, self.lines) + remarks + (f"<dl>{notes}</dl>" if notes else "")

    def markdown(self) -> str:
        """Return the table and the remarks as Markdown, with a column for the groups and for n if there are any."""
        grouped, counted = any(line.group for line in self.lines), any(line.counted for line in self.lines)
        head = [*(["part"] if grouped else []), self.corner, *(["n"] if counted else []), *self.models]
        rows = [
            [
                *([line.group] if grouped else []),
                line.name,
                *([line.examples] if counted else []),
                *map(as_text, line.cells),
            ]
            for line in self.lines
        ]
        return markdown_table(head, rows) + "".join(f"\n{markdown_text(remark)}\n" for remark in self.remarks)


def html(table: Table | None) -> str:
    """Return a section's table as HTML; empty for None."""
    return "" if table is None else table.html()


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose cells show the characters of the given texts."""
    return "\n".join([markdown_row(head), f"|{' --- |' * len(head)}", *map(markdown_row, rows)]) + "\n"


def as_text(cell: str) -> str:
    """Return a cell as plain text, with its small print in brackets: `0.600 (0.463 – 0.725)`."""
    return unescape(_TAG.sub("", _SMALL.sub(r" (\1)", cell)))


def grid(corner: str, models: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the table, with a column for the number of examples if any line has one."""
    counted = any(line.counted for line in lines)
    head = f'<th scope="col">{escape(corner)}</th>' + ('<th class="n" scope="col">n</th>' if counted else "")
    head += "".join(f'<th class="n" scope="col">{escape(model)}</th>' for model in models)
    body, group = "", ""
    for line in lines:
        if line.group != group:
            group = line.group
            body += f'<tr><th scope="rowgroup" colspan="{len(models) + 1 + counted}">{escape(group)}</th></tr>'
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


__all__ = ["DASH", "Line", "Table", "as_text", "cell", "decimals", "grid", "html", "markdown_table"]
