"""Absence is no empty list: a file that says nothing about spans takes none away."""

import json

import pytest

from tif.errors import InputError
from tif.sets import formats, store
from tif.sets.restore import restore
from tif.spans import AnnotationSet, Example, Span

KOLO = "Kolo Brandt repairs violins in Tarvik."
MIRA = "Mira Osk keeps bees since 1987."
SET = AnnotationSet(
    (
        Example("k", "What does Kolo Brandt repair?", KOLO, (Span(20, 27), Span(31, 37)), "accepted"),
        Example("m", "", MIRA, (Span(15, 19),), "auto"),
    )
)


def task(text, **fields):
    return {"data": {"text": text}, **fields}


def region(start, end, text=None, kind="labels", labels=("UW",), **more):
    value = {"start": start, "end": end, **({"text": text} if text else {}), **more}
    return {"id": "r", "type": kind, "value": value | ({kind: list(labels)} if labels else {})}


SILENT = {
    "doccano without labels": ("doccano", [{"text": KOLO, "comments": []}], "has none of the fields label"),
    "doccano by numbers": (
        "doccano",
        [{"text": KOLO, "annotations": [{"label": 2, "start_offset": 20, "end_offset": 27}]}],
        r"annotations\[0\], label: label 2 is a number .* text labels",
    ),
    "doccano with a null": ("doccano", [{"text": KOLO, "label": None}], "has none of the fields"),
    "tif without spans": ("tif", [{"id": "k", "text": KOLO, "status": "accepted"}], "no field 'spans'"),
    "tif with null spans": ("tif", [{"text": KOLO, "spans": None}], "spans: is null, not a list"),
    "quotes for tif": ("tif", [{"text": KOLO, "quotes": ["violins"]}], "--method manual` reads quotes"),
    "prodigy's task as tif": ("tif", [{"text": KOLO, "spans": [], "answer": "reject"}], "--format prodigy"),
    "doccano as tif": ("tif", [{"text": KOLO, "label": [[20, 27, "UW"]]}], 'Write "spans": \\[\\]'),
    "a classification in prodigy": ("prodigy", [{"text": KOLO, "label": "A", "answer": "accept"}], "no field 'spans'"),
    "prodigy as doccano": (
        "doccano",
        [{"text": KOLO, "spans": [], "tokens": [], "answer": "accept"}],
        "the file is prodigy: --format prodigy",
    ),
    "tif as prodigy": (
        "prodigy",
        [{"text": KOLO, "spans": [], "offset_unit": "codepoint", "status": "accepted"}],
        "--format tif",
    ),
    "categories for spacy": ("spacy", [{"text": KOLO, "cats": {"A": 1.0}}], "none of the fields ents, entities"),
    "a pair of categories": ("spacy", [[KOLO, {"cats": {"A": 1.0}}], [MIRA, {}]], "none of the fields ents"),
    "tpo without words": ("tpo", [{"question": "?", "answer": KOLO}], "no field 'common_words'"),
    "a task that nobody annotated": ("label-studio", [task(KOLO, annotations=[], predictions=[])], "nobody annotated"),
    "only predictions' numbers": ("label-studio", [task(KOLO, annotations=[], predictions=[9])], "nobody annotated"),
    "a draft alone": (
        "label-studio",
        [task(KOLO, annotations=[], drafts=[{"result": [region(20, 27, "violins")]}])],
        "only a draft",
    ),
    "a skipped task": (
        "label-studio",
        [task(KOLO, annotations=[{"was_cancelled": True, "result": []}])],
        "skipped in Label Studio",
    ),
    "an annotation without result": (
        "label-studio",
        [task(KOLO, annotations=[{"id": 3}])],
        r"annotations\[0\]: no field",
    ),
    "a region without label": (
        "label-studio",
        [task(KOLO, annotations=[{"result": [region(20, 27, "violins", labels=())]}])],
        "a region marks 'violins' without a label",
    ),
    "a region of another kind": (
        "label-studio",
        [task(KOLO, annotations=[{"result": [region("0", "1", kind="paragraphlabels")]}])],
        "a region of type 'paragraphlabels' cannot be read",
    ),
    "an HTML region by its path alone": (
        "label-studio",
        [task(KOLO, annotations=[{"result": [region("/p[1]", "/p[1]", "violins", "hypertextlabels")]}])],
        "needs globalOffsets",
    ),
    "an HTML region beside its words": (
        "label-studio",
        [
            task(
                KOLO,
                annotations=[
                    {
                        "result": [
                            region("/p", "/p", "violins", "hypertextlabels", globalOffsets={"start": 12, "end": 19})
                        ]
                    }
                ],
            )
        ],
        "but the text is 'violins'",
    ),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_says_nothing_is_refused_and_changes_nothing(tmp_path, cli, name):
    format_, rows, message = SILENT[name]
    path, file = tmp_path / "set.parquet", tmp_path / "in.json"
    store.save(SET, path)
    file.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=message):
        formats.read(file, format_)
    refused = cli("spans", "import", file, "--into", path, "--format", format_)
    assert refused.code == 1
    assert refused.err.count("error: ") == 1
    assert "in.json" in refused.err
    assert [v.number for v in store.versions(path)] == [1]


