"""Membership inference: was this text in the training data? All attacks but `gradnorm` use saved scores alone.

Every attack gives a score that is *low for members*. Holdout texts are the positive class of the AUC, so 1 means that
the attack clearly recognises the forget set. This and the missing end token follow open-unlearning's `mia/utils.py`.
Sources: loss, Yeom et al. (arXiv 1709.01604); zlib and reference, Carlini et al. (arXiv 2012.07805); min-k, Shi et al.
(arXiv 2310.16789); min-k++, Zhang et al. (arXiv 2404.02936); PrivLeak, MUSE (arXiv 2407.06460).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from tif.eval.measure.score import Scored
from tif.eval.settings import Corpus
from tif.spans import Example
from tif.tokens.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MUSE_RETAIN_AREA: Final[Mapping[Corpus, float]] = {"news": 1 - 0.4772, "books": 1 - 0.5393}
"""AUC of min-k on MUSE's own retain models (Llama 2 7B), by corpus.

MUSE's `constants.py` has 0.4772 and 0.5393. Its AUC is the other way round: 0 clearly a member.
"""

FRACTION: Final = 0.4
"""Share of tokens, the least likely first, that min-k averages over."""


_Z: Final = 1.96
"""Standard errors on both sides of a 95% interval."""


def loss(scored: Scored, *, end_token: bool = False) -> float:
    """Return the mean negative log-probability, with the end token if `end_token`."""
    return scored.loss if end_token else scored.without_end().loss


def zlib_ratio(scored: Scored, text: str, *, end_token: bool = False) -> float:
    """Return the loss divided by the compressed length in bytes. It discounts texts that are easy to compress.

    Only the text up to the last scored token counts, because the loss of a long text is that of its first window.
    """
    tokens = scored.without_end()
    end = int(tokens.end.max()) if len(tokens) else len(text)
    return loss(scored, end_token=end_token) / len(zlib.compress(text[:end].encode()))


def min_k(scored: Scored, fraction: float = FRACTION) -> float:
    """Return minus the mean of the lowest `fraction` of log-probabilities; NaN without tokens."""
    return _lowest(scored.without_end().logprob, fraction)


def min_k_plus_plus(scored: Scored, fraction: float = FRACTION) -> float:
    """Return `min_k` of (log p - mean) / standard deviation, both over the vocabulary at that position."""
    tokens = scored.without_end()
    deviation = np.sqrt(np.maximum(tokens.variance.astype(np.float64), 1e-6))
    return _lowest((tokens.logprob.astype(np.float64) - tokens.mean) / deviation, fraction)


def reference(scored: Scored, base: Scored, *, end_token: bool = False) -> float:
    """Return the loss under the model minus the loss under a base model, which never saw the text."""
    return loss(scored, end_token=end_token) - loss(base, end_token=end_token)


def gradnorm(model: PreTrainedModel, encoder: Encoder, example: Example) -> float:
    """Return the mean over parameters of the gradient's 2-norm on one text (open-unlearning's `gradnorm.py`).

    Args:
        model: a causal language model.
        encoder: turns the text into tokens.
        example: the text.
    """
    from tif.tokens.forward import statistics
    from tif.tokens.packing import pack

    packed = pack([encoder.encode(example).text_only()]).to(model.device)
    model.zero_grad(set_to_none=True)
    (-statistics(model, packed).logprob.mean()).backward()  # type: ignore[no-untyped-call]
    norms = [float(p.grad.float().norm()) for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return float(np.mean(norms))


def attacks(scores: Sequence[Scored], texts: Sequence[str], *, end_token: bool = False) -> dict[str, list[float]]:
    """Return one value per text for every attack that needs only the scores.

    Args:
        scores: of the texts.
        texts: the texts.
        end_token: keep the end token in loss and zlib, as open-unlearning does on TOFU. min-k and min-k++ drop it.
    """
    return {
        "loss": [loss(s, end_token=end_token) for s in scores],
        "zlib": [zlib_ratio(s, t, end_token=end_token) for s, t in zip(scores, texts, strict=True)],
        "min_k": [min_k(s) for s in scores],
        "min_k_plus_plus": [min_k_plus_plus(s) for s in scores],
    }


def auc(forget: ArrayLike, holdout: ArrayLike) -> float | None:
    """Return the AUC that separates forget from holdout: 1 clearly a member, 0.5 a guess, 0 suspiciously unlikely.

    A text that is too short for the attack has NaN and is left out. None if one side has no other text.
    """
    from sklearn.metrics import roc_auc_score

    low, high = (x[~np.isnan(x)] for x in (np.asarray(side, dtype=np.float64) for side in (forget, holdout)))
    if not len(low) or not len(high):
        return None
    labels = np.r_[np.zeros(len(low)), np.ones(len(high))]
    return float(roc_auc_score(labels, np.r_[low, high]))


def auc_interval(area: float, members: int, others: int) -> tuple[float, float]:
    """Return the 95% interval of an AUC, from its value and the numbers of texts alone.

    Method 5 of Newcombe (Statistics in Medicine 25, 2006, 559-573): those areas A of which `area` is at most 1.96
    standard errors away, with the variance of Hanley and McNeil (1982) at A. Unlike a bootstrap, it has a width at 0
    and 1.

    Args:
        area: AUC, 0..1.
        members: number of texts of one side.
        others: number of texts of the other side.

    Raises:
        ValueError: without texts.
    """
    if min(members, others) < 1:
        raise ValueError("an interval needs texts on both sides")
    more = (members + others) / 2 - 1

    def inside(a: float) -> bool:
        spread = a * (1 - a) * (1 + more * ((1 - a) / (2 - a) + a / (1 + a))) / (members * others)
        return (area - a) ** 2 <= _Z**2 * spread

    return _edge(area, 0.0, inside), _edge(area, 1.0, inside)


def _edge(start: float, end: float, inside: Callable[[float], bool]) -> float:
    """Return the last value between `start` and `end` that is inside, by bisection."""
    for _ in range(50):
        middle = (start + end) / 2
        start, end = (middle, end) if inside(middle) else (start, middle)
    return start


def privleak(area: float, retain_area: float = 0.5) -> float:
    """Return 100 x ((1 - auc) - (1 - auc_retain)) / (1 - auc_retain).

    0: like a model that never saw the texts. Negative: forgets too little. Positive: forgets too much.

    Args:
        area: AUC of min-k on the unlearned model.
        retain_area: AUC of min-k on the retain model. 0.5, open-unlearning's default, means that min-k can only guess.
    """
    return 100 * ((1 - area) - (1 - retain_area)) / (1 - retain_area)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainArea:
    """The AUC of min-k on a retain model, and the texts that it is of."""

    area: float | None
    """None if no text is long enough."""
    texts_sha256: str | None = None
    """Digest of the texts, from a log of tif."""
    texts: Mapping[str, int] = field(default_factory=dict)
    """Number of forget and holdout texts, from a log of open-unlearning."""
    named: bool = True
    """False for a log of open-unlearning, which does not name its texts."""


def _lowest(values: ArrayLike, fraction: float) -> float:
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        return float("nan")
    return -float(ordered[: max(1, int(len(ordered) * fraction))].mean())


__all__ = [
    "MUSE_RETAIN_AREA",
    "RetainArea",
    "attacks",
    "auc",
    "auc_interval",
    "gradnorm",
    "loss",
    "min_k",
    "min_k_plus_plus",
    "privleak",
    "reference",
    "zlib_ratio",
]
