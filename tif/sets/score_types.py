"""Recall by entity type, and the people of whom something is left.

A prediction needs no types for this: a gold value counts as found where any span covers it. An address without its
house number is still an address, and an SSN without three digits is not safe. So values found whole are counted too.
A person is safe only if every value about them is found whole (as TAB counts entities).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tif.entities import KINDS, Kind, entity_type
from tif.spans import Example, Span

Pair = tuple[Example, Example]
"""A predicted and a gold example of one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeScore:
    """The gold values of one type. All counts concern letters and digits only."""

    label: str
    values: int = 0
    whole: int = 0
    """Values with every character inside a predicted span of any type."""
    touched: int = 0
    """Values with at least one character inside."""
    characters: int = 0
    found: int = 0
    """Characters inside a predicted span of any type."""
    agreed: int = 0
    """Characters inside a predicted span of the same type."""

    def __add__(self, other: TypeScore) -> TypeScore:
        return TypeScore(
            label=self.label,
            values=self.values + other.values,
            whole=self.whole + other.whole,
            touched=self.touched + other.touched,
            characters=self.characters + other.characters,
            found=self.found + other.found,
            agreed=self.agreed + other.agreed,
        )

    @property
    def kind(self) -> Kind | None:
        """How much the type identifies; None for an unknown type."""
        type_ = entity_type(self.label)
        return KINDS[type_] if type_ is not None else None

    @property
    def recall(self) -> float:
        """Share of the characters that are found."""
        return self.found / self.characters if self.characters else 1.0

    @property
    def whole_share(self) -> float:
        """Share of the values that are found whole."""
        return self.whole / self.values if self.values else 1.0

    @property
    def typed_recall(self) -> float:
        """Share of the characters that are found and have the right type."""
        return self.agreed / self.characters if self.characters else 1.0

    def to_json(self, *, typed: bool) -> dict[str, object]:
        """Return plain JSON values. `typed`: whether the prediction has types."""
        return {
            "kind": self.kind,
            "values": self.values,
            "whole": self.whole,
            "touched": self.touched,
            "recall": self.recall,
            "whole_share": self.whole_share,
            "typed_recall": self.typed_recall if typed else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How many people have something left. A person is a subject that gold names, else a document."""

    by: str
    """`subject` or `document`."""
    people: int
    """People with at least one gold value."""
    left: int
    """People with a value that is not found whole."""
    direct: int
    """People with such a value of a direct type, which identifies alone."""
    worst: tuple[tuple[str, int], ...] = ()
    """The people with most values left, and how many."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        worst = [{"id": id_, "left": count} for id_, count in self.worst]
        return {"by": self.by, "people": self.people, "left": self.left, "direct": self.direct, "worst": worst}

    @property
    def line(self) -> str:
        """The counts as a sentence."""
        noun = "people" if self.by == "subject" else "documents"
        line = f"{self.left} of {self.people} {noun} have a value that is not found whole"
        return f"{line}; in {self.direct} of them, it identifies a person by itself" if self.left else line


def by_type(pairs: Iterable[Pair]) -> tuple[TypeScore, ...]:
    """Return the scores of each gold label, sorted by label."""
    scores: dict[str, TypeScore] = {}
    for predicted, gold in pairs:
        covered = _characters(predicted.text, predicted.spans)
        of_type: dict[str, set[int]] = {}
        for span in predicted.spans:
            of_type.setdefault(_type(span.label), set()).update(_characters(predicted.text, [span]))
        for span in gold.spans:
            value = _characters(gold.text, [span])
            found = len(value & covered)
            one = TypeScore(
                label=span.label,
                values=1,
                whole=int(found == len(value)),
                touched=int(found > 0 or not value),
                characters=len(value),
                found=found,
                agreed=len(value & of_type.get(_type(span.label), set())),
            )
            scores[span.label] = scores[span.label] + one if span.label in scores else one
    return tuple(scores[label] for label in sorted(scores))


def people(pairs: Iterable[Pair], subjects: Mapping[str, str] | None = None, worst: int = 5) -> People:
    """Count the people of whom something is left.

    Args:
        pairs: predicted and gold examples.
        subjects: the person of each gold example, by id; without it, each document is a person.
        worst: the number of people to name.
    """
    left: dict[str, int] = {}
    direct: set[str] = set()
    for predicted, gold in pairs:
        who = (subjects or {}).get(gold.id, gold.id)
        covered = _characters(predicted.text, predicted.spans)
        for span in gold.spans:
            left.setdefault(who, 0)
            if _characters(gold.text, [span]) <= covered:
                continue
            left[who] += 1
            type_ = entity_type(span.label)
            if type_ is not None and KINDS[type_] == "direct":
                direct.add(who)
    most = sorted((count, who) for who, count in left.items() if count)
    return People(
        by="subject" if subjects else "document",
        people=len(left),
        left=len(most),
        direct=len(direct),
        worst=tuple((who, count) for count, who in sorted(most, key=lambda each: (-each[0], each[1]))[:worst]),
    )


def _type(label: str) -> str:
    return entity_type(label) or label


def _characters(text: str, spans: Sequence[Span]) -> set[int]:
    return {at for span in spans for at in range(span.start, span.end) if text[at].isalnum()}


__all__ = ["People", "TypeScore", "by_type", "people"]
