"""Every format, both ways, over text that breaks naive offsets."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tif.errors import InputError, UsageError
from tif.sets import formats, store
from tif.sets.exchange import bring_in, export
from tif.spans import STATUSES, AnnotationSet, Example, Span, tidy

HOSTILE = [
    *(
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1ea\U0001f1ea",
        "e\u0301",
        "İ",
        "ß",
        "ﬁ",
        "\u05d0\u05d1",
        "\u0627\u0644",
    ),
    *("\r\n", "\n", "\r", "\t", "  ", "\u2028", "\u00a0", "\x00", "\ufeff", "\x85"),
    *("[[", "]]", "|", "\\", "[", "]", "=== ", "? ", "% ", "[[a|UW]]", "\n=== auto x", "\n? ", "\\[["),
    *("word", " ", "a", "7", ".", ",", '"', "'", "“", "{", "}", "漢字"),
]
TEXT = st.lists(st.sampled_from(HOSTILE) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=14).map(
    "".join
)


@st.composite
def examples(draw, labels=("UW", "UW:PERSON"), overlapping=True):
    text = draw(TEXT.filter(str.strip))
    edges = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(edges, edges, st.sampled_from(labels)), max_size=4))
    spans = tidy(text, [Span(min(a, b), max(a, b), label, "ner:x", 0.5) for a, b, label in pairs if a != b])
    if not overlapping:
        apart = []
        for span in spans:
            if not apart or span.start >= apart[-1].end:
                apart.append(span)
        spans = tuple(apart)
    status = draw(st.sampled_from(STATUSES))
    prompt = draw(st.just("") | TEXT)
    return Example("people/" + draw(st.text("abc\u00e9 |[", max_size=4)) + "1", prompt, text, spans, status)


def bounds(example):
    return [(s.start, s.end, s.label) for s in example.spans]


def there_and_back(tmp_path: Path, example: Example, format_: str, **options) -> Example:
    suffix = ".json" if format_ == "label-studio" else ".jsonl"
    file = tmp_path / f"set{suffix}"
    content = "".join(line + "\n" for line in formats.write(AnnotationSet((example,)), format_))
    file.write_bytes(content.encode())
    (back,) = formats.resolve(formats.read(file, format_, **options))
    return back


CASES = {
    "tif": {},
    "prodigy": {},
    "doccano": {},
    "label-studio": {},
    "spacy": {},
    "inline": {"overlapping": False},
}
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("format_", CASES)
def test_round_trip_keeps_every_code_point(tmp_path, format_):
    @MANY
    @given(examples(**CASES[format_]))
    def check(example):
        back = there_and_back(tmp_path, example, format_)
        assert (back.id, back.prompt, back.text, back.status) == (
            example.id,
            example.prompt,
            example.text,
            example.status,
        )
        assert bounds(back) == bounds(example)

    check()


def test_tif_keeps_source_score_and_error(tmp_path):
    example = Example("a/1", "q", "Mara Ilves", (Span(0, 4, "UW", "ner:x", 0.25),), "failed", "no answer")
    assert there_and_back(tmp_path, example, "tif") == example


@MANY
@given(example=examples(labels=("UW",)))
def test_tpo_round_trip_by_targets_and_by_complement(tmp_path, example):
    by_targets = there_and_back(tmp_path, example, "tpo", uw="targets")
    assert (by_targets.id, by_targets.prompt, by_targets.text) == (example.id, example.prompt, example.text)
    assert bounds(by_targets) == bounds(example)
    by_complement = there_and_back(tmp_path, example, "tpo", uw="complement")
    assert marked(by_complement) == marked(example)


def marked(example):
    """Characters under a span, white space aside: the complement cannot tell two spans from one across a blank."""
    return {i for s in example.spans for i in range(s.start, s.end) if not example.text[i].isspace()}


def test_tpo_folder_is_one_that_datasets_loads_and_we_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    text = "Mara Ilves is a florist, in Narva."
    example = Example("people/1", "Who?", text, (Span(0, 10), Span(16, 23)))
    from tif.sets import store

    store.save(AnnotationSet((example,)), tmp_path / "set.parquet")
    assert list(export(str(tmp_path / "set.parquet"), "tpo", tmp_path / "folder")) == []
    datasets = pytest.importorskip("datasets")
    row = datasets.load_from_disk(str(tmp_path / "folder"))[0]
    assert (row["question"], row["answer"]) == ("Who?", text)
    assert json.loads(row["target_words"])[1] == {"word": "florist", "start": 16, "end": 23}
    assert json.loads(row["common_words"][0]) == {"word": "is", "start": 11, "end": 13}
    datasets.Dataset.from_list([{k: v for k, v in row.items() if k not in ("id", "base")}]).save_to_disk(
        tmp_path / "theirs"
    )
    for folder in ("folder", "theirs"):
        for uw in ("targets", "complement", None):
            (back,) = formats.resolve(formats.read(tmp_path / folder, "tpo", uw=uw), name="x")
            assert bounds(back) == bounds(example), (folder, uw)


def test_tpo_brings_back_the_labels_that_it_cannot_hold(tmp_path):
    text = "Ada Lovelace of London wrote it."
    spans = (Span(0, 3, "NAME"), Span(0, 12, "UW"), Span(16, 22, "PLACE"))
    path, file = tmp_path / "set.parquet", tmp_path / "out.jsonl"
    store.save(AnnotationSet((Example("a", "Who?", text, spans),)), path)
    assert list(export(str(path), "tpo", file)) == []
    assert bring_in(file, path, "tpo").changed == ()
    row = json.loads(file.read_text())
    row["target_words"] = json.dumps(
        [{"word": "London", "start": 16, "end": 22}, {"word": "it", "start": 29, "end": 31}]
    )
    file.write_text(json.dumps(row))
    bring_in(file, path, "tpo")
    assert [(s.start, s.end, s.label) for s in store.load(path).examples[0].spans] == [
        (16, 22, "PLACE"),
        (29, 31, "UW"),
    ]


def test_tpo_without_targets_needs_the_complement(tmp_path):
    file = tmp_path / "bert.jsonl"
    common = [json.dumps({"word": "is", "start": 5, "end": 7})]
    file.write_text(json.dumps({"question": "Who?", "answer": "Mara is here.", "common_words": common}))
    with pytest.raises(UsageError, match="no target_words"):
        formats.read(file, "tpo", uw="targets")
    (record,) = formats.read(file, "tpo")
    assert [(s.start, s.end) for s in record.spans] == [(0, 4), (8, 13)]


def test_prodigy_token_end_is_inclusive(tmp_path):
    text = "He left Silicon Valley early."
    (line,) = formats.write(AnnotationSet((Example("a/1", "", text, (Span(8, 22, "GPE"),), "accepted"),)), "prodigy")
    task = json.loads(line)
    (span,) = task["spans"]
    assert (span["start"], span["end"], span["token_start"], span["token_end"]) == (8, 22, 2, 3)
    assert task["tokens"][3] == {"text": "Valley", "start": 16, "end": 22, "id": 3, "ws": True}
    assert task["answer"] == "accept"
    span["token_end"] = 4
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(task))
    with pytest.raises(InputError, match=r"line 1, spans\[0\].*do not match its tokens.*inclusive"):
        formats.read(file, "prodigy")


@pytest.mark.parametrize(("answer", "status"), [("accept", "accepted"), ("reject", "rejected"), (None, "auto")])
def test_prodigy_answers(tmp_path, answer, status):
    file = tmp_path / "p.jsonl"
    rows = [{"text": "Mara left.", "spans": [{"start": 0, "end": 4}]}, {"text": "Ignored.", "answer": "ignore"}]
    if answer:
        rows[0]["answer"] = answer
    file.write_text("\n".join(map(json.dumps, rows)))
    (example,) = formats.resolve(formats.read(file, "prodigy"))
    assert (example.status, bounds(example)) == (status, [(0, 4, "UW")])


def test_browser_tools_count_utf16(tmp_path):
    text = "\U0001f600 Mara"
    one = AnnotationSet((Example("a/1", "", text, (Span(2, 6),), "corrected"),))
    (line,) = formats.write(one, "doccano")
    assert json.loads(line)["label"] == [[3, 7, "UW"]]
    tasks = json.loads("".join(formats.write(one, "label-studio")))
    value = tasks[0]["annotations"][0]["result"][0]["value"]
    assert value == {"start": 3, "end": 7, "text": "Mara", "labels": ["UW"]}
    value |= {"start": 2, "end": 6}
    file = tmp_path / "points.json"
    file.write_text(json.dumps(tasks))
    (record,) = formats.read(file, "label-studio")
    assert [(s.start, s.end) for s in record.spans] == [(2, 6)], "its words say that these are code points"
    file.write_text(json.dumps({"text": text, "label": [[1, 7, "UW"]]}))
    with pytest.raises(InputError, match="1 is inside a character"):
        formats.read(file, "doccano")


def test_doccano_reads_its_older_exports(tmp_path):
    file = tmp_path / "d.jsonl"
    file.write_text(
        '{"id": 5, "text": "Mara left", "labels": [[0, 4, "UW"]]}\n'
        '{"id": 6, "text": "Narva", "entities": [{"id": 1, "start_offset": 0, "end_offset": 5, "label": "UW"}]}\n'
    )
    assert [[(s.start, s.end) for s in r.spans] for r in formats.read(file, "doccano")] == [[(0, 4)], [(0, 5)]]


def test_spacy_takes_what_we_write_and_we_take_what_it_writes(tmp_path):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import Doc, DocBin

    vocab = spacy.blank("xx").vocab

    @MANY
    @given(examples(overlapping=False))
    def loads(example):
        (line,) = formats.write(AnnotationSet((example,)), "spacy")
        doc = Doc(vocab).from_json(json.loads(line))
        assert doc.text == example.text
        assert sorted((s.start_char, s.end_char, s.label_) for s in doc.spans["sc"]) == sorted(bounds(example))

    loads()
    nlp = spacy.blank("en")
    doc = nlp("Mara Ilves is a florist.")
    doc.ents = [doc.char_span(0, 10, "UW")]
    DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
    (tmp_path / "pairs.jsonl").write_text('["Mara Ilves is a florist.", {"entities": [[0, 10, "UW"]]}]')
    for name in ("x.spacy", "pairs.jsonl"):
        (record,) = formats.read(tmp_path / name, "spacy")
        assert [(s.start, s.end, s.label) for s in record.spans] == [(0, 10, "UW")]


def test_a_doc_bin_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin

    path = tmp_path / "x.spacy"
    DocBin(docs=[spacy.blank("en")("Mara Ilves is a florist.")]).to_disk(path)
    monkeypatch.setattr("tif.readers.compressed.MOST_BYTES", 20)
    with pytest.raises(InputError, match="MiB after decompression"):
        list(formats.read(path, "spacy"))
    path.write_bytes(path.read_bytes()[:-9])
    monkeypatch.undo()
    with pytest.raises(InputError, match="cannot be read as a DocBin"):
        list(formats.read(path, "spacy"))


def test_inline_is_what_a_person_would_write():
    example = Example("people/7", "What did\nhe do?", "Her father was a florist. [[x", (Span(17, 24),))
    body = "\n".join(formats.write(AnnotationSet((example,)), "inline"))
    assert body.endswith("=== auto people/7\n? What did\n? he do?\nHer father was a [[florist|UW]]. \\[[x\n")


def test_inline_refuses_a_changed_character_and_shows_it(tmp_path):
    from tif.sets import store

    ref, file = tmp_path / "set.parquet", tmp_path / "set.txt"
    example = Example("people/7", "What?", "Her father was a florist.", (Span(17, 24),))
    store.save(AnnotationSet((example,)), ref)
    list(export(str(ref), "inline", file))
    file.write_text(file.read_text().replace("Her father was a [[florist|UW]].", "Her [[father|UW]] was a florist!"))
    with pytest.raises(InputError, match=r"people/7.*was changed \(first difference at character 24: '.' became '!'\)"):
        bring_in(file, ref, "inline")
    file.write_text(file.read_text().replace("!", "."))
    outcome = bring_in(file, ref, "inline", author="Ana")
    (corrected,) = outcome.saved
    assert (bounds(corrected), corrected.status, corrected.spans[0].source) == ([(4, 10, "UW")], "corrected", "Ana")


@pytest.mark.parametrize("body", ["[[a", "[[a|", "[[a|UW]", "[[a [[b|UW]]|UW]]", "[[ |UW]]", "[[a| UW]]", "[[|UW]]"])
def test_inline_names_a_broken_mark(tmp_path, body):
    file = tmp_path / "x.txt"
    file.write_text(f"% tif inline\n=== auto a/1\n{body}\n")
    with pytest.raises(InputError, match=r"x\.txt, line 2[,:] "):
        formats.read(file, "inline")


def test_a_tool_that_dropped_the_ids_is_matched_by_text(tmp_path):
    base = AnnotationSet(
        (Example("a/1", "Who?", "Mara left.", (Span(0, 4, "UW", "ner:x", 0.5),)), Example("a/2", "What?", "Twice."))
    )
    file = tmp_path / "d.jsonl"
    file.write_text('{"id": 31, "text": "Mara left.", "label": [[0, 4, "UW"], [5, 9, "UW"]]}')
    (found,) = formats.resolve(formats.read(file, "doccano"), base)
    assert (found.id, found.prompt, found.spans[0].source) == ("a/1", "Who?", "ner:x")
    twin = replace(base, examples=(*base.examples, Example("a/3", "Why?", "Mara left.")))
    with pytest.raises(InputError, match=r"d.jsonl, line 1: the set has 2 records with this text"):
        formats.resolve(formats.read(file, "doccano"), twin)


def test_a_claimed_text_that_is_not_there_is_refused(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text(
        '{"id": "a/1", "text": "\U0001f600 Mara", "spans": [{"start": 3, "end": 7, "text": "Mara"}]}', "utf-8"
    )
    with pytest.raises(InputError, match=r"x.jsonl, line 1, spans\[0\], end: end 7 is beyond"):
        formats.read(file)
    file.write_text(
        '{"id": "a/1", "text": "\U0001f600 Mara!", "spans": [{"start": 3, "end": 7, "text": "Mara"}]}', "utf-8"
    )
    with pytest.raises(InputError, match=r"spans\[0\], text: the offsets select 'ara!', but the text is 'Mara'"):
        formats.read(file)


def test_unknown_formats_and_options_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"unknown format 'brat'.*Known: tif, prodigy"):
        formats.read(tmp_path / "x", "brat")
    with pytest.raises(UsageError, match="no option 'uw'"):
        formats.read(tmp_path / "x", "tif", uw="targets")


SHOWN = Example("people/1", "Who?", "Mara 😀 Ilves is a florist.", (Span(0, 12), Span(18, 25)))


@pytest.mark.parametrize("name", ["x", "x.ls", "x.txt", "x.json", "x.jsonl", "x.csv"])
@pytest.mark.parametrize("format_", formats.FORMATS)
def test_a_format_is_recognised_by_its_content_whatever_the_name(tmp_path, format_, name):
    file = tmp_path / name
    file.write_text("".join(line + "\n" for line in formats.write(AnnotationSet((SHOWN,)), format_)))
    assert formats.recognise(file) == format_
    (back,) = formats.resolve(formats.read(file))
    assert (back.text, bounds(back)) == (SHOWN.text, bounds(SHOWN))


@pytest.mark.parametrize("indent", [None, 2])
def test_a_label_studio_export_of_any_name_comes_back(tmp_path, cli, indent):
    path, file = tmp_path / "set.parquet", tmp_path / "x.ls"
    store.save(AnnotationSet((SHOWN, replace(SHOWN, id="people/2", text=SHOWN.text + "!"))), path)
    assert cli("spans", "export", path, "--format", "label-studio", "--out", file).code == 0
    tasks = json.loads(file.read_text())
    del tasks[1]["predictions"][0]["result"][1]
    file.write_text(json.dumps(tasks, indent=indent))
    done = cli("spans", "import", file, "--into", path, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["changed"] == ["people/2"]
    assert [e.quote(s) for e in store.load(path) for s in e.spans] == ["Mara 😀 Ilves", "florist"] + ["Mara 😀 Ilves"]


def test_a_doc_bin_and_a_tpo_folder_are_recognised(tmp_path):
    spacy = pytest.importorskip("spacy")
    from spacy.tokens import DocBin

    doc = spacy.blank("xx")("Mara Ilves is a florist.")
    doc.spans["sc"] = [doc.char_span(0, 10, label="UW")]
    (tmp_path / "x").write_bytes(DocBin(docs=[doc]).to_bytes())
    assert formats.recognise(tmp_path / "x") == "spacy"
    (back,) = formats.resolve(formats.read(tmp_path / "x"))
    assert bounds(back) == [(0, 10, "UW")]
    store.save(AnnotationSet((SHOWN,)), tmp_path / "set.parquet")
    list(export(str(tmp_path / "set.parquet"), "tpo", tmp_path / "folder"))
    assert formats.recognise(tmp_path / "folder") == "tpo"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"name": "Mara"}\n', r"line 1: the format is not recognised \(fields: name\)"),
        ("[3]", r"record 1: the format is not recognised"),
        ("", "contains no records"),
        ("Mara is a florist.\n", "line 1: is not JSON"),
    ],
)
def test_what_is_not_recognised_is_refused_with_the_formats_by_name(tmp_path, cli, content, told):
    file = tmp_path / "x.ls"
    file.write_text(content)
    with pytest.raises(InputError, match=told):
        formats.recognise(file)
    refused = cli("spans", "import", file, "--into", tmp_path / "a.parquet")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    if "recognised" in told:
        assert "--format tif, prodigy, doccano, label-studio, spacy, inline, tpo" in refused.err


def test_help_offers_the_formats_and_the_statuses(cli):
    assert "tif|prodigy|doccano|label-studio|spacy|inline|tpo" in cli("spans", "import", "--help").out.replace("\n", "")
    assert "auto|review|accepted|corrected|rejected|conflict|failed" in cli("spans", "show", "--help").out.replace(
        "\n", ""
    )


def test_any_exported_file_can_be_compared_with_a_set(tmp_path, cli):
    path = tmp_path / "set.parquet"
    store.save(AnnotationSet((SHOWN,)), path)
    for format_ in formats.FORMATS:
        file = tmp_path / f"{format_}.out"
        assert cli("spans", "export", path, "--format", format_, "--out", file).code == 0
        told = cli("spans", "score", file, "--gold", path, "--json")
        assert told.code == 0, told.err
        assert json.loads(told.out)["span_exact"]["f1"] == 1.0
