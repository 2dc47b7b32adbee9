import json

import pyarrow.parquet as pq
import pytest

from tif import sources
from tif.errors import InputError, StoreError
from tif.sets import spans_only as join
from tif.sets import store
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
    store.save(AnnotationSet(examples, Provenance(source.provenance(), {"name": "ner"})), path)
    return path


def test_texts_are_left_out_and_come_back_to_the_digest(cli, data, full):
    bare = data / "bare.parquet"
    assert cli("spans", "export", full, "--spans-only", "--out", bare).code == 0
    assert "Łucja" not in str(pq.read_table(bare).to_pylist())
    assert "Łucja".encode() not in bare.read_bytes()
    joined = join.load(bare, data_dir=data)
    assert joined.examples == store.load(full).examples
    assert joined.version == store.load(full).version
    assert cli("spans", "join", bare, "--data-dir", data, "--out", data / "again.parquet").code == 0
    assert store.load(data / "again.parquet").digest == joined.digest


def test_without_its_data_set_a_bare_set_says_what_to_do(cli, data, full):
    bare = data / "bare.parquet"
    join.strip(str(full), bare)
    result = cli("spans", "show", bare)
    assert result.code == 1
    assert "tif spans join" in result.err
    with pytest.raises(StoreError, match="no version 7"):
        join.load(f"{bare}@7", data_dir=data)


def test_a_changed_text_is_refused_by_name(data, full):
    bare = data / "bare.parquet"
    join.strip(str(full), bare)
    file = data / "forget10.json"
    file.write_text(file.read_text().replace("number 1", "number 9"))
    with pytest.raises(InputError, match=r"record 'tofu/forget10/0001'.*hash"):
        join.load(bare, data_dir=data)


def test_an_ordinary_set_is_loaded_as_it_is(full):
    assert join.load(full).examples == store.load(full).examples
