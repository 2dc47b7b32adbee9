"""Which figures a report has, drawn from its evaluations. A figure without data is left out."""

from __future__ import annotations

from html import escape
from typing import Final

from tif.eval.report import figures
from tif.eval.report.evaluations import Evaluations

_NO_FIGURE = ("", "")
GEOMETRIC: Final = "an example's probability, which is the geometric mean over its tokens of that kind"
"""The mean behind UW, GW and retain probability."""
_ARITHMETIC: Final = (
    "as the run logged it: the arithmetic mean over the tokens of the steps since the last record, before each update. "
    "It is higher than the bars above. They take the geometric mean over an example's tokens, which one unlikely token "
    "pulls down."
)
_LOGGED: Final = (
    ("loss", "training loss", "Training loss, as the run logged it."),
    ("uw_probability", "UW probability while training", f"Probability of unwanted words, {_ARITHMETIC}"),
    ("gw_probability", "GW probability while training", f"Probability of general words, {_ARITHMETIC}"),
)
"""Numbers of `log.jsonl` that are drawn: key, label of the axis, caption."""


def plots(evaluations: Evaluations) -> str:
    """All figures, each with a caption that says how to read it."""
    drawn = [
        f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        for svg, caption in (
            _bars(evaluations),
            _pareto(evaluations),
            _drops(evaluations),
            _truth(evaluations),
            *_history(evaluations),
        )
        if svg
    ]
    return f'<div class="figures">{"".join(drawn)}</div>' if drawn else ""


def _bars(evaluations: Evaluations) -> tuple[str, str]:
    groups = {
        entry.label: {
            "unwanted words (UW)": entry.mean("forget", "uw_probability"),
            "general words (GW)": entry.mean("forget", "gw_probability"),
            "retain set (to keep)": entry.mean("retain", "probability"),
        }
        for entry in evaluations.entries
    }
    if not any(value for group in groups.values() for value in group.values()):
        return _NO_FIGURE
    return figures.bars(groups, "probability"), (
        "A low first bar means that the unwanted words are forgotten. A model that never saw these answers does not "
        "know the other words of their wording either, so damage is what lies below its second bar. Each bar is the "
        f"mean over examples of {GEOMETRIC}. Lines: 95% intervals over examples."
    )


def _pareto(evaluations: Evaluations) -> tuple[str, str]:
    by_utility: dict[str, tuple[float, float]] = {}
    by_retain: dict[str, tuple[float, float]] = {}
    for entry in evaluations.entries:
        quality, utility, keep = (
            entry.record.forget_quality, entry.record.model_utility, entry.mean("retain", "probability"),
        )  # fmt: skip
        if quality is not None and utility is not None:
            by_utility[entry.label] = (utility, quality)
        if quality is not None and keep is not None:
            by_retain[entry.label] = (keep[0], quality)
    points, across = (by_utility, "model utility") if by_utility else (by_retain, "retain probability")
    if not points:
        return _NO_FIGURE
    svg = figures.pareto(points, across, "forget quality (p)", log=True, order=evaluations.labels)
    why = "" if by_utility else " (this data gives no model utility)"
    line = " No run beats those on the dashed line on both." if len(set(figures.front(points.values()))) > 1 else ""
    return svg, f"Forget quality, upwards, against {across}{why}. Up and to the right is better.{line}"


def _drops(evaluations: Evaluations) -> tuple[str, str]:
    before = evaluations.before
    points: dict[str, tuple[float, float]] = {}
    for entry in evaluations.others if before else ():
        pairs = [[e.mean("forget", f"{kind}_probability") for e in (before, entry) if e] for kind in ("uw", "gw")]
        known = [start[0] - end[0] for start, end in pairs if start and end]
        if len(known) == 2:
            points[entry.label] = (known[0], known[1])
    if not points:
        return _NO_FIGURE
    never_saw = evaluations.never_saw
    beside = (
        f" {never_saw.label} is where a model lies that never learned the forget set." if never_saw is not None else ""
    )
    return figures.drops(points, order=evaluations.labels), (
        "What forgetting cost: the loss of general words (GW), upwards, against the loss of unwanted words (UW), both "
        "as differences of the bars above. Down and to the right is better. On the dashed line both drop alike."
        f"{beside}"
    )


def _truth(evaluations: Evaluations) -> tuple[str, str]:
    samples = {
        entry.label: ratios for entry in evaluations.entries if (ratios := entry.values("forget", "truth_ratio"))
    }
    if evaluations.never_saw is None:
        log = next((e.record.retain_truth_ratio for e in evaluations.entries if e.record.retain_truth_ratio), ())
        if log:
            samples["retain model (log)"] = list(log)
    if not samples:
        return _NO_FIGURE
    svg = figures.distributions(samples, "truth ratio, p(wrong) / p(right)", order=evaluations.labels)
    return svg, (
        "Truth ratios on the forget set: below 1, the model prefers the right answer. Forget quality asks whether a "
        "curve differs from the retain model's."
    )


def _history(evaluations: Evaluations) -> list[tuple[str, str]]:
    drawn = []
    for key, name, caption in _LOGGED:
        if lines := evaluations.logged(key):
            drawn.append((figures.curves(lines, "step", name, order=evaluations.labels), caption))
    return drawn


__all__ = ["GEOMETRIC", "plots"]
