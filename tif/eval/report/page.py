"""The report's HTML: the verdict in plain words first, then examples, then the metrics for researchers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from tif.eval.report import answers, heatmap, opening, sections
from tif.eval.report.audit import audit
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import HeadlineRow
from tif.eval.report.plots import plots
from tif.eval.report.section import Section
from tif.eval.report.seeds import SeedGroup

CSS: Final = """
:root { color-scheme: light dark; --font: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  --ink: light-dark(#1c2430, #e6e9ee); --soft: light-dark(#566070, #a3adba); --paper: light-dark(#fdfdfb, #14181e);
  --card: light-dark(#f3f4f1, #1c222a); --line: light-dark(#d8dbd6, #343c47);
  --heat: light-dark(#f2a024, #f0a030); --unwanted: light-dark(#0060a8, #67b7f5);
  --good: light-dark(#00704f, #4cc79a); --bad: light-dark(#b03a00, #ff9a62); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.2rem 1.4rem 5rem; font: 16px/1.55 var(--font);
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { max-width: 46rem; } .soft { color: var(--soft); } p.q { margin: .1rem 0 .4rem; max-width: none; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: .45rem .7rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th small { font-weight: 400; } td.n small { display: block; color: var(--soft); font-size: .8em; }
td.n small.words { white-space: normal; min-width: 8em; } .grid td.n, .grid th.n { padding-left: .4rem; }
.scroll th[scope=row] { min-width: 8.5em; }
.grid th[scope=row] { position: sticky; left: 0; background: var(--paper); }
thead th { font-size: .85rem; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(29rem, 100%), 1fr)); gap: 1.2rem; }
figure { margin: 0; background: var(--card); border-radius: 10px; padding: 1rem; break-inside: avoid; }
figure svg { width: 100%; height: auto; display: block; } figcaption { color: var(--soft); font-size: .88rem; }
.card { background: var(--card); border-radius: 10px; padding: .8rem 1rem; margin: 0 0 .9rem; break-inside: avoid; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: 0; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } code { font-size: .92em; }
.scroll + dl, .figures + .scroll, dl + .figures { margin-top: .9rem; } .figures > :only-child { max-width: 34rem; }
@media (max-width: 40em) { body { padding: 1.2rem .9rem 3rem; } dl { grid-template-columns: 1fr; }
  dd { margin: 0 0 .4rem; } }
@media print { :root { color-scheme: light; } body { max-width: none; padding: 0; font-size: 11pt; }
  table, thead th { font-size: 8.5pt; } th, td { padding-right: .5rem; } thead th.n { white-space: normal; }
  .scroll { overflow: visible; } * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


_ANSWERS: Final = "What each model writes when it is asked. The first questions are about people to forget."
_CONTINUATIONS: Final = "What each model writes after the words before an unwanted phrase."


class Block(NamedTuple):
    """A block of the page under one heading."""

    heading: str
    body: str
    """Trusted HTML. An empty block is left out."""
    gloss: str = ""
    """One line under the heading, plain text: what a reader sees here."""


def page(
    evaluations: Evaluations,
    rows: Sequence[HeadlineRow],
    seeds: Sequence[SeedGroup],
    *,
    title: str,
    intro: str,
) -> str:
    """The complete page."""
    blocks = [
        Block(
            "In the models' own words",
            answers.completions(evaluations),
            _CONTINUATIONS if evaluations.focus.plain else _ANSWERS,
        ),
        *map(_measures, sections.measured(evaluations)),
        *map(_measures, sections.metrics(evaluations, rows, seeds)),
        Block("Plots", plots(evaluations)),
        Block(
            "Token by token",
            answers.heat(evaluations),
            "How likely each model finds each piece of the right answer, given all before it. At the right: the "
            "geometric mean over the answer's unwanted (UW) and general (GW) tokens.",
        ),
        Block(
            "Not measured", "".join(f"<p>{opening.code(escape(line))}</p>" for line in sections.unmeasured(evaluations))
        ),
        Block(
            "Audit",
            "".join(audit(entry) for entry in evaluations.entries),
            "What was trained and evaluated, on which data, with which code.",
        ),
    ]
    lead = f'<p class="soft">{escape(intro)}</p>' if intro else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}{opening.CSS}{heatmap.CSS}</style></head>"
        f"<body><h1>{escape(title)}</h1>{opening.opening(evaluations)}{lead}"
        f"{''.join(map(_block, blocks))}</body></html>\n"
    )


def _measures(section: Section) -> Block:
    return Block(section.heading, section.html(), section.gloss)


def _block(block: Block) -> str:
    if not block.body:
        return ""
    gloss = f'<p class="soft">{escape(block.gloss)}</p>' if block.gloss else ""
    return f"<section><h2>{escape(block.heading)}</h2>{gloss}{block.body}</section>"


__all__ = ["CSS", "Block", "page"]
