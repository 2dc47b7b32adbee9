"""Results of recognisers come in with type and score, as `auto`, by text, id or order."""

import json
from contextlib import suppress

import pytest

from tif.errors import InputError, UsageError
from tif.sets import formats, store
from tif.sets.exchange import bring_in
from tif.spans import AnnotationSet, Example, Span

ONE = "🙂 Signe Malm lives in Ravlunda."
TWO = "Call 555-0199 for Otto."
SET = AnnotationSet((Example("a", "", ONE), Example("b", "", TWO)))
FOUND = {ONE: [("Signe Malm", "PERSON", 0.85), ("Ravlunda", "PLACE", 0.6)], TWO: [("555-0199", "PHONE", 0.4)]}


def at(text, words):
    return text.index(words), text.index(words) + len(words)


def spans(text, start, end, label, score=None, quote=None, **more):
    """One recogniser's dicts for a text."""
    for words, kind, value in FOUND[text]:
        first, last = at(text, words)
        yield (
            {start: first, end: last, label: kind}
            | ({score: value} if score else {})
            | ({quote: words} if quote else {})
            | more
        )


def azure(text, unit):
    for words, kind, value in FOUND[text]:
        first, _ = at(text, words)
        before = len(text[:first].encode("utf-16-le")) // 2 if unit == "utf16" else first
        yield {"text": words, "category": kind, "offset": before, "length": len(words), "confidenceScore": value}


def dlp(text):
    for words, kind, _ in FOUND[text]:
        first, last = at(text, words)
        span = {"end": str(last)} | ({"start": str(first)} if first else {})
        location = {"codepointRange": span, "byteRange": {"start": "1", "end": "2"}}
        yield {"quote": words, "infoType": {"name": kind}, "likelihood": "LIKELY", "location": location}


def langextract(text):
    for words, kind, _ in FOUND[text]:
        first, last = at(text, words)
        interval = {"start_pos": first, "end_pos": last}
        yield {
            "extraction_class": kind,
            "extraction_text": words,
            "char_interval": interval,
            "alignment_status": "match_exact",
        }


TEXTS = (ONE, TWO)
FILES = {
    "presidio": [list(spans(t, "start", "end", "entity_type", "score", analysis_explanation=None)) for t in TEXTS],
    "presidio-research": [
        {"full_text": t, "spans": list(spans(t, "start_position", "end_position", "entity_type", quote="entity_value"))}
        for t in TEXTS
    ],
    "gliner": [list(spans(t, "start", "end", "label", "score", "text")) for t in TEXTS],
    "langextract": [{"document_id": "d", "text": t, "extractions": list(langextract(t))} for t in TEXTS],
    "comprehend": [
        {"Entities": list(spans(t, "BeginOffset", "EndOffset", "Type", "Score")), "File": "x.txt", "Line": n}
        for n, t in enumerate(TEXTS)
    ],
    "azure": [
        {
            "results": {
                "documents": [{"id": i, "entities": list(azure(t, "utf16"))} for i, t in zip("ab", TEXTS, strict=True)]
            }
        }
    ],
    "dlp": [{"result": {"findings": list(dlp(t))}} for t in TEXTS],
    "hf": [list(spans(t, "start", "end", "entity_group", "score", word="x")) for t in TEXTS],
}


def write(tmp_path, content):
    file = tmp_path / "in.json"
    file.write_text(json.dumps(content))
    return file


def saved(tmp_path, annotations=SET):
    path = tmp_path / "set.parquet"
    store.save(annotations, path)
    return path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("named", [True, False])
def test_each_comes_in_with_types_as_auto(tmp_path, cli, name, named):
    path, file = saved(tmp_path), write(tmp_path, FILES[name])
    done = cli("spans", "import", file, "--into", path, *(["--format", name] if named else []))
    assert done.code == 0, done.err
    for example in store.load(path):
        assert example.status == "auto"
        assert [(example.quote(s), s.label, s.source) for s in example.spans] == [
            (words, label, name) for words, label, _ in FOUND[example.text]
        ]
        if name in ("presidio", "gliner", "comprehend", "azure", "hf"):
            assert [s.score for s in example.spans] == [score for _, _, score in FOUND[example.text]]


