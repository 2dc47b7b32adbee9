"""Spans measured against gold: precision, recall, F1 and F2, and recall by entity type.

There are three units, because each shows something that the others hide:

- **char**: alphanumeric characters inside a span of any label. Long spans weigh more. Quotation marks and spaces do not
  count, nor does it matter whether one span or two cover the same words.
- **span_exact**: spans with the same start, end and label.
- **span_partial**: spans that overlap a span of the same label in the other set by at least one character.

Labels of different vocabularies are compared by their canonical type (`tif.entities`). If one set has no types, only
`UW`, labels do not count.

Counts are summed over all examples before any ratio is taken (micro-average). A ratio of 0/0 is 1 if the other set has
no spans either, else 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tif.entities import label_of
from tif.errors import InputError
from tif.sets.overlaps import Overlaps, OverlapsByLabel
from tif.sets.score_types import People, TypeScore, by_type, people
from tif.spans import UW, AnnotationSet, Example, Span


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts and matches of two sides. Matches are counted on each side, because partial matches differ."""

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
        """Number of items without a match, on both sides."""
        return self.predicted - self.hits_predicted + self.gold - self.hits_gold

    @property
    def precision(self) -> float:
        """Share of the predicted items that match gold."""
        return _ratio(self.hits_predicted, self.predicted, empty=self.gold == 0)

    @property
    def recall(self) -> float:
        """Share of the gold items that the prediction matches."""
        return _ratio(self.hits_gold, self.gold, empty=self.predicted == 0)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        p, r = self.precision, self.recall
        return 2 * p * r / (p + r) if p + r else 0.0

    @property
    def f2(self) -> float:
        """Mean of precision and recall in which recall weighs more: 5PR / (4P + R). A missed value is worse."""
        p, r = self.precision, self.recall
        return 5 * p * r / (4 * p + r) if p + r else 0.0

    def to_json(self) -> dict[str, float]:
        """Return precision, recall, F1 and F2."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "f2": self.f2}


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
        """Return each unit as plain JSON values."""
        return {
            "char": self.char.to_json(),
            "span_exact": self.span_exact.to_json(),
            "span_partial": self.span_partial.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ExampleScore:
    """One example's measures, with its missed and spurious words."""

    id: str
    measures: Measures
    missed: tuple[str, ...]
    """Gold spans that no predicted span touches."""
    spurious: tuple[str, ...]
    """Predicted spans that touch no gold span."""
    missed_in_part: tuple[str, ...] = ()
    """Gold spans that predicted spans touch, but do not cover."""
    too_long: tuple[str, ...] = ()
    """Predicted spans that touch gold spans, but are not covered by them."""
    pair: tuple[Example, Example] | None = None
    """The predicted and the gold example."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        missed, spurious = list(self.missed), list(self.spurious)
        partly = {"missed_in_part": list(self.missed_in_part), "too_long": list(self.too_long)}
        return {"id": self.id, **self.measures.to_json(), "missed": missed, "spurious": spurious, **partly}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Measures of a predicted set against a gold set."""

    total: Measures
    labels: dict[str, Measures]
    examples: tuple[ExampleScore, ...]
    types: tuple[TypeScore, ...]
    """Recall of each gold label, whatever the predicted labels."""
    people: People
    typed: bool
    """Whether both sets have types."""
    missing: tuple[str, ...]
    """Ids of gold examples missing in the predicted set; the measures leave them out."""

    def worst_first(self) -> list[ExampleScore]:
        """Return all examples by character F1, lowest first; among equals, most wrong characters first."""
        return sorted(self.examples, key=lambda e: (e.measures.char.f1, -e.measures.char.wrong))

    def worst(self, n: int) -> list[ExampleScore]:
        """Return the `n` worst examples, without those that have no wrong character."""
        return [example for example in self.worst_first()[:n] if example.measures.char.wrong]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            **self.total.to_json(),
            "examples": len(self.examples),
            "missing": len(self.missing),
            "types": {one.label: one.to_json(typed=self.typed) for one in self.types},
            "people": self.people.to_json(),
            "labels": {label: measures.to_json() for label, measures in self.labels.items()},
            "by_example": [example.to_json() for example in self.worst_first()],
        }


