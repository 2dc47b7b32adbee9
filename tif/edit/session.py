"""The state of a correction: a card for each touched record, changed by events. Pure: it uses no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tif.errors import InputError
from tif.sets.untrained import span_counts
from tif.spans import REVIEWED, UNDECIDED, AnnotationSet, Example, SavedSet, Span


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a record: a line of the journal."""

    id: str
    op: str
    """`put`, `undo`, `redo`, `flag`, `unflag` or `skip`."""
    example: Example | None = None
    """For `put`: the record after the change."""
    why: str = ""
    """For `put`: the op of `edits`, or how a conflict was settled."""
    by: str = ""
    at: str = ""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values, without prompt and text, which the base version has."""
        row: dict[str, object] = {"id": self.id, "op": self.op, "by": self.by, "at": self.at}
        if self.example is not None:
            e = self.example
            row |= {"why": self.why, "status": e.status, "error": e.error}
            row["spans"] = [[s.start, s.end, s.label, s.source, s.score] for s in e.spans]
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any], base: Mapping[str, Example]) -> Event:
        """Read an event from a row of the journal.

        Raises:
            InputError: if the row is not an event, or belongs to another set.
        """
        try:
            old = base[row["id"]]
            example = None
            texts = (row["op"], row.get("why", ""), row["by"], row["at"])
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("op, why, by and at must be text")
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
    """The record at each `rev`; the last one is current. Revs only grow: an undo makes a new one."""
    past: tuple[Example, ...] = ()
    future: tuple[Example, ...] = ()
    flagged: bool = False
    skipped: bool = False

    @property
    def rev(self) -> int:
        """Number of the current state."""
        return len(self.states) - 1

    @property
    def example(self) -> Example:
        """The current state."""
        return self.states[-1]

    def after(self, event: Event) -> Card:
        """Return the card after an event.

        Raises:
            InputError: if there is nothing to undo or redo.
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
    """All records of a set, with their changes since it was loaded.

    Attributes:
        base: the version that is corrected.
        at_base: its records by id.
        cards: the records that were touched.
        statuses: number of records of each status, as the page shows them.
        spans: number of spans of each label in records of each status, as the page shows them.
    """

    def __init__(self, base: SavedSet, flagged: Iterable[str] = ()) -> None:
        self.base = base
        self.at_base = base.by_id()
        self.cards = {id_: Card((self.at_base[id_],), flagged=True) for id_ in flagged if id_ in self.at_base}
        self._count()

    def _count(self) -> None:
        self.statuses = Counter(e.status for e in self.base)
        self.spans = span_counts(self.base)
        self._changed: set[str] = set()

    def card(self, id_: str) -> Card:
        """Return the card of a record.

        Raises:
            InputError: for an id that is not in the set.
        """
        if id_ in self.cards:
            return self.cards[id_]
        if id_ not in self.at_base:
            raise InputError(f"no record {id_[:80]!r} in this set")
        return Card((self.at_base[id_],))

    def apply(self, event: Event) -> Card:
        """Apply one event to its record's card.

        Raises:
            InputError: as `card`, and if there is nothing to undo or redo; then nothing changes.
        """
        before = self.card(event.id)
        after = before.after(event)
        self.cards[event.id] = after
        if after.example is not before.example:
            self.statuses[before.example.status] -= 1
            self.statuses[after.example.status] += 1
            self.spans.subtract(span_counts([before.example]))
            self.spans.update(span_counts([after.example]))
            base = self.at_base[event.id]
            (self._changed.add if _decided(after.example, base) != base else self._changed.discard)(event.id)
        return after

    @property
    def flagged(self) -> list[str]:
        """Ids of the flagged records, in the set's order."""
        return [id_ for id_ in self.at_base if id_ in self.cards and self.cards[id_].flagged]

    @property
    def reviewed(self) -> int:
        """Number of records that a person reviewed."""
        return sum(self.statuses[status] for status in REVIEWED)

    def present(self) -> AnnotationSet:
        """Return the current set, each record with the status that the page shows."""
        return self.base.replaced(card.example for card in self.cards.values())

    def result(self) -> AnnotationSet:
        """Return the set to save: a record with edited spans is `corrected`, even if nobody pressed accept."""
        return self.base.replaced(_decided(card.example, self.at_base[id_]) for id_, card in self.cards.items())

    def changed(self) -> int:
        """Return the number of records that differ from the base version."""
        return len(self._changed)

    def rebase(self, saved: SavedSet) -> None:
        """Continue from a saved version. Revs keep growing; undo stops at this version."""
        cards = {}
        for example in saved:
            before = self.card(example.id) if example.id in self.at_base else Card((example,))
            states = before.states if before.example == example else (*before.states, example)
            if example.id in self.cards or len(states) > 1:
                cards[example.id] = replace(before, states=states, past=(), future=(), skipped=False)
        self.base, self.at_base, self.cards = saved, saved.by_id(), cards
        self._count()


def _decided(example: Example, base: Example) -> Example:
    if example.status in UNDECIDED and example.keys != base.keys:
        return replace(example, status="corrected", error=None)
    return example


__all__ = ["Card", "Event", "Session"]
