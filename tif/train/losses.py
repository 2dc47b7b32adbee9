"""The formulas of the unlearning objectives: pure functions from the scores of tokens to the terms of a loss.

Per supervised token t of example i: `z` is the raw logit of the token, `lp` its log-probability, and `p = exp(lp)`.
The reference is the model before the first step; it gives `z_ref` and `lp_ref`. A sum runs over the tokens in scope:
the answer (as published), or its unwanted words only. Where nothing else is stated, a loss is the mean over examples
of the mean over their tokens, so it does not depend on how examples are batched. `reduction="token"` takes the mean
over all tokens of the batch instead, as most released code does: long examples then count for more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tif.train import phrases
from tif.train.settings import ObjectiveSettings

LossTerms = dict[str, Tensor]
"""Scalars that add up to the loss, by the name under which they are logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScores:
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
    """Log-probability under the base model, where one was given."""
    phrase: Tensor | None = None
    """int64: the phrase of each token in scope, counted from 0 over all examples, -1 outside; for `per="phrase"`."""

    def sums(self, values: Tensor, mask: Tensor) -> Tensor:
        """[size]: per example, the sum of `values` where `mask`."""
        return values.new_zeros(self.size).index_add(0, self.row, torch.where(mask, values, 0.0))

    def means(self, values: Tensor, mask: Tensor) -> Tensor:
        """[size]: per example, the mean of `values` where `mask`; 0 for an example without any, never NaN."""
        counts = values.new_zeros(self.size).index_add(0, self.row, mask.to(values.dtype))
        return self.sums(values, mask) / counts.clamp(min=1.0)

    def average(self, values: Tensor, mask: Tensor, settings: ObjectiveSettings) -> Tensor:
        """The mean of `values` where `mask`: over the examples' means, or over the batch's tokens (`reduction`)."""
        if settings.reduction == "token":
            return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
        return self.means(values, mask).mean()

    def place(self) -> Tensor:
        """[n] int64: the number of each token within its example, from 0. An example's tokens lie side by side."""
        counts = torch.bincount(self.row, minlength=self.size)
        first = counts.cumsum(0) - counts
        return torch.arange(len(self.row), device=self.row.device) - first[self.row]

    def in_scope(self, settings: ObjectiveSettings) -> Tensor:
        """[n] bool: the tokens that the forget term pushes."""
        return self.unwanted if settings.scope == "uw" else torch.ones_like(self.unwanted)


@dataclass(frozen=True, slots=True)
class Distributions:
    """The vocabulary at each forget token, for objectives that need all of it. [n, V] each."""

    logits: Tensor
    ref_logits: Tensor | None
    """None for an objective that reads the model's own logits only."""
    target: Tensor
    """[n] int64."""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScores:
    """The scores of one training step, as far as the objective needs them."""

    forget: TokenScores
    preferred: TokenScores | None = None
    """Another answer to each forget prompt, same rows: an "I do not know", or an alternate."""
    distributions: Distributions | None = None
    activations: Activations | None = None


def tpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Targeted Preference Optimization, arXiv 2506.03142: `-(2/beta) log sigmoid(beta d)` + cross-entropy on GW.

    `d` is the mean of `z_ref - z` over an example's unwanted words. `reduction="sample"` takes the sigmoid per example;
    `"batch"` puts the batch's mean of `d` inside, as the released code does. `space="logprob"` uses `lp_ref - lp`: raw
    logits are not shift-invariant, so that lowering every logit lowers the published loss without forgetting.
    The preservation loss sums over an example's general words (`pl="sum"`, as released) or takes their mean.
    """
    t = step.forget
    drop = t.ref_logit - t.logit if settings.space == "logit" else t.ref_logprob - t.logprob
    d = t.means(drop, t.in_scope(settings))
    d = d.mean() if settings.reduction == "batch" else d
    terms = {"lpl": -(2 / settings.beta) * F.logsigmoid(settings.beta * d).mean()}
    if settings.pl_weight:
        kept = ~t.in_scope(settings)
        per_example = t.sums(-t.logprob, kept) if settings.pl == "sum" else t.means(-t.logprob, kept)
        terms["pl"] = settings.pl_weight * per_example.mean()
    return terms


def anchored(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Anchored TPO: forget down to the base model's level, and hold general words at a level; see docs/method.md.

    Unwanted words have TPO's loss on log-probabilities, with the floor at the base model's (`floor="base"`). General
    words have a Kullback-Leibler divergence from a level: the reference's log-probability (`gamma` 1, the default), the
    base model's (`gamma` 0), or one between. It compares coins that show the token or any other. Both terms are means
    over an example's tokens; with `per="phrase"` the first is a mean over an example's phrases, each with a sigmoid of
    its own and with the sum over its tokens in it.
    """
    t = step.forget
    assert t.base_logprob is not None
    unwanted = t.in_scope(settings)
    if settings.per == "phrase":
        lpl = _pushed_phrases(t, settings.beta)
    else:
        d = t.means(t.ref_logprob - t.logprob, unwanted)
        lpl = -(2 / settings.beta) * F.logsigmoid(settings.beta * d)
    terms = {"lpl": lpl.mean()}
    if settings.pl_weight:
        level = torch.lerp(t.base_logprob, t.ref_logprob, settings.gamma)
        terms["pl"] = settings.pl_weight * t.means(coin_divergence(level, t.logprob), ~unwanted).mean()
    return terms


def _pushed_phrases(t: TokenScores, beta: float) -> Tensor:
    """[size]: per example, the mean of NPO's loss over its phrases; 0 for an example without any."""
    assert t.phrase is not None
    d = phrases.sums(t.ref_logprob - t.logprob, t.phrase)
    inside = t.phrase >= 0
    example = t.row.new_zeros(len(d)).scatter(0, t.phrase[inside], t.row[inside])
    counts = d.new_zeros(t.size).index_add(0, example, torch.ones_like(d))
    losses = -(2 / beta) * F.logsigmoid(beta * d)
    return losses.new_zeros(t.size).index_add(0, example, losses) / counts.clamp(min=1.0)


def coin_divergence(level: Tensor, logprob: Tensor) -> Tensor:
    """KL(q || p) in nats between coins that show heads with `q = exp(level)` and `p = exp(logprob)`, any shape.

    By the data-processing inequality never more than the divergence between the two distributions over the vocabulary,
    and it needs one number a token of the base model. The complements have 1e-6 added: a memorised token has p = 1 in
    float32, where the gradient of log(1 - p) is infinite.
    """
    q, p = level.exp(), logprob.exp()
    return q * (level - logprob) + (1 - q) * (torch.log(1 - q + 1e-6) - torch.log(1 - p + 1e-6))


