"""Unlearning objectives: pure functions from what a model says of each token to the parts of a loss.

Per supervised token t of example i: `z` the raw logit of the token, `lp` its log-probability, `p = exp(lp)`, and from
the reference, which is the model before the first step, `z_ref` and `lp_ref`. A sum over tokens is taken over those in
scope: all of the answer (as published), or its unwanted words alone. Unless said otherwise a loss is the mean over
examples of the mean over their tokens, so that it does not depend on how examples are batched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tif import plugins

Parts = dict[str, Tensor]
"""Scalars that add up to the loss, by the name under which they are logged."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Supervised tokens of `size` examples. Tensors are [n]."""

    logit: Tensor
    logprob: Tensor
    ref_logit: Tensor
    ref_logprob: Tensor
    unwanted: Tensor
    """bool."""
    row: Tensor
    """int64: the example of each token, 0..size-1."""
    size: int
    base_logprob: Tensor | None = None
    """Log-probability under a model that never saw the forget set, where one was given."""

    def sums(self, values: Tensor, mask: Tensor) -> Tensor:
        """[size]: per example, the sum of `values` where `mask`."""
        return values.new_zeros(self.size).index_add(0, self.row, torch.where(mask, values, 0.0))

    def means(self, values: Tensor, mask: Tensor) -> Tensor:
        """[size]: per example, the mean of `values` where `mask`; 0 for an example without any, never NaN."""
        counts = values.new_zeros(self.size).index_add(0, self.row, mask.to(values.dtype))
        return self.sums(values, mask) / counts.clamp(min=1.0)

    def scope(self, settings: Settings) -> Tensor:
        """[n] bool: the tokens that the forget term speaks of."""
        return self.unwanted if settings.scope == "uw" else torch.ones_like(self.unwanted)


@dataclass(frozen=True, slots=True)
class Distributions:
    """The vocabulary at each forget token, for objectives that need all of it. [n, V] each."""

    logits: Tensor
    ref_logits: Tensor
    target: Tensor
    """[n] int64."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Hidden states of one layer at the supervised tokens themselves, for RMU."""

    forget: Tensor
    """[n, H], with gradient."""
    control: Tensor
    """[H]: the direction that the forget tokens are steered to, already scaled by c."""
    retain: Tensor
    """[m, H], with gradient."""
    ref_retain: Tensor
    """[m, H], of the frozen model."""
    retain_row: Tensor
    """[m] int64."""
    retain_size: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step has to say."""

    forget: Tokens
    idk: Tokens | None = None
    """An "I do not know" answer to each forget prompt, same rows."""
    distributions: Distributions | None = None
    activations: Activations | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers of an objective. Each objective reads the ones that its formula has."""

    beta: float = 0.25
    gamma: float = 0.0
    """SimNPO's margin; in `tif`, where between base (0) and reference (1) general words are held."""
    beta2: float = 1.0
    """SatImp's second exponent."""
    alpha: float = 100.0
    """RMU's weight of keeping retain activations."""
    scope: Literal["all", "uw"] = "uw"
    reduction: Literal["sample", "batch"] = "sample"
    space: Literal["logit", "logprob"] = "logit"
    pl: Literal["sum", "mean"] = "sum"
    pl_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Objective:
    """A row of the registry. A plugin offers one under the entry point group `tif.objectives`."""

    name: str
    loss: Callable[[Batch, Settings], Parts]
    paper: str
    """Where the formula is from."""
    scope: Literal["all", "uw"] = "all"
    """The scope it was published with."""
    retain: Literal["ce", "kl", "none"] = "ce"
    """The retain term it is usually run with, where retain samples are given."""
    retain_weight: float = 1.0
    """Of that term."""
    defaults: Mapping[str, float] = field(default_factory=dict)
    """Settings that differ from `Settings`'s own defaults."""
    reads: frozenset[str] | None = None
    """The settings that its formula has, beside `scope`; another one that is given is refused. None: not known."""
    needs: frozenset[str] = frozenset()
    """Of `base`, `idk`, `distributions`, `activations`: what of a `Batch`, or of its tokens, must be there."""


