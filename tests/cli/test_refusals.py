"""What would do nothing, or destroy something, is refused in one line."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tif.sets import store
from tif.spans import AnnotationSet, Example, Span


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "set.parquet"
    store.save(AnnotationSet((Example("a", "Who?", "Ada wrote it.", (Span(0, 3, "NAME"),)),)), path)
    return path


def test_a_set_is_not_overwritten_by_its_export(path, cli):
    before = path.read_bytes()
    told = cli("spans", "export", path, "--out", path)
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert path.read_bytes() == before


def test_the_way_back_names_the_format(path, cli, tmp_path):
    told = cli("spans", "export", path, "--format", "prodigy", "--out", tmp_path / "x.jsonl")
    assert f"tif spans import {tmp_path / 'x.jsonl'} --format prodigy --into {path}" in told.err.replace("\n", "")
    again = cli("spans", "import", tmp_path / "x.jsonl", "--format", "prodigy", "--into", path)
    assert "0 records changed" in again.err


def test_spans_only_into_a_folder_that_is_not_there_to_write(path, cli, tmp_path):
    (tmp_path / "file").write_text("")
    told = cli("spans", "export", path, "--spans-only", "--out", tmp_path / "file" / "x.parquet")
    assert told.code == 1
    assert "cannot be written" in told.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["shwo", "{path}"], "error: No such command 'shwo'. Did you mean 'show'? Run `tif spans --help`."),
        (["show", "{path}", "--status", "acepted"], "Invalid value for '--status': 'acepted' is not one of"),
        (
            ["merge", "{path}", "--vote", 1, "--ours", "--into", "x.parquet"],
            "--ours and --theirs do not work with a vote",
        ),
    ],
)
def test_spans_options_that_would_do_nothing(path, cli, command, said):
    told = cli("spans", *(str(word).format(path=path) for word in command))
    assert told.code == 2
    assert said in told.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price-in", 1], "--method ner has no option --price-in. It goes with --method llm."),
        (["--method", "llm", "--model", "m", "--price-in", 1], "--price-in does nothing here (it needs --dry-run)"),
        (["--entities", " , "], "--entities: names nothing"),
        (["--method", "llm", "--model", "m", "--dry-run", "--fresh"], "--fresh does nothing here"),
        (["--method", "llm", "--model", "m", "--batch", "submit", "--max-tokens-total", 5], "use --limit instead"),
    ],
)
def test_annotate_options_that_would_do_nothing(cli, tmp_path, options, said):
    (tmp_path / "d.jsonl").write_text('{"question": "Who?", "answer": "Ada."}\n')
    told = cli("annotate", "--dataset", tmp_path / "d.jsonl", "--out", tmp_path / "s.parquet", *options)
    assert told.code == 2
    assert said in told.err
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(
    ("column", "values"),
    [*(("spans", pa.array([value])) for value in ("x", 1, [1], {"start": 1})), ("id", pa.array([["a"]]))],
)
def test_a_column_of_another_type_is_told(path, cli, column, values):
    table = pq.read_table(path)
    table = table.set_column(table.schema.get_field_index(column), column, values)
    pq.write_table(table, path)
    for command in ("show", "check"):
        told = cli("spans", command, path)
        assert told.code == 1
        assert "this failure is unexpected" not in told.err


def test_a_key_that_no_header_can_hold(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\nsecret")
    (tmp_path / "d.jsonl").write_text('{"question": "Who?", "answer": "Ada."}\n')
    command = ["annotate", "--method", "llm", "--model", "m", "--dataset", tmp_path / "d.jsonl"]
    told = cli(*command, "--base-url", "http://127.0.0.1:9/v1", "--out", tmp_path / "s.parquet")
    assert told.code == 2
    assert "OPENAI_API_KEY" in told.err
    assert "secret" not in told.err


def test_long_fields_of_csv_are_read_and_columns_named_twice_are_not(cli, tmp_path):
    (tmp_path / "long.csv").write_text(f"question,answer\nWho?,{'Ada ' * 40_000}\n")
    command = ["annotate", "--method", "ner", "--entities", "PERSON", "--out", tmp_path / "s.parquet", "--dataset"]
    assert cli(*command, tmp_path / "long.csv").code == 0
    (tmp_path / "twice.csv").write_text("question,answer,answer\nWho?,Ada,Bob\n")
    told = cli(*command, tmp_path / "twice.csv")
    assert told.code == 1
    assert "two columns 'answer'" in told.err


def test_a_demo_goes_into_a_folder(cli, tmp_path):
    (tmp_path / "file").write_text("")
    told = cli("demo", "--out", tmp_path / "file")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "cannot be written to" in told.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--lr", "much"], "error: Invalid value for '--lr'"),
        (["eval", "--nonsense"], "error: No such option:? '?--nonsense"),
        (["nonsense"], "error: No such command 'nonsense'"),
        (["spans", "show"], "error: Missing argument 'SET'"),
    ],
)
def test_an_error_of_the_command_line_is_one_line_that_names_the_help(cli, arguments, line):
    done = cli(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert re.match(line, done.err)
    assert done.err.count("\n") == 1
    assert "--help`." in done.err


def test_no_arguments_show_the_help_and_are_wrong_usage(cli):
    done = cli()
    assert done.code == 2
    assert "Usage: tif" in done.out + done.err
