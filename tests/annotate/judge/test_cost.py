"""What the judge spends, remembers and keeps to itself."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example as case
from hypothesis import given
from hypothesis import strategies as st

from tests.annotate.judge.judging import BAD, GOOD, example, judge, texts
from tests.annotate.judge.server import Raw, Say, Server, Status, quotes
from tif.annotate.base import OBSERVED
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.cache import JudgeCache, Usage, digest
from tif.annotate.judge.estimate import estimate
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.judge.prompt import VERSION, JudgePrompt, Shot
from tif.annotate.judge.reply import ReplyError, read
from tif.errors import InputError, StoreError, UsageError


def test_no_request_once_the_tokens_are_spent() -> None:
    with Server(lambda request: quotes("bees")) as server:
        annotator = judge(server, concurrency=1, max_tokens_total=300)
        marked = list(annotator.annotate([example(n, f"{BAD} {n}") for n in range(6)]))
    assert [e.status for e in marked] == ["auto"] * 3 + ["failed"] * 3
    assert "--max-tokens-total" in (marked[-1].error or "")
    assert len(server.requests) == 3


def test_replies_are_kept_by_content_and_tokens_counted_over_runs(tmp_path: Path) -> None:
    cache = tmp_path / "judge.sqlite"
    samples = [example(n, f"{BAD} {n}") for n in range(5)]
    with Server(lambda request: quotes("bees")) as server:
        assert len(list(judge(server, cache=cache).annotate(samples))) == 5
        again = judge(server, cache=cache)
        assert all(texts(e) == ["bees"] for e in again.annotate([*samples, example(9, f"{BAD} 0")]))
        assert len(server.requests) == 5
        usage = again.describe()["usage"]
        assert usage == {"requests": 5, "prompt_tokens": 500, "completion_tokens": 50, "cached_replies": 6}
        list(judge(server, cache=cache, prompt=JudgePrompt("Only bees are unwanted.", ())).annotate(samples))
        assert len(server.requests) == 10, "another policy is another question"
        list(judge(server, cache=cache, fresh=True).annotate(samples))
        assert len(server.requests) == 15


def test_several_runs_share_the_file_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "judge.sqlite"
    one, other = JudgeCache(file, "run"), JudgeCache(file, "run")
    with closing(sqlite3.connect(file)) as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        for number, cache in enumerate((one, other) * 3):
            cache.put(f"key {number}", "reply", "stop")
            cache.count(Usage(requests=1, prompt_tokens=10, completion_tokens=1))
            cache.flush()
            assert reader.execute("SELECT count(*) FROM replies").fetchone() == (number + 1,)
    assert other.usage() == Usage(requests=6, prompt_tokens=60, completion_tokens=6)
    assert one.get("key 5") == ("reply", "stop")
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="--cache"):
        JudgeCache(bad, "run")


SPENT = Usage(requests=3, prompt_tokens=300, completion_tokens=30, cached_replies=1)


def spent(file: Path, run: str = "run") -> Usage:
    with closing(JudgeCache(file, run)) as cache:
        return cache.usage()


@pytest.fixture
def paid(tmp_path: Path) -> Path:
    """A file with the usage of two runs."""
    for run in ("run", "other"):
        with closing(JudgeCache(tmp_path / "judge.sqlite", run)) as cache:
            cache.put("key", "reply", "stop")
            cache.count(SPENT)
            cache.flush()
    return tmp_path / "judge.sqlite"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE spent SET prompt_tokens = 44",
        "UPDATE spent SET prompt_tokens = 'many'",
        "UPDATE spent SET requests = -3, seal = NULL",
        "UPDATE spent SET cached_replies = x'00', seal = NULL",
        "UPDATE spent SET seal = 'no'",
    ],
)
def test_damaged_counts_are_told_once_and_the_replies_stay(
    paid: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(paid)) as file:
        file.execute(damage)
        file.commit()
    assert spent(paid) == Usage()
    told = capsys.readouterr().err
    for whose in ("this run", "another run"):
        assert f"judge.sqlite: the requests and tokens of {whose} are damaged, and are counted from 0 again" in told
    with closing(JudgeCache(paid, "run")) as cache:
        assert cache.get("key") == ("reply", "stop")
        cache.count(SPENT)
        cache.flush()
    assert spent(paid) == SPENT
    assert capsys.readouterr().err == ""


def test_counts_under_another_name_are_told(paid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(paid)) as file:
        file.execute("UPDATE spent SET run = 'ruN' WHERE run = 'run'")
        file.commit()
    assert spent(paid) == Usage()
    assert "of another run are damaged" in capsys.readouterr().err
    assert spent(paid, "other") == SPENT


def test_a_table_under_another_name_is_told(paid: Path) -> None:
    with closing(sqlite3.connect(paid)) as file:
        file.execute("ALTER TABLE spent RENAME TO spend")
        file.commit()
    with pytest.raises(StoreError, match="it has a table 'spend', which tif does not know"):
        JudgeCache(paid, "run")


@pytest.mark.parametrize("name", [b"CREATE TABLE", b"spent ("])
def test_a_damaged_schema_is_one_line(paid: Path, name: bytes) -> None:
    """SQLite's message repeats the damaged bytes, which are no text."""
    paid.write_bytes(paid.read_bytes().replace(name, b"\xe5" + name[1:]))
    with pytest.raises(StoreError, match="the judge's cache cannot be used"):
        JudgeCache(paid, "run")


