"""Records are read by what a file contains, not by its name alone."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tif.errors import InputError, UsageError, kind_of
from tif.readers import check_encoding, read_records, read_text

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
        ('["a", {"entities": []}]\n["b", 3]', "line 1: is a list, not an object"),
        ('{"text": "a"}\n"b"', "line 2: is text, not an object"),
    ],
)
def test_what_is_no_record_is_refused_by_its_place(tmp_path, content, told):
    (tmp_path / "x").write_text(content)
    with pytest.raises(InputError, match=told):
        list(read_records(tmp_path / "x"))


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.csv.gz", "x.json"])
def test_gzip_is_unpacked(tmp_path, name):
    text = "text\r\nMara Ilves\r\n" if "csv" in name else '{"text": "Mara Ilves"}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert list(read_records(tmp_path / name)) == [
        (f"{tmp_path / name}, line {2 if 'csv' in name else 1}", {"text": "Mara Ilves"})
    ]
    (tmp_path / name).write_bytes(gzip.compress(text.encode())[:-9])
    with pytest.raises(InputError, match="is a damaged gzip file"):
        list(read_records(tmp_path / name))


def test_a_gzip_file_of_several_parts_is_read_to_its_end(tmp_path):
    """As `cat a.gz b.gz` makes it, with the zeros of a tape at its end."""
    parts = [f"{number:05}" * 9999 for number in range(9)]
    path = tmp_path / "x.txt.gz"
    path.write_bytes(b"\0\0".join(gzip.compress(part.encode()) for part in parts) + b"\0" * 99999)
    assert read_text(path) == "".join(parts)
    path.write_bytes(path.read_bytes() + b"no")
    with pytest.raises(InputError, match="is a damaged gzip file"):
        read_text(path)


@pytest.mark.parametrize("most", [5, 2**20])
def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch, most):
    monkeypatch.setattr("tif.readers.compressed.MOST_BYTES", most)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * most))
    assert read_text(path) == " " * most
    path.write_bytes(gzip.compress(b" " * (most - 1)) + gzip.compress(b"  "))
    with pytest.raises(InputError, match="MiB after decompression"):
        read_text(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux shows the most memory of a process there")
def test_a_small_file_that_unpacks_to_more_than_the_memory_is_one_line(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(2**24)) * 256)
    assert path.stat().st_size < 5 * 2**20
    code = (
        "import sys\nfrom pathlib import Path\nfrom tif.cli import main\n"
        "code = main(['annotate', '--method', 'manual', '--dataset', sys.argv[1], '--out', sys.argv[1] + '.parquet'])\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in lines if 'VmHWM' in line))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {path}: is larger than 512 MiB after decompression. Unpack it yourself if it is as large as it should "
        "be.\n"
    )
    assert int(done.stdout) < 900 * 2**10


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'sep=;\r\nq;a\r\nWho?;"Mara, of\r\nNarva; Ilo"\r\n'),
        ("x.csv", 'sep=\t\nq\ta\nWho?\t"Mara, of\r\nNarva; Ilo"\n'),
        ("x.tsv", 'q\ta\nWho?\t"Mara, of\r\nNarva; Ilo"\n'),
        ("x.csv", '\ufeffq,a\r\nWho?,"Mara, of\r\nNarva; Ilo"\r\n'),
    ],
)
def test_declared_separators_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    assert [row for _, row in read_records(tmp_path / name)] == [{"q": "Who?", "a": "Mara, of\r\nNarva; Ilo"}]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.csv", 'q;a\r\nWho?;"Mara, of\r\nNarva; Ilo"\r\n', "read with semicolons between its columns"),
        ("x.csv", 'q\ta\nWho?\t"Mara, of\r\nNarva; Ilo"\n', "read with tabs between its columns"),
        ("x.tsv", 'q|a\nWho?|"Mara, of\r\nNarva; Ilo"\n', "read with bars between its columns"),
        ("x.csv", '"q";"a"\nWho?;"Mara, of\r\nNarva; Ilo"\n', "read with semicolons between its columns"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_excels_files_are_read_and_told(tmp_path, capsys, name, content, told, encoding):
    (tmp_path / name).write_bytes(content.encode(encoding))
    assert [row for _, row in read_records(tmp_path / name)] == [{"q": "Who?", "a": "Mara, of\r\nNarva; Ilo"}]
    err = " ".join(capsys.readouterr().err.split())
    assert told in err
    assert ("read as UTF-16, as its first bytes say" in err) == (encoding == "utf-16")


@pytest.mark.parametrize(
    ("name", "content"), [("x.csv", "q,a\r\nWho?,Mära €\r\n"), ("x.jsonl", '{"q": "Who?", "a": "Mära €"}\n')]
)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-8"])
def test_a_named_encoding_is_read(tmp_path, capsys, name, content, encoding):
    (tmp_path / name).write_bytes(content.encode(encoding))
    assert [row for _, row in read_records(tmp_path / name, encoding=encoding)] == [{"q": "Who?", "a": "Mära €"}]
    assert capsys.readouterr().err == ""


def test_a_folder_of_texts_is_read_in_a_named_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes("Mära".encode("cp1252"))
    assert [row["text"] for _, row in read_records(tmp_path, encoding="cp1252")] == ["Mära"]


def test_a_wrong_encoding_is_refused_or_told(tmp_path, capsys):
    file = tmp_path / "x.csv"
    file.write_bytes(b"q,a\nWho?,\x81\n")
    with pytest.raises(InputError, match=r"x.csv, line 2: is not cp1252 .*Give the right --encoding"):
        list(read_records(file, encoding="cp1252"))
    file.write_bytes("a\nMära\n".encode("utf-8-sig"))
    with pytest.raises(InputError, match=r"is not cp1252 \(its first bytes say UTF-8\). Leave --encoding out"):
        list(read_records(file, encoding="cp1252"))
    file.write_bytes("a\nMära\n".encode())
    list(read_records(file, encoding="cp1252"))
    assert "is read as cp1252, but it is also valid UTF-8" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["cp1253x", "hex", "", "a\0b"])
def test_a_name_that_is_no_encoding_is_refused(name):
    with pytest.raises(UsageError, match=r"--encoding: .* is not an encoding that Python knows"):
        check_encoding(name)


@pytest.mark.parametrize("header", ['"a;b"', "text", '"text, long"'])
def test_a_separator_inside_quotes_is_none(tmp_path, capsys, header):
    (tmp_path / "x.csv").write_text(f"{header}\nMara; Ilo\n")
    assert [list(row.values()) for _, row in read_records(tmp_path / "x.csv")] == [["Mara; Ilo"]]
    assert "between its columns" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"q;a|b\r\nWho?;Mara|x\r\n", "line 1: has semicolons and bars in place of commas .*Put the line sep=; before"),
        (b"q;a\nWho?;Mara\nWho?\n", "line 3: does not have the header's 2 columns"),
        (b"sep=;\nq;a\nWho?\n", "line 3: does not have the header's 2 columns"),
        ("q,a\r\nWho?,M\u00e4ra\r\n".encode("cp1252"),
         "line 2: is not UTF-8, but probably Windows-1252 .*Save it as UTF-8.*Or read it as it is: --encoding cp1252"),
        ("q,a\nWho?,M\u00e4ra\n".encode("utf-16-le"), "line 2: is not UTF-8, but probably UTF-16 .*Save it as UTF-8"),
        ("q,a\r\nWho?,M\u00e4ra\r\n".encode("utf-16")[:-1], "is damaged UTF-16 .byte 32: truncated data"),
        (b"q,a\nWho?,\x81\n", "line 2: is not UTF-8, but probably another 8-bit encoding"),
    ],
)  # fmt: skip
def test_other_separators_and_encodings_are_named(tmp_path, content, told):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError, match=told):
        list(read_records(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "a number"),
        (1.5, "a number"),
        ("", "text"),
        ([], "a list"),
        ({}, "an object"),
        (b"", "bytes"),
    ],
)
def test_the_kind_of_a_value_has_the_words_of_json(value, words):
    assert kind_of(value) == words


def test_a_folder_of_parquet_parts_is_read_in_order(tmp_path):
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    (folder / "_SUCCESS").write_text("")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-0.parquet").write_text("half a part")
    for number in range(2):
        pq.write_table(pa.table({"text": [f"text {number}"]}), folder / f"part-{number}.parquet")
    assert [row["text"] for _, row in read_records(folder)] == ["text 0", "text 1"]