@pytest.mark.parametrize("name", FILES)
def test_each_is_read_beside_a_dataset_and_never_wins_over_a_person(tmp_path, cli, name):
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out.parquet"
    texts.write_text("".join(json.dumps({"id": e.id, "text": e.text}) + "\n" for e in SET))
    file = write(tmp_path, FILES[name])
    done = cli("annotate", "--method", "manual", "--dataset", texts, "--spans", file, "--format", name, "--out", out)
    assert done.code == 0, done.err
    assert [[e.quote(s) for s in e.spans] for e in store.load(out)] == [[w for w, _, _ in FOUND[t]] for t in TEXTS]
    assert {e.status for e in store.load(out)} == {"auto"}
    decided = saved(tmp_path, SET.replaced([Example("a", "", ONE, (Span(2, 7),), "accepted")]))
    assert bring_in(file, decided, name).kept == ("a",)


def test_one_text_may_be_a_bare_list_or_a_servers_answer(tmp_path):
    one = AnnotationSet(SET.examples[:1])
    for name in ("presidio", "gliner", "hf"):
        (record,) = formats.read(write(tmp_path, FILES[name][0]), name, samples=one)
        assert len(record.spans) == 2
    file = tmp_path / "in.json"
    file.write_text(json.dumps(FILES["azure"][0], indent=2))
    assert formats.recognise(file) == "azure"
    assert len(formats.read(file, samples=SET)) == 2


def test_records_without_text_need_their_samples(tmp_path, cli):
    file = write(tmp_path, FILES["presidio"][:1])
    refused = cli("spans", "import", file, "--into", tmp_path / "new.parquet")
    assert refused.code == 1
    assert "record 1: has no text" in refused.err
    refused = cli("spans", "import", file, "--into", saved(tmp_path))
    assert "the file has 1 records, the set 2: their order says nothing" in refused.err
    by_id = write(tmp_path, [{"id": "b", "results": FILES["presidio"][1]}])
    (record,) = formats.read(by_id, samples=SET)
    assert (record.id, record.text) == ("b", TWO)


def test_tab_takes_the_checked_annotator_and_leaves_no_mask_out(tmp_path):
    def mention(words, kind):
        first, last = at(TWO, words)
        return {
            "entity_type": "CODE",
            "start_offset": first,
            "end_offset": last,
            "span_text": words,
            "identifier_type": kind,
        }

    annotations = {
        "annotator1": {"entity_mentions": [mention("Call", "DIRECT")]},
        "annotator2": {"entity_mentions": [mention("555-0199", "DIRECT"), mention("Otto", "NO_MASK")]},
    }
    row = {"doc_id": "d1", "text": TWO, "quality_checked": ["annotator2"], "annotations": annotations}
    (record,) = formats.read(write(tmp_path, [row]))
    assert [(TWO[s.start : s.end], s.label) for s in record.spans] == [("555-0199", "RECORD_ID")]
    assert (record.id, record.maker) == ("d1", "person")


def test_overlaps_of_one_type_are_united(tmp_path):
    found = [
        {"entity_type": "PERSON", "start": 2, "end": 7, "score": 0.4},
        {"entity_type": "PERSON", "start": 2, "end": 12, "score": 0.85},
        {"entity_type": "NRP", "start": 2, "end": 7, "score": 0.1},
    ]
    (record,) = formats.read(write(tmp_path, [{"text": ONE, "entities": found}]), "presidio")
    assert [(s.start, s.end, s.label, s.score) for s in record.spans] == [
        (2, 7, "DEMOGRAPHIC", 0.1), (2, 12, "PERSON", 0.85),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row", "label"),
    [
        ("presidio", [{"entity_type": "US_SSN", "start": 5, "end": 13, "score": 0.5}], "GOV_ID"),
        ("hf", [{"entity_group": "PER", "start": 5, "end": 13, "score": 0.5}], "PERSON"),
        (
            "gliner",
            [{"label": "social security number", "start": 5, "end": 13, "score": 0.5, "text": "555-0199"}],
            "GOV_ID",
        ),
        ("comprehend", {"Entities": [{"Type": "CREDIT_DEBIT_NUMBER", "BeginOffset": 5, "EndOffset": 13}]}, "ACCOUNT"),
        ("azure", {"entities": [{"category": "IPAddress", "offset": 5, "length": 8, "text": "555-0199"}]}, "NETWORK"),
        ("presidio", [{"entity_type": "CHESS_OPENING", "start": 5, "end": 13, "score": 0.5}], "CHESS_OPENING"),
    ],
)
def test_labels_become_canonical_types_as_an_annotator_writes_them(tmp_path, name, row, label):
    (record,) = formats.read(write(tmp_path, [row]), name, samples=AnnotationSet((Example("a/1", "", TWO),)))
    assert [(TWO[s.start : s.end], s.label) for s in record.spans] == [("555-0199", label)]


