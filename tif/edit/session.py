"""The state of a correction: a card for each touched record, moved on by events. Pure: it knows no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tif.errors import InputError
from tif.spans import REVIEWED, UNDECIDED, AnnotationSet, Example, SavedSet, Span


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a record: what a line of the journal says."""

    id: str
    op: str
    """`put`, `undo`, `redo`, `flag`, `unflag` or `skip`."""
    example: Example | None = None
    """For `put`: the record afterwards."""
    why: str = ""
    """For `put`: the op of `edits` that led to it, or how a conflict was settled."""
    by: str = ""
    at: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. Prompt and text are the base version's, and not repeated."""
        row: dict[str, Any] = {"id": self.id, "op": self.op, "by": self.by, "at": self.at}
        if self.example is not None:
            e = self.example
            row |= {"why": self.why, "status": e.status, "error": e.error}
            row["spans"] = [[s.start, s.end, s.label, s.source, s.score] for s in e.spans]
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any], base: Mapping[str, Example]) -> Event:
        """The event that a row of the journal says.

        Raises:
            InputError: for a row that is none, or belongs to another set.
        """
        try:
            old = base[row["id"]]
            example = None
            if row["op"] == "put":
                spans = tuple(Span(*span) for span in row["spans"])
                example = replace(old, spans=spans, status=row["status"], error=row["error"])
            return cls(old.id, row["op"], example, row.get("why", ""), row["by"], row["at"])
        except (KeyError, TypeError) as error:
            raise InputError(f"not an edit of this set: {type(error).__name__} {error}") from None


@dataclass(frozen=True, slots=True)
class Card:
    """One record under correction."""

    states: tuple[Example, ...]
    """What the record was at each `rev`; the last one is what it is. Revs only grow: undo makes a new one."""
    past: tuple[Example, ...] = ()
    future: tuple[Example, ...] = ()
    flagged: bool = False
    skipped: bool = False

    @property
    def rev(self) -> int:
        """Number of the present state."""
        return len(self.states) - 1

    @property
    def example(self) -> Example:
        """The present state."""
        return self.states[-1]

    def after(self, event: Event) -> Card:
        """The card once the event has happened.

        Raises:
            InputError: for an undo or redo of nothing.
        """
        now = self.example
        match event.op:
            case "put":
                assert event.example is not None
                return replace(
                    self, states=(*self.states, event.example), past=(*self.past, now), future=(), skipped=False
                )
            case "undo" if self.past:
                states, future = (*self.states, self.past[-1]), (*self.future, now)
                return replace(self, states=states, past=self.past[:-1], future=future)
            case "redo" if self.future:
                states, past = (*self.states, self.future[-1]), (*self.past, now)
                return replace(self, states=states, past=past, future=self.future[:-1])
            case "flag" | "unflag":
                return replace(self, flagged=event.op == "flag")
            case "skip":
                return replace(self, skipped=True)
        raise InputError(f"nothing to {event.op[:40]}", where=f"record {self.example.id!r}")


class Session:
    """All records of a set, and what was done to them since it was loaded."""

    def __init__(self, base: SavedSet, flagged: Iterable[str] = ()) -> None:
        self.base = base
        self.at_base = base.by_id()
        self.cards = {id_: Card((self.at_base[id_],), flagged=True) for id_ in flagged if id_ in self.at_base}
        self.statuses = Counter(e.status for e in base)

    def card(self, id_: str) -> Card:
        """The record's card.

        Raises:
            InputError: for an id that the set does not hold.
        """
        if id_ in self.cards:
            return self.cards[id_]
        if id_ not in self.at_base:
            raise InputError(f"no record {id_[:80]!r} in this set")
        return Card((self.at_base[id_],))

    def apply(self, event: Event) -> Card:
        """Move the record's card on by one event.

        Raises:
            InputError: as `card`, and for an undo or redo of nothing; nothing has changed then.
        """
        before = self.card(event.id)
        after = before.after(event)
        self.cards[event.id] = after
        self.statuses[before.example.status] -= 1
        self.statuses[after.example.status] += 1
        return after

    @property
    def flagged(self) -> list[str]:
        """Ids of the flagged records, in the set's order."""
        return [id_ for id_ in self.at_base if id_ in self.cards and self.cards[id_].flagged]

    @property
    def reviewed(self) -> int:
        """How many records bear a person's word."""
        return sum(self.statuses[status] for status in REVIEWED)

    def present(self) -> AnnotationSet:
        """The set as it is now, each record with the status that it shows."""
        return self.base.replaced(card.example for card in self.cards.values())

    def result(self) -> AnnotationSet:
        """The set to save: a record whose spans a hand has changed is `corrected`, even if nobody pressed accept."""
        return self.base.replaced(_decided(card.example, self.at_base[id_]) for id_, card in self.cards.items())

    def changed(self) -> int:
        """How many records would be saved otherwise than they are in the base version."""
        return sum(_decided(card.example, self.at_base[id_]) != self.at_base[id_] for id_, card in self.cards.items())

    def rebase(self, saved: SavedSet) -> None:
        """Go on from a version that was saved. Revs grow on; undo reaches back to here from now on."""
        cards = {}
        for example in saved:
            before = self.card(example.id) if example.id in self.at_base else Card((example,))
            states = before.states if before.example == example else (*before.states, example)
            if example.id in self.cards or len(states) > 1:
                cards[example.id] = replace(before, states=states, past=(), future=(), skipped=False)
        self.base, self.at_base, self.cards = saved, saved.by_id(), cards
        self.statuses = Counter(e.status for e in saved)


def _decided(example: Example, base: Example) -> Example:
    if example.status in UNDECIDED and example.keys != base.keys:
        return replace(example, status="corrected", error=None)
    return example


__all__ = ["Card", "Event", "Session"]
