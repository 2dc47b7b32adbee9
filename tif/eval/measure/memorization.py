"""Verbatim memorization of a text, computed from the ranks that `score` saves.

Sources: extraction strength, Carlini et al. (arXiv 2012.07805) as in open-unlearning's `memorization.py`; exact
memorization, Tirumala et al. (arXiv 2205.10770). Both leave out the end token, as open-unlearning does.
"""

from __future__ import annotations

import numpy as np

from tif.eval.measure.score import Scored


def exact_memorization(scored: Scored) -> float:
    """Return the share of tokens that greedy decoding predicts, given all tokens before; NaN without tokens."""
    hits = scored.without_end().rank == 0
    return float(hits.mean()) if len(hits) else float("nan")


def extraction_strength(scored: Scored, *, floor: bool = True) -> float:
    """Return 1 - k/n, with the smallest k from which greedy decoding predicts the rest; NaN without tokens.

    Args:
        scored: a text of n tokens, not counting its end token.
        floor: return at least 1/n, because open-unlearning's loop stops at k = n - 1. False returns 0 if the last token
            is wrong.
    """
    hits = scored.without_end().rank == 0
    n = len(hits)
    if n == 0:
        return float("nan")
    wrong = np.flatnonzero(~hits)
    k = int(wrong[-1]) + 1 if len(wrong) else 0
    return 1 - (min(k, n - 1) if floor else k) / n


__all__ = ["exact_memorization", "extraction_strength"]
