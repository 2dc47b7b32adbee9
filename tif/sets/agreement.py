"""How far annotation sets agree: scores against gold, agreement between annotators, and what to look at first.

Three units, because each hides what another shows:

- **char**: alphanumeric characters that lie in a span, labels aside. Long spans weigh more; whether two spans or one
  cover the same words does not matter, nor do quotation marks and spaces.
- **span_exact**: spans with the same start, end and label.
- **span_partial**: spans that overlap one of the same label in the other set by at least one character.

Counts are summed over all examples before any ratio is taken (micro-average). Where a ratio is 0/0 it is 1 if there
was nothing to find and nothing was found, else 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tif.errors import InputError
from tif.spans import REVIEWED, AnnotationSet, Example, Span
from tif.text import words

"""Statuses that a person gave: there is nothing left to queue."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What two sides share and what only one of them has. `hits` are counted on each side: partial matches differ."""

    hits_predicted: int = 0
    predicted: int = 0
    hits_gold: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits_predicted + other.hits_predicted,
            self.predicted + other.predicted,
            self.hits_gold + other.hits_gold,
            self.gold + other.gold,
        )

    @property
    def wrong(self) -> int:
        """What one side has and the other lacks."""
        return self.predicted - self.hits_predicted + self.gold - self.hits_gold

    @property
    def precision(self) -> float:
        """Share of what was predicted that is right."""
        return _ratio(self.hits_predicted, self.predicted, empty=self.gold == 0)

    @property
    def recall(self) -> float:
        """Share of the gold that was found."""
        return _ratio(self.hits_gold, self.gold, empty=self.predicted == 0)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p + r else 0.0

    def to_json(self) -> dict[str, float]:
        """Precision, recall and F1."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True)
class Measures:
    """The three units of the module's docstring."""

    char: Counts = Counts()
    span_exact: Counts = Counts()
    span_partial: Counts = Counts()

    def __add__(self, other: Measures) -> Measures:
        return Measures(
            self.char + other.char, self.span_exact + other.span_exact, self.span_partial + other.span_partial
        )

    def to_json(self) -> dict[str, dict[str, float]]:
        """Each unit as plain JSON values."""
        return {
            "char": self.char.to_json(),
            "span_exact": self.span_exact.to_json(),
            "span_partial": self.span_partial.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """One example's measures, with the words that went wrong."""

    id: str
    measures: Measures
    missed: tuple[str, ...]
    """Gold spans that no predicted span touches."""
    spurious: tuple[str, ...]
    """Predicted spans that touch no gold span."""


@dataclass(frozen=True, slots=True)
class Score:
    """A predicted set against a gold set."""

    total: Measures
    labels: dict[str, Measures]
    examples: tuple[ExampleScore, ...]
    missing: tuple[str, ...]
    """Ids of gold examples that the predicted set lacks: not counted in anything above."""

    def worst_first(self) -> list[ExampleScore]:
        """All examples by character F1, the lowest first; among equals those with most characters wrong."""
        return sorted(self.examples, key=lambda e: (e.measures.char.f1, -e.measures.char.wrong))

    def worst(self, n: int) -> list[ExampleScore]:
        """The first of these in which a character is wrong."""
        return [example for example in self.worst_first()[:n] if example.measures.char.wrong]


def score(predicted: AnnotationSet, gold: AnnotationSet) -> Score:
    """Measure a predicted set against gold. An example whose annotation failed counts as one without spans.

    Examples are matched by id where the texts agree, else by prompt and text.

    Raises:
        InputError: if the sets have no example in common.
    """
    pairs, missing = paired(predicted, gold)
    examples, labels, total = [], dict[str, Measures](), Measures()
    for ours, theirs in pairs:
        measures = _measures(ours.text, ours.spans, theirs.spans)
        total += measures
        for label in {span.label for span in (*ours.spans, *theirs.spans)}:
            own, other = ([s for s in e.spans if s.label == label] for e in (ours, theirs))
            labels[label] = labels.get(label, Measures()) + _measures(ours.text, own, other)
        examples.append(
            ExampleScore(
                theirs.id,
                measures,
                tuple(theirs.quote(s) for s in theirs.spans if not _touched(s, ours.spans)),
                tuple(ours.quote(s) for s in ours.spans if not _touched(s, theirs.spans)),
            )
        )
    return Score(total, dict(sorted(labels.items())), tuple(examples), missing)


def paired(predicted: AnnotationSet, gold: AnnotationSet) -> tuple[list[tuple[Example, Example]], tuple[str, ...]]:
    """(predicted, gold) examples of the same text, in gold's order, and the ids of gold examples without a partner.

    Raises:
        InputError: if there is no pair at all.
    """
    by_id = predicted.by_id()
    by_text: dict[tuple[str, str], list[Example]] = {}
    for example in predicted:
        by_text.setdefault((example.prompt, example.text), []).append(example)
    pairs: list[tuple[Example, Example]] = []
    missing: list[str] = []
    for wanted in gold:
        same = by_id.get(wanted.id)
        if same is None or same.text != wanted.text:
            same = next(iter(by_text.get((wanted.prompt, wanted.text), ())), None)
        if same is None:
            missing.append(wanted.id)
        else:
            pairs.append((same, wanted))
    if not pairs:
        raise InputError("the two sets have no example in common", why="neither ids with equal texts nor texts match")
    return pairs, tuple(missing)


@dataclass(frozen=True, slots=True)
class Pair:
    """Agreement of two sets."""

    a: int
    b: int
    """Positions of the two sets in the list that was given."""
    kappa: float | None
    """Cohen's kappa over tokens; None where chance alone explains full agreement, so that it is undefined."""
    measures: Measures
    """As in `score`, with B as gold; F1 does not depend on the order."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two or more sets over the examples that all of them hold."""

    pairs: tuple[Pair, ...]
    alpha: float | None
    """Krippendorff's alpha (nominal) over tokens; None where it is undefined."""
    examples: int
    tokens: int


def agreement(sets: Sequence[AnnotationSet]) -> Agreement:
    """How far two or more sets agree on which tokens are unwanted.

    A token is a run of letters, digits and underscores; it is unwanted if a span, of any label, touches it.

    Raises:
        InputError: for fewer than two sets, or sets that have no example in common.
    """
    if len(sets) < 2:
        raise InputError("agreement needs two sets at least")
    rows: list[list[Example]] = [[example] for example in sets[0]]
    for other in sets[1:]:
        first = AnnotationSet(tuple(row[0] for row in rows))
        partner = {theirs.id: ours for ours, theirs in paired(other, first)[0]}
        rows = [[*row, partner[row[0].id]] for row in rows if row[0].id in partner]
    tags = [[_tagged(row[k]) for row in rows] for k in range(len(sets))]
    flat = [[tag for example in column for tag in example] for column in tags]
    pairs = []
    for a, b in combinations(range(len(sets)), 2):
        total = Measures()
        for row in rows:
            total += _measures(row[a].text, row[a].spans, row[b].spans)
        pairs.append(Pair(a, b, cohen_kappa(flat[a], flat[b]), total))
    return Agreement(tuple(pairs), krippendorff_alpha(zip(*flat, strict=True)), len(rows), len(flat[0]))


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two coders' values for the same units (Cohen 1960): (p_o - p_e) / (1 - p_e).

    None where it is undefined: no units, or both coders use one and the same value throughout.
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
        units: for each unit the coders' values; None where a coder gave none. Units with fewer than two values say
            nothing about agreement and are left out.

    Returns:
        Alpha; None where it is undefined, because no unit has two values or only one value is used at all.
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


@dataclass(frozen=True, slots=True)
class Queued:
    """An example that waits for review."""

    example: Example
    disagreement: float
    """1 minus the mean character F1 of all pairs of sources; 0 where there is one source only."""
    lowest: float | None
    """The lowest score of its spans; None where no span has one."""


def queue(sets: Sequence[AnnotationSet]) -> list[Queued]:
    """The first set's unreviewed examples, in the order in which review pays: most disagreement, then lowest score.

    With several sets each one is a source; with one set, the sources that its spans name. Among equals those come
    first that failed, conflict, or say in `error` what could not be placed.
    """
    others = [{theirs.id: ours for ours, theirs in paired(other, sets[0])[0]} for other in sets[1:]]
    waiting = []
    for example in sets[0]:
        if example.status in REVIEWED:
            continue
        if others:
            votes = [example.spans, *(other[example.id].spans for other in others if example.id in other)]
        else:
            sources = sorted({span.source for span in example.spans})
            votes = [tuple(s for s in example.spans if s.source == source) for source in sources]
        scores = [span.score for span in example.spans if span.score is not None]
        waiting.append(Queued(example, _disagreement(example.text, votes), min(scores, default=None)))
    return sorted(
        waiting,
        key=lambda q: (
            -q.disagreement,
            q.example.status == "auto" and not q.example.error,
            1.0 if q.lowest is None else q.lowest,
        ),
    )


def _disagreement(text: str, votes: Sequence[Sequence[Span]]) -> float:
    f1 = [_measures(text, a, b).char.f1 for a, b in combinations(votes, 2)]
    return 1.0 - sum(f1) / len(f1) if f1 else 0.0


def _measures(text: str, predicted: Sequence[Span], gold: Sequence[Span]) -> Measures:
    ours, theirs = _characters(text, predicted), _characters(text, gold)
    same = len({(s.start, s.end, s.label) for s in predicted} & {(s.start, s.end, s.label) for s in gold})
    return Measures(
        Counts(len(ours & theirs), len(ours), len(ours & theirs), len(theirs)),
        Counts(same, len(predicted), same, len(gold)),
        Counts(
            sum(_touched(s, gold) for s in predicted),
            len(predicted),
            sum(_touched(s, predicted) for s in gold),
            len(gold),
        ),
    )


def _characters(text: str, spans: Iterable[Span]) -> set[int]:
    return {i for span in spans for i in range(span.start, span.end) if text[i].isalnum()}


def _touched(span: Span, others: Iterable[Span]) -> bool:
    return any(span.label == other.label and span.overlaps(other) for other in others)


def _tagged(example: Example) -> list[bool]:
    # Words without any model's tokenizer, so that sets from anywhere can be compared.
    covered = {i for span in example.spans for i in range(span.start, span.end)}
    return [not covered.isdisjoint(range(*word)) for word in words(example.text)]


def _ratio(part: int, whole: int, *, empty: bool) -> float:
    return part / whole if whole else float(empty)


def to_json(result: Score) -> dict[str, Any]:
    """A score as plain JSON values."""
    return {
        **result.total.to_json(),
        "examples": len(result.examples),
        "missing": len(result.missing),
        "labels": {label: measures.to_json() for label, measures in result.labels.items()},
        "by_example": [
            {
                "id": example.id,
                **example.measures.to_json(),
                "missed": list(example.missed),
                "spurious": list(example.spurious),
            }
            for example in result.worst_first()
        ],
    }


__all__ = [
    "Agreement",
    "Counts",
    "ExampleScore",
    "Measures",
    "Pair",
    "Queued",
    "Score",
    "agreement",
    "cohen_kappa",
    "krippendorff_alpha",
    "paired",
    "queue",
    "score",
    "to_json",
]
