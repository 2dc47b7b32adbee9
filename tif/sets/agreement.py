"""Agreement between annotators: Cohen's kappa, Krippendorff's alpha, and the F1 of each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from tif.errors import UsageError
from tif.sets.score import Measures, both_typed, comparable, measure, paired
from tif.spans import AnnotationSet, Example
from tif.text import words


@dataclass(frozen=True, slots=True)
class Pair:
    """Agreement of two sets."""

    a: int
    b: int
    """Positions of the two sets in the given list."""
    kappa: float | None
    """Cohen's kappa over tokens; None if it is undefined, because chance alone explains full agreement."""
    measures: Measures
    """As in `score`, with B as gold; F1 does not depend on the order."""

    def to_json(self, names: Sequence[str]) -> dict[str, object]:
        """Return plain JSON values, with the names of the sets."""
        return {"a": names[self.a], "b": names[self.b], "kappa": self.kappa, **self.measures.to_json()}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two or more sets over the examples that they share."""

    pairs: tuple[Pair, ...]
    alpha: float | None
    """Krippendorff's alpha (nominal) over tokens; None if it is undefined."""
    examples: int
    tokens: int

    def to_json(self, names: Sequence[str]) -> dict[str, object]:
        """Return plain JSON values, with the names of the sets."""
        pairs = [pair.to_json(names) for pair in self.pairs]
        return {"examples": self.examples, "tokens": self.tokens, "alpha": self.alpha, "pairs": pairs}


def agreement(sets: Sequence[AnnotationSet]) -> Agreement:
    """Measure how far two or more sets agree on which tokens are unwanted.

    A token is a run of letters, digits and underscores; it is unwanted if a span, of any label, touches it.

    Raises:
        UsageError: for fewer than two sets.
        InputError: for sets that have no example in common.
    """
    if len(sets) < 2:
        raise UsageError("agreement needs at least two sets", hint="Use `tif spans agree A B`.")
    rows: list[list[Example]] = [[example] for example in sets[0]]
    for other in sets[1:]:
        first = AnnotationSet(tuple(row[0] for row in rows))
        partner = {theirs.id: ours for ours, theirs in paired(other, first)[0]}
        rows = [[*row, partner[row[0].id]] for row in rows if row[0].id in partner]
    tags = [[_tagged(row[k]) for row in rows] for k in range(len(sets))]
    flat = [[tag for example in column for tag in example] for column in tags]
    pairs = []
    for a, b in combinations(range(len(sets)), 2):
        typed = both_typed(sets[a], sets[b])
        total = Measures()
        for row in rows:
            ours, theirs = (comparable(row[side].spans, typed=typed) for side in (a, b))
            total += measure(row[a].text, ours, theirs)
        pairs.append(Pair(a, b, cohen_kappa(flat[a], flat[b]), total))
    return Agreement(tuple(pairs), krippendorff_alpha(zip(*flat, strict=True)), len(rows), len(flat[0]))


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two coders' values for the same units (Cohen 1960): (p_o - p_e) / (1 - p_e).

    None if it is undefined: there are no units, or both coders use only one value.
    """
    if not a:
        return None
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    used_a, used_b = Counter(a), Counter(b)
    expected = sum(count * used_b[value] for value, count in used_a.items()) / n**2
    return None if expected == 1.0 else (observed - expected) / (1.0 - expected)


def krippendorff_alpha(units: Iterable[Sequence[Hashable | None]]) -> float | None:
    """Krippendorff's alpha for nominal values: 1 - D_o / D_e over the coincidence matrix (Krippendorff 2011, §C).

    Args:
        units: for each unit the coders' values; None if a coder gave none. Units with fewer than two values
            cannot show agreement and are left out.

    Returns:
        Alpha; None if it is undefined, because no unit has two values or only one value is used.
    """
    used: Counter[Hashable] = Counter()
    disagreement = 0.0
    for unit in units:
        values = Counter(value for value in unit if value is not None)
        m = values.total()
        if m < 2:
            continue
        used.update(values)
        # Ordered pairs of unequal values within the unit, each unit weighted so that a value counts once.
        disagreement += (m * m - sum(count * count for count in values.values())) / (m - 1)
    n = used.total()
    expected = n * n - sum(count * count for count in used.values())
    return 1.0 - (n - 1) * disagreement / expected if expected else None


def _tagged(example: Example) -> list[bool]:
    # Words are independent of any tokenizer, so that all sets can be compared.
    covered = {i for span in example.spans for i in range(span.start, span.end)}
    return [not covered.isdisjoint(range(*word)) for word in words(example.text)]


__all__ = ["Agreement", "Pair", "agreement", "cohen_kappa", "krippendorff_alpha"]
