"""The methods of the tables, and the recipes of the anchored objective that were tried on other authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from benchmarks.claim.plan import Kind, Row

FRAMES: Final = ("{words}.", "The answer is {words}.", "It is {words}.", "In short: {words}.")
RETAIN_WEIGHT: Final = 8.0
"""Of every row, so that none is ahead by it."""


def anchored(name: str, label: str, *, spans: Kind = "ner", needs: str = "", tuned_as: str = "", **options: Any) -> Row:
    """Return a row of the anchored objective, which needs the base model."""
    return Row(
        name=name, label=label, objective="anchored", spans=spans, options=options, tuned_as=tuned_as,
        needs=frozenset({"base", *needs.split()}),
    )  # fmt: skip


_FRAMED: Final[dict[str, Any]] = {"frames": FRAMES, "epochs": 5.0}
"""Frames double the samples: five epochs of both are ten of the samples alone, which other rows have."""
_SETTLED: Final[dict[str, Any]] = {**_FRAMED, "floor": "proxy", "settle": "line"}
RECIPES: Final = (
    anchored("frames", "frames", **_FRAMED),
    anchored("retain", "frames for both", needs="frame-retain", **_FRAMED),
    anchored("own", "frames for both, own text", needs="frame-retain own-text", **_FRAMED),
    anchored("proxy", "frames for both, floor of a proxy", needs="frame-retain", floor="proxy", **_FRAMED),
    anchored("line", "frames for both, proxy, settled", needs="frame-retain", **_SETTLED),
    anchored("own-line", "frames for both, own text, proxy, settled", needs="frame-retain own-text", **_SETTLED),
    anchored("own-alone", "frames, own text", needs="own-text", **_FRAMED),
    anchored("own-alone-line", "frames, own text, proxy, settled", needs="own-text", **_SETTLED),
    anchored("own-frozen", "frames for both, own text, embeddings frozen", needs="frame-retain own-text",
             freeze=("embeddings",), **_FRAMED),
    anchored("own-coin", "frames for both, own text, all retain samples by coin", needs="frame-retain own-text",
             retain_loss="coin", **_FRAMED),
    anchored("frames-line", "frames, proxy, settled", **_SETTLED),
    anchored("phrase", "frames, by phrase", per="phrase", **_FRAMED),
    anchored("phrase-proxy", "frames, by phrase, floor of a proxy", per="phrase", floor="proxy", **_FRAMED),
    anchored("phrase-line", "frames, by phrase, proxy, settled", per="phrase", **_SETTLED),
    anchored("plain", "no frames"),
    anchored("plain-line", "no frames, proxy, settled", floor="proxy", settle="line"),
    anchored("plain-phrase", "no frames, by phrase", per="phrase"),
    anchored("plain-phrase-line", "no frames, by phrase, proxy, settled", per="phrase", floor="proxy", settle="line"),
)  # fmt: skip
"""Recipes of the anchored objective, tried on the dev authors. A table has one of them."""


def recipe(name: str) -> Row:
    """Return a recipe as the row `anchored` of a table."""
    return replace(next(row for row in RECIPES if row.name == name), name="anchored", label="anchored")


def control(best: Row, spans: Kind, label: str, *, seeds: tuple[int, ...] | None = (0,)) -> Row:
    """Return a row that differs from another one in the spans alone."""
    return replace(
        best, name=f"{best.name}-{spans}", label=f"{best.label}, {label}", spans=spans, tuned_as=best.name, seeds=seeds
    )


def controls(best: Row, *, gold: bool = True) -> tuple[Row, ...]:
    """Return the row with gold spans, if there are any, and the two controls, which must lose."""
    own = (control(best, "gold", "gold spans", seeds=None),) if gold else ()
    return (*own, control(best, "random", "random spans"), control(best, "all", "all words"))


def rival(name: str, label: str, *, needs: str = "", seeds: tuple[int, ...] | None = (0,)) -> Row:
    """Return a row of another objective."""
    return Row(name=name, label=label, objective=name, needs=frozenset(needs.split()), seeds=seeds)


def with_options(row: Row, **options: Any) -> Row:
    """Return a row with other options."""
    given: Mapping[str, Any] = {**row.options, **options}
    return replace(row, options=given)


__all__ = ["FRAMES", "RECIPES", "RETAIN_WEIGHT", "anchored", "control", "controls", "recipe", "rival", "with_options"]
