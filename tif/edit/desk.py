"""A set under correction: its lock, journal and session, and how edits become a new version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tif import files
from tif.console import say, warn
from tif.edit import edits
from tif.edit.edits import Op
from tif.edit.journal import Header, Journal
from tif.edit.looks import Looks
from tif.edit.session import Card, Event, Session
from tif.errors import InputError, StaleHeadError, StoreError, UsageError
from tif.sets import compare, formats, store
from tif.sets.conflict import decision
from tif.sets.queue import queue
from tif.spans import STATUSES, AnnotationSet, Example, SavedSet, Version, now, tidy

QUEUES = ("todo", "all", *STATUSES, "flagged", "skipped")
CHOICES = ("mine", "theirs", "merge")


class StaleRevError(InputError):
    """Raised when an edit was made on an old state of the record."""

    def __init__(self, card: Card, mine: Example | None) -> None:
        super().__init__("was changed meanwhile", where=f"record {card.example.id!r}")
        self.card = card
        self.mine = mine
        """The record after the refused edit; None for an undo or redo."""


class Desk:
    """A set that one process corrects. Made by `open_desk`.

    Attributes:
        path: the set's head.
        author: name of the person: the source of new spans, and the author of versions.
        looks: the look of each source.
        aside: file in which the last `finish` kept edits of records missing in the head; None if there were none.
    """

    def __init__(self, path: Path, author: str, journal: Journal, session: Session, looks: Looks) -> None:
        self.looks = looks
        self.path = path
        self.author = author
        self._journal = journal
        self._session = session
        self.aside: Path | None = None

    @property
    def session(self) -> Session:
        """The current records, read-only."""
        return self._session

    def do(self, id_: str, rev: int, op: Op) -> Card:
        """Apply one op to a record as seen at `rev`. It is on disk when this returns.

        Raises:
            StaleRevError: if the record has changed since; then nothing is done.
            InputError: for an unknown record or rev, or pieces that the record does not have.
            WriteError: if it cannot be written; then nothing is done.
        """
        card = self._session.card(id_)
        if op.kind in ("flag", "unflag", "skip"):
            return self._record(Event(id_, op.kind))
        if op.kind in ("undo", "redo"):
            if rev != card.rev:
                raise StaleRevError(card, None)
            stack = card.past if op.kind == "undo" else card.future
            return self._record(Event(id_, op.kind)) if stack else card
        seen, mine = self._wanted(card, rev, op)
        if mine == seen or decision(mine) == decision(card.example):
            return card
        if rev != card.rev:
            raise StaleRevError(card, mine)
        return self._record(Event(id_, "put", mine, op.kind))

    def settle(self, id_: str, rev: int, seen_at: int, op: Op, choice: str) -> Card:
        """Settle a conflict that `StaleRevError` reported.

        Args:
            id_: the record.
            rev: the state that was shown as theirs.
            seen_at: the state that the op was made on.
            op: the op that was refused.
            choice: `mine` applies the op to the old state; `theirs` keeps the record; `merge` unites both.

        Raises:
            StaleRevError: if the record has changed again.
            InputError: as `do`, and for an unknown choice.
        """
        if choice not in CHOICES:
            raise InputError(f"unknown choice {choice[:40]!r}", hint=f"Known: {', '.join(CHOICES)}.")
        card = self._session.card(id_)
        seen, mine = self._wanted(card, seen_at, op)
        if rev != card.rev:
            raise StaleRevError(card, mine)
        if choice == "theirs" and mine != card.example:
            # One undo brings back the version that was given up.
            self._record(Event(id_, "put", mine, "conflict: given up"))
            return self._record(Event(id_, "put", card.example, "conflict: theirs"))
        wanted = {"mine": mine, "theirs": card.example, "merge": merged(seen, card.example, mine)}[choice]
        return card if wanted == card.example else self._record(Event(id_, "put", wanted, f"conflict: {choice}"))

    def ids(self, name: str = "todo") -> list[str]:
        """Return the ids of a queue: `todo` by disagreement and score, skipped last; others in the set's order.

        Raises:
            InputError: for an unknown queue.
        """
        cards = self._session.cards
        if name not in QUEUES:
            raise InputError(f"unknown queue {name[:40]!r}", hint=f"Known: {', '.join(QUEUES)}.")
        if name == "flagged":
            return self._session.flagged
        if name == "skipped":
            return [id_ for id_ in self._session.at_base if id_ in cards and cards[id_].skipped]
        now = self._session.present()
        if name == "todo":
            waiting = [q.example.id for q in queue([now])]
            return sorted(waiting, key=lambda id_: id_ in cards and cards[id_].skipped)
        return [e.id for e in now if name in ("all", e.status)]

    def finish(self, message: str = "", author: str = "") -> tuple[SavedSet, tuple[str, ...]]:
        """Save all edits as a new version, and begin a new journal on it.

        If the head has changed since the set was loaded, the edits are merged into it. Records that both sides changed
        in contradictory ways keep the head's spans and become `conflict`. Edited records that are missing in the head,
        or have another text there, are written to a file next to the journal (`aside`).

        Returns:
            The saved set, and the ids of conflicting records.

        Raises:
            StoreError: if it cannot be saved; then the journal keeps all edits.
        """
        base, wanted = self._session.base, self._session.result()
        author = author or self.author
        conflicts: tuple[str, ...] = ()
        self.aside = None
        if wanted.digest == base.digest:
            saved = store.load(self.path)
        else:
            message = message or f"{self._session.changed()} records corrected by hand"
            try:
                saved = store.save(wanted, self.path, message=message, author=author)
            except StaleHeadError:
                head = store.load(self.path)
                result = compare.merge(base, head, AnnotationSet(tuple(self._placed(wanted, head))))
                conflicts = result.conflicts
                saved = store.save(result.merged, self.path, message=message, author=author)
        self._journal.start(_header(saved.version, self._session.flagged, self.looks))
        self._session.rebase(saved)
        return saved, conflicts

    def _placed(self, wanted: AnnotationSet, head: AnnotationSet) -> Iterator[Example]:
        """Return the edited records that are in the head. Write the others to a file, with a warning."""
        base, in_head = self._session.at_base, {(e.id, e.prompt, e.text) for e in head}
        edited = [example for example in wanted if example != base[example.id]]
        lost = [e for e in edited if (e.id, e.prompt, e.text) not in in_head]
        if lost:
            version = self._session.base.version
            kept = AnnotationSet(tuple(lost), self._session.base.provenance, version)
            self.aside = self._journal.path.with_name(f"edit-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.jsonl")
            files.write(self.aside, "".join(f"{line}\n" for line in formats.write(kept)))
            warn(
                f"{len(lost)} edited records (first: {lost[0].id!r}) are no longer in {self.path}, or have another "
                f"text. They are kept in {self.aside}. To use them, run `tif spans restore "
                f"{self.path}@{version.number}`, then `tif spans import`."
            )
        return (example for example in edited if example not in lost)

    def _wanted(self, card: Card, rev: int, op: Op) -> tuple[Example, Example]:
        if type(rev) is not int or not 0 <= rev <= card.rev:
            raise InputError("rev is unknown", where=f"record {card.example.id!r}")
        seen = card.states[rev]
        return seen, edits.apply(seen, op, self._session.at_base[seen.id], self.author)

    def _record(self, event: Event) -> Card:
        event = replace(event, by=self.author, at=now())
        self._journal.add(event)
        return self._session.apply(event)


def merged(base: Example, ours: Example, theirs: Example) -> Example:
    """Merge both sides' changes to one record; if they contradict each other, unite the spans of both."""
    one = compare.merge(*(AnnotationSet((example,)) for example in (base, ours, theirs)))
    if not one.conflicts:
        return one.merged.examples[0]
    return replace(theirs, spans=tidy(ours.text, [*ours.spans, *theirs.spans]), error=None)


