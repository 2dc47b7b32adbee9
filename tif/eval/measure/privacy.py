"""Membership inference: was this text in the training data? Numpy over what `score` saved, save for `gradnorm`.

Every attack gives a score that is *low for members*, so that the area under the curve with holdout texts as the
positive class is 1 where the forget set is clearly recognised, as in open-unlearning's `mia/utils.py`.
Like there, the end token is left out.
Sources: loss, Yeom et al. (arXiv 1709.01604); zlib and reference, Carlini et al. (arXiv 2012.07805); min-k, Shi et al.
(arXiv 2310.16789); min-k++, Zhang et al. (arXiv 2404.02936); PrivLeak, MUSE (arXiv 2407.06460).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from tif.eval.measure.score import Scored
from tif.spans import Example
from tif.tokens.encoding import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FRACTION: Final = 0.4
"""Share of the least likely tokens that min-k looks at."""


def loss(scored: Scored) -> float:
    """Mean negative log-probability."""
    return scored.without_end().loss


def zlib_ratio(scored: Scored, text: str) -> float:
    """Loss / length of the compressed text: what is easy for every compressor counts for less."""
    return loss(scored) / len(zlib.compress(text.encode()))


def min_k(scored: Scored, fraction: float = FRACTION) -> float:
    """Minus the mean of the lowest `fraction` of log-probabilities; NaN for no tokens."""
    return _lowest(scored.without_end().logprob, fraction)


def min_k_plus_plus(scored: Scored, fraction: float = FRACTION) -> float:
    """`min_k` of (log p - mean) / standard deviation, both over the vocabulary at that position."""
    some = scored.without_end()
    deviation = np.sqrt(np.maximum(some.variance.astype(np.float64), 1e-6))
    return _lowest((some.logprob.astype(np.float64) - some.mean) / deviation, fraction)


def reference(scored: Scored, base: Scored) -> float:
    """Loss under the model - loss under a reference model that never saw the text."""
    return loss(scored) - loss(base)


def gradnorm(model: PreTrainedModel, encoder: Encoder, example: Example) -> float:
    """Mean over parameters of the 2-norm of the loss's gradient on this one text (open-unlearning's `gradnorm.py`).

    Args:
        model: a causal language model.
        encoder: how the text becomes a token sequence.
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


def attacks(scores: Sequence[Scored], texts: Sequence[str]) -> dict[str, list[float]]:
    """Every attack that needs nothing but the scores, one value a text."""
    return {
        "loss": [loss(s) for s in scores],
        "zlib": [zlib_ratio(s, t) for s, t in zip(scores, texts, strict=True)],
        "min_k": [min_k(s) for s in scores],
        "min_k_plus_plus": [min_k_plus_plus(s) for s in scores],
    }


def auc(forget: ArrayLike, holdout: ArrayLike) -> float | None:
    """How well the attack tells forget from holdout: 1 clearly a member, 0.5 a guess, 0 suspiciously unlikely.

    NaN is a text that is too short for the attack, and left out; None if that leaves none on either side.
    """
    from sklearn.metrics import roc_auc_score

    low, high = (x[~np.isnan(x)] for x in (np.asarray(some, dtype=np.float64) for some in (forget, holdout)))
    if not len(low) or not len(high):
        return None
    labels = np.r_[np.zeros(len(low)), np.ones(len(high))]
    return float(roc_auc_score(labels, np.r_[low, high]))


def privleak(area: float, retain_area: float = 0.5) -> float:
    """100 x ((1 - auc) - (1 - auc_retain)) / (1 - auc_retain): 0 is indistinguishable from a model never trained on
    the texts, negative is too little forgotten, positive too much.

    Args:
        area: AUC of min-k on the unlearned model.
        retain_area: the same on the retain model; MUSE's default of 0.5 stands for one that cannot tell.
    """
    return 100 * ((1 - area) - (1 - retain_area)) / (1 - retain_area)


def _lowest(values: ArrayLike, fraction: float) -> float:
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not len(ordered):
        return float("nan")
    return -float(ordered[: max(1, int(len(ordered) * fraction))].mean())


__all__ = ["attacks", "auc", "gradnorm", "loss", "min_k", "min_k_plus_plus", "privleak", "reference", "zlib_ratio"]
