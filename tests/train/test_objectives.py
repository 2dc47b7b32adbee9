"""Each objective against a transcription of its published formula, in float64, from full logits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tif.errors import UsageError
from tif.train.losses import Activations, Distributions, StepScores, TokenScores
from tif.train.objectives import OBJECTIVES, Objective, find
from tif.train.settings import ObjectiveSettings

V = 11
LENGTHS = (5, 3, 7)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class World:
    """Full logits of policy and reference for three answers, and which tokens are unwanted."""

    def __init__(self, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        self.z = [torch.randn(n, V, generator=g, dtype=torch.float64) * 2 for n in LENGTHS]
        self.r = [torch.randn(n, V, generator=g, dtype=torch.float64) * 2 for n in LENGTHS]
        self.y = [torch.randint(V, (n,), generator=g) for n in LENGTHS]
        self.u = [torch.arange(n) % 2 == 0 for n in LENGTHS]

    def tokens(self) -> TokenScores:
        z, r, y = torch.cat(self.z), torch.cat(self.r), torch.cat(self.y)[:, None]
        return TokenScores(
            logit=z.gather(1, y)[:, 0],
            logprob=z.log_softmax(1).gather(1, y)[:, 0],
            ref_logit=r.gather(1, y)[:, 0],
            ref_logprob=r.log_softmax(1).gather(1, y)[:, 0],
            unwanted=torch.cat(self.u),
            row=torch.repeat_interleave(torch.arange(3), torch.tensor(LENGTHS)),
            size=3,
        )

    def examples(self, scope: str) -> list[list[tuple[float, float]]]:
        """Per example (p, p_ref) of the tokens in scope."""
        found = []
        for z, r, y, u in zip(self.z, self.r, self.y, self.u, strict=True):
            pairs = []
            for t in range(len(y)):
                if scope == "all" or u[t]:
                    p, q = (math.exp(x[t, y[t]]) / sum(math.exp(v) for v in x[t]) for x in (z, r))
                    pairs.append((p, q))
            found.append(pairs)
        return found


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


B, C, G = 0.7, 1.3, 0.4

FORMULAS = {
    "ga": lambda w, s: mean(mean(math.log(p) for p, _ in e) for e in w.examples(s)),
    "graddiff": lambda w, s: mean(mean(math.log(p) for p, _ in e) for e in w.examples(s)),
    "npo": lambda w, s: mean(
        (2 / B) * math.log(1 + (math.prod(p for p, _ in e) / math.prod(q for _, q in e)) ** B) for e in w.examples(s)
    ),
    "simnpo": lambda w, s: mean(
        -(2 / B) * math.log(sigmoid(-(B / len(e)) * sum(math.log(p) for p, _ in e) - G)) for e in w.examples(s)
    ),
    "wga": lambda w, s: mean(mean(p**B * math.log(p) for p, _ in e) for e in w.examples(s)),
    "tnpo": lambda w, s: mean(mean(2 * p**B / (p**B + q**B) * math.log(p) for p, q in e) for e in w.examples(s)),
    "satimp": lambda w, s: mean(mean(p**B * (1 - p) ** C * math.log(p) for p, _ in e) for e in w.examples(s)),
}


@pytest.mark.parametrize("scope", ["all", "uw"])
@pytest.mark.parametrize("name", FORMULAS)
def test_over_token_probabilities(name: str, scope: str) -> None:
    world = World(3)
    settings = ObjectiveSettings(beta=B, beta2=C, gamma=G, scope=scope)
    got = OBJECTIVES[name].loss(StepScores(forget=world.tokens()), settings)
    assert sum(got.values()).item() == pytest.approx(FORMULAS[name](world, scope), rel=1e-12)


@pytest.mark.parametrize("name", ["wga", "tnpo", "satimp"])
def test_weights_are_held_constant(name: str) -> None:
    world = World(4)
    leaf = world.tokens().logprob.clone().requires_grad_()
    t = world.tokens()
    moving = replace(t, logprob=leaf)
    OBJECTIVES[name].loss(StepScores(forget=moving), ObjectiveSettings(beta=B, beta2=C, scope="all"))[
        "forget"
    ].backward()
    p, q = t.logprob.exp(), t.ref_logprob.exp()
    weight = {"wga": p**B, "tnpo": 2 * p**B / (p**B + q**B), "satimp": p**B * (1 - p) ** C}[name]
    share = 1 / (3 * torch.tensor(LENGTHS, dtype=torch.float64)[t.row])
    torch.testing.assert_close(leaf.grad, weight * share)


@pytest.mark.parametrize("scope", ["all", "uw"])
def test_dpo_prefers_ignorance(scope: str) -> None:
    world, ignorance = World(5), World(6)
    got = OBJECTIVES["dpo"].loss(
        StepScores(forget=world.tokens(), preferred=ignorance.tokens()), ObjectiveSettings(beta=B, scope=scope)
    )
    expected = mean(
        -math.log(sigmoid(B * sum(math.log(p / q) for p, q in won) - B * sum(math.log(p / q) for p, q in lost)))
        for won, lost in zip(ignorance.examples("all"), world.examples(scope), strict=True)
    )
    assert got["forget"].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scope", ["all", "uw"])
def test_undial_distils_from_lowered_logits(scope: str) -> None:
    world = World(7)
    d = Distributions(torch.cat(world.z), torch.cat(world.r), torch.cat(world.y))
    got = OBJECTIVES["undial"].loss(
        StepScores(forget=world.tokens(), distributions=d), ObjectiveSettings(beta=3.0, scope=scope)
    )
    per_example = []
    for z, r, y, u in zip(world.z, world.r, world.y, world.u, strict=True):
        losses = []
        for t in range(len(y)):
            if scope == "all" or u[t]:
                raw = [math.exp(r[t, v] - (3.0 if v == y[t] else 0.0)) for v in range(V)]
                norm = math.log(sum(math.exp(v) for v in z[t]))
                losses.append(-sum(raw[v] / sum(raw) * (z[t, v].item() - norm) for v in range(V)))
        per_example.append(mean(losses))
    assert got["forget"].item() == pytest.approx(mean(per_example), rel=1e-12)


def test_rmu_steers_and_keeps() -> None:
    world, g = World(8), torch.Generator().manual_seed(0)
    n = sum(LENGTHS)
    h, kept, ref = (torch.randn(k, 4, generator=g, dtype=torch.float64) for k in (n, 5, 5))
    control = torch.randn(4, generator=g, dtype=torch.float64)
    rows = torch.tensor([0, 0, 0, 1, 1])
    activations = Activations(forget=h, control=control, retain=kept, ref_retain=ref, retain_row=rows, retain_size=2)
    got = OBJECTIVES["rmu"].loss(
        StepScores(forget=world.tokens(), activations=activations), ObjectiveSettings(alpha=9.0, scope="all")
    )
    away = [((x - control) ** 2).mean() for x in h.split(list(LENGTHS))]
    assert got["forget"].item() == pytest.approx(torch.stack(away).mean().item(), rel=1e-12)
    stay = [((kept[a:b] - ref[a:b]) ** 2).mean() for a, b in ((0, 3), (3, 5))]
    assert got["kept"].item() == pytest.approx(9.0 * torch.stack(stay).mean().item(), rel=1e-12)


def test_an_example_without_unwanted_words_gives_no_nan() -> None:
    t = World(9).tokens()
    leaf = t.logit.clone().requires_grad_()
    none = replace(t, logit=leaf, unwanted=t.unwanted & (t.row != 1))
    loss = sum(OBJECTIVES["tpo"].loss(StepScores(forget=none), ObjectiveSettings(beta=B)).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(leaf.grad).all()
    assert not leaf.grad[t.row == 1].any()


def test_every_objective_can_be_found_and_others_are_refused() -> None:
    assert {find(name).name for name in OBJECTIVES} == set(OBJECTIVES)
    with pytest.raises(UsageError, match="no objective 'tpoo'"):
        find("tpoo")
    assert all(isinstance(o, Objective) for o in OBJECTIVES.values())


BY_TOKEN = {
    "ga": lambda p, _: math.log(p),
    "graddiff": lambda p, _: math.log(p),
    "wga": lambda p, _: p**B * math.log(p),
    "tnpo": lambda p, q: 2 * p**B / (p**B + q**B) * math.log(p),
    "satimp": lambda p, _: p**B * (1 - p) ** C * math.log(p),
}


@pytest.mark.parametrize("scope", ["all", "uw"])
@pytest.mark.parametrize("name", BY_TOKEN)
def test_means_over_the_tokens_of_the_batch(name: str, scope: str) -> None:
    """As released: one mean over all tokens, so a long answer counts for more."""
    world = World(9)
    settings = ObjectiveSettings(beta=B, beta2=C, scope=scope, reduction="token")
    got = OBJECTIVES[name].loss(StepScores(forget=world.tokens()), settings)
    tokens = [pair for example in world.examples(scope) for pair in example]
    assert got["forget"].item() == pytest.approx(mean(BY_TOKEN[name](p, q) for p, q in tokens), rel=1e-12)
    assert got["forget"].item() != pytest.approx(FORMULAS[name](world, scope), rel=1e-3)
    assert OBJECTIVES[name].by_token


@pytest.mark.parametrize("scope", ["all", "uw"])
def test_undial_over_the_tokens_of_the_batch(scope: str) -> None:
    world = World(10)
    z, r, y, u = (torch.cat(each) for each in (world.z, world.r, world.y, world.u))
    settings = ObjectiveSettings(beta=3.0, scope=scope, reduction="token")
    got = OBJECTIVES["undial"].loss(StepScores(forget=world.tokens(), distributions=Distributions(z, r, y)), settings)
    lowered = r - 3.0 * torch.nn.functional.one_hot(y, V)
    losses = torch.nn.functional.cross_entropy(z, lowered.softmax(1), reduction="none")
    chosen = losses if scope == "all" else losses[u]
    assert got["forget"].item() == pytest.approx(chosen.mean().item(), rel=1e-12)


@pytest.mark.parametrize("scope", ["all", "uw"])
def test_idkdpo_is_dpo_in_the_scale_of_npo(scope: str) -> None:
    """Re-expressed as released: -2/beta log sigmoid of beta times the difference of two log-ratios of sums."""
    world, ignorance = World(11), World(12)
    step = StepScores(forget=world.tokens(), preferred=ignorance.tokens())
    got = OBJECTIVES["idkdpo"].loss(step, ObjectiveSettings(beta=B, scope=scope))["forget"].item()
    nll = [
        [(-sum(math.log(p) for p, _ in e), -sum(math.log(q) for _, q in e)) for e in each]
        for each in (ignorance.examples("all"), world.examples(scope))
    ]
    ratios = [(-(won[0] - won[1])) - (-(lost[0] - lost[1])) for won, lost in zip(*nll, strict=True)]
    assert got == pytest.approx(mean(-2 / B * math.log(sigmoid(B * ratio)) for ratio in ratios), rel=1e-12)
    dpo = OBJECTIVES["dpo"].loss(step, ObjectiveSettings(beta=B, scope=scope))["forget"].item()
    assert dpo == pytest.approx(B / 2 * got, rel=1e-12)


def test_a_batch_without_a_token_in_scope_gives_no_nan_by_token() -> None:
    world = World(13)
    tokens = replace(world.tokens(), unwanted=torch.zeros(sum(LENGTHS), dtype=torch.bool))
    settings = ObjectiveSettings(beta=B, scope="uw", reduction="token")
    assert OBJECTIVES["ga"].loss(StepScores(forget=tokens), settings)["forget"].item() == 0


@pytest.mark.parametrize("scope", ["all", "uw"])
def test_altpo_prefers_the_alternate(scope: str) -> None:
    """`-(2/beta) log sigmoid(beta [log pi(alt)/ref(alt) - log pi(y)/ref(y)])`, arXiv 2409.13474."""
    world, alternate = World(14), World(15)
    step = StepScores(forget=world.tokens(), preferred=alternate.tokens())
    got = OBJECTIVES["altpo"].loss(step, ObjectiveSettings(beta=B, scope=scope))["forget"].item()
    expected = mean(
        (2 / B) * math.log(1 + (math.prod(p / q for p, q in lost) / math.prod(p / q for p, q in won)) ** B)
        for won, lost in zip(alternate.examples("all"), world.examples(scope), strict=True)
    )
    assert got == pytest.approx(expected, rel=1e-12)


def over_vocabulary(world: World, scope: str, skip: int, value) -> list[list[float]]:
    """Per example `value(logits, target)` of the tokens in scope, without the first `skip` of the answer."""
    return [
        [value(z[t].tolist(), int(y[t])) for t in range(len(y)) if t >= skip and (scope == "all" or u[t])]
        for z, y, u in zip(world.z, world.y, world.u, strict=True)
    ]


def without_target(z: list[float], y: int) -> float:
    """Cross-entropy of the softmax to itself with the target's logit at minus infinity."""
    norm = math.log(sum(math.exp(v) for v in z))
    rest = sum(math.exp(v) for k, v in enumerate(z) if k != y)
    return -sum(math.exp(v) / rest * (v - norm) for k, v in enumerate(z) if k != y)


