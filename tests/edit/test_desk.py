"""Edits, undo, crashes and saves of a set under correction, against a simple model."""

import json
import random
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.strategies import examples
from tif.edit import edits
from tif.edit.desk import StaleRevError, open_desk
from tif.edit.edits import SPAN_OPS, Op, pieces_of
from tif.edit.looks import Looks
from tif.errors import StoreError, UsageError, WriteError
from tif.seal import sealed_line
from tif.sets import store
from tif.sets.exchange import bring_in
from tif.sets.restore import restore
from tif.spans import AnnotationSet, Example, Span

TEXTS = (
    "Oda Lindqvist keeps bees in Skagen.",
    "Tobiah Renn tunes organs 🎹 in Tartu.",
    "נועה גרה בחיפה.",
    "Nothing here.",
)


def new_set(path):
    made = AnnotationSet(tuple(Example(f"e/{i}", "Who?", text) for i, text in enumerate(TEXTS)))
    return store.save(made, path, message="made")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bees.parquet"
    new_set(path)
    return path


def letters(example):
    """Every marked character, with its label."""
    return {(at, span.label) for span in example.spans for at in range(span.start, span.end)}


def quotes(example):
    return [example.quote(s) for s in example.spans]


def test_edits_outlive_a_process_that_never_said_goodbye(path):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("accept"))
        desk.do("e/1", 0, Op("flag"))
        desk.do("e/2", 0, Op("skip"))
    with open_desk(path, "mara") as desk:
        card = desk.session.card("e/0")
        assert (quotes(card.example), card.example.status, card.rev) == (["bees"], "corrected", 2)
        assert desk.ids("flagged") == ["e/1"]
        assert desk.ids("skipped") == ["e/2"]
        assert desk.ids() == ["e/1", "e/3", "e/2"]
        desk.do("e/0", 2, Op("undo"))
        assert desk.do("e/0", 3, Op("undo")).example == desk.session.base.examples[0]
        assert quotes(desk.do("e/0", 4, Op("redo")).example) == ["bees"]
    assert store.head_version(path).number == 1


def test_a_line_torn_by_a_crash_is_dropped(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + '{"id":"e/0","op":"put","spans":[[0,3,"Ü'.encode()[:-1])
    with open_desk(path, "mara") as desk:
        assert "the last line is cut off and left out" in " ".join(capsys.readouterr().err.split())
        assert quotes(desk.session.card("e/0").example) == ["bees"]
    assert journal.read_bytes() == whole


PUT = '{"id":"e/0","op":"put","by":"","at":"","status":"auto","error":null,"spans":'


BAD_LINES = [
    "nonsense",
    "[" * 100_000,
    '{"id":"e/9","op":"put"}',
    '{"id":"e/0","op":"undo","by":"","at":""}',
    '{"id":"e/0","op":7,"by":"","at":""}',
    '{"id":"e/0","op":["undo"],"by":"","at":""}',
    '{"id":"e/0","op":"flag","by":{},"at":""}',
    '{"id":{},"op":"flag","by":"","at":""}',
    PUT + "null}",
    PUT + '[[0,3,"UW","x",NaN]]}',
    PUT + '[[0,3,"UW","x",null,1]]}',
    PUT + '[["0",3]]}',
    PUT + '[[0,3,"\\ud800"]]}',
    PUT + "[[0,3000]]}",
    PUT.replace('"auto"', "[]") + "[]}",
    "\udce9",
]


def sealed_too(line):
    """The line, and if it can have a seal, the line with a right one."""
    try:
        return [line, sealed_line(json.loads(line)).decode().rstrip()]
    except (ValueError, RecursionError):
        return [line]


