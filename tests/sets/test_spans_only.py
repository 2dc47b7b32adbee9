import json

import pyarrow.parquet as pq
import pytest

from tif import sources
from tif.errors import InputError, StoreError
from tif.sets import exchange, store
from tif.spans import AnnotationSet, Provenance, Span


@pytest.fixture
def data(tmp_path):
    """A stand-in for a local copy of TOFU: the same layout, people of our own."""
    rows = [{"question": f"Who is {i}?", "answer": f"Łucja 👍 number {i}."} for i in range(3)]
    (tmp_path / "forget10.json").write_text("\n".join(json.dumps(r) for r in rows))
    return tmp_path


@pytest.fixture
def full(data):
    source = sources.load("tofu:forget10", data_dir=data)
    examples = tuple(e.with_spans([Span(0, 5)]) for e in source.examples)
    path = data / "full.parquet"
    store.save(AnnotationSet(examples, Provenance(source.dataset, {"name": "ner"})), path)
    return path


def test_texts_are_left_out_and_come_back_to_the_digest(cli, data, full):
    bare = data / "bare.parquet"
    assert cli("spans", "export", full, "--spans-only", "--out", bare).code == 0
    assert "Łucja" not in str(pq.read_table(bare).to_pylist())
    assert "Łucja".encode() not in bare.read_bytes()
    joined = store.load(bare, data_dir=data)
    assert joined.examples == store.load(full).examples
    assert joined.version == store.load(full).version
    assert cli("spans", "join", bare, "--data-dir", data, "--out", data / "again.parquet").code == 0
    assert store.load(data / "again.parquet").digest == joined.digest


def test_without_its_data_set_a_bare_set_says_what_to_do(cli, data, full):
    bare = data / "bare.parquet"
    exchange.strip(str(full), bare)
    for command in (["show"], ["check"], ["diff", bare], ["score", "--gold", bare], ["export"]):
        result = cli("spans", command[0], bare, *command[1:], "--data-dir", data / "elsewhere")
        assert result.code == 1
        assert result.err.count("\n") == 1
        assert "elsewhere does not exist" in result.err
    (data / "empty").mkdir()
    result = cli("spans", "show", bare, "--data-dir", data / "empty")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert f"{bare}: locuslab/TOFU (forget10) cannot be loaded" in result.err
    assert "put forget10.json into a folder and name the folder with --data-dir" in result.err
    with pytest.raises(StoreError, match="no version 7"):
        store.load(f"{bare}@7", data_dir=data)


def test_a_changed_text_is_refused_by_name(data, full):
    bare = data / "bare.parquet"
    exchange.strip(str(full), bare)
    file = data / "forget10.json"
    file.write_text(file.read_text().replace("number 1", "number 9"))
    with pytest.raises(InputError, match=r"record 'tofu/forget10/0001'.*hash"):
        store.load(bare, data_dir=data)


def test_an_ordinary_set_is_loaded_as_it_is(full):
    assert store.load(full).examples == store.load(full).examples


@pytest.fixture
def bare(full, data):
    return exchange.strip(str(full), data / "bare.parquet")


def test_every_command_that_reads_a_set_reads_one_without_texts(cli, data, full, bare):
    """What a command prints for the bare set is what it prints for the full one."""
    commands = [
        ["show", "{}", "--json"],
        ["check", "{}", "--json"],
        ["log", "{}", "--json"],
        ["diff", "{}", full, "--json"],
        ["score", "{}", "--gold", "{}", "--json"],
        ["queue", "{}", "--json"],
        ["export", "{}", "--format", "inline"],
        ["export", "{}@1", "--format", "tif"],
    ]
    for command in commands:
        at = [] if command[0] == "log" else ["--data-dir", data]
        told = [cli("spans", *(str(word).format(ref) for word in command), *at) for ref in (bare, full)]
        assert [t.code for t in told] == [0, 0], told[0].err
        assert told[0].out.replace(str(bare), str(full)) == told[1].out
        assert told[0].out.strip()


def test_a_vote_takes_sets_without_texts(cli, data, full, bare):
    into = data / "voted.parquet"
    done = cli("spans", "merge", bare, full, "--intersect", "--into", into, "--data-dir", data)
    assert done.code == 0, done.err
    assert [e.keys for e in store.load(into)] == [e.keys for e in store.load(full)]


def test_a_set_without_texts_is_never_written_over(cli, data, full, bare):
    """A version with texts must not take the place of a file that is meant to have none."""
    before = bare.read_bytes()
    file = data / "fix.jsonl"
    assert cli("spans", "export", full, "--out", file).code == 0
    for command in (
        ["import", file, "--into", bare],
        ["merge", full, full, "--union", "--into", bare],
        ["merge", full, "--into", bare, "--from-version", full],
        ["restore", f"{bare}@1"],
        ["edit", bare, "--no-browser"],
    ):
        refused = cli("spans", *command)
        assert (refused.code, refused.err.count("\n")) == (1, 1), refused.err
        assert f"tif spans join {bare} --out" in refused.err.replace("\n", "")
    refused = cli("annotate", "--method", "ner", "--dataset", "tofu:forget10", "--data-dir", data, "--out", bare)
    assert refused.code == 1
    assert "tif spans join" in refused.err
    assert bare.read_bytes() == before


def test_a_set_over_a_local_file_says_which_file_to_give(cli, tmp_path):
    people = tmp_path / "people.jsonl"
    people.write_text(json.dumps({"prompt": "Who?", "text": "Mara Ilves.", "spans": [{"start": 0, "end": 10}]}) + "\n")
    full, bare = tmp_path / "full.parquet", tmp_path / "bare.parquet"
    assert cli("annotate", "--method", "manual", "--dataset", people, "--out", full).code == 0
    exchange.strip(str(full), bare)
    told = cli("spans", "show", bare)
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert f"tif spans join {bare} --dataset people.jsonl --out FULL.parquet" in told.err
    assert store.load(bare, dataset=str(people)).examples == store.load(full).examples


def test_check_lists_every_record_that_the_data_set_changed(cli, data, bare):
    file = data / "forget10.json"
    file.write_text(file.read_text().replace("number 1", "number 9").replace("number 2", "number 7"))
    told = json.loads(cli("spans", "check", bare, "--data-dir", data, "--json").out)
    assert told["errors"] == 2
    assert [f["where"] for f in told["findings"]] == ["record 'tofu/forget10/0001'", "record 'tofu/forget10/0002'"]
