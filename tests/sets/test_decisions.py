"""Only a person's decision is one: a machine's spans stay `auto`, and change no record that a person decided."""

import json
from dataclasses import replace

import pytest

from tif.sets import compare, store
from tif.sets.exchange import bring_in, merge
from tif.sets.restore import restore
from tif.sets.vote import vote
from tif.spans import AnnotationSet, Example, Span

TEXT = "Sanna Holt runs a bakery in Mellby."
NAME, BAKERY, TOWN = Span(0, 10), Span(18, 24), Span(28, 34)
ROBOT = replace(TOWN, source="gliner:small", score=0.91, label="LOCATION")


def one(*spans, status="auto", id_="s"):
    return Example(id_, "", TEXT, spans, status)


@pytest.fixture
def path(tmp_path):
    """A machine's record, and one that a person has decided."""
    path = tmp_path / "set.parquet"
    first = one(replace(NAME, source="ner:x", score=0.5))
    second = replace(one(BAKERY, status="corrected", id_="t"), text=TEXT + " Since May.")
    store.save(AnnotationSet((first, second)), path)
    return path


def row(example, spans, **more):
    return {"id": example.id, "text": example.text, "spans": spans, **more}


def write(tmp_path, rows, name="in.jsonl"):
    file = tmp_path / name
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return file


def told(path):
    return [(e.status, [e.quote(s) for s in e.spans]) for e in store.load(path)]


SCORED = {"start": 28, "end": 34, "label": "LOCATION", "score": 0.91}
SIGNED = {"start": 28, "end": 34, "source": "my-recogniser"}


@pytest.mark.parametrize("span", [SCORED, SIGNED])
def test_a_recognisers_jsonl_is_auto_and_overrides_nobody(tmp_path, path, cli, span):
    """One signed span is enough for the file: where a recogniser marks nothing, nobody has decided either."""
    first, second = store.load(path)
    file = write(tmp_path, [row(first, [span]), row(second, [])])
    done = cli("spans", "import", file, "--into", path)
    assert done.code == 0, done.err
    assert "1 records keep what people decided, first 't'" in done.err
    assert told(path) == [("auto", ["Mellby"]), ("corrected", ["bakery"])]


def test_who_made_the_spans_can_be_named(tmp_path, path, cli):
    first, second = store.load(path)
    file = write(tmp_path, [row(first, [SCORED])])
    assert cli("spans", "import", file, "--into", path, "--made-by", "person").code == 0
    assert told(path)[0] == ("corrected", ["Mellby"])
    plain = {"start": 28, "end": 34}
    file = write(tmp_path, [row(first, [plain]), row(second, [plain])])
    restore(f"{path}@1")
    assert cli("spans", "import", file, "--into", path, "--made-by", "machine").code == 0
    assert told(path) == [("auto", ["Mellby"]), ("corrected", ["bakery"])]


def test_a_person_who_copies_a_line_is_still_a_person(tmp_path, path):
    """An edited export keeps source and score of the span that it was made from."""
    first, _ = store.load(path)
    copied = {"start": 18, "end": 24, "source": "ner:x", "score": 0.5}
    bring_in(write(tmp_path, [row(first, [copied], status="auto")]), path)
    assert told(path)[0] == ("corrected", ["bakery"])


def test_a_status_in_the_file_is_a_decision(tmp_path, path):
    first, _ = store.load(path)
    bring_in(write(tmp_path, [row(first, [SCORED], status="accepted")]), path)
    assert told(path)[0] == ("accepted", ["Mellby"])


MACHINE = {
    "an unanswered task of prodigy": ("prodigy", lambda e: {"text": e.text, "spans": [{"start": 28, "end": 34}]}),
    "a pipeline's entities": (
        "spacy",
        lambda e: {"text": e.text, "ents": [{"start": 28, "end": 34, "label": "GPE"}], "tokens": []},
    ),
    "a prediction of label-studio": (
        "label-studio",
        lambda e: {
            "data": {"text": e.text},
            "predictions": [
                {
                    "result": [
                        {"type": "labels", "value": {"start": 28, "end": 34, "text": "Mellby", "labels": ["UW"]}},
                    ]
                }
            ],
        },
    ),
    "the words of the release": (
        "tpo",
        lambda e: {"answer": e.text, "target_words": json.dumps([{"word": "Mellby", "start": 28, "end": 34}])},
    ),
}


@pytest.mark.parametrize("name", MACHINE)
def test_what_carries_no_decision_is_auto_in_every_format(tmp_path, path, name):
    format_, made = MACHINE[name]
    file = write(tmp_path, [made(e) for e in store.load(path)])
    merged = bring_in(file, path, format_)
    assert merged.kept == ("t",)
    assert told(path) == [("auto", ["Mellby"]), ("corrected", ["bakery"])]


PERSON = {
    "an answer of prodigy": (
        "prodigy",
        {"spans": [{"start": 28, "end": 34, "score": 0.4}], "answer": "accept"},
        "accepted",
    ),
    "doccano": ("doccano", {"label": [[28, 34, "UW"]]}, "corrected"),
}


@pytest.mark.parametrize("name", PERSON)
def test_what_a_person_decided_is_a_decision(tmp_path, path, name):
    format_, fields, status = PERSON[name]
    first, _ = store.load(path)
    bring_in(write(tmp_path, [{"text": first.text, **fields}]), path, format_)
    assert told(path)[0] == (status, ["Mellby"])


def test_a_machines_change_since_the_export_does_not_join_a_persons(tmp_path):
    base, person = one(NAME), one(BAKERY, status="corrected")
    for ours, theirs in ((person, one(NAME, ROBOT)), (one(NAME, ROBOT), person)):
        outcome = compare.merge(*(AnnotationSet((e,)) for e in (base, ours, theirs)))
        assert outcome.merged.examples == (person,)
        assert outcome.conflicts == ()


def test_a_merge_of_sets_keeps_what_people_decided(tmp_path):
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    for path in (ours, theirs):
        store.save(AnnotationSet((one(NAME, status="accepted"),)), path)
    store.save(store.load(theirs).replaced([one(ROBOT)]), theirs)
    merged = merge([str(theirs)], ours, from_version=f"{ours}@1")
    assert merged.kept == ("s",)
    assert told(ours) == [("accepted", ["Sanna Holt"])]


def test_a_recogniser_read_by_hand_has_one_vote(tmp_path, cli):
    file, path = tmp_path / "robot.jsonl", tmp_path / "robot.parquet"
    file.write_text(json.dumps({"id": "s", "text": TEXT, "spans": [SCORED]}))
    assert cli("annotate", "--method", "manual", "--dataset", file, "--out", path).code == 0
    (robot,) = store.load(path)
    assert robot.status == "auto"
    voted = vote([AnnotationSet((e,)) for e in (robot, one(NAME), one(NAME))], 2)
    assert [e.quote(s) for e in voted for s in e.spans] == ["Sanna Holt"]
