"""Records are read by what a file contains, not by its name alone."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tif.errors import InputError
from tif.readers import read_records

ROWS = [{"text": "Mara\u2028Ilves"}, {"text": "\ufeffIlo\r\nworks"}]


def contents(kind):
    match kind:
        case "lines":
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
        case "array":
            return json.dumps(ROWS).encode()
        case "indented":
            return b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=2).encode()
        case _:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(ROWS), sink)
            return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", ["x", "x.json", "x.jsonl", "x.ls", "x.txt"])
@pytest.mark.parametrize("kind", ["lines", "array", "indented", "parquet"])
def test_the_content_decides(tmp_path, kind, name):
    (tmp_path / name).write_bytes(contents(kind))
    assert [row for _, row in read_records(tmp_path / name)] == ROWS


def test_a_place_is_a_line_or_a_record(tmp_path):
    for kind, places in (("lines", ["line 1", "line 2"]), ("array", ["record 1", "record 2"])):
        (tmp_path / "x").write_bytes(contents(kind))
        assert [place for place, _ in read_records(tmp_path / "x")] == [
            f"{tmp_path / 'x'}, {place}" for place in places
        ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"text": "a"},\n {"text": ]', "x: is not JSON"),
        ('["a", {"entities": []}]\n["b", 3]', "line 1: is list, not an object"),
        ('{"text": "a"}\n"b"', "line 2: is str, not an object"),
    ],
)
def test_what_is_no_record_is_refused_by_its_place(tmp_path, content, told):
    (tmp_path / "x").write_text(content)
    with pytest.raises(InputError, match=told):
        list(read_records(tmp_path / "x"))
