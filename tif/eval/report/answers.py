"""The report's examples: what models answer, and how likely they find each token of the right answer."""

from __future__ import annotations

from html import escape
from typing import Final

from tif.eval.report import heatmap
from tif.eval.report.evaluations import Evaluations

SHOWN: Final = 3
"""Examples of each kind (most forgotten, least forgotten, most damaged)."""
_KEPT: Final = 2
"""Answers to keep that are shown."""
_OPENING: Final = 300
"""Characters of a plain text that are shown before a phrase."""


def chosen(evaluations: Evaluations) -> dict[str, list[str]]:
    """Ids of the forget examples that a reader would ask about, by what they show.

    Of the focus: where UW fell most, where it fell least, where GW fell most. Without a starting model, the level
    itself decides.
    """
    focus, before = evaluations.focus, evaluations.before
    known = {row["id"]: row for row in before.examples.get("forget", ())} if before and before is not focus else {}
    drops = {}
    for row in focus.examples.get("forget", ()):
        if row["uw_probability"] is None or row["gw_probability"] is None:
            continue
        start = known.get(row["id"], {"uw_probability": 1.0, "gw_probability": 1.0})
        if start["uw_probability"] is not None and start["gw_probability"] is not None:
            drops[row["id"]] = [start[name] - row[name] for name in ("uw_probability", "gw_probability")]
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name, column, sign in (("Most forgotten", 0, -1), ("Least forgotten", 0, 1), ("Most damaged", 1, -1)):
        order = sorted(drops, key=lambda id_: (sign * drops[id_][column], id_))
        groups[name] = [id_ for id_ in order if id_ not in seen][:SHOWN]
        seen |= set(groups[name])
    return {name: ids for name, ids in groups.items() if ids}


def completions(evaluations: Evaluations) -> str:
    """What each model writes when asked, of one example of each kind and of two answers to keep."""
    first = [("forget", ids[0]) for ids in chosen(evaluations).values()]
    retain = next((e.examples["retain"] for e in evaluations.entries if e.examples.get("retain")), ())
    asked_for = [*first, *(("retain", row["id"]) for row in retain[:_KEPT])]
    if not asked_for:
        # MUSE's parts have names of their own.
        parts = {
            part: rows for part, rows in evaluations.focus.examples.items() if any(r.get("completion") for r in rows)
        }
        asked_for = [(part, row["id"]) for part, rows in parts.items() for row in rows[:_KEPT]]
    cards = []
    for part, id_ in asked_for:
        if (continued := _continued(evaluations, part, id_)) is not None:
            cards.append(continued)
            continue
        lines, asked = "", None
        for entry in evaluations.entries:
            row = next((r for r in entry.examples.get(part, ()) if r["id"] == id_), None)
            if row is not None and row["completion"] is not None:
                asked = row
                written = escape(row["completion"]) or "(nothing)"
                lines += f"<dt>{escape(entry.label)}</dt><dd dir='auto'>{written}</dd>"
        if asked is not None:
            cards.append(
                f'<div class="card"><p class="q"><b>{_kept_or_not(part)}</b> '
                f'<span dir="auto">{escape(asked["question"])}</span></p>'
                f"<dl><dt>right answer</dt><dd dir='auto'>{escape(asked['answer'])}</dd>{lines}</dl></div>"
            )
    return "".join(cards)


def _kept_or_not(part: str) -> str:
    return "to forget" if "forget" in part else "to keep"


def _continued(evaluations: Evaluations, part: str, id_: str) -> str | None:
    """A plain text as a card: how each model continues it where its first phrase stands; None for other samples."""
    lines, first = "", None
    for entry in evaluations.entries:
        row = next((r for r in entry.examples.get(part, ()) if r["id"] == id_), None)
        if row is not None and row.get("continuations"):
            first = row["continuations"][0]
            written = escape(first["completion"]) or "(nothing)"
            lines += f"<dt>{escape(entry.label)}</dt><dd dir='auto'>{written}</dd>"
    if first is None:
        return None
    opening = first["opening"]
    shown = opening if len(opening) <= _OPENING else f"… {opening[-_OPENING:]}"
    return (
        f'<div class="card"><p class="q"><b>{_kept_or_not(part)}</b> <span dir="auto">{escape(shown)} …</span></p>'
        f"<dl><dt>unwanted phrase</dt><dd dir='auto'>{escape(first['phrase'])}</dd>{lines}</dl></div>"
    )


def heat(evaluations: Evaluations) -> str:
    """The right answers as tokens, coloured by their probability under each model."""
    groups = chosen(evaluations)
    if not groups:
        return ""
    first = [evaluations.before] if evaluations.before else []
    focus = evaluations.focus
    asked = {row["id"]: row for row in focus.examples["forget"]}
    parts = [heatmap.KEY]
    for name, ids in groups.items():
        parts.append(f"<h3>{escape(name)} <span class='soft'>by {escape(focus.label)}</span></h3>")
        for id_ in ids:
            row = asked[id_]
            versions = {e.label: e.scores[id_] for e in (*first, *evaluations.others) if id_ in e.scores}
            question = f'<p class="q soft" dir="auto">{escape(row["question"])}</p>' if row["question"] else ""
            parts.append(f'<div class="card">{question}{heatmap.rows(row["answer"], versions)}</div>')
    return "".join(parts)


__all__ = ["SHOWN", "chosen", "completions", "heat"]