def margin(z: list[float], _: int) -> float:
    return (max(z) - sum(z) / len(z)) ** 2


@pytest.mark.parametrize("reduction", ["sample", "token"])
@pytest.mark.parametrize("scope", ["all", "uw"])
@pytest.mark.parametrize(("name", "skip", "formula"), [("ceu", 1, without_target), ("pdu", 0, margin)])
def test_over_the_models_own_vocabulary(name: str, skip: int, formula, scope: str, reduction: str) -> None:
    world = World(16)
    d = Distributions(torch.cat(world.z), None, torch.cat(world.y))
    settings = ObjectiveSettings(skip_tokens=skip, scope=scope, reduction=reduction)
    got = OBJECTIVES[name].loss(StepScores(forget=world.tokens(), distributions=d), settings)["forget"].item()
    values = over_vocabulary(world, scope, skip, formula)
    expected = (
        mean(mean(each) for each in values) if reduction == "sample" else mean(v for each in values for v in each)
    )
    assert got == pytest.approx(expected, rel=1e-12)


def test_ceu_holds_its_teacher_constant() -> None:
    """The gradient of cross-entropy to a fixed teacher is `softmax(z) - teacher`: p at the target, less elsewhere."""
    world = World(17)
    z, y = torch.cat(world.z).requires_grad_(), torch.cat(world.y)
    step = StepScores(forget=world.tokens(), distributions=Distributions(z, None, y))
    OBJECTIVES["ceu"].loss(step, ObjectiveSettings(scope="all", reduction="token"))["forget"].backward()
    p = z.detach().softmax(1)
    of_target = p.gather(1, y[:, None])
    expected = (p - p / (1 - of_target)).scatter(1, y[:, None], of_target) / sum(LENGTHS)
    torch.testing.assert_close(z.grad, expected)
