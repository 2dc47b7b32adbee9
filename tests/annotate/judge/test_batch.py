"""The Batch API, step by step, with everything that goes wrong between the steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.annotate.judge.batch_server import BatchServer
from tests.conftest import Result
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.batch import JudgeBatches
from tif.annotate.judge.batch_replies import BatchReply
from tif.annotate.judge.options import JudgeOptions
from tif.errors import PartialError, ServerError, StoreError
from tif.sets import store
from tif.spans import AnnotationSet, Example

REPLY = '{"asked": "where", "unwanted": [{"text": "Kestrel Point", "occurrence": null}]}'


def reply(body: dict[str, Any]) -> str | None:
    return None if "odd" in body["messages"][-1]["content"] else REPLY


def samples(n: int, word: str = "even") -> list[Example]:
    return [Example(f"t/{word}{k}", "Where?", f"In {word} Kestrel Point, {k}.") for k in range(n)]


def batch(server: BatchServer, folder: Path, **options: Any) -> JudgeBatches:
    judge = JudgeOptions(model="judge", base_url=server.url, max_retries=0, cache=folder / "judge.sqlite")
    return JudgeBatches(LlmAnnotator(judge), folder, **options)


def test_submit_fetch_annotate_and_each_step_again(tmp_path: Path) -> None:
    with BatchServer(reply) as server:
        sent = batch(server, tmp_path, most_requests=3).submit(samples(7))
        assert [row.requests for row in sent] == [3, 3, 1]
        assert batch(server, tmp_path).submit(samples(7)) == (), "nothing is ordered twice"
        assert len(set(server.ordered())) == len(server.ordered()) == 7
        assert [row.status for row in batch(server, tmp_path).status()] == ["in_progress"] * 3
        with pytest.raises(PartialError, match="3 of 3 batches"):
            batch(server, tmp_path).fetch()
        server.finish()
        for _ in range(2):
            fetching = batch(server, tmp_path)
            fetching.fetch()
            judge = fetching.answering()
            marked = list(judge.annotate(samples(7)))
            assert sorted(e.id for e in marked) == sorted(e.id for e in samples(7))
            assert all([e.quote(s) for s in e.spans] == ["Kestrel Point"] for e in marked)
            # Seven of the batches and the one that was asked directly.
            assert judge.describe()["usage"]["prompt_tokens"] == 800
        assert server.chats == 1
    assert judge.describe()["observed"]["batches"] == ["batch-0", "batch-1", "batch-2"]


def test_what_failed_is_told_and_it_alone_is_submitted_again(tmp_path: Path) -> None:
    both = samples(2) + samples(1, "odd")
    with BatchServer(reply) as server:
        batch(server, tmp_path).submit(both)
        server.finish()
        fetching = batch(server, tmp_path)
        fetching.fetch()
        marked = {e.id: e for e in fetching.answering().annotate(both)}
        assert marked["t/odd0"].status == "failed"
        assert "too odd" in (marked["t/odd0"].error or "")
        assert marked["t/even0"].spans
        server.reply = lambda body: REPLY
        (again,) = batch(server, tmp_path).submit(both)
        assert again.requests == 1
        server.finish()
        fetching = batch(server, tmp_path)
        fetching.fetch()
        assert all(e.spans for e in fetching.answering().annotate(both))


def test_completed_without_any_output_is_no_success(tmp_path: Path) -> None:
    with BatchServer(reply) as server:
        server.reply = lambda body: REPLY
        batch(server, tmp_path).submit(samples(2))
        server.reply = lambda body: None
        server.finish()
        fetching = batch(server, tmp_path)
        fetching.fetch()
        assert [e.status for e in fetching.answering().annotate(samples(2))] == ["failed"] * 2


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_batch_that_ends_badly_leaves_its_records_to_the_next(tmp_path: Path, status: str) -> None:
    with BatchServer(reply) as server:
        batch(server, tmp_path).submit(samples(2))
        server.batches["batch-0"]["status"] = status
        fetching = batch(server, tmp_path)
        fetching.fetch()
        marked = list(fetching.answering().annotate(samples(2)))
        assert all(e.status == "failed" and "no batch has a reply" in (e.error or "") for e in marked)
        assert [row.requests for row in batch(server, tmp_path).submit(samples(2))] == [2]


@pytest.mark.parametrize(
    "broken", ["POST /files", "POST /batches", "!POST /files", "!POST /batches", "POST /chat/completions"]
)
def test_a_submission_that_breaks_off_goes_on_and_orders_nothing_twice(tmp_path: Path, broken: str) -> None:
    with BatchServer(reply) as server:
        server.broken = {broken}
        with pytest.raises(ServerError):
            batch(server, tmp_path).submit(samples(3))
        server.broken = set()
        batch(server, tmp_path).submit(samples(3))
        assert len(server.batches) == 1
        assert len(server.ordered()) == 3


def test_a_download_that_breaks_off_goes_on(tmp_path: Path) -> None:
    with BatchServer(reply) as server:
        batch(server, tmp_path).submit(samples(3))
        server.finish()
        server.broken = {"GET /files/batch-0-output_file_id/content"}
        with pytest.raises(ServerError):
            batch(server, tmp_path).fetch()
        server.broken = set()
        fetching = batch(server, tmp_path)
        fetching.fetch()
        assert all(e.spans for e in fetching.answering().annotate(samples(3)))


def test_fetching_what_was_never_submitted_says_so(tmp_path: Path) -> None:
    with BatchServer(reply) as server, pytest.raises(StoreError, match="no batch"):
        batch(server, tmp_path).fetch()


def test_the_command_line_through_all_steps(tmp_path: Path, cli: Callable[..., Result]) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "set.parquet"
    rows = [{"prompt": e.prompt, "text": e.text} for e in samples(3) + samples(1, "odd")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with BatchServer(reply) as server:
        command = ["annotate", "--method", "llm", "--model", "judge", "--base-url", server.url, "--dataset", data]
        command += ["--out", out]
        plan = json.loads(cli(*command, "--dry-run", "--price-in", 2, "--price-out", 8).out)
        assert (plan["requests"], plan["cached"], server.chats) == (4, 0, 0)
        assert plan["price"] == round((2 * plan["prompt_tokens"] + 8 * plan["completion_tokens"]) / 1e6, 4)
        assert json.loads(cli(*command, "--batch", "submit").out) == [{"batch": "batch-0", "requests": 4}]
        waiting = cli(*command, "--batch", "fetch")
        assert (waiting.code, waiting.out) == (3, "")
        assert "in_progress" in waiting.err
        server.finish()
        (row,) = json.loads(cli(*command, "--batch", "status").out)
        assert (row["status"], row["completed"], row["failed"]) == ("completed", 3, 1)
        assert cli(*command, "--batch", "fetch").code == 3
        assert [e.status for e in store.load(out)] == ["auto"] * 3 + ["failed"]
        server.reply = lambda body: REPLY
        cli(*command, "--batch", "submit")
        server.finish()
        assert cli(*command, "--batch", "fetch").code == 0
        assert all(e.spans for e in store.load(out))
    assert cli(*command, "--batch", "send").code == 2
    assert cli("annotate", "--method", "ner", "--dataset", data, "--dry-run").code == 2


def fetched(cli: Callable[..., Result], server: BatchServer, data: Path, out: Path) -> dict[str, Any]:
    """Submit and fetch by command."""
    command = ["annotate", "--method", "llm", "--model", "judge", "--base-url", server.url, "--dataset", data]
    command += ["--out", out, "--max-retries", 0, "--json"]
    assert cli(*command, "--batch", "submit").code == 0
    server.finish()
    marked = cli(*command, "--batch", "fetch")
    assert marked.code == 0, marked.err
    return dict(json.loads(marked.out))


def rows_of(path: Path, n: int) -> Path:
    path.write_text(
        "".join(json.dumps({"question": "Where?", "answer": f"Kestrel Point {k}."}) + "\n" for k in range(n))
    )
    return path


def test_what_was_paid_for_reaches_a_set_that_was_there_before(cli: Callable[..., Result], tmp_path: Path) -> None:
    out, data = tmp_path / "s.parquet", rows_of(tmp_path / "d.jsonl", 3)
    plain = store.save(AnnotationSet((Example("other", "q", "text"),)), out)
    with BatchServer(reply) as server:
        marked = fetched(cli, server, data, out)
        assert (marked["new"], marked["counts"]["spans"]) == (3, 3)
        assert store.load(out).version.parent == plain.version.digest
        # The dataset grows, and with it the set: what it had is not asked again.
        rows_of(data, 5)
        marked = fetched(cli, server, data, out)
        assert (marked["reused"], marked["new"], marked["counts"]["spans"]) == (3, 2, 5)
        assert len(server.ordered()) == 5


def test_no_row_of_a_batch_brings_the_key_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    fault = BatchReply.of({"error": {"message": "your key sk-very-secret is bad"}}).fault
    assert "secret" not in fault
    assert "your key ***" in fault
