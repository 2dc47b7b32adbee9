"""The unlearning objectives: what each is called, where its formula is from, what it reads and what it needs.

The formulas are in `tif.train.losses`. This registry imports no torch, so help and checks of options do without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

from tif import plugins
from tif.train.settings import ObjectiveSettings, Scope

if TYPE_CHECKING:
    from tif.train.losses import LossTerms, StepScores

Loss = Callable[["StepScores", ObjectiveSettings], "LossTerms"]
Need = Literal["base", "idk", "alternates", "logits", "distributions", "activations", "dual"]
RetainLoss = Literal["ce", "kl", "coin", "none"]
"""On samples to keep: cross-entropy, divergence from the reference over the vocabulary or between coins, or nothing."""
GROUP: Final = "tif.objectives"
"""Entry point group of plugins."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A row of the registry. A plugin offers one under the entry point group `tif.objectives`."""

    name: str
    loss: Loss
    paper: str
    """Where the formula is from."""
    _: KW_ONLY
    scope: Scope = "all"
    """The scope it was published with."""
    retain: RetainLoss = "ce"
    """The retain term it is usually run with, where samples to keep are given."""
    retain_weight: float = 1.0
    """Weight of that term."""
    defaults: Mapping[str, float] = field(default_factory=dict)
    """Settings whose default differs from that of `ObjectiveSettings`."""
    reads: frozenset[str] | None = None
    """The settings that its formula has, beside `scope`; another one that is given is refused. None: not known."""
    needs: frozenset[Need] = frozenset()
    """What a step must give to the formula, besides the scores of the forget tokens. `logits`: the model's own over the
    vocabulary. `distributions`: the reference's too. `dual`: a weight of the retain term that follows a bound."""
    by_token: bool = False
    """Whether its forget term is a mean over tokens, which `reduction="token"` takes over the batch."""
    needs_retain: bool = False
    """Whether it is undefined without samples to keep."""


def _formula(name: str) -> Loss:
    """A function of `tif.train.losses`, which is imported when a loss is first computed."""

    def loss(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
        from tif.train import losses

        return cast(Loss, getattr(losses, name))(step, settings)

    return loss


def _reads(*names: str) -> frozenset[str]:
    return frozenset(names)


def _needs(*names: Need) -> frozenset[Need]:
    return frozenset(names)


OBJECTIVES: Final[Mapping[str, Objective]] = {
    o.name: o
    for o in (
        Objective(
            "tpo",
            _formula("tpo"),
            "arXiv 2506.03142",
            scope="uw",
            reads=_reads("beta", "reduction", "space", "pl", "pl_weight"),
        ),
        Objective(
            "anchored",
            _formula("anchored"),
            "docs/method.md",
            scope="uw",
            retain_weight=8.0,
            defaults={"gamma": 1.0},
            reads=_reads("beta", "gamma", "per", "pl_weight"),
            needs=_needs("base"),
        ),
        Objective("ga", _formula("ga"), "arXiv 2401.06121", retain="none", reads=_reads(), by_token=True),
        Objective("graddiff", _formula("ga"), "arXiv 2401.06121", reads=_reads(), by_token=True, needs_retain=True),
        Objective("npo", _formula("npo"), "arXiv 2404.05868", defaults={"beta": 0.1}, reads=_reads("beta")),
        Objective(
            "simnpo", _formula("simnpo"), "arXiv 2410.07163", defaults={"beta": 2.5}, reads=_reads("beta", "gamma")
        ),
        Objective(
            "dpo",
            _formula("dpo"),
            "arXiv 2305.18290",
            defaults={"beta": 0.1},
            reads=_reads("beta"),
            needs=_needs("idk"),
        ),
        Objective(
            "idkdpo",
            _formula("idkdpo"),
            "arXiv 2404.05868, its code",
            defaults={"beta": 0.1},
            reads=_reads("beta"),
            needs=_needs("idk"),
        ),
        Objective(
            "altpo",
            _formula("altpo"),
            "arXiv 2409.13474",
            defaults={"beta": 0.1},
            reads=_reads("beta"),
            needs=_needs("alternates"),
        ),
        Objective(
            "wga", _formula("wga"), "arXiv 2502.19301", defaults={"beta": 1.0}, reads=_reads("beta"), by_token=True
        ),
        Objective(
            "tnpo", _formula("tnpo"), "arXiv 2502.19301", defaults={"beta": 4.0}, reads=_reads("beta"), by_token=True
        ),
        Objective(
            "satimp",
            _formula("satimp"),
            "arXiv 2505.11953",
            defaults={"beta": 5.0, "beta2": 1.0},
            reads=_reads("beta", "beta2"),
            by_token=True,
        ),
        Objective(
            "undial",
            _formula("undial"),
            "arXiv 2402.10052",
            defaults={"beta": 10.0},
            reads=_reads("beta"),
            needs=_needs("distributions"),
            by_token=True,
        ),
        Objective(
            "ceu",
            _formula("ceu"),
            "arXiv 2503.01224",
            retain="none",
            defaults={"skip_tokens": 1},
            reads=_reads("skip_tokens"),
            needs=_needs("logits"),
            by_token=True,
        ),
        Objective(
            "pdu",
            _formula("pdu"),
            "arXiv 2506.05314",
            reads=_reads(),
            needs=_needs("logits", "dual"),
            by_token=True,
            needs_retain=True,
        ),
        Objective(
            "rmu",
            _formula("rmu"),
            "arXiv 2403.03218",
            retain="none",
            reads=_reads("alpha"),
            needs=_needs("activations"),
        ),
    )
}
"""The objectives that tif brings along."""


def find(name: str) -> Objective:
    """An objective by name: one of tif's own, or a plugin's from the entry point group `tif.objectives`.

    Raises:
        UsageError: for a name that nobody offers, or a plugin that offers something else.
        MissingError: for a plugin that cannot be imported.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    plugin: Objective = plugins.load(GROUP, name, OBJECTIVES, kind="objective", where="--objective", of=Objective)
    return plugin


__all__ = ["GROUP", "OBJECTIVES", "Loss", "Need", "Objective", "RetainLoss", "find"]
