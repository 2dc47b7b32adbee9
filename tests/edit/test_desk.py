"""Edits, undo, and saves of a set under correction."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.edit.bees import quotes
from tif.edit.desk import StaleRevError, open_desk
from tif.edit.edits import Op
from tif.edit.looks import Looks
from tif.errors import StoreError, UsageError, WriteError
from tif.sets import store
from tif.sets.exchange import bring_in
from tif.sets.restore import restore
from tif.spans import AnnotationSet, Example, Span


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
