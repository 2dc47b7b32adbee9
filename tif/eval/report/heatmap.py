"""Token heat maps as HTML: how likely each token of an answer is, and which tokens are unwanted words.

The strength of the colour is the token's probability, given all before it. Unwanted words are underlined, so that a
reader needs no colour to see them. Put `CSS` on the page once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from tif.eval.measure.score import Scored
from tif.tokens.masks import Kind

CSS: Final = """
.heat { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; margin: 0; }
.heat .t { background: color-mix(in srgb, var(--heat) calc(var(--p) * 62%), transparent); border-radius: 3px;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; padding: .12em 0; }
.heat .u { text-decoration: underline 2.5px var(--unwanted); text-underline-offset: .28em; }
.heatrow { display: grid; grid-template-columns: minmax(7em, 10em) 1fr minmax(8em, 11em); gap: 0 1em;
  align-items: baseline; border-top: 1px solid var(--line); padding: .15em 0; break-inside: avoid; }
.heatrow .who { font-weight: 600; }
.heatrow .sum { color: var(--soft); font-variant-numeric: tabular-nums; text-align: right; font-size: .88em; }
.key { display: inline-flex; gap: 1.2em; align-items: center; color: var(--soft); font-size: .9em; flex-wrap: wrap; }
.key .ramp { display: inline-block; width: 9em; height: .9em; border-radius: 3px; vertical-align: middle;
  background: linear-gradient(90deg, transparent, color-mix(in srgb, var(--heat) 62%, transparent));
  border: 1px solid var(--line); }
.key .u { text-decoration: underline 2.5px var(--unwanted); text-underline-offset: .28em; color: var(--ink); }
@media (max-width: 40em) { .heatrow { grid-template-columns: 1fr; } .heatrow .sum { text-align: left; } }
"""
"""Needs the custom properties --heat, --unwanted, --ink, --soft and --line."""

KEY: Final = (
    '<p class="key"><span>probability of the token: 0 <span class="ramp" role="img" aria-label="colour scale from 0 '
    'to 1"></span> 1</span><span><span class="u">underlined</span> = unwanted word</span></p>'
)


def pieces(text: str, scored: Scored) -> list[tuple[str, float | None, bool]]:
    """The text split into (words, probability, unwanted). The probability is None where no token was scored.

    Tokens that share characters, such as the bytes of an emoji, become one piece with their joint probability. Joined,
    the pieces are the text again.
    """
    cut: list[tuple[str, float | None, bool]] = []
    at, index = 0, 0
    spans = [(int(s), int(e)) for s, e in zip(scored.start, scored.end, strict=True)]
    while index < len(spans):
        start, end = spans[index]
        last = index
        while last + 1 < len(spans) and spans[last + 1][0] < end and spans[last + 1][0] >= 0:
            last += 1
            end = max(end, spans[last][1])
        if start >= at:
            if start > at:
                cut.append((text[at:start], None, False))
            chance = float(np.exp(scored.logprob[index : last + 1].sum(dtype=np.float64)))
            unwanted = bool((scored.kind[index : last + 1] == int(Kind.UW)).any())
            cut.append((text[start:end], chance, unwanted))
            at = end
        index = last + 1
    if at < len(text):
        cut.append((text[at:], None, False))
    return cut


def heat(text: str, scored: Scored) -> str:
    """One answer as coloured tokens: a `<p class="heat">`."""
    spelled = []
    for words, chance, unwanted in pieces(text, scored):
        # The blank before a word belongs to the word's token, but a coloured or underlined blank is noise.
        blank = words[: len(words) - len(words.lstrip())] if words.strip() else ""
        rest = escape(words[len(blank) :])
        if chance is None:
            spelled.append(escape(words))
            continue
        says = f"p = {chance:.3g}{', unwanted' if unwanted else ''}"
        kind = "t u" if unwanted else "t"
        spelled.append(f'{blank}<span class="{kind}" style="--p:{chance:.3f}" title="{says}">{rest}</span>')
    return f'<p class="heat" dir="auto">{"".join(spelled)}</p>'


def rows(text: str, versions: Mapping[str, Scored], notes: Sequence[str] = ()) -> str:
    """The same answer under several models, one below the other.

    Args:
        text: the answer.
        versions: the scores of the answer by the model's name, in order.
        notes: one short remark for each model, shown at the right. The default is the probability of UW and GW tokens.
    """
    lines = []
    for number, (name, scored) in enumerate(versions.items()):
        note = notes[number] if notes else summary(scored)
        lines.append(
            f'<div class="heatrow"><span class="who">{escape(name)}</span>{heat(text, scored)}'
            f'<span class="sum">{escape(note)}</span></div>'
        )
    return "\n".join(lines)


def summary(scored: Scored) -> str:
    """`UW 0.12  GW 0.98`: the geometric mean probability of either kind of token."""
    words = []
    for name, kind in (("UW", Kind.UW), ("GW", Kind.GW)):
        tokens = scored.of(kind)
        if len(tokens):
            words.append(f"{name} {np.exp(-tokens.loss):.2f}")
    return "  ".join(words)


__all__ = ["CSS", "KEY", "heat", "pieces", "rows", "summary"]