def test_counts_of_an_older_tif_are_read_and_sealed(paid: Path) -> None:
    with closing(sqlite3.connect(paid)) as file:
        file.execute("ALTER TABLE spent DROP COLUMN seal")
        file.commit()
    with closing(JudgeCache(paid, "run")) as cache:
        assert cache.usage() == SPENT
        cache.count(SPENT)
        cache.flush()
    assert spent(paid) == SPENT + SPENT
    with closing(sqlite3.connect(paid)) as file:
        assert dict(file.execute("SELECT run, seal IS NULL FROM spent")) == {"run": 0, "other": 1}


def test_the_wording_and_its_version_change_together(tmp_path: Path) -> None:
    """Whoever changes a word of what the judge reads raises VERSION, and puts both here."""
    assert (VERSION, JudgePrompt().sha256[:16]) == (1, "6b91c98fb5d16d83")
    with Server(lambda request: quotes("bees")) as server:
        described = judge(server).describe()
    assert (described["prompt_version"], described["prompt_sha256"]) == (VERSION, JudgePrompt().sha256)


@pytest.mark.parametrize("damage", ["replace(content, 'bees', 'bows')", "CAST(x'ff2e' AS TEXT)", "x'00'", "7"])
def test_a_damaged_reply_is_requested_again(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "judge.sqlite"
    with Server(lambda request: quotes("bees")) as server:
        (before,) = judge(server, cache=file).annotate([example(0, BAD)])
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.execute(f"UPDATE replies SET content = {damage}")
        for _ in range(2):
            (after,) = judge(server, cache=file).annotate([example(0, BAD)])
            assert after == before
        assert len(server.requests) == 2


def test_a_reply_of_an_older_tif_has_no_seal_and_is_used(tmp_path: Path) -> None:
    file = tmp_path / "judge.sqlite"
    with Server(lambda request: quotes("bees")) as server:
        (before,) = judge(server, cache=file).annotate([example(0, BAD)])
        with closing(sqlite3.connect(file)) as writer, writer:
            writer.execute("ALTER TABLE replies DROP COLUMN seal")
        (after,) = judge(server, cache=file).annotate([example(0, BAD)])
        assert after == before
        assert len(server.requests) == 1
    with closing(sqlite3.connect(file)) as reader:
        assert reader.execute("SELECT count(*), count(seal) FROM replies").fetchone() == (1, 1), "now it has one"


def test_the_keys_of_replies_and_of_usage_stay_what_they_are() -> None:
    """Paid replies are looked up by these keys. A change of what a key holds needs another VERSION."""
    url = "http://localhost:1/v1"
    plain = LlmAnnotator(JudgeOptions(model="judge", base_url=url))
    other = LlmAnnotator(
        JudgeOptions(
            model="judge", base_url=url, temperature=0.5, response_format="text", max_reply_tokens=99, mentions="all",
            fuzzy=True, chunk_chars=100, overlap_chars=10,
        )
    )  # fmt: skip
    messages = plain.prompt.messages("Where?", "In Oslo.")
    keys = [annotator.reply_key.of(messages)[:16] for annotator in (plain, other)]
    assert keys == ["c3a28bb62b0af89a", "190095e566951504"]
    methods = [
        {key: value for key, value in annotator.describe().items() if key not in OBSERVED}
        for annotator in (plain, other)
    ]
    assert [digest(method)[:16] for method in methods] == ["d68be96a4ab9efb6", "b6cf1fae2a288a1c"]


def test_a_useless_reply_is_not_kept(tmp_path: Path) -> None:
    cache = tmp_path / "judge.sqlite"
    with Server(lambda request: Say("no idea")) as server:
        list(judge(server, cache=cache).annotate([example(0, BAD)]))
    with Server(lambda request: quotes("bees")) as server:
        (marked,) = judge(server, cache=cache).annotate([example(0, BAD)])
    assert texts(marked) == ["bees"]


@pytest.mark.parametrize(
    "outcome",
    [
        Status(400, "your key sk-very-secret"),
        Raw(b'{"error": {"message": "your key sk-very-secret"}}'),
        Say(None, refusal="not for sk-very-secret"),
    ],
)
def test_the_key_goes_to_the_server_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Status | Raw | Say
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with Server(lambda request: outcome if request.text == BAD else quotes()) as server:
        annotator = judge(server, cache=tmp_path / "judge.sqlite")
        marked = list(annotator.annotate([example(0, GOOD), example(1, BAD)]))
        address = server.url.replace("http://", "http://me:sk-very-secret@")
    assert server.requests[0].headers["authorization"] == "Bearer sk-very-secret"
    assert "***" in str(marked)
    assert "sk-very-secret" not in str(marked) + json.dumps(annotator.describe())
    assert all(b"sk-very-secret" not in file.read_bytes() for file in tmp_path.iterdir())
    assert "secret" not in JudgeOptions(model="judge", base_url=address).shown_url


def test_no_key_is_an_error_only_where_one_is_needed() -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        list(LlmAnnotator(JudgeOptions(model="judge")).annotate([example(0, GOOD)]))


def test_an_example_that_misquotes_its_own_text_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="own text"):
        Shot(prompt="", text="A lantern maker.", asked="", quotes=("lanternmaker",))
    file = tmp_path / "shots.jsonl"
    file.write_text('{"text": "A lantern maker.", "quotes": ["lantern"]}\n{"text": "A.", "quotes": ["B"]}\n')
    with pytest.raises(InputError, match="line 2"):
        JudgePrompt.of(examples=file)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": " "},
        {"concurrency": 0},
        {"timeout": 0.0},
        {"temperature": 3.0},
        {"response_format": "yaml"},
        {"base_url": "ftp://x"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        JudgeOptions(**{"model": "judge", "base_url": "http://localhost:1/v1", **wrong})


def test_the_estimate_counts_pieces_and_leaves_out_what_is_known(tmp_path: Path) -> None:
    samples = [example(0, GOOD), example(1, "The bees hum. " * 60), example(2, "  ")]
    with Server(lambda request: quotes("bees")) as server:
        options: dict[str, Any] = {"cache": tmp_path / "judge.sqlite", "chunk_chars": 400, "overlap_chars": 20}
        plan = estimate(judge(server, **options), samples)
        assert server.requests == []
        list(judge(server, **options).annotate(samples[1:]))
        assert plan.requests == 1 + len(server.requests)
        after = estimate(judge(server, **options), samples)
        priced = estimate(judge(server, **options, dry_run=True, price_in=1e6, price_out=0), samples)
    assert (after.requests, after.cached) == (1, plan.requests - 1)
    assert after.prompt_tokens < plan.prompt_tokens
    assert priced.price == priced.prompt_tokens == after.prompt_tokens
    assert priced.to_json()["price"] == priced.price
    assert plan.price is None


def test_a_policy_of_ones_own_is_in_the_prompt_and_in_the_provenance(tmp_path: Path) -> None:
    policy = tmp_path / "policy.txt"
    policy.write_text("Only {beekeeping} is unwanted.")
    prompt = JudgePrompt.of(policy)
    with Server(lambda request: quotes("bees")) as server:
        annotator = judge(server, prompt=prompt)
        list(annotator.annotate([example(0, BAD)]))
    assert "Only {beekeeping} is unwanted." in server.requests[0].body["messages"][0]["content"]
    assert len(server.requests[0].body["messages"]) == 1, "the built-in examples follow the built-in policy"
    assert annotator.describe()["policy"] == "Only {beekeeping} is unwanted."
    assert prompt.sha256 != JudgePrompt().sha256
    policy.write_bytes(b"\xff")
    with pytest.raises(InputError, match="UTF-8"):
        JudgePrompt.of(policy)


WHOLE = quotes("Ilse Brandvold", ("Kestrel {Point}", 1), 'so "called" [x]').content or ""


@given(st.integers(0, len(WHOLE)), st.sampled_from(["", "Sure: ", "```json\n", "{no} "]))
def test_a_reply_cut_anywhere_gives_a_prefix_of_its_quotes_or_is_refused(at: int, before: str) -> None:
    everything = read(WHOLE).quotes
    try:
        reply = read(before + WHOLE[:at])
    except ReplyError:
        assert at < WHOLE.index("[") + 1
        return
    assert reply.quotes == everything[: len(reply.quotes)]
    assert reply.complete == (at == len(WHOLE))


@given(st.text(alphabet='{}[]",:\\ \nabunwted0```', max_size=80) | st.text(max_size=40))
@case('["]}\n0')
@case('{"unwanted": ["]}\\q"]}')
@case('["]}\\')
def test_no_reply_does_worse_than_being_refused(content: str) -> None:
    try:
        reply = read(content)
    except ReplyError:
        return
    assert all(quote.text.strip() for quote in reply.quotes)


@pytest.mark.parametrize("content", ["{" * 100_000, "[" * 100_000, '{"unwanted": ' + "[" * 50_000, '"' * 150_000])
def test_a_runaway_reply_is_refused_soon(content: str) -> None:
    with pytest.raises(ReplyError):
        read(content)