@pytest.mark.parametrize(
    ("name", "row", "told"),
    [
        (
            "gliner",
            {"text": TWO, "entities": [{"start": 6, "end": 13, "label": "X", "text": "555-0199"}]},
            "but the text is",
        ),
        ("gliner", {"text": TWO, "spans": [], "label": []}, None),
        ("presidio", {"text": TWO}, "has none of the fields"),
        (
            "hf",
            [{"entity": "B-PER", "start": 0, "end": 4, "score": 0.5, "word": "Call"}],
            'aggregation_strategy="simple"',
        ),
        (
            "azure",
            {"text": TWO, "entities": [{"text": "Otto", "category": "P", "offset": 3, "length": 4}]},
            "but the text is",
        ),
        (
            "comprehend",
            {"Text": TWO, "Entities": [{"Type": "NAME", "BeginOffset": 18, "EndOffset": 21}]},
            "Add 1 to each",
        ),
        ("presidio", {"text": TWO, "entities": [{"start": 0, "end": 4}]}, "has no label"),
        (
            "presidio",
            {"text": TWO, "entities": [{"entity_type": "X", "start": 0, "end": 400}]},
            "400 is outside the text",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, name, row, told):
    file = write(tmp_path, [row])
    samples = AnnotationSet(SET.examples[1:])
    if told is None:
        assert formats.read(file, name, samples=samples)[0].spans == ()
    else:
        with pytest.raises(InputError, match=rf"in\.json, record 1.*{told}"):
            formats.read(file, name, samples=samples)


def test_extractions_without_exact_offsets_are_named_not_guessed(tmp_path, capsys):
    fuzzy = {
        "extraction_class": "PERSON",
        "extraction_text": "Otho",
        "char_interval": {"start_pos": 18, "end_pos": 22},
        "alignment_status": "match_fuzzy",
    }
    lost = {"extraction_class": "PERSON", "extraction_text": "Eva", "char_interval": None, "alignment_status": None}
    (record,) = formats.read(write(tmp_path, [{"text": TWO, "extractions": [*langextract(TWO), fuzzy, lost]}]))
    assert len(record.spans) == 1
    assert "2 spans without exact offsets are left out, first 'Otho'" in capsys.readouterr().err


def test_a_recognisers_format_is_only_read(tmp_path, cli):
    path = saved(tmp_path)
    assert cli("spans", "export", path, "--format", "presidio").code == 2
    with pytest.raises(UsageError, match="unknown format"):
        list(formats.write(SET, "presidio"))


def test_a_format_describes_a_file(tmp_path, cli):
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": ONE, "quotes": []}))
    refused = cli("annotate", "--method", "manual", "--dataset", texts, "--format", "presidio")
    assert refused.code == 2
    assert "--spans" in refused.err


OF_SERVERS = {
    "dlp, bytes": (
        "dlp",
        {
            "result": {
                "findings": [
                    {
                        "quote": "Ravlunda",
                        "infoType": {"name": "LOCATION"},
                        "location": {"byteRange": {"start": "25", "end": "33"}},
                    }
                ]
            }
        },
    ),
    "azure, Python": (
        "azure",
        [{"id": "a", "entities": [{"text": "Ravlunda", "category": "Location", "offset": 22, "length": 8,
                                   "confidence_score": 0.5}], "is_error": False}],
    ),
    "comprehend, batch": (
        "comprehend",
        {"ResultList": [{"Index": 0, "Entities": [{"Type": "LOCATION", "BeginOffset": 22, "EndOffset": 30,
                                                   "Score": 0.5}]}], "ErrorList": []},
    ),
    "gliner, probabilities": (
        "gliner",
        [[{"start": 22, "end": 30, "text": "Ravlunda", "label": "city", "score": 0.5, "class_probs": {"city": 0.5}}]],
    ),
    "gliner, by type": (
        "gliner",
        {"entities": {"city": [{"text": "Ravlunda", "confidence": 0.5, "start": 22, "end": 30}], "person": []}},
    ),
    "gliner, server": (
        "gliner",
        {"choices": [{"message": {"content": json.dumps(
            {"entities": [{"start": 22, "end": 30, "text": "Ravlunda", "label": "city", "score": 0.5}]})}}]},
    ),
    "langextract, other case": (
        "langextract",
        {"text": ONE, "extractions": [{"extraction_class": "location", "extraction_text": "ravlunda",
                                       "char_interval": {"start_pos": 22, "end_pos": 30},
                                       "alignment_status": "match_exact"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OF_SERVERS)
def test_answers_of_servers_and_other_versions_are_read(tmp_path, case):
    name, content = OF_SERVERS[case]
    samples = AnnotationSet(SET.examples[:1])
    (record,) = formats.read(write(tmp_path, content), name, samples=samples)
    assert [(ONE[s.start : s.end], s.label) for s in record.spans] == [("Ravlunda", "LOCATION")]
    assert record.maker == "machine"
    if name not in ("dlp", "langextract"):
        assert record.spans[0].score == 0.5
    if case != "gliner, server":
        assert formats.recognise(write(tmp_path, content)) == name


def test_texts_that_a_service_did_not_read_are_named_and_shift_no_other(tmp_path, capsys):
    failure = {"code": "InvalidArgument", "message": "too long"}
    documents = FILES["azure"][0]["results"]["documents"][1:]
    file = write(tmp_path, {"results": {"documents": documents, "errors": [{"id": "a", "error": failure}]}})
    (record,) = formats.read(file, samples=SET)
    assert record.id == "b"
    assert "the service did not read a text: {'id': 'a'" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"1 of 1 records say nothing .*too long"):
        formats.read(write(tmp_path, {"documents": [{"id": "a", "error": failure, "is_error": True}]}), "azure")
    entities = FILES["comprehend"][1]["Entities"]
    batch = {"ResultList": [{"Index": 1, "Entities": entities}], "ErrorList": [{"Index": 0, "ErrorCode": "TOO_BIG"}]}
    (record,) = formats.read(write(tmp_path, batch), samples=SET)
    assert (record.id, [TWO[s.start : s.end] for s in record.spans]) == ("b", ["555-0199"])
    assert "TOO_BIG" in capsys.readouterr().err
    twice = {"ResultList": [{"Index": 0, "Entities": []}, {"Index": 0, "Entities": []}]}
    with pytest.raises(InputError, match="record 1, Index: has no number of its own"):
        formats.read(write(tmp_path, twice), samples=SET)


def test_google_leaves_empty_lists_out(tmp_path):
    (record,) = formats.read(write(tmp_path, {"result": {}}), "dlp", samples=AnnotationSet(SET.examples[:1]))
    assert record.spans == ()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gliner", {"entities": {"city": ["Ravlunda"]}}, r"entities\.city\[0\]: has no offsets .*include_spans=True"),
        ("gliner", {"choices": [{"message": {"content": "Sure!"}}]}, r"choices\[0\]\.message\.content"),
        (
            "presidio",
            {"text": "<PERSON>", "items": [{"start": 0, "end": 8, "entity_type": "PERSON", "operator": "replace"}]},
            "items: is an answer of Presidio's anonymizer .*Give the analyzer's",
        ),
        ("dlp", {"result": {"findings": [], "findingsTruncated": True}}, "maxFindingsPerRequest"),
        ("hf", [[{"entity_group": "PER", "start": None, "end": None, "score": 0.5}]], "start: has no offsets .*slow"),
        (None, [{"entity": "B-PER", "index": 1, "word": "x", "start": 0, "end": 1, "score": 0.5}], "did not group"),
        (
            "langextract",
            {"text": ONE, "extractions": [{"extraction_class": "x", "extraction_text": "Otto",
                                           "char_interval": {"start_pos": 22, "end_pos": 30}}]},
            r"extractions\[0\], text: the offsets select 'Ravlunda', but the text is 'Otto'",
        ),
        ("tab", [{"doc_id": "d", "text": ONE, "annotations": {"annotator1": {}}}], "none of the fields entity_m"),
    ],
)  # fmt: skip
def test_answers_without_places_in_the_text_are_refused(tmp_path, name, content, told):
    with pytest.raises(InputError, match=rf"record 1.*{told}") as caught:
        formats.read(write(tmp_path, content), name, samples=AnnotationSet(SET.examples[:1]))
    assert "\n" not in str(caught.value)


HOSTILE = [None, [], {}, "", -1, 10**30, [[]], {"a": 1}, "gone"]


@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_a_file_is_read_or_refused(tmp_path, name):
    """Each value of a file in turn becomes another one, or is missing."""
    content, file = FILES[name], tmp_path / "in.json"
    for path in places(content):
        for value in HOSTILE:
            file.write_text(json.dumps(damaged(content, path, value)))
            with suppress(InputError):
                formats.resolve(formats.read(file, name, samples=SET), SET)


def places(value, path=()):
    yield from [path] if path else []
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def damaged(content, path, value):
    content = json.loads(json.dumps(content))
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if value == "gone":
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return content
