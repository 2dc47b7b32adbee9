"""The report's first screen: the verdict in words, the marks with their numbers, who marked the words, and on how much.

opening(evaluations)        a `<section class="verdict">`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Final

from tif.eval.report.evaluations import Evaluations
from tif.eval.report.facts import facts
from tif.eval.report.marks import Mark, Outcome, mark_rows, marks, summary
from tif.eval.report.tables import DASH
from tif.eval.report.verdict import Verdict

CSS: Final = """
.verdict .sum { font-size: 1.3rem; line-height: 1.4; margin: .7rem 0 .5rem; font-weight: 600; }
.verdict .lead { font-size: 1.08rem; margin: .4rem 0; } .verdict .then { margin: .4rem 0; }
.verdict .note { font-size: .88rem; margin: .6rem 0; } .verdict .scroll { margin: 1rem 0 .9rem; }
.verdict tr.focus { font-weight: 600; } .marks td.rule { color: var(--soft); font-size: .92em; }
.marks td.out { white-space: nowrap; } .marks .passes, .marks .fails { font-weight: 600; }
.marks code { white-space: nowrap; } .marks .passes { color: var(--good); }
.marks .fails { color: var(--bad); } .marks .open { color: var(--soft); }
.verdict dl { margin: 1rem 0; }
@media (max-width: 40em) { .marks thead { display: none; } .marks tr { display: block; padding: .5rem 0;
    border-bottom: 1px solid var(--line); } .marks th, .marks td { display: block; border: 0; padding: .05rem 0; }
  .marks td[data-head]::before { content: attr(data-head) ": "; color: var(--soft); }
  .marks td.empty { display: none; } }
"""
"""Needs the custom properties --soft, --good and --bad."""
_SIGNS: Final[dict[Outcome, str]] = {"passes": "✓", "fails": "✗", "no mark": "–", "not measured": "–"}
_COUNTED: Final = (
    "How it was counted: each model answers every question once, greedily. It writes a phrase if its answer contains "
    "the phrase as whole words; case, accents and punctuation do not matter. A phrase that the question already gives "
    "does not count. A fact in other words is not noticed."
)
_COUNTED_PLAIN: Final = (
    "How it was counted: each model continues the text once, greedily, from the words before each unwanted phrase. It "
    "writes the phrase if its continuation contains the phrase as whole words; case, accents and punctuation do not "
    "matter. A phrase with no words before it, or that these words already contain, does not count."
)


def opening(evaluations: Evaluations) -> str:
    """The first screen as trusted HTML."""
    verdict, found = evaluations.verdict(), marks(evaluations)
    first, *others = verdict.sentences()
    sentences = f'<p class="sum">{escape(summary(verdict.focus.label, found))}</p><p class="lead">{escape(first)}</p>'
    sentences += "".join(f'<p class="then">{escape(sentence)}</p>' for sentence in others)
    notes = "".join(f'<p class="soft note">{escape(remark)}</p>' for remark in remarks(verdict))
    checked = "".join(f'<p class="soft verified">{code(escape(line))}</p>' for line in verified(evaluations))
    known = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts(evaluations).items())
    return (
        f'<section class="verdict">{sentences}{_marks(verdict, found)}<dl>{known}</dl>{checked}'
        f"{_models(verdict)}{notes}</section>"
    )


def _marks(verdict: Verdict, found: Sequence[Mark]) -> str:
    heads, rows = mark_rows(verdict.focus.label, found)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = ""
    for mark, (name, *numbers, rule, _) in zip(found, rows, strict=True):
        body += f'<tr><th scope="row">{escape(name)}</th>'
        for model, number in zip(heads[1:], numbers, strict=False):
            empty = "" if number else ' class="empty"'
            body += f'<td data-head="{escape(model)}"{empty}>{_unbroken(escape(number)) or DASH}</td>'
        style = mark.outcome if mark.outcome in ("passes", "fails") else "open"
        body += f'<td class="rule">{code(_unbroken(escape(rule)))}</td>'
        body += f'<td class="out {style}">{_SIGNS[mark.outcome]} {mark.outcome}</td></tr>'
    return f'<div class="scroll"><table class="marks"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _models(verdict: Verdict) -> str:
    """All models in one table."""
    if not (rows := verdict.rows()):
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in verdict.heads)
    body = ""
    for row in rows:
        label, *cells = row.cells()
        focus = ' class="focus"' if label == verdict.focus.label else ""
        body += f'<tr{focus}><th scope="row">{escape(label)}</th>'
        body += "".join(f"<td>{_unbroken(escape(cell))}</td>" for cell in cells) + "</tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def remarks(verdict: Verdict) -> list[str]:
    """Return what a reader must know of the counts: what is missing, and how they were made."""
    counted = _COUNTED_PLAIN if verdict.plain else _COUNTED
    return [*verdict.remarks(), *([counted] if any(model.forget for model in verdict.models) else [])]


def verified(evaluations: Evaluations) -> list[str]:
    """Return whether files and records are as tif wrote them; empty for evaluations in memory."""
    stored = [entry for entry in evaluations.entries if entry.checks]
    failed = [entry.label for entry in stored if not all(check.passed for check in entry.checks)]
    if failed:
        return [f"Not verified: {', '.join(failed)}. To see what differs from what tif recorded, run `tif verify`."]
    count = sum(len(entry.checks) for entry in stored)
    line = f"Verified: {count} checks of files and records passed. To repeat them, run `tif verify`."
    return [line] if stored else []


def code(text: str) -> str:
    """Return trusted HTML with `commands` in the typeface of code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", text)


def _unbroken(cell: str) -> str:
    """A count such as `3 of 61` is not broken between lines."""
    return re.sub(r"(\d) of (\d)", r"\1&nbsp;of&nbsp;\2", cell)


__all__ = ["CSS", "code", "opening", "remarks", "verified"]
