"""Files of spans in another encoding than UTF-8: `--encoding` of `tif spans import` and `tif spans score`."""

import json

import pytest

from tif.sets import exchange, formats, store
from tif.spans import AnnotationSet, Example, Span

TEXT = "Jürgen Weiß wohnt in Köln."
SET = AnnotationSet((Example("a/1", "Wer?", TEXT, (Span(0, 11, "PERSON", "ada"), Span(21, 25, "LOCATION", "ada"))),))
TEXT_FORMATS = [name for name in formats.FORMATS if name != "tpo"]


def marked(annotations):
    return [(e.quote(s), s.label) for e in annotations for s in e.spans]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "set.parquet"
    store.save(SET.with_examples([SET.examples[0].with_spans((SET.examples[0].spans[0],))]), path)
    return path


def written(folder, name="tif", encoding="cp1252"):
    file = folder / f"spans-{name}.txt"
    file.write_bytes("\n".join(formats.write(SET, name)).encode(encoding))
    return file


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_every_text_format_is_read_in_the_encoding_that_the_user_names(tmp_path, name):
    file = written(tmp_path, name)
    assert [e.text for e in formats.resolve(formats.read(file, name, encoding="cp1252"), name="x")] == [TEXT]
    assert marked(exchange.load_all([str(file)], encoding="cp1252")[0]) == [
        ("Jürgen Weiß", "PERSON"),
        ("Köln", "LOCATION"),
    ]


def test_results_of_recognisers_too(tmp_path):
    rows = [{"text": TEXT, "entities": [{"entity_type": "PERSON", "start": 0, "end": 11, "score": 0.5}]}]
    file = tmp_path / "found.json"
    file.write_bytes(json.dumps(rows, ensure_ascii=False).encode("latin-1"))
    (record,) = formats.read(file, encoding="latin-1")
    assert record.text == TEXT


def test_import_and_score_take_the_encoding(tmp_path, cli, saved):
    file = written(tmp_path)
    refused = cli("spans", "import", file, "--into", saved)
    assert refused.code == 1
    assert "is not UTF-8, but probably Windows-1252" in refused.err
    scored = cli("spans", "score", saved, "--gold", file, "--encoding", "cp1252", "--json")
    assert json.loads(scored.out)["char"]["recall"] == pytest.approx(10 / 14)
    assert cli("spans", "import", file, "--into", saved, "--encoding", "cp1252").code == 0
    assert marked(store.load(saved)) == [("Jürgen Weiß", "PERSON"), ("Köln", "LOCATION")]


def test_an_encoding_without_a_text_file_or_that_nobody_knows_is_refused(tmp_path, cli, saved):
    file = written(tmp_path)
    both = cli("spans", "score", saved, "--gold", saved, "--encoding", "cp1252")
    assert (both.code, "--encoding: is for text files" in both.err) == (2, True)
    unknown = cli("spans", "import", file, "--into", saved, "--encoding", "windows-9")
    assert (unknown.code, "is not an encoding that Python knows" in unknown.err) == (2, True)
    parquet = cli("spans", "import", saved, "--format", "tif", "--into", saved, "--encoding", "cp1252")
    assert (parquet.code, "--encoding: is for text files" in parquet.err) == (2, True)
    wrong = cli("spans", "import", file, "--into", saved, "--encoding", "ascii")
    assert (wrong.code, "is not ascii" in wrong.err) == (1, True)


def samples(folder, encoding):
    path = folder / f"samples-{encoding}.jsonl"
    path.write_bytes(json.dumps({"id": "a/1", "question": "Wer?", "answer": TEXT}, ensure_ascii=False).encode(encoding))
    return path


def test_spans_of_manual_take_the_encoding_of_the_samples_or_one_of_their_own(tmp_path, cli):
    """In a file of samples and in one of spans, each alone in another encoding, or both."""
    out = tmp_path / "out.parquet"
    command = ("annotate", "--method", "manual", "--out", out, "--json")

    def taken(dataset, spans, *more):
        done = cli(*command, "--fresh", "--dataset", dataset, "--spans", spans, *more)
        assert done.code == 0, done.err
        return marked(store.load(out))

    both = [("Jürgen Weiß", "PERSON"), ("Köln", "LOCATION")]
    windows, unicode = written(tmp_path), written(tmp_path, "doccano", "utf-8")
    assert taken(samples(tmp_path, "cp1252"), windows, "--encoding", "cp1252") == both
    assert taken(samples(tmp_path, "utf-8"), windows, "--spans-encoding", "cp1252") == both
    assert taken(samples(tmp_path, "cp1252"), unicode, "--encoding", "cp1252", "--spans-encoding", "utf-8") == both
    parquet = tmp_path / "samples.parquet"
    store.save(SET, parquet)
    assert taken(parquet, windows, "--encoding", "cp1252") == both
    refused = cli(*command, "--dataset", parquet, "--spans", windows)
    assert (refused.code, "is not UTF-8, but probably Windows-1252" in refused.err) == (1, True)
    assert "Or read it as it is: --encoding cp1252." in refused.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--spans-encoding", "windows-9"), "--spans-encoding: 'windows-9' is not an encoding that Python knows"),
        (("--encoding", "windows-9"), "--encoding: 'windows-9' is not an encoding that Python knows"),
        (("--spans-encoding", "cp1252", "--encoding", "cp1252"), "--encoding does nothing here (parquet"),
    ],
)
def test_an_encoding_of_spans_without_effect_or_that_nobody_knows_is_refused(tmp_path, cli, more, message):
    parquet = tmp_path / "samples.parquet"
    store.save(SET, parquet)
    command = ("annotate", "--method", "manual", "--out", tmp_path / "out.parquet", "--dataset", parquet)
    refused = cli(*command, "--spans", written(tmp_path), *more)
    assert (refused.code, message in refused.err) == (2, True), refused.err


def test_an_encoding_of_spans_needs_a_text_file_of_spans(tmp_path, cli):
    parquet = tmp_path / "samples.parquet"
    store.save(SET, parquet)
    command = ("annotate", "--method", "manual", "--out", tmp_path / "out.parquet", "--dataset", parquet)
    alone = cli(*command, "--spans-encoding", "cp1252")
    assert (alone.code, "it describes the file of --spans" in alone.err) == (2, True)
    binary = cli(*command, "--spans", parquet, "--format", "tif", "--spans-encoding", "cp1252")
    assert (binary.code, "--spans-encoding: is for text files" in binary.err) == (2, True), binary.err
