"""The scores of spans as a page: HTML or Markdown, with the worst examples. Every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from tif import files
from tif.errors import UsageError
from tif.escape import markdown_row, markdown_text, visible
from tif.sets.score import ExampleScore, Score
from tif.spans import Span

_CONTEXT: Final = 120
"""Code points of text before the first and after the last span of an example."""

_STYLE: Final = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #8886; text-align: right; }
th:first-child, td:first-child { text-align: left; }
p.text { white-space: pre-wrap; overflow-wrap: anywhere; }
mark { color: inherit; border-radius: .2rem; padding: 0 .1rem; background: #3a35; }
mark.missed { background: #d335; text-decoration: underline wavy; }
mark.spurious { background: #8885; text-decoration: underline dotted; }
.wide { overflow-x: auto; }
"""

_LEGEND: Final = "Found words are green. Missed words have a wavy line, spurious words a dotted line."


def write_page(result: Score, title: str, out: Path, worst: int) -> None:
    """Write the page; the suffix of `out` chooses HTML or Markdown.

    Raises:
        UsageError: for another suffix.
        WriteError: if the file cannot be written.
    """
    check_suffix(out)
    page = markdown_page if out.suffix.lower() == ".md" else html_page
    files.write(out, page(result, title, worst))


def check_suffix(out: Path) -> None:
    """Refuse a file that is neither HTML nor Markdown.

    Raises:
        UsageError: for another suffix.
    """
    if out.suffix.lower() not in (".html", ".htm", ".md"):
        raise UsageError(f"{out} is neither .html nor .md", where="--report", hint="Name it scores.html or scores.md.")


def html_page(result: Score, title: str, worst: int) -> str:
    """Return the page in HTML, complete in one file, without scripts."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{_html(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_html(title)}</h1>",
        *(_html_table(head, rows) for head, rows in _tables(result)),
        f"<p>{_html(result.people.line)}.</p>",
    ]
    if chosen := result.worst(worst):
        parts.append(f"<h2>The worst examples</h2><p>{_LEGEND}</p>")
    for example in chosen:
        parts.append(f"<h3><bdi>{_html(example.id)}</bdi>: F1 {example.measures.char.f1:.3f}</h3>")
        parts.append(f'<p class="text" dir="auto">{_marked(example)}</p>')
    return "\n".join([*parts, "</body></html>", ""])


def markdown_page(result: Score, title: str, worst: int) -> str:
    """Return the page in Markdown."""
    lines = [f"# {markdown_text(title)}", ""]
    for head, rows in _tables(result):
        lines += [markdown_row(head), f"|---|{'---:|' * (len(head) - 1)}"]
        lines += [markdown_row(map(visible, row)) for row in rows]
        lines.append("")
    lines += [f"{result.people.line}.", ""]
    if chosen := result.worst(worst):
        lines += ["## The worst examples", ""]
        lines += [markdown_row(["example", "F1", "missed", "spurious"]), "|---|---:|---|---|"]
    for example in chosen:
        cells = [example.id, f"{example.measures.char.f1:.3f}", ", ".join(example.missed), ", ".join(example.spurious)]
        lines.append(markdown_row(map(visible, cells)))
    return "\n".join([*lines, ""])


Table = tuple[list[str], list[list[str]]]


def _tables(result: Score) -> Iterable[Table]:
    """Yield the table of units and the table of types: heads and rows."""
    units = []
    for name, counts in result.total.to_json().items():
        units.append([name, *(f"{counts[key]:.3f}" for key in ("precision", "recall", "f1", "f2"))])
    yield ["unit", "precision", "recall", "F1", "F2"], units
    typed = ["right type"] if result.typed else []
    rows = [
        [
            one.label,
            one.kind or "",
            str(one.values),
            f"{one.recall:.3f}",
            f"{one.whole}",
            f"{one.whole_share:.3f}",
            *([f"{one.typed_recall:.3f}"] if result.typed else []),
        ]
        for one in result.types
    ]
    yield ["type", "kind", "values", "recall", "found whole", "share", *typed], rows


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f"<th>{_html(cell)}</th>" for cell in head)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _marked(score: ExampleScore) -> str:
    """Return the text around the spans, with found, missed and spurious words marked."""
    if score.pair is None:
        return ""
    predicted, gold = score.pair
    text = gold.text
    ours, theirs = _inside(predicted.spans), _inside(gold.spans)
    marks = [(1 if at in ours else 0) + (2 if at in theirs else 0) for at in range(len(text))]
    edges = [at for at, mark in enumerate(marks) if mark]
    first, last = max(0, edges[0] - _CONTEXT), min(len(text), edges[-1] + 1 + _CONTEXT)
    names = {1: "spurious", 2: "missed", 3: "found"}
    parts = ["… "] if first else []
    at = first
    while at < last:
        end = at
        while end < last and marks[end] == marks[at]:
            end += 1
        words = _html(text[at:end])
        parts.append(f'<mark class="{names[marks[at]]}">{words}</mark>' if marks[at] else words)
        at = end
    return "".join([*parts, *([" …"] if last < len(text) else [])])


def _inside(spans: Sequence[Span]) -> set[int]:
    return {at for span in spans for at in range(span.start, span.end)}


def _html(text: str) -> str:
    return escape(visible(text))


__all__ = ["check_suffix", "html_page", "markdown_page", "write_page"]