READ = {
    "completions": (
        "label-studio",
        [task(KOLO, completions=[{"skipped": False, "result": [region(20, 27, "violins")]}])],
    ),
    "HTML regions": (
        "label-studio",
        [
            task(
                KOLO,
                annotations=[
                    {
                        "result": [
                            region("/p", "/p", "violins", "hypertextlabels", globalOffsets={"start": 20, "end": 27}),
                            {"type": "choices", "value": {"choices": ["yes"]}},
                            {"id": "r", "type": "choices", "value": {"start": "/p", "choices": ["sure"]}},
                        ]
                    }
                ],
            )
        ],
    ),
    "numbers of predictions": (
        "label-studio",
        [task(KOLO, annotations=[{"result": [region(20, 27, "violins")]}], predictions=[286, 287])],
    ),
    "JSON-MIN": (
        "label-studio",
        [{"text": KOLO, "label": [{"start": 20, "end": 27, "text": "violins", "labels": ["UW"]}], "annotator": 1}],
    ),
    "old doccano with names": (
        "doccano",
        [{"text": KOLO, "annotations": [{"label": "UW", "start_offset": 20, "end_offset": 27, "user": 1}]}],
    ),
    "spacy's entities": ("spacy", [{"text": KOLO, "entities": [[20, 27, "UW"]]}]),
    "a span group in a pair": ("spacy", [[KOLO, {"spans": {"sc": [{"start": 20, "end": 27, "label": "UW"}]}}]]),
}


@pytest.mark.parametrize("name", READ)
def test_what_says_it_in_another_way_is_read(tmp_path, name):
    format_, rows = READ[name]
    file = tmp_path / "in.json"
    file.write_text(json.dumps(rows))
    (record,) = formats.read(file, format_)
    assert [(s.start, s.end, s.label) for s in record.spans] == [(20, 27, "UW")]


def test_a_half_annotated_project_changes_only_what_people_saw(tmp_path, cli):
    path, file = tmp_path / "set.parquet", tmp_path / "in.json"
    store.save(SET, path)
    seen = task(MIRA, annotations=[{"result": [region(15, 19, "bees"), region(26, 30, "1987")]}])
    file.write_text(json.dumps([task(KOLO, annotations=[], predictions=[]), seen]))
    done = cli("spans", "import", file, "--into", path)
    assert done.code == 0, done.err
    assert "1 of 2 records say nothing about their samples (record 1: nobody annotated it)" in done.err
    assert [e.status for e in store.load(path)] == ["accepted", "accepted"]
    assert [[e.quote(s) for s in e.spans] for e in store.load(path)] == [["violins", "Tarvik"], ["bees", "1987"]]


def test_a_file_that_would_empty_every_record_needs_consent(tmp_path, cli):
    path, file = tmp_path / "set.parquet", tmp_path / "in.jsonl"
    store.save(SET, path)
    file.write_text("".join(json.dumps({"text": text, "label": []}) + "\n" for text in (KOLO, MIRA)))
    refused = cli("spans", "import", file, "--into", path)
    assert refused.code == 1
    assert "would remove every span of the 2 records that have any (read as doccano, it marks nothing)" in refused.err
    assert [v.number for v in store.versions(path)] == [1]
    done = cli("spans", "import", file, "--into", path, "--allow-empty", "--json")
    assert json.loads(done.out)["emptied"] == ["k", "m"]
    kept = {"text": MIRA, "label": [[0, 4, "UW"]]}
    file.write_text(json.dumps({"text": KOLO, "label": []}) + "\n" + json.dumps(kept))
    restore(f"{path}@1")
    one = cli("spans", "import", file, "--into", path)
    assert one.code == 0
    assert "1 records lost all their spans, first 'k'" in one.err


def test_prodigy_leaves_spans_out_where_a_person_marks_nothing(tmp_path):
    file = tmp_path / "in.jsonl"
    tokens = [{"text": "Mira", "start": 0, "end": 4, "id": 0}]
    file.write_text(json.dumps({"text": MIRA, "tokens": tokens, "answer": "accept"}))
    (record,) = formats.read(file)
    assert (record.spans, record.status, record.maker) == ((), "accepted", "person")


@pytest.mark.parametrize("name", ["x.ls", "x.spacy", "with a blank.json", "x.csv", "x.txt"])
@pytest.mark.parametrize("format_", formats.FORMATS)
def test_the_printed_command_brings_the_file_back(tmp_path, cli, monkeypatch, format_, name):
    import shlex

    monkeypatch.chdir(tmp_path)
    store.save(SET, tmp_path / "a set.parquet")
    wrote = cli("spans", "export", "a set.parquet", "--format", format_, "--out", name)
    words = shlex.split(wrote.err.split("to bring edits back: ")[1])
    assert words[:3] == ["tif", "spans", "import"]
    back = cli(*words[1:])
    assert back.code == 0, back.err
    assert "0 records changed" in back.err