def score(predicted: AnnotationSet, gold: AnnotationSet, subjects: Mapping[str, str] | None = None) -> Score:
    """Measure a predicted set against gold. A failed example counts as one without spans.

    Examples are matched by id if their texts agree, else by prompt and text.

    Args:
        predicted: the spans to measure.
        gold: the right spans.
        subjects: the person that each gold example is about, by id.

    Raises:
        InputError: if the sets have no example in common.
    """
    pairs, missing = paired(predicted, gold)
    typed = both_typed(predicted, gold)
    examples, labels, total = [], dict[str, Measures](), Measures()
    for ours, theirs in pairs:
        marked, wanted = comparable(ours.spans, typed=typed), comparable(theirs.spans, typed=typed)
        measures = measure(ours.text, marked, wanted)
        total += measures
        own, other = _by_label(ours), _by_label(theirs)
        for label in own.keys() | other.keys():
            one = measure(ours.text, own.get(label, ()), other.get(label, ()))
            labels[label] = labels.get(label, Measures()) + one
        at_ours, at_theirs = OverlapsByLabel(marked), OverlapsByLabel(wanted)
        any_ours, any_theirs = Overlaps(marked), Overlaps(wanted)
        examples.append(
            ExampleScore(
                theirs.id,
                measures,
                tuple(theirs.quote(s) for s in wanted if not at_ours.of(s)),
                tuple(ours.quote(s) for s in marked if not at_theirs.of(s)),
                tuple(theirs.quote(s) for s in wanted if at_ours.of(s) and not _covered(theirs.text, s, any_ours)),
                tuple(ours.quote(s) for s in marked if at_theirs.of(s) and not _covered(ours.text, s, any_theirs)),
                (ours, theirs),
            )
        )
    return Score(
        total=total,
        labels=dict(sorted(labels.items())),
        examples=tuple(examples),
        types=by_type(pairs),
        people=people(pairs, subjects),
        typed=typed,
        missing=missing,
    )


def _covered(text: str, span: Span, others: Overlaps) -> bool:
    """Whether each letter and digit of a span is inside one of the others."""
    here = others.at(span.start, span.end)
    inside = {at for other in here for at in range(max(span.start, other.start), min(span.end, other.end))}
    return all(at in inside for at in range(span.start, span.end) if text[at].isalnum())


def both_typed(*sets: AnnotationSet) -> bool:
    """Whether every set has types: a label besides `UW`."""
    return all(set(one.labels) - {UW} for one in sets)


def comparable(spans: Iterable[Span], *, typed: bool) -> tuple[Span, ...]:
    """Return spans with canonical labels; with the label UW if types do not count."""
    return tuple(replace(span, label=label_of(span.label) if typed else UW) for span in spans)


def paired(predicted: AnnotationSet, gold: AnnotationSet) -> tuple[list[tuple[Example, Example]], tuple[str, ...]]:
    """Pair predicted and gold examples of one text, in gold's order, and the ids of gold examples without a partner.

    Raises:
        InputError: if there is no pair.
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


def measure(text: str, predicted: Sequence[Span], gold: Sequence[Span]) -> Measures:
    """Measure one text in the three units."""
    ours, theirs = _characters(text, predicted), _characters(text, gold)
    at_ours, at_theirs = OverlapsByLabel(predicted), OverlapsByLabel(gold)
    same = len({s.key for s in predicted} & {s.key for s in gold})
    return Measures(
        Counts(len(ours & theirs), len(ours), len(ours & theirs), len(theirs)),
        Counts(same, len(predicted), same, len(gold)),
        Counts(
            sum(bool(at_theirs.of(s)) for s in predicted),
            len(predicted),
            sum(bool(at_ours.of(s)) for s in gold),
            len(gold),
        ),
    )


def _characters(text: str, spans: Iterable[Span]) -> set[int]:
    return {i for span in spans for i in range(span.start, span.end) if text[i].isalnum()}


def _by_label(example: Example) -> dict[str, list[Span]]:
    groups: dict[str, list[Span]] = {}
    for span in example.spans:
        groups.setdefault(span.label, []).append(span)
    return groups


def _ratio(part: int, all_: int, *, empty: bool) -> float:
    return part / all_ if all_ else float(empty)


__all__ = ["Counts", "ExampleScore", "Measures", "Score", "both_typed", "comparable", "measure", "paired", "score"]