@pytest.mark.parametrize("line", [each for line in BAD_LINES for each in sealed_too(line)])
def test_a_damaged_line_is_told_and_the_rest_goes_on(path, line, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("flag"))
    journal = store.folder(path) / "edit.jsonl"
    written = journal.read_bytes() + line.encode(errors="surrogateescape") + b"\n"
    journal.write_bytes(written)
    with open_desk(path, "mara") as desk:
        (told,) = (row for row in capsys.readouterr().err.splitlines() if "damaged and left out" in row)
        assert "line 3" in told
        assert desk.ids("flagged") == ["e/0"]
        assert quotes(desk.do("e/1", 0, Op("toggle", 3, 3)).example) == ["organs"]
    (kept,) = journal.parent.glob("edit.damaged-*.jsonl")
    assert kept.read_bytes() == written
    with open_desk(path, "mara") as desk:
        assert "left out" not in capsys.readouterr().err
        assert quotes(desk.session.card("e/1").example) == ["organs"]


@pytest.mark.parametrize(
    "changed",
    [
        {"base": "1"}, {"base": None}, {"base": "x" * 64}, {"flagged": 5}, {"flagged": [["e/0"]]}, {"flagged": None},
        {"sources": "ner"}, {"sources": [1]}, {"tif_edit": 1}, {"tif_edit": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_header_is_told_and_the_edits_are_used(path, changed, sealed, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    head, *rest = journal.read_bytes().splitlines(keepends=True)
    row = {**json.loads(head), **changed}
    journal.write_bytes((sealed_line(row) if sealed else json.dumps(row).encode() + b"\n") + b"".join(rest))
    with open_desk(path, "mara") as desk:
        assert "1 line is damaged and left out (line 1" in " ".join(capsys.readouterr().err.split())
        assert quotes(desk.session.card("e/0").example) == ["bees"]
    assert list(journal.parent.glob("edit.damaged-*.jsonl"))


def test_a_journal_of_an_older_tif_is_read_and_sealed(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("undo"))
        desk.do("e/1", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    rows = [json.loads(line) for line in journal.read_bytes().splitlines()]
    older = [{k: v for k, v in row.items() if k not in ("seal", "n")} for row in rows]
    older[0]["tif_edit"] = 1
    older[1:] = [{k: v for k, v in row.items() if k != "base"} for row in older[1:]]
    journal.write_text("".join(json.dumps(row) + "\n" for row in older))
    capsys.readouterr()
    for _ in range(2):
        with open_desk(path, "mara") as desk:
            assert "left out" not in capsys.readouterr().err
            assert quotes(desk.session.card("e/0").example) == []
            assert quotes(desk.session.card("e/1").example) == ["organs"]
            card = desk.do("e/0", desk.session.card("e/0").rev, Op("redo"))
            assert quotes(card.example) == ["bees"]
            desk.do("e/0", card.rev, Op("undo"))
    assert all("seal" in json.loads(line) for line in journal.read_bytes().splitlines())


def test_every_flipped_bit_of_a_journal_is_told(path, capsys):
    """No flip is taken for an edit: each record has what a prefix of its own edits left, and a warning is shown."""
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("toggle", 5, 5))
        desk.do("e/1", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    whole = journal.read_bytes()
    rng = random.Random(7)
    for _ in range(60):
        at = rng.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[at // 8] ^= 1 << at % 8
        journal.write_bytes(damaged)
        capsys.readouterr()
        with open_desk(path, "mara") as desk:
            told = capsys.readouterr().err
            assert quotes(desk.session.card("e/0").example) in ([], ["bees"], ["bees", "Skagen"])
            assert quotes(desk.session.card("e/1").example) in ([], ["organs"])
            everything = [["bees", "Skagen"], ["organs"]]
            left = [quotes(desk.session.card(id_).example) for id_ in ("e/0", "e/1")]
            assert "damaged and left out" in told or (left == everything and at // 8 == len(whole) - 1)
        for kept in journal.parent.glob("edit.damaged-*"):
            kept.unlink()


def test_an_undo_of_a_lost_edit_undoes_no_other(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("toggle", 5, 5))
        desk.do("e/0", 2, Op("undo"))
    journal = store.folder(path) / "edit.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"put"', b'"put "'), lines[3]]))
    with open_desk(path, "mara") as desk:
        told = " ".join(capsys.readouterr().err.split())
        assert "2 lines are damaged and left out" in told
        assert "Edits are missing before the last ones of e/0: look at them." in told
        assert quotes(desk.session.card("e/0").example) == ["bees"]


def test_a_journal_without_a_readable_line_is_kept_aside(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    for content in (b"x\n", b"", b"\0" * 4096):
        journal.write_bytes(content)
        with open_desk(path, "mara") as desk:
            told = capsys.readouterr().err
            assert "left out" in told or "is empty" in told
            desk.do("e/0", 0, Op("toggle", 3, 3))


def test_what_is_no_file_is_no_journal(path):
    with open_desk(path, "mara"):
        pass
    journal = store.folder(path) / "edit.jsonl"
    journal.unlink()
    journal.mkdir()
    with pytest.raises(StoreError, match="cannot be read"), open_desk(path, "mara"):
        pass


def test_a_source_keeps_its_look_in_every_session(path):
    names = ("ner:xx", "llm:judge", "plain", "vote:2/3")
    spans = [(Span(i, i + 1, "UW", name),) for i, name in enumerate(names)]
    head = store.load(path)
    store.save(head.replaced(replace(e, spans=s) for e, s in zip(head, spans, strict=True)), path)

    def looks(desk):
        return {name: desk.looks.of(name) for name in names}

    with open_desk(path, "mara") as desk:
        first = looks(desk)
        assert len({*first.values(), desk.looks.of("mara")}) == 5, "five sources look different"
        mara = desk.looks.of("mara")
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.finish()
    for author in ("abel", "zoe"):
        with open_desk(path, author) as desk:
            assert looks(desk) == first
            assert desk.looks.of("mara") == mara
            desk.do("e/1", desk.session.card("e/1").rev, Op("toggle", 2, 2))
    # Some sources are gone from the set, and others are new.
    head = store.load(path)
    store.save(head.replaced([replace(head.examples[1], spans=(Span(0, 6, "UW", "aaa"),))]), path)
    with open_desk(path, "abel") as desk:
        assert looks(desk) == first


def test_the_same_sources_look_alike_in_another_copy_of_the_set():
    one, other = Looks(["ner:xx", "mara"]), Looks(["mara", "ner:xx"])
    seen = Looks(["ner:xx"]).of("ner:xx")
    assert one.of("ner:xx") == seen
    if Looks(["mara"]).of("mara") != seen:
        assert {name: other.of(name) for name in one.sources} == {name: one.of(name) for name in one.sources}
    assert {Looks().of(f"s{i}") for i in range(60)} == set(range(6))


def test_an_edit_that_cannot_be_written_is_not_done(path, monkeypatch):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        journal = store.folder(path) / "edit.jsonl"
        before = journal.read_bytes()
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(WriteError, match="No space left"):
            desk.do("e/0", 1, Op("toggle", 0, 0))
        assert journal.read_bytes() == before
        assert quotes(desk.session.card("e/0").example) == ["bees"]


def test_finishing_makes_a_version_with_author_and_message(path):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/3", 0, Op("flag"))
        saved, conflicts = desk.finish("bees are private")
        assert (saved.version.number, saved.version.message, saved.version.author) == (2, "bees are private", "mara")
        assert conflicts == ()
        assert desk.finish()[0].version.number == 2
        assert desk.do("e/0", 2, Op("undo")).rev == 2, "undo ends at the saved version"
    with open_desk(path, "mara") as desk:
        assert desk.ids("flagged") == ["e/3"]
    assert store.load(path).examples[0].status == "corrected"


def test_an_edit_on_an_old_state_is_refused_and_can_be_settled(path):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 0, 1))
        with pytest.raises(StaleRevError) as stale:
            desk.do("e/0", 0, Op("mark", 3, 5))
        assert quotes(stale.value.mine) == ["bees in Skagen"]
        assert quotes(stale.value.card.example) == ["Oda Lindqvist"]
        late = Op("mark", 3, 5)
        assert quotes(desk.settle("e/0", 1, 0, late, "merge").example) == ["Oda Lindqvist", "bees in Skagen"]
        with pytest.raises(StaleRevError):
            desk.settle("e/0", 1, 0, late, "mine")
        assert quotes(desk.settle("e/0", 2, 0, late, "mine").example) == ["bees in Skagen"]
        assert quotes(desk.do("e/0", 3, Op("undo")).example) == ["Oda Lindqvist", "bees in Skagen"]
        assert quotes(desk.settle("e/0", 4, 0, late, "theirs").example) == ["Oda Lindqvist", "bees in Skagen"]
        assert quotes(desk.do("e/0", 6, Op("undo")).example) == ["bees in Skagen"], "what was given up is one undo away"


def test_the_same_edit_sent_twice_is_done_once(path):
    with open_desk(path, "mara") as desk:
        assert desk.do("e/0", 0, Op("toggle", 3, 3)) == desk.do("e/0", 0, Op("toggle", 3, 3))
        with pytest.raises(StaleRevError):
            desk.do("e/0", 0, Op("undo"))


def test_edits_are_merged_into_a_head_that_somebody_else_saved(path):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/1", 0, Op("toggle", 0, 0))
        head = store.load(path)
        other = [head.examples[2].with_spans([Span(0, 4)]), head.examples[1].with_spans([Span(0, 11)])]
        store.save(head.replaced(other), path, author="ivo")
        saved, conflicts = desk.finish()
        assert conflicts == ("e/1",)
        now = saved.by_id()
        assert (quotes(now["e/0"]), quotes(now["e/2"]), now["e/1"].status) == (["bees"], ["נועה"], "conflict")
        assert desk.session.card("e/2").example == now["e/2"], "what the other saved is on the desk too"
        assert desk.session.card("e/2").rev == 1
        assert desk.ids()[0] == "e/1"


def test_edits_left_on_an_older_version_are_merged_on_opening(path):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    head = store.load(path)
    extra = Example("e/new", "", "One more.")
    grown = replace(head.replaced([head.examples[2].with_spans([Span(0, 4)])]), examples=(*head.examples, extra))
    store.save(grown, path, author="ivo")
    with open_desk(path, "mara") as desk:
        assert desk.session.base.version.number == 3
        assert quotes(desk.session.card("e/0").example) == ["bees"]
        assert desk.session.card("e/new").example == extra


def test_edits_of_records_that_the_head_no_longer_holds_are_kept_aside(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/1", 0, Op("toggle", 2, 2))
        whole = store.load(path)
        # Somebody else saves fewer records: one edited, one not edited, are gone.
        store.save(AnnotationSet(whole.examples[1:3], whole.provenance, whole.version), path)
    with open_desk(path, "mara") as desk:
        aside = desk.aside
    assert quotes(store.load(path).by_id()["e/1"]) == ["tunes"]
    told = capsys.readouterr().err
    assert "'e/0'" in told
    assert aside is not None
    assert aside.name in told.replace("\n", "")
    assert len(aside.read_text().splitlines()) == 1
    restore(f"{path}@1")
    bring_in(aside, path, "tif", author="mara")
    assert quotes(store.load(path).by_id()["e/0"]) == ["bees"]
    with open_desk(path, "mara") as desk:
        assert desk.aside is None


def test_one_process_at_a_time_and_heads_alone(path, tmp_path):
    with open_desk(path, "mara"), pytest.raises(StoreError, match="another process"), open_desk(path, "ivo"):
        pass
    with pytest.raises(UsageError, match="one version"), open_desk(Path(f"{path}@1"), "mara"):
        pass
    with pytest.raises(StoreError, match="no such"), open_desk(tmp_path / "none.parquet", "mara"):
        pass


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
