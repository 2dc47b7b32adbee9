import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tif import sources
from tif.errors import InputError, MissingError, TifError, UsageError

ROWS = [{"question": "Who?", "answer": "Ödön, the baker."}, {"question": "Where?", "answer": "In\r\nGent 👍\u2028!"}]


def write(path, rows, kind):
    if kind == "jsonl":
        path.write_bytes("\n".join(json.dumps(r, ensure_ascii=False) for r in rows).encode())
    elif kind == "json":
        path.write_bytes(json.dumps(rows).encode())
    elif kind == "csv":
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_every_file_kind_gives_the_same_examples_to_the_character(tmp_path, kind):
    source = sources.load(str(write(tmp_path / f"people.{kind}", ROWS, kind)))
    assert [(e.prompt, e.text) for e in source.examples] == [(r["question"], r["answer"]) for r in ROWS]
    assert [e.id for e in source.examples] == ["people/0000", "people/0001"]
    assert source.rows[0]["question"] == "Who?"


def test_tofu_split_comes_from_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "tofu").mkdir()
    write(tmp_path / "tofu" / "forget10.json", ROWS, "jsonl")
    source = sources.load("tofu:forget10", data_dir=tmp_path)
    assert [e.id for e in source.examples] == ["tofu/forget10/0000", "tofu/forget10/0001"]
    assert source.dataset.id == "locuslab/TOFU"
    monkeypatch.setenv("TIF_DATA_DIR", str(tmp_path))
    assert sources.load("tofu:forget10", limit=1).examples == source.examples[:1]


def test_muse_documents_are_plain_text(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "forget.json").write_text(json.dumps(["A long story.", "Another."]))
    source = sources.load("muse:news", data_dir=tmp_path)
    assert [(e.prompt, e.text) for e in source.examples] == [("", "A long story."), ("", "Another.")]


def test_what_is_not_local_and_cannot_be_fetched_says_what_to_do(tmp_path):
    with pytest.raises(MissingError, match=r"forget10\.json .*--data-dir"):
        sources.load("tofu:forget10", data_dir=tmp_path)


def test_a_missing_data_folder_is_named(tmp_path):
    with pytest.raises(MissingError, match="does not exist"):
        sources.load("tofu:forget10", data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "line 2.*is not JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]', "line 2.*list, not an object"),
        ("a.jsonl", b'{"text": 5}', "line 1, text: is a number, not text"),
        ("a.jsonl", b'{"text": "  "}', "line 1, text.*is empty"),
        ("a.jsonl", b'{"name": "x"}', "line 1.*the text field is not recognised.*name"),
        ("a.jsonl", b'{"text": "x", "id": "q"}\n{"text": "y", "id": "q"}', "line 2.*occurs twice"),
        ("a.jsonl", b'{"text": "x", "text": "y"}', "line 1.*occurs twice"),
        ("a.jsonl", b'{"text": "\\ud800"}', "line 1, text.*surrogate"),
        ("a.jsonl", b'{"text": NaN}', "line 1.*NaN"),
        ("a.jsonl", b"[" * 100_000, "line 1.*nested too deeply"),
        ("a.jsonl", b'{"text": "\xff"}', "line 1.*is not UTF-8"),
        ("a.jsonl", b"", "contains no records"),
        ("a.json", b'["x", 3]', "record 2: is a number, not an object"),
        ("a.csv", b"question,answer\nq\n", "line 2.*2 columns"),
        ("a.csv", b'question,answer\n"q', "line 2.*is not CSV"),
        ("a.parquet", b"PAR1nonsensePAR1", "cannot be read as parquet"),
    ],
)
def test_malformed_files_are_told_by_place_and_reason(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        sources.load(str(path))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_can_be_named(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"q": "Who?", "reply": "Ada."}], "jsonl")
    (example,) = sources.load(str(path), prompt_field="q", text_field="reply").examples
    assert (example.prompt, example.text) == ("Who?", "Ada.")
    with pytest.raises(InputError, match="no field 'rply'"):
        sources.load(str(path), text_field="rply")


@pytest.mark.parametrize("spec", ["tofu:", "tofu:../x", "muse:films", "nothing", "a b/c", ""])
def test_a_spec_that_names_nothing_is_a_usage_error(spec):
    with pytest.raises(UsageError):
        sources.load(spec)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(TifError, match="no such file"):
        sources.load(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("tofu:forget10", "tofu10"),
        ("tofu:retain90", "tofu-retain90"),
        ("x/people.jsonl", "people"),
        ("muse:news", "muse-news"),
    ],
)
def test_default_names(spec, name):
    assert sources.default_name(spec) == name