@contextmanager
def open_desk(path: Path, author: str) -> Iterator[Desk]:
    """Open a set for correction, with the edits that an earlier process left in the journal.

    If these edits are of a version that is no longer the head, they are merged into the head at once, as a new version.
    Leaving saves nothing: call `Desk.finish`.

    Raises:
        UsageError: if `path` names a version.
        StoreError: if the set is missing or damaged, another process corrects it, or the journal cannot be read.
    """
    if store.resolve(path)[1] is not None:
        raise UsageError(
            f"{path} is one version of a set",
            hint="Correct the head; `tif spans restore` makes a version the head.",
        )
    if store.editable_head(path) is None:
        raise StoreError("no such annotation set", where=str(path), hint="Make one with `tif annotate`.")
    journal = Journal(store.folder(path) / "edit.jsonl")
    hint = "Use its page, or stop it with ctrl+c."
    busy = StoreError("is being corrected by another process", where=str(path), hint=hint)
    with files.locked(store.folder(path) / "edit.lock", seconds=0, busy=busy):
        head = store.load(path)
        recorded = journal.read()
        header = recorded.header if recorded else _header(head.version, (), Looks(_sources(head)))
        if recorded is None:
            journal.start(header)
        base = head if header.base == head.version.digest else store.load(f"{path}@{header.base}")
        session = Session(base, header.flagged)
        edits_read = journal.replay(recorded, session) if recorded else 0
        looks = Looks([*header.sources, *_sources(session.present()), author])
        desk = Desk(path, author, journal, session, looks)
        if edits_read:
            say(f"{edits_read} edits read from {journal.path}")
        if base is not head:
            saved, conflicts = desk.finish(f"{session.changed()} records corrected by hand, read from the journal")
            say(f"{path} had changed: edits merged as version {saved.version.number}, {len(conflicts)} conflicts")
        yield desk


def _header(version: Version, flagged: Iterable[str], looks: Looks) -> Header:
    return Header(version.digest, tuple(flagged), tuple(looks.sources))


def _sources(examples: Iterable[Example]) -> list[str]:
    return sorted({span.source for example in examples for span in example.spans})


__all__ = ["CHOICES", "QUEUES", "Desk", "StaleRevError", "merged", "open_desk"]
