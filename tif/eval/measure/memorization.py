"""How much of a text is in the model verbatim: numpy over the ranks that `score` saved.

Sources: extraction strength, Carlini et al. (arXiv 2012.07805) as in open-unlearning's `memorization.py`; exact
memorization, Tirumala et al. (arXiv 2205.10770). Both leave the end token out, as open-unlearning does.
"""

from __future__ import annotations

import numpy as np

from tif.eval.measure.score import Scored


def exact_memorization(scored: Scored) -> float:
    """Share of the text's tokens that greedy decoding would say, given all before; NaN for no tokens."""
    hits = scored.without_end().rank == 0
    return float(hits.mean()) if len(hits) else float("nan")


def extraction_strength(scored: Scored, *, floor: bool = True) -> float:
    """1 - k/n, where greedy decoding from token k on says the rest of the text; NaN for no tokens.

    Args:
        scored: a text of n tokens without its end token.
        floor: open-unlearning's loop stops at k = n - 1, so that its result is never below 1/n. False gives 0 for a
            text whose very last token is wrong.
    """
    hits = scored.without_end().rank == 0
    n = len(hits)
    if n == 0:
        return float("nan")
    wrong = np.flatnonzero(~hits)
    k = int(wrong[-1]) + 1 if len(wrong) else 0
    return 1 - (min(k, n - 1) if floor else k) / n


__all__ = ["exact_memorization", "extraction_strength"]