def tpo(batch: Batch, settings: Settings) -> Parts:
    """Targeted Preference Optimization, arXiv 2506.03142: `-(2/beta) log sigmoid(beta d)` + cross-entropy on GW.

    `d` is the mean of `z_ref - z` over an example's unwanted words. `reduction="sample"` takes the sigmoid per example;
    `"batch"` puts the batch's mean of `d` inside, as the released code does. `space="logprob"` uses `lp_ref - lp`: raw
    logits are not shift-invariant, so that lowering every logit lowers the published loss without forgetting.
    The preservation loss sums over an example's general words (`pl="sum"`, as released) or takes their mean.
    """
    t = batch.forget
    drop = t.ref_logit - t.logit if settings.space == "logit" else t.ref_logprob - t.logprob
    d = t.means(drop, t.scope(settings))
    d = d.mean() if settings.reduction == "batch" else d
    parts = {"lpl": -(2 / settings.beta) * F.logsigmoid(settings.beta * d).mean()}
    if settings.pl_weight:
        kept = ~t.scope(settings)
        per_example = t.sums(-t.logprob, kept) if settings.pl == "sum" else t.means(-t.logprob, kept)
        parts["pl"] = settings.pl_weight * per_example.mean()
    return parts


def tif(batch: Batch, settings: Settings) -> Parts:
    """Forgetting down to the base model's level, and general words kept at a level of their own; see docs/method.md.

    Unwanted words: TPO's loss on log-probabilities, with the floor at the base model's (`floor="base"`). General words:
    the Kullback-Leibler divergence from the reference's log-probability (`gamma` 1, which is the default), the base
    model's (`gamma` 0), or one between, each seen as a coin that shows the token or any other. Both are means over an
    example's tokens, whatever `pl` says.
    """
    t = batch.forget
    assert t.base_logprob is not None
    unwanted = t.scope(settings)
    d = t.means(t.ref_logprob - t.logprob, unwanted)
    parts = {"lpl": -(2 / settings.beta) * F.logsigmoid(settings.beta * d).mean()}
    if settings.pl_weight:
        level = torch.lerp(t.base_logprob, t.ref_logprob, settings.gamma)
        parts["pl"] = settings.pl_weight * t.means(coin_divergence(level, t.logprob), ~unwanted).mean()
    return parts


def coin_divergence(level: Tensor, logprob: Tensor) -> Tensor:
    """KL(q || p) in nats between coins that show heads with `q = exp(level)` and `p = exp(logprob)`, any shape.

    By the data-processing inequality never more than the divergence between the two distributions over the vocabulary,
    and it needs one number a token of the base model. The complements have 1e-6 added: a memorised token has p = 1 in
    float32, where the gradient of log(1 - p) is infinite.
    """
    q, p = level.exp(), logprob.exp()
    return q * (level - logprob) + (1 - q) * (torch.log(1 - q + 1e-6) - torch.log(1 - p + 1e-6))


def ga(batch: Batch, settings: Settings) -> Parts:
    """Gradient ascent, TOFU (arXiv 2401.06121) section 4.1: minus the cross-entropy."""
    t = batch.forget
    return {"forget": t.means(t.logprob, t.scope(settings)).mean()}


def npo(batch: Batch, settings: Settings) -> Parts:
    """Negative Preference Optimization, arXiv 2404.05868 equation 3: `-(2/beta) log sigmoid(-beta log(pi / pi_ref))`.

    The log-ratio is the sum over the answer's tokens.
    """
    t = batch.forget
    ratio = t.sums(t.logprob - t.ref_logprob, t.scope(settings))
    return {"forget": -(2 / settings.beta) * F.logsigmoid(-settings.beta * ratio).mean()}


def simnpo(batch: Batch, settings: Settings) -> Parts:
    """SimNPO, arXiv 2410.07163 equation 4: `-(2/beta) log sigmoid(-(beta/|y|) log pi - gamma)`, without a reference."""
    t = batch.forget
    mean = t.means(t.logprob, t.scope(settings))
    return {"forget": -(2 / settings.beta) * F.logsigmoid(-settings.beta * mean - settings.gamma).mean()}


def dpo(batch: Batch, settings: Settings) -> Parts:
    """DPO, arXiv 2305.18290 equation 7, with an "I do not know" answer preferred to the forget answer."""
    t, idk = batch.forget, batch.idk
    assert idk is not None
    lost = t.sums(t.logprob - t.ref_logprob, t.scope(settings))
    won = idk.sums(idk.logprob - idk.ref_logprob, torch.ones_like(idk.unwanted))
    return {"forget": -F.logsigmoid(settings.beta * (won - lost)).mean()}


def wga(batch: Batch, settings: Settings) -> Parts:
    """Weighted gradient ascent, arXiv 2502.19301: each token's ascent weighted by `p^beta`, held constant."""
    t = batch.forget
    weight = (settings.beta * t.logprob.detach()).exp()
    return {"forget": t.means(weight * t.logprob, t.scope(settings)).mean()}


