"""Tables with one line a number and one column a model, which fit one to eight models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tif.eval.measure.leak_at_k import Interval

DASH: Final = '<span class="soft">–</span>'
"""The cell of a number that a model does not have."""


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


def grid(corner: str, models: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the table, with a column for the number of examples if any line has one."""
    sizes = [sorted({size for size in line.sizes if size is not None}) for line in lines]
    counted = any(sizes)
    head = f'<th scope="col">{escape(corner)}</th>' + ('<th class="n" scope="col">n</th>' if counted else "")
    head += "".join(f'<th class="n" scope="col">{escape(model)}</th>' for model in models)
    body, group = "", ""
    for line, size in zip(lines, sizes, strict=True):
        if line.group != group:
            group = line.group
            body += f'<tr><th scope="rowgroup" colspan="{len(models) + 1 + counted}">{escape(group)}</th></tr>'
        title = f' title="{escape(line.title)}"' if line.title else ""
        body += f'<tr><th scope="row"{title}>{escape(line.name)}</th>'
        if counted:
            # Models that were evaluated on different numbers of examples show the least and the most.
            words = " – ".join(f"{number:,}" for number in dict.fromkeys((size[0], size[-1]))) if size else ""
            body += f'<td class="n">{words}</td>'
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


__all__ = ["DASH", "Line", "cell", "decimals", "grid"]
