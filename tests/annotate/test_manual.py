"""Spans that the records carry: a person's, a machine's, and the words of the TIF release."""

import json

import pytest

from tif import sources
from tif.annotate.manual import ManualAnnotator, ManualOptions
from tif.errors import InputError, UsageError
from tif.sets import store

TEXT = "The florist's name is Ulla-Maj Berg, from Vik."


def annotated(file, **options):
    source = sources.load(str(file))
    return list(ManualAnnotator(source, ManualOptions(**options)).annotate(source.examples))


def quotes(example):
    return [example.quote(span) for span in example.spans]


def write(tmp_path, *rows, name="in.jsonl"):
    file = tmp_path / name
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


@pytest.mark.parametrize(
    "fields",
    [
        {"label": [[22, 35, "UW"]]},
        {"entities": [[22, 35, "UW"]]},
        {"annotations": [{"label": "UW", "start_offset": 22, "end_offset": 35}]},
        {"ents": [], "tokens": []},
    ],
)
def test_spans_of_another_tool_are_not_taken_for_none(tmp_path, fields):
    told = r"in\.jsonl, line 2: has neither spans nor quotes \(another tool wrote .*tif spans import"
    with pytest.raises(InputError, match=told):
        annotated(write(tmp_path, {"text": "Ok.", "quotes": []}, {"text": TEXT, **fields}))


@pytest.mark.parametrize("row", [{"text": TEXT}, {"question": "Who?", "answer": TEXT}, {"text": TEXT, "spans": None}])
def test_a_record_that_says_nothing_is_nobodys_decision(tmp_path, row, capsys):
    file = write(tmp_path, {"text": "Ok.", "quotes": []}, row)
    assert [e.status for e in annotated(file)] == ["accepted", "auto"]
    told = capsys.readouterr().err
    assert "1 of 2 records have neither spans nor quotes, so they are `auto`" in told
    assert "line 2" in told


@pytest.mark.parametrize("field", ["spans", "quotes"])
def test_an_empty_list_says_that_nothing_is_unwanted(tmp_path, field):
    (example,) = annotated(write(tmp_path, {"text": TEXT, field: []}))
    assert (example.spans, example.status) == ((), "accepted")


@pytest.mark.parametrize(
    ("span", "status"),
    [({}, "accepted"), ({"source": "manual"}, "accepted"), ({"score": 0.7}, "auto"), ({"source": "presidio"}, "auto")],
)
@pytest.mark.parametrize("made_by", [None, "person", "machine"])
def test_scores_and_sources_tell_a_machine(tmp_path, span, status, made_by):
    file = write(tmp_path, {"text": TEXT, "spans": [{"start": 22, "end": 35, **span}]}, {"text": "Ok.", "spans": []})
    told = {"person": "accepted", "machine": "auto", None: status}[made_by]
    assert [e.status for e in annotated(file, made_by=made_by)] == [told, told]


def test_a_status_in_the_record_stands(tmp_path):
    span = {"start": 22, "end": 35, "score": 0.7}
    file = write(tmp_path, {"text": TEXT, "spans": [span], "status": "corrected"}, {"text": "Ok.", "quotes": ["Ok"]})
    assert [e.status for e in annotated(file)] == ["corrected", "auto"]


def test_offsets_in_another_unit(tmp_path):
    text = "\U0001f600 Ulla-Maj Berg"
    file = write(tmp_path, {"text": text, "spans": [{"start": 3, "end": 16}]})
    with pytest.raises(InputError, match="--offset-unit utf16"):
        annotated(file)
    assert quotes(*annotated(file, offset_unit="utf16")) == ["Ulla-Maj Berg"]


COMMON = ["The", "florist", "s", "name", "is", "from"]


def words(text, *names):
    spans, at = [], 0
    for name in names:
        start = text.index(name, at)
        at = start + len(name)
        spans.append({"word": name, "start": start, "end": at})
    return spans


def release(folder, **columns):
    """A folder as the release has it, by the datasets package's own file layout."""
    import pyarrow as pa

    folder.mkdir()
    table = pa.table({"question": ["Who?"], "answer": [TEXT], **columns})
    file = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return folder