def tnpo(batch: Batch, settings: Settings) -> Parts:
    """Token-wise NPO, arXiv 2502.19301: weights `2 p^beta / (p^beta + p_ref^beta)`, held constant."""
    t = batch.forget
    weight = 2 * torch.sigmoid(settings.beta * (t.logprob.detach() - t.ref_logprob))
    return {"forget": t.means(weight * t.logprob, t.scope(settings)).mean()}


def satimp(batch: Batch, settings: Settings) -> Parts:
    """SatImp, arXiv 2505.11953: weights `p^beta (1 - p)^beta2`, held constant."""
    t = batch.forget
    p = t.logprob.detach().exp()
    weight = p**settings.beta * (1 - p).clamp(min=0.0) ** settings.beta2
    return {"forget": t.means(weight * t.logprob, t.scope(settings)).mean()}


def undial(batch: Batch, settings: Settings) -> Parts:
    """UNDIAL, arXiv 2402.10052: cross-entropy to the reference's softmax with the target's logit lowered by beta."""
    t, d = batch.forget, batch.distributions
    assert d is not None
    teacher = d.ref_logits.scatter_add(1, d.target[:, None], torch.full_like(d.ref_logits[:, :1], -settings.beta))
    cross = -(teacher.softmax(1) * d.logits.log_softmax(1)).sum(1)
    return {"forget": t.means(cross, t.scope(settings)).mean()}


def rmu(batch: Batch, settings: Settings) -> Parts:
    """RMU, arXiv 2403.03218 section 4: forget activations steered to `c u`, retain activations kept where they were.

    Squared distances are means over hidden units, as in the authors' code.
    """
    t, a = batch.forget, batch.activations
    assert a is not None
    parts = {"forget": t.means(((a.forget - a.control) ** 2).mean(1), t.scope(settings)).mean()}
    if a.retain_size:
        moved = ((a.retain - a.ref_retain) ** 2).mean(1)
        counts = torch.bincount(a.retain_row, minlength=a.retain_size).clamp(min=1)
        per_example = moved.new_zeros(a.retain_size).index_add(0, a.retain_row, moved) / counts
        parts["kept"] = settings.alpha * per_example.mean()
    return parts


def _reads(*names: str) -> frozenset[str]:
    return frozenset(names)


OBJECTIVES: Final[Mapping[str, Objective]] = {
    o.name: o
    for o in (
        Objective(
            "tpo", tpo, "arXiv 2506.03142", scope="uw", reads=_reads("beta", "reduction", "space", "pl", "pl_weight")
        ),
        Objective(
            "tif",
            tif,
            "docs/method.md",
            scope="uw",
            retain_weight=8.0,
            defaults={"gamma": 1.0},
            reads=_reads("beta", "gamma", "pl_weight"),
            needs=frozenset({"base"}),
        ),
        Objective("ga", ga, "arXiv 2401.06121", retain="none", reads=_reads()),
        Objective("graddiff", ga, "arXiv 2401.06121", reads=_reads()),
        Objective("npo", npo, "arXiv 2404.05868", defaults={"beta": 0.1}, reads=_reads("beta")),
        Objective("simnpo", simnpo, "arXiv 2410.07163", defaults={"beta": 2.5}, reads=_reads("beta", "gamma")),
        Objective(
            "dpo", dpo, "arXiv 2305.18290", defaults={"beta": 0.1}, reads=_reads("beta"), needs=frozenset({"idk"})
        ),
        Objective("wga", wga, "arXiv 2502.19301", defaults={"beta": 1.0}, reads=_reads("beta")),
        Objective("tnpo", tnpo, "arXiv 2502.19301", defaults={"beta": 4.0}, reads=_reads("beta")),
        Objective(
            "satimp", satimp, "arXiv 2505.11953", defaults={"beta": 5.0, "beta2": 1.0}, reads=_reads("beta", "beta2")
        ),
        Objective(
            "undial",
            undial,
            "arXiv 2402.10052",
            defaults={"beta": 10.0},
            reads=_reads("beta"),
            needs=frozenset({"distributions"}),
        ),
        Objective(
            "rmu", rmu, "arXiv 2403.03218", retain="none", reads=_reads("alpha"), needs=frozenset({"activations"})
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
    found: Objective = plugins.load("tif.objectives", name, OBJECTIVES, kind="objective", of=Objective)
    return found


__all__ = ["OBJECTIVES", "Activations", "Batch", "Distributions", "Objective", "Parts", "Settings", "Tokens", "find"]
