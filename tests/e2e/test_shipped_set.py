"""annotations/tofu10.parquet: no text inside, the default identifier's spans but for 16 by hand, fit to train on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.tokens import tiny
from tif.sets import store

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "annotations" / "tofu10.parquet"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())


def test_holds_ids_hashes_and_spans_alone() -> None:
    table = pq.read_table(SHIPPED)
    assert table.num_rows == 400
    assert set(table.schema.names) == {"id", "text_sha256", "prompt_sha256", "spans", "status", "error"}
    texts = {type(v) for row in table.select(["spans"]).to_pylist() for span in row["spans"] for v in span.values()}
    assert texts <= {int, str, float, type(None)}
    assert {span["source"] for row in table.to_pylist() for span in row["spans"]} == {"ner:en_core_web_sm", "tif"}
    assert set(table["error"].to_pylist()) == {None}


def test_without_the_data_training_says_what_to_do(cli, model: Path, tmp_path: Path) -> None:
    said = cli("train", "--masks", SHIPPED, "--model", model, "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert said.code == 1
    assert "forget10.json" in said.err
    assert len(said.err.strip().splitlines()) == 1


@pytest.mark.real
def test_joins_with_the_data_and_is_what_the_identifier_says(cli, shared: Path, tmp_path: Path) -> None:
    joined = store.load(SHIPPED, data_dir=shared)
    assert joined.digest == joined.version.digest
    made = tmp_path / "tofu10.parquet"
    said = cli("annotate", "--method", "ner", "--dataset", "tofu:forget10", "--data-dir", shared, "--out", made)
    assert said.code == 0, said.err
    by_hand = {e.id: e for e in joined if e.status != "auto"}
    assert len(by_hand) == 16
    shipped = joined.by_id()
    for example in store.load(made):
        if example.id in by_hand:
            assert not example.spans  # which is why
            assert bool(by_hand[example.id].spans) == (by_hand[example.id].status == "corrected")
        else:
            # The shipped set is from before spans had types.
            assert [(s.start, s.end) for s in example.spans] == [(s.start, s.end) for s in shipped[example.id].spans]


@pytest.mark.real
def test_trains_and_refuses_other_data(cli, shared: Path, model: Path, tmp_path: Path) -> None:
    command = ["train", "--masks", SHIPPED, "--model", model, "--max-steps", 1, "--batch-size", 2]
    done = cli(*command, "--data-dir", shared, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["masks"]["digest"] == store.load(SHIPPED, data_dir=shared).digest

    (tmp_path / "other").mkdir()
    shutil.copy(shared / "tofu" / "forget10.json", tmp_path / "other")
    with (tmp_path / "other" / "forget10.json").open() as file:
        rows = [json.loads(line) for line in file]
    rows[7]["answer"] += " "
    (tmp_path / "other" / "forget10.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = cli(*command, "--data-dir", tmp_path / "other", "--out", tmp_path / "no")
    assert refused.code == 1
    assert "tofu/forget10/0007" in refused.err


COMMANDS = [
    ["show", SHIPPED, "--limit", 3, "--plain"],
    ["check", SHIPPED],
    ["diff", SHIPPED, SHIPPED],
    ["score", SHIPPED, "--gold", SHIPPED],
    ["queue", SHIPPED, "--limit", 3],
    ["agree", SHIPPED, SHIPPED],
    ["export", SHIPPED],
]


@pytest.mark.real
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_reads_it_where_the_data_set_is_at_hand(cli, shared: Path, command, monkeypatch) -> None:
    by_option = cli("spans", *command, "--data-dir", shared)
    assert by_option.code == 0, by_option.err
    monkeypatch.setenv("TIF_DATA_DIR", str(shared))
    by_variable = cli("spans", *command)
    assert (by_variable.code, by_variable.out) == (0, by_option.out)
    if command[0] in ("show", "export"):
        first = json.loads((shared / "tofu" / "forget10.json").read_text(encoding="utf-8").splitlines()[0])
        words = first["question"].split('"')[0].strip()
        assert len(words) > 20
        assert words in by_option.out
    if command[0] == "score":
        assert "span_exact                   1.000     1.000     1.000" in by_option.out
    if command[0] == "diff":
        assert (by_option.out, by_option.err.strip()) == ("", "0 records differ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_in_one_line_which_data_set_to_give(cli, tmp_path: Path, command) -> None:
    said = cli("spans", *command, "--data-dir", tmp_path)
    assert said.code == 1
    assert len(said.err.strip().splitlines()) == 1
    assert str(SHIPPED) in said.err
    assert "locuslab/TOFU (forget10)" in said.err
    assert "put forget10.json into a folder and name the folder with --data-dir or TIF_DATA_DIR" in said.err
