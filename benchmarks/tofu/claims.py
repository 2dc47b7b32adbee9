"""Check each claim about the methods against the cells of the results table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.tofu.results import STEADY, steady_utility

Verdict = Literal["shown", "not resolved", "contradicted", "not reached", "not measured"]
"""`shown`: the two 95% intervals are apart in the claimed direction, or the goal is reached. `contradicted`: they are
apart in the other direction. `not resolved`: they overlap. `not reached`: the figure is below the goal."""

KEPT: Final = 0.98
"""Share of the target's retain probability and utility that a method should keep."""
QUALITY: Final = 0.5
"""Forget quality that a method should reach."""
NEAR: Final = 0.9
"""Share of the result with gold spans that the default annotator's spans should reach."""
TARGETED: Final = ("tpo", "anchored", "anchored-base", "anchored-frames")
"""Rows whose result should depend on the spans. Each has control rows with `-random` and `-all` spans."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in words, the figures that decide it, and the verdict."""

    text: str
    figures: str
    verdict: str
    """A `Verdict`, or the number of seeds for each verdict."""


def over_seeds(seeds: Sequence[Mapping[str, Any]]) -> Iterator[Claim]:
    """Yield every claim, checked for each seed: one verdict if all seeds agree, else the number of seeds for each.

    A majority does not decide: two seeds of three must not hide a third that contradicts.
    """
    for group in zip(*(claims(runs) for runs in seeds), strict=True):
        counts = Counter(claim.verdict for claim in group)
        verdict = ", ".join(f"{n} of {len(group)} {name}" for name, n in counts.items())
        figures = "; ".join(claim.figures for claim in group if claim.figures)
        yield Claim(group[0].text, figures, next(iter(counts)) if len(counts) == 1 else verdict)


def claims(runs: Mapping[str, Any]) -> Iterator[Claim]:
    """Yield every claim for the runs of one seed, by name."""
    rivals = {"tpo": "npo", "tpo-retain": "npo-retain", "anchored": "npo-retain", "anchored-frames": "npo-frames"}
    for name, rival in rivals.items():
        yield _order(runs, "GW", name, rival, "keeps more of the general words than")
    for name, rival in rivals.items():
        if name != "tpo-retain":
            yield _order(runs, "retain", name, rival, "keeps more of other authors than")
    yield _order(runs, "retain", "anchored-frames", "anchored", "keeps more of other authors than")
    for name in TARGETED:
        why = "the control, random spans, must do worse"
        yield _order(runs, "UW", f"{name}-random", name, "leaves more of the unwanted words than", why=why)
    for name in TARGETED:
        why = "the control, all words, must do worse"
        yield _order(runs, "GW", name, f"{name}-all", "keeps more of the general words than", why=why)
    for name in TARGETED:
        for control, words in (("random", "random spans"), ("all", "all words")):
            why = f"the control, {words}, must do worse"
            yield _order(runs, "forget quality", name, f"{name}-{control}", "has a higher forget quality than", why=why)
    for name, rival in (
        ("anchored", "tpo"),
        ("anchored", "npo-retain"),
        ("anchored-frames", "npo-retain"),
        ("anchored-frames", "npo-frames"),
    ):
        yield _order(runs, "forget quality", name, rival, "has a higher forget quality than")
    yield _order(
        runs, "UW", "tpo", "logprob", "leaves more of the unwanted words than", why="a logit is not a probability"
    )
    for name in (
        "anchored",
        "anchored-ner",
        "anchored-long",
        "anchored-frames",
        "anchored-frames-long",
        "anchored-frames-ner",
    ):
        yield from _goal(runs, name)
    yield from _near(runs)


def _order(runs: Mapping[str, Any], column: str, more: str, less: str, verb: str, *, why: str = "") -> Claim:
    a, b = (runs.get(name) for name in (more, less))
    labels = [run["label"] if run else name for run, name in ((a, more), (b, less))]
    text = f"{labels[0]} {verb} {labels[1]}" + (f" ({why})" if why else "")
    if a is None or b is None:
        return Claim(text, "", "not measured")
    (x, x_low, x_high), (y, y_low, y_high) = (run["cells"][column] for run in (a, b))
    verdict: Verdict = "shown" if x_low > y_high else "contradicted" if x_high < y_low else "not resolved"
    return Claim(text, f"{column} {x:.3f} against {y:.3f}", verdict)


def _goal(runs: Mapping[str, Any], name: str) -> Iterator[Claim]:
    run, target = runs.get(name), runs.get("target")
    label = run["label"] if run else name
    for column, limit in (("forget quality", QUALITY), ("retain", KEPT), ("utility", KEPT), (STEADY, KEPT)):
        share = column != "forget quality"
        text = f"{label}: {column} of at least {limit:g}" + (" of the target's" if share else "")
        if run is None or target is None:
            yield Claim(text, "", "not measured")
            continue
        value = _share(run, target, column) if share else run["cells"][column][0]
        yield Claim(text, f"{value:.3f}", "shown" if value >= limit else "not reached")


def _near(runs: Mapping[str, Any]) -> Iterator[Claim]:
    for name in ("anchored", "anchored-frames", "tpo"):
        ner, gold = (runs.get(x) for x in (f"{name}-ner", name))
        label = gold["label"] if gold else name
        text = f"{label} with the default annotator's spans comes within 10% of its result with gold spans"
        if ner is None or gold is None:
            yield Claim(text, "", "not measured")
            continue
        shares = {c: _share(ner, gold, c) for c in ("forget quality", "retain", "utility", STEADY)}
        figures = ", ".join(f"{c} {value:.2f}" for c, value in shares.items())
        yield Claim(text, f"{figures} of it", "shown" if min(shares.values()) >= NEAR else "not reached")


def _share(run: Mapping[str, Any], of: Mapping[str, Any], column: str) -> float:
    """Return a cell as a share of another run's cell, or 1 if that cell is 0."""
    value, full = (steady_utility(x) if column == STEADY else x["cells"][column][0] for x in (run, of))
    return float(value / full) if full else 1.0


__all__ = ["KEPT", "NEAR", "QUALITY", "Claim", "Verdict", "claims", "over_seeds"]
