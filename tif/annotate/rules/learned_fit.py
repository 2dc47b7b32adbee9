"""Logistic regression that starts from given log-odds and departs from them only where the examples require it.

The log-odds of a word are `prior + x @ w`. With few examples, the penalty `strength / 2 * |w|^2` keeps `w` near 0, and
so keeps the prior. This is the maximum a posteriori estimate under a normal prior centred on the rules' decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy import ndarray
    from scipy.sparse import csr_matrix

STRENGTHS: Final = (3.0, 10.0, 30.0)
"""Penalties that cross-validation compares. The alternative is no weights: the rules alone decide."""

FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Table:
    """Words of annotated examples, one a row; n rows, d features."""

    x: csr_matrix
    """Features [n, d]."""
    prior: ndarray[Any, Any]
    """Log-odds before learning, minus the threshold for marking a word [n]."""
    weight: ndarray[Any, Any]
    """Number of letters and digits of each word [n], which character F1 counts."""
    marked: ndarray[Any, Any]
    """Whether people marked the word [n], bool."""
    example: ndarray[Any, Any]
    """Number of the word's example [n], from 0 without gaps."""

    def of(self, rows: ndarray[Any, Any]) -> Table:
        """Return the rows of a boolean mask [n]."""
        return Table(
            x=self.x[rows],
            prior=self.prior[rows],
            weight=self.weight[rows],
            marked=self.marked[rows],
            example=self.example[rows],
        )


def learn(table: Table, offset: float) -> ndarray[Any, Any] | None:
    """Return the weights [d] of the penalty that cross-validation selects; None if no penalty improves on the rules.

    Examples go to five folds in turn. On held-out folds, a penalty must exceed the rules' character F1 by more than the
    standard error of its gain. On few examples, a smaller gain is mostly chance.

    Args:
        table: at least one example.
        offset: log-odds above which a word is marked.
    """
    import numpy as np

    examples = int(table.example.max()) + 1
    folds = min(FOLDS, examples)
    if folds < 2:
        return None
    gains: dict[float, list[float]] = {strength: [] for strength in STRENGTHS}
    for fold in range(folds):
        held = table.example % folds == fold
        seen, unseen = table.of(~held), table.of(held)
        rules = _f1(unseen.prior > 0, unseen)
        for strength in STRENGTHS:
            weights = fit(seen, offset, strength)
            gains[strength].append(_f1(unseen.prior + unseen.x @ weights > 0, unseen) - rules)
    best = max(STRENGTHS, key=lambda strength: sum(gains[strength]))
    error = float(np.std(gains[best], ddof=1)) / folds**0.5
    return fit(table, offset, best) if float(np.mean(gains[best])) > error else None


def fit(table: Table, offset: float, strength: float) -> ndarray[Any, Any]:
    """Return the weights [d] that minimise the penalised, word-weighted log loss. It is convex, so any start works."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    share = table.weight / table.weight.mean()
    marked = table.marked.astype(float)

    def loss(w: ndarray[Any, Any]) -> tuple[float, ndarray[Any, Any]]:
        z = offset + table.prior + table.x @ w
        value = float((share * (np.logaddexp(0, z) - marked * z)).sum() + strength / 2 * (w @ w))
        return value, table.x.T @ (share * (expit(z) - marked)) + strength * w

    start = np.zeros(table.x.shape[1])
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def _f1(chosen: ndarray[Any, Any], table: Table) -> float:
    """Return the character F1; 1 if no word is marked and none is chosen."""
    both = float((table.weight * (chosen & table.marked)).sum())
    either = float((table.weight * chosen).sum() + (table.weight * table.marked).sum())
    return 2 * both / either if either else 1.0


__all__ = ["FOLDS", "STRENGTHS", "Table", "fit", "learn"]
