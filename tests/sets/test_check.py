import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from tif.sets import exchange, formats, rows, store
from tif.sets.check import check
from tif.spans import AnnotationSet, Example, Span

TEXT = "Ada met Adam. Ada left for Gent today."


def kinds(path):
    return [(f.level, f.kind) for f in check(path)]


def test_a_clean_set_has_no_findings(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("a", "", TEXT, (Span(27, 31),)),)), path)
    assert check(path) == []


def test_warnings_for_what_a_reviewer_would_want_to_see(tmp_path):
    path = tmp_path / "a.parquet"
    examples = (
        Example("mention", "", TEXT, (Span(0, 3),)),
        Example("cut", "", TEXT, (Span(27, 30),)),
        Example("punctuation", "", TEXT, (Span(12, 13),)),
        Example("all", "", TEXT, (Span(0, len(TEXT)),)),
        Example("none", "", TEXT),
        Example("failed", "", TEXT, status="failed", error="no reply"),
    )
    store.save(AnnotationSet(examples), path)
    assert kinds(path) == [
        ("warning", "unmarked-mention"),
        ("warning", "cuts-word"),
        ("warning", "no-word"),
        ("warning", "nearly-all"),
        ("warning", "no-spans"),
        ("warning", "failed"),
    ]


def test_unspaced_texts_are_looked_at_like_others(tmp_path):
    path = tmp_path / "a.parquet"
    chinese, short = "我住在北京市中心，北京市很大。", "北京。"
    examples = (
        Example("mention", "", chinese, (Span(3, 6),)),
        Example("all", "", chinese, (Span(0, len(chinese)),)),
        Example("cut", "", "यह क्षत्रिय है।", (Span(3, 5),)),
        Example("short", "", short, (Span(0, len(short)),)),
    )
    store.save(AnnotationSet(examples), path)
    assert [(f.kind, f.where) for f in check(path)] == [
        ("unmarked-mention", "record 'mention'"),
        ("nearly-all", "record 'all'"),
        ("cuts-word", "record 'cut'"),
    ]


def test_every_error_is_listed_not_the_first_only(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("a", "", TEXT, (Span(0, 3),)), Example("b", "", TEXT))), path)
    bad = pq.read_table(path).to_pylist()
    span = {"label": "UW", "source": "", "score": None}
    bad[0]["spans"] = [{"start": 5, "end": 2, **span}, {"start": 0, "end": 999, **span}, {"start": 3, "end": 5, **span}]
    bad[1]["text"] += "!"
    bad[1]["status"] = "maybe"
    pq.write_table(pa.Table.from_pylist([*bad, bad[0]], schema=rows.SCHEMA), path)
    found = check(path)
    assert [f.where for f in found if f.kind == "invalid"] == [
        "record 'a', spans[0]",
        "record 'a', spans[1]",
        "record 'a', spans[2]",
        "record 'b', status",
        "record 'a', spans[0]",
        "record 'a', spans[1]",
        "record 'a', spans[2]",
    ]
    assert [f.where for f in found if f.kind == "id-twice"] == ["record 'a'"]


def test_records_that_were_accepted_without_a_person_are_named_until_somebody_decides(tmp_path):
    """As older versions of tif saved the output of a recogniser."""
    path, file = tmp_path / "a.parquet", tmp_path / "a.jsonl"
    machine = Span(27, 31, source="ner", score=0.5)
    examples = (
        Example("one", "", TEXT, (machine,), "accepted"),
        Example("two", "", TEXT, (replace(machine, source="ana", score=None),), "accepted"),
        Example("three", "", TEXT, (machine, Span(32, 37, source="ana")), "accepted"),
        Example("four", "", TEXT, (replace(machine, score=None, source="vote:2/3"),), "accepted"),
        Example("five", "", TEXT, (machine,)),
        Example("six", "", TEXT, (machine,), "accepted"),
        Example("seven", "", TEXT, (), "accepted"),
    )
    saved = store.save(AnnotationSet(examples), path)
    store.save(saved.replaced([replace(examples[4], status="accepted"), replace(examples[5], status="rejected")]), path)
    (finding,) = [each for each in check(path) if each.kind == "accepted-unseen"]
    assert finding.where == "2 records ('one', 'four')"
    assert "only ner, vote:2/3 marked them" in finding.what
    # What the warning says to do.
    lines = [json.loads(line) for line in formats.write(store.load(path))]
    file.write_text("".join(json.dumps({**line, "status": "auto"}) + "\n" for line in lines if line["id"] != "two"))
    exchange.bring_in(file, path)
    assert "accepted-unseen" not in [each.kind for each in check(path)]
    assert {each.id: each.status for each in store.load(path)}["one"] == "auto"