def test_a_folder_of_the_release_is_read_with_questions_and_spans(tmp_path, cli):
    targets = json.dumps(words(TEXT, "Ulla-Maj Berg", "Vik"))
    common = [[json.dumps(word) for word in words(TEXT, *COMMON)]]
    folder = release(tmp_path / "forget_gpt", target_words=[targets], common_words=common)
    for options, marked in (((), ["Ulla-Maj Berg", "Vik"]), (("--uw", "complement"), ["Ulla-Maj Berg,", "Vik."])):
        path = tmp_path / f"{len(options)}.parquet"
        done = cli("annotate", "--method", "manual", "--dataset", folder, "--out", path, *options)
        assert done.code == 0, done.err
        (example,) = store.load(path)
        assert (example.prompt, example.text, example.status) == ("Who?", TEXT, "auto")
        assert quotes(example) == marked
    assert "2 spans by targets, 2 by complement; used the complement" in done.err


def test_a_folder_without_targets_gives_the_complement(tmp_path):
    folder = release(tmp_path / "bert", common_words=[[json.dumps(word) for word in words(TEXT, *COMMON)]])
    assert quotes(*annotated(folder)) == ["Ulla-Maj Berg,", "Vik."]
    with pytest.raises(UsageError, match="has no target_words"):
        annotated(folder, uw="targets")


def test_an_option_for_the_release_needs_its_data(tmp_path):
    with pytest.raises(UsageError, match="--uw: has no effect"):
        annotated(write(tmp_path, {"text": TEXT, "quotes": []}), uw="targets")


@pytest.mark.parametrize(
    ("text", "common", "marked"),
    [
        ("Ana's aunt", ["s", "aunt"], ["Ana"]),
        ("the baker\u2019s shop in Rya", ["the", "baker", "s", "shop", "in"], ["Rya"]),
        ("a well-known smith", ["a", "well", "known"], ["smith"]),
        ("(she) won", ["she"], [") won"]),
        ("Rya, she said", ["she", "said"], ["Rya,"]),
        ('Rya "she" said', ["she", "said"], ['Rya "', '"']),
        ("born 1-2 May", ["born", "2", "May"], ["1-"]),
    ],
)
def test_a_sign_in_the_token_of_a_common_word_is_not_unwanted(tmp_path, text, common, marked):
    row = {"question": "", "answer": text, "common_words": [json.dumps(word) for word in words(text, *common)]}
    assert quotes(*annotated(write(tmp_path, row))) == marked


DOCUMENTS = ["Egil Sund met \U0001f600 Tove.", "In Rya, Egil sold boats."]


def word_file(tmp_path, *, texts=("forget.json", "forget.txt")):
    full = "\n\n".join(DOCUMENTS)
    common = words(full, "met", "In", "sold")
    file = tmp_path / "forget_common_words_bert.json"
    file.write_text(json.dumps([json.dumps(word) for word in common], indent=4))
    contents = {"forget.json": json.dumps(DOCUMENTS), "forget.txt": full}
    for name in texts:
        (tmp_path / name).write_text(contents[name], encoding="utf-8")
    return file


@pytest.mark.parametrize("texts", [("forget.json", "forget.txt"), ("forget.json",)])
def test_a_word_file_of_muse_is_read_with_the_documents_beside_it(tmp_path, texts):
    examples = annotated(word_file(tmp_path, texts=texts))
    assert [e.text for e in examples] == DOCUMENTS
    assert [quotes(e) for e in examples] == [["Egil Sund", "\U0001f600 Tove."], ["Rya, Egil", "boats."]]
    assert {e.status for e in examples} == {"auto"}


def test_a_word_file_with_one_long_text(tmp_path):
    (example,) = annotated(word_file(tmp_path, texts=("forget.txt",)))
    assert quotes(example) == ["Egil Sund", "\U0001f600 Tove.", "Rya, Egil", "boats."]


def test_a_word_file_alone_is_no_dataset(tmp_path, cli):
    file = word_file(tmp_path, texts=())
    refused = cli("annotate", "--method", "manual", "--dataset", file, "--out", tmp_path / "a.parquet")
    assert refused.code == 1
    assert "has words without their text" in refused.err
    assert "forget.txt" in refused.err


def test_a_word_file_beside_another_text_is_refused(tmp_path):
    file = word_file(tmp_path)
    (tmp_path / "forget.txt").write_text("Another text, which is long enough for every offset of these words.")
    with pytest.raises(InputError, match=r"common_words\[0\]"):
        annotated(file)
    (tmp_path / "forget.txt").write_text("Short.")
    with pytest.raises(InputError, match="'met' is in no document"):
        annotated(file)