def ga(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Gradient ascent, TOFU (arXiv 2401.06121) section 4.1: minus the cross-entropy."""
    t = step.forget
    return {"forget": t.average(t.logprob, t.in_scope(settings), settings)}


def npo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Negative Preference Optimization, arXiv 2404.05868 equation 3: `-(2/beta) log sigmoid(-beta log(pi / pi_ref))`.

    The log-ratio is the sum over the answer's tokens.
    """
    t = step.forget
    ratio = t.sums(t.logprob - t.ref_logprob, t.in_scope(settings))
    return {"forget": -(2 / settings.beta) * F.logsigmoid(-settings.beta * ratio).mean()}


def simnpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """SimNPO, arXiv 2410.07163 equation 4: `-(2/beta) log sigmoid(-(beta/|y|) log pi - gamma)`, without a reference."""
    t = step.forget
    mean = t.means(t.logprob, t.in_scope(settings))
    return {"forget": -(2 / settings.beta) * F.logsigmoid(-settings.beta * mean - settings.gamma).mean()}


def dpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """DPO, arXiv 2305.18290 equation 7, with an "I do not know" answer preferred to the forget answer.

    `idkdpo` is 2/beta times this.
    """
    t, other = step.forget, step.preferred
    assert other is not None
    lost = t.sums(t.logprob - t.ref_logprob, t.in_scope(settings))
    won = other.sums(other.logprob - other.ref_logprob, torch.ones_like(other.unwanted))
    return {"forget": -F.logsigmoid(settings.beta * (won - lost)).mean()}


def idkdpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """DPO in the scale of NPO: 2/beta times `dpo`, as the code of NPO, SimNPO, TPO and OpenUnlearning has it."""
    return {name: 2 / settings.beta * value for name, value in dpo(step, settings).items()}


def altpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Alternate Preference Optimization, arXiv 2409.13474, as its code has it: `idkdpo` with other answers.

    The preferred answer is an alternate: plausible, and wrong.
    """
    return idkdpo(step, settings)


def wga(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Weighted gradient ascent, arXiv 2502.19301: each token's ascent weighted by `p^beta`, held constant."""
    t = step.forget
    weight = (settings.beta * t.logprob.detach()).exp()
    return {"forget": t.average(weight * t.logprob, t.in_scope(settings), settings)}


def tnpo(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """Token-wise NPO, arXiv 2502.19301: weights `2 p^beta / (p^beta + p_ref^beta)`, held constant."""
    t = step.forget
    weight = 2 * torch.sigmoid(settings.beta * (t.logprob.detach() - t.ref_logprob))
    return {"forget": t.average(weight * t.logprob, t.in_scope(settings), settings)}


def satimp(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """SatImp, arXiv 2505.11953: weights `p^beta (1 - p)^beta2`, held constant."""
    t = step.forget
    p = t.logprob.detach().exp()
    weight = p**settings.beta * (1 - p).clamp(min=0.0) ** settings.beta2
    return {"forget": t.average(weight * t.logprob, t.in_scope(settings), settings)}


def undial(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """UNDIAL, arXiv 2402.10052: cross-entropy to the reference's softmax with the target's logit lowered by beta."""
    t, d = step.forget, step.distributions
    assert d is not None
    assert d.ref_logits is not None
    teacher = d.ref_logits.scatter_add(1, d.target[:, None], torch.full_like(d.ref_logits[:, :1], -settings.beta))
    cross = -(teacher.softmax(1) * d.logits.log_softmax(1)).sum(1)
    return {"forget": t.average(cross, t.in_scope(settings), settings)}


def ceu(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """CE-U, arXiv 2503.01224: cross-entropy to the model's own softmax without the target, held constant.

    The first `skip_tokens` tokens of an answer are left out, by its footnote.
    """
    t, d = step.forget, step.distributions
    assert d is not None
    teacher = d.logits.detach().scatter(1, d.target[:, None], -torch.inf).softmax(1)
    cross = -(teacher * d.logits.log_softmax(1)).sum(1)
    return {"forget": t.average(cross, t.in_scope(settings) & (t.place() >= settings.skip_tokens), settings)}


def pdu(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """PDU's logit-margin flattening, arXiv 2506.05314: the squared distance from the highest logit to the mean one.

    The weight of its retain term is a dual variable, see `tif.train.dual`.
    """
    t, d = step.forget, step.distributions
    assert d is not None
    margin = (d.logits.amax(1) - d.logits.mean(1)) ** 2
    return {"forget": t.average(margin, t.in_scope(settings), settings)}


def rmu(step: StepScores, settings: ObjectiveSettings) -> LossTerms:
    """RMU, arXiv 2403.03218 section 4: forget activations steered to `c u`, retain activations kept where they were.

    Squared distances are means over hidden units, as in the authors' code.
    """
    t, a = step.forget, step.activations
    assert a is not None
    terms = {"forget": t.means(((a.forget - a.control) ** 2).mean(1), t.in_scope(settings)).mean()}
    if a.retain_size:
        moved = ((a.retain - a.ref_retain) ** 2).mean(1)
        counts = torch.bincount(a.retain_row, minlength=a.retain_size).clamp(min=1)
        per_example = moved.new_zeros(a.retain_size).index_add(0, a.retain_row, moved) / counts
        terms["kept"] = settings.alpha * per_example.mean()
    return terms


__all__ = [
    "Activations",
    "Distributions",
    "LossTerms",
    "StepScores",
    "TokenScores",
    "altpo",
    "anchored",
    "ceu",
    "coin_divergence",
    "dpo",
    "ga",
    "idkdpo",
    "npo",
    "pdu",
    "rmu",
    "satimp",
    "simnpo",
    "tnpo",
    "tpo",
    "undial",
    "wga",
]
