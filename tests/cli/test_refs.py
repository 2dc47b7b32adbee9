"""`FILE@N` and `FILE@<digest>` in every command that takes a set: each sees the version that is named, not the head."""

import json

import pytest

from tests.tokens import tiny
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

TEXT = "Oda keeps bees in Skagen."


@pytest.fixture
def path(tmp_path):
    """Version 1 marks a place, version 2 nothing but the bees."""
    path = tmp_path / "a.parquet"
    one = store.save(AnnotationSet((Example("p/0", "Where?", TEXT, (Span(18, 24),)),)), path)
    store.save(one.replaced([one.examples[0].with_spans([Span(10, 14)])]), path)
    return path


@pytest.fixture(params=["number", "digest"])
def ref(path, request):
    return f"{path}@1" if request.param == "number" else f"{path}@{store.load(f'{path}@1').version.digest[:12]}"


@pytest.mark.parametrize("more", [[], ["--plain"], ["--json"]])
def test_show(cli, ref, more):
    said = cli("spans", "show", ref, *more).out
    assert "Skagen" in said
    assert "bees|UW" not in said


def test_log_ends_at_the_version_that_is_named(cli, ref):
    assert [v["version"] for v in json.loads(cli("spans", "log", ref, "--json").out)] == [1]


def test_check_and_diff(cli, path, ref):
    assert cli("spans", "check", ref).code == 0
    for pair in ((ref, path), (f"{path}@2",)):
        (record,) = json.loads(cli("spans", "diff", *pair, "--json").out)["records"]
        assert [s["text"] for s in record["removed"] + record["added"]] == ["Skagen", "bees"]


@pytest.mark.parametrize("format_", ["tif", "inline", "tpo"])
def test_export_and_the_import_that_it_names(cli, path, ref, format_, tmp_path):
    file = tmp_path / "out.jsonl"
    said = cli("spans", "export", ref, "--format", format_, "--out", file)
    assert "Skagen" in file.read_text()
    assert said.err.strip().endswith(f"--into {path}")
    bare = tmp_path / "bare.parquet"
    assert cli("spans", "export", ref, "--spans-only", "--out", bare).code == 0
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"id": "p/0", "prompt": "Where?", "text": TEXT}))
    for full in (bare, f"{bare}@1"):
        joined = cli("spans", "join", full, "--dataset", data, "--out", tmp_path / "full.parquet")
        assert joined.code == 0, joined.err
    assert store.load(tmp_path / "full.parquet").examples == store.load(ref).examples


def test_score_agree_and_queue(cli, path, ref):
    scored = json.loads(cli("spans", "score", ref, "--gold", ref, "--json").out)
    assert "1.0" in json.dumps(scored)
    assert json.loads(cli("spans", "agree", ref, path, "--json").out)["pairs"][0]["span_exact"]["f1"] == 0
    assert json.loads(cli("spans", "queue", ref, path, "--json").out)[0]["disagreement"] > 0


def test_restore_and_merge(cli, path, ref, tmp_path):
    voted = tmp_path / "voted.parquet"
    assert cli("spans", "merge", ref, f"{path}@2", "--vote", 1, "--into", voted).code == 0
    assert len(store.load(voted).examples[0].spans) == 2
    assert cli("spans", "merge", f"{path}@2", "--into", path, "--from-version", ref).code == 0
    assert cli("spans", "restore", ref).code == 0
    assert store.load(path).examples == store.load(f"{path}@1").examples


def test_masks_training_and_evaluation(cli, ref, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    shown = json.loads(cli("masks", ref, "--tokenizer", model, "--json").out)
    unwanted = "".join(t["text"] for t in shown["examples"][0]["tokens"] if t["kind"] == "uw")
    assert unwanted.strip() == "Skagen"
    out = tmp_path / "run"
    done = cli("train", "--masks", ref, "--model", model, "--max-steps", 1, "--out", out)
    assert done.code == 0, done.err
    digest = store.load(ref).version.digest
    assert json.loads((out / "run.json").read_text())["masks"]["digest"] == digest
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "Where?", "answer": TEXT}))
    done = cli("eval", model, "--benchmark", "local", "--forget", rows, "--masks", ref, "--out", tmp_path / "eval")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "eval" / "eval.json").read_text())["masks"]["digest"] == digest


@pytest.mark.parametrize(
    "command", [["import", "{file}", "--into"], ["merge", "{set}", "{set}", "--vote", "1", "--into"], ["edit"]]
)
def test_what_writes_takes_a_head_alone(cli, path, tmp_path, command):
    file = tmp_path / "out.jsonl"
    cli("spans", "export", path, "--out", file)
    refused = cli("spans", *(part.format(file=file, set=path) for part in command), f"{path}@1")
    assert refused.code == 2
    assert [v.number for v in store.versions(path)] == [1, 2]
