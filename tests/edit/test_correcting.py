"""Edits, undo, crashes and saves in any order, against a simple model."""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.edit.bees import letters
from tests.strategies import examples
from tif.edit import edits
from tif.edit.desk import StaleRevError, open_desk
from tif.edit.edits import SPAN_OPS, Op, pieces_of
from tif.sets import store
from tif.sets.restore import restore
from tif.spans import AnnotationSet


def judged(example):
    return {(span.start, span.end, span.label) for span in example.spans}, example.status


class Correcting(RuleBasedStateMachine):
    """Whatever is done, in whatever order, with crashes between: what was acknowledged is there, and valid."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "set.parquet"
        self.stack = ExitStack()
        # A crash here is one of the process, not of the machine: nothing need wait for the disk.
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("os.fsync", lambda _: None)

    @initialize(one=examples("e/0", ("UW", "NAME")), two=examples("e/1", ("UW", "NAME")))
    def begin(self, one, two):
        store.save(AnnotationSet((one, two)), self.path)
        self.desk = self.stack.enter_context(open_desk(self.path, "mara"))
        self.now = {e.id: e for e in (one, two)}
        self.past = {id_: [] for id_ in self.now}
        self.future = {id_: [] for id_ in self.now}
        self.seen = {id_: [self.now[id_]] for id_ in self.now}
        self.flagged = set()

    def note(self, id_, card):
        if card.example != self.now[id_]:
            self.past[id_].append(self.now[id_])
            self.future[id_].clear()
            self.now[id_] = card.example
            self.seen[id_].append(card.example)

    def op(self, data, example):
        count = len(pieces_of(example))
        kind = data.draw(st.sampled_from([*SPAN_OPS, "accept", "reject"]))
        if not count:
            return Op("accept")
        first = data.draw(st.integers(0, count - 1))
        last = data.draw(st.integers(first, min(count - 1, first + 3)))
        draw = data.draw
        return Op(
            kind,
            first,
            last,
            label=draw(st.sampled_from(["UW", "NAME"])),
            side=draw(st.sampled_from(["start", "end"])),
            by=draw(st.sampled_from([1, -1])),
            unit=draw(st.sampled_from(["word", "char"])),
        )

    ids = st.sampled_from(["e/0", "e/1"])

    @rule(id_=ids, data=st.data())
    def edit(self, id_, data):
        card = self.desk.session.card(id_)
        self.note(id_, self.desk.do(id_, card.rev, self.op(data, card.example)))

    @rule(id_=ids, data=st.data(), choice=st.sampled_from(["mine", "theirs", "merge"]))
    def edit_what_was_seen_earlier(self, id_, data, choice):
        card = self.desk.session.card(id_)
        rev = data.draw(st.integers(0, card.rev))
        op = self.op(data, card.states[rev])
        refused = None
        try:
            self.note(id_, self.desk.do(id_, rev, op))
        except StaleRevError as stale:
            refused = stale
        if refused is not None:
            assert rev < card.rev
            assert refused.card == card
            after = self.desk.settle(id_, card.rev, rev, op, choice)
            if choice == "mine":
                assert after.example == refused.mine
            elif choice == "theirs" and refused.mine != card.example:
                self.past[id_] += [self.now[id_], refused.mine]
                self.future[id_].clear()
                assert after.example == card.example
            self.note(id_, after)

    @rule(id_=ids)
    def undo(self, id_):
        after = self.desk.do(id_, self.desk.session.card(id_).rev, Op("undo"))
        if self.past[id_]:
            self.future[id_].append(self.now[id_])
            self.now[id_] = self.past[id_].pop()
        assert after.example == self.now[id_]

    @rule(id_=ids)
    def redo(self, id_):
        after = self.desk.do(id_, self.desk.session.card(id_).rev, Op("redo"))
        if self.future[id_]:
            self.past[id_].append(self.now[id_])
            self.now[id_] = self.future[id_].pop()
        assert after.example == self.now[id_]

    @rule(id_=ids, on=st.booleans())
    def flag(self, id_, on):
        self.desk.do(id_, 0, Op("flag" if on else "unflag"))
        (self.flagged.add if on else self.flagged.discard)(id_)

    @rule(torn=st.binary(max_size=20).filter(lambda b: b"\n" not in b))
    def crash(self, torn):
        self.stack.close()
        with (store.folder(self.path) / "edit.jsonl").open("ab") as journal:
            journal.write(torn)
        self.desk = self.stack.enter_context(open_desk(self.path, "mara"))

    @rule(crash=st.booleans())
    def save(self, crash):
        journal = store.folder(self.path) / "edit.jsonl"
        before = journal.read_bytes()
        saved, conflicts = self.desk.finish()
        assert conflicts == ()
        self.begin_anew(saved)
        if crash:
            # Killed after the version was saved and before the journal began anew.
            self.stack.close()
            journal.write_bytes(before)
            self.desk = self.stack.enter_context(open_desk(self.path, "mara"))
            if store.head_version(self.path).digest.encode() in before.splitlines()[0]:
                self.past = {i: list(self.desk.session.card(i).past) for i in self.now}
                self.future = {i: list(self.desk.session.card(i).future) for i in self.now}

    @rule(data=st.data(), id_=ids)
    def somebody_else_saves(self, data, id_):
        """On a record that is untouched here, so that nothing has to give way."""
        if self.now[id_] != self.desk.session.at_base[id_]:
            return
        head = store.load(self.path)
        theirs = replace(head.by_id()[id_], status="rejected", error=None)
        store.save(head.replaced([theirs]), self.path, author="ivo")
        saved, conflicts = self.desk.finish()
        assert conflicts == ()
        assert saved.by_id()[id_] == theirs
        self.begin_anew(saved)

    @rule(data=st.data())
    def somebody_restores_a_version(self, data):
        """With nothing unsaved here, an old version comes back whole."""
        saved, conflicts = self.desk.finish()
        assert conflicts == ()
        number = data.draw(st.sampled_from([version.number for version in store.versions(self.path)]))
        old = store.load(f"{self.path}@{number}")
        assert restore(f"{self.path}@{number}", author="ivo").examples == old.examples
        saved, conflicts = self.desk.finish()
        assert conflicts == ()
        assert saved.examples == old.examples
        self.begin_anew(saved)

    @rule(id_=ids, data=st.data(), crash=st.booleans())
    def two_people_change_one_record(self, id_, data, crash):
        """The other saves first. What either marked is marked then, or the record is a conflict that tells both."""
        card = self.desk.session.card(id_)
        self.note(id_, self.desk.do(id_, card.rev, self.op(data, card.example)))
        base, wanted = self.desk.session.base.by_id(), self.desk.session.result().by_id()
        head = store.load(self.path)
        theirs = edits.apply(base[id_], self.op(data, base[id_]), base[id_], "ivo")
        store.save(head.replaced([theirs]), self.path, author="ivo")
        if crash:
            self.stack.close()
            self.desk = self.stack.enter_context(open_desk(self.path, "mara"))
        saved, _ = self.desk.finish()
        one, mine = saved.by_id()[id_], wanted[id_]
        # Who marks the same anew changes nothing but whose spans they are, and a merge may give them back.
        changed = [judged(side) != judged(base[id_]) for side in (mine, theirs)]
        if changed == [False, False]:
            assert one in (mine, theirs)
        elif changed == [False, True]:
            assert one == theirs
        elif changed == [True, False]:
            assert one == mine
        elif one.status == "conflict":  # also where the record was one before
            assert one.spans == theirs.spans
            assert all(f"{s.start}-{s.end}" in one.error for s in mine.spans)
        else:
            marked, before = letters(one), letters(base[id_])
            assert marked >= (letters(mine) | letters(theirs)) - before
            assert not marked & before - letters(mine) - letters(theirs)
        assert all(judged(saved.by_id()[other]) == judged(wanted[other]) for other in wanted if other != id_)
        self.begin_anew(saved)

    def begin_anew(self, saved):
        self.now = saved.by_id()
        self.past = {id_: [] for id_ in self.now}
        self.future = {id_: [] for id_ in self.now}

    @invariant()
    def nothing_is_lost(self):
        for id_, example in self.now.items():
            card = self.desk.session.card(id_)
            assert card.example == example
            assert list(card.past) == self.past[id_]
            assert list(card.future) == self.future[id_]
        assert set(self.desk.session.flagged) == self.flagged
        counts = self.desk.session.present().counts()
        assert {k: v for k, v in self.desk.session.statuses.items() if v} == {
            k: v for k, v in counts.items() if k in self.desk.session.statuses
        }

    def teardown(self):
        self.stack.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


class CorrectingAtLength(Correcting):
    """The same, ten thousand steps."""


TestCorrecting = Correcting.TestCase
TestCorrecting.settings = settings(max_examples=12, stateful_step_count=25)
TestAtLength = pytest.mark.slow(CorrectingAtLength.TestCase)
TestAtLength.settings = settings(max_examples=200, stateful_step_count=50)
