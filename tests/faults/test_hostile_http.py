"""One poisoned reply of the judge's server fails one record, whatever is in it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.hostile import GOOD, Hostile, Reply, completion, endless, http
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.options import AnnotateOptions
from tif.annotate.request import annotate
from tif.annotate.run import Report
from tif.sets import store

SOUND = 10

BIG = b'{"choices": [{"message": {"content": "' + b"x" * 2**16


def bomb(window: int, mebibytes: int) -> bytes:
    """Blanks, compressed piece by piece."""
    packer = zlib.compressobj(1, zlib.DEFLATED, window)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(mebibytes)) + packer.flush()


GZIP = 16 + zlib.MAX_WBITS
BOMB = bomb(GZIP, 1024)
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def error(message: str, status: str = "400 Bad Request", **headers: str) -> bytes:
    return http(json.dumps({"error": {"message": message}}).encode(), status, **headers)


def chunked(*chunks: bytes) -> bytes:
    return JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"".join(chunks)


POISONS: dict[str, Reply] = {
    **{
        f"error page in {charset}, {status[:3]}": http(
            b"\xff\xfe\x00\xd8 no \x80", status, content_type=f"text/html; charset={charset}"
        )
        for charset in ("utf-16", "idna", "zlib", "punycode", "rot13", "unheard-of", "undefined", "'\xe9'")
        for status in ("400 Bad", "500 Broken")
    },
    "reply in zlib": http(b"x\x9c no", content_type="application/json; charset=zlib"),
    "half a surrogate pair in an error": error("no \ud800 no"),
    "half a surrogate pair in a lasting error": error("no \udfff no", "503 Busy"),
    "escape sequences in an error": error("\x1b]52;c;bm8=\x07\x00\x9b31m no"),
    "half a surrogate pair in a refusal": http(completion(choices=[{"message": {"refusal": "no \ud800"}}])),
    "half a surrogate pair in prose": http(completion("no \ud800")),
    "half a surrogate pair in a key": http(b'{"\\ud800": 1}'),
    "a number of 5,000 digits": http(b'{"choices": [' + b"9" * 5_000 + b"]}"),
    "deep nesting": http(b"[" * 100_000),
    "deep nesting in the answer": http(completion('{"unwanted": ' + "[" * 50_000)),
    "a count of 2^63 without an answer": http(b'{"usage": {"prompt_tokens": 9223372036854775808}}'),
    "a count of 2^63 beside prose": http(completion("no", usage={"prompt_tokens": 2**63, "completion_tokens": 2**64})),
    "NaN": http(b'{"choices": [NaN, Infinity], "usage": {"prompt_tokens": NaN}}'),
    "UTF-16": http("no".encode("utf-16")),
    "no status line": b"no\r\n\r\n",
    "status 999": http(b"no", "999 No"),
    "status 99999": http(b"no", "99999 No"),
    "status 101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nno",
    "status 204": b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    "status 304": b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n",
    "status 407": error("no", "407 Proxy Authentication Required"),
    "negative length": JSON_HEAD + b"content-length: -1\r\n\r\nno",
    "two lengths": JSON_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nno",
    "length and chunks": JSON_HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length of 2^70": JSON_HEAD + b"content-length: 1180591620717411303424\r\n\r\n",
    "no chunk size": chunked(b"no\r\n"),
    "a chunk of 2^70": chunked(b"400000000000000000\r\nno"),
    "a chunk that breaks off": chunked(b"10\r\nno"),
    "NUL in a header": JSON_HEAD + b"x: \x00\r\ncontent-length: 2\r\n\r\nno",
    "a header without a colon": JSON_HEAD + b"x\r\ncontent-length: 2\r\n\r\nno",
    "a header of 1 MiB": JSON_HEAD + b"x: " + b"a" * 2**20 + b"\r\ncontent-length: 2\r\n\r\nno",
    "100,000 headers": JSON_HEAD + b"x: y\r\n" * 100_000 + b"content-length: 2\r\n\r\nno",
    "bytes in headers": http(b"no", "400 \xff\xfe", retry_after="\xff", content_type="\xff/\xfe"),
    **{
        f"Retry-After {value}": error("no", "429 Later", retry_after=value, retry_after_ms=value)
        for value in ("nan", "inf", "-1e400", "1e400", "Mon, 99 Jan 99999999 99:99:99 GMT", "\xe9", "")
    },
    "gzip that is none": http(b"no", content_encoding="gzip"),
    "gzip that breaks off": http(gzip.compress(completion())[:-20], content_encoding="gzip"),
    "gzip of prose": http(gzip.compress(b"no"), content_encoding="gzip"),
    "a bomb": http(BOMB, content_encoding="gzip"),
    "a bomb with an error": http(BOMB, "400 Bad", content_encoding="gzip"),
    "a bomb of deflate": http(bomb(zlib.MAX_WBITS, 256), content_encoding="deflate"),
    **{f"coding {name}": http(b"no", content_encoding=name) for name in ("br", "zstd", "gzip, gzip", "\xe9")},
    "an endless reply": endless(JSON_HEAD + b"content-length: 999999999999\r\n\r\n" + BIG, b"x" * 2**16),
    "an endless reply without a length": endless(JSON_HEAD + b"\r\n" + BIG, b"x" * 2**16),
    "endless chunks": endless(chunked(), b"10000\r\n" + b"x" * 2**16 + b"\r\n"),
    "an endless error": endless(b"HTTP/1.1 400 Bad\r\n\r\n", b"x" * 2**16),
    "an endless header": endless(JSON_HEAD + b"x: ", b"x" * 2**16),
    "endless headers": endless(JSON_HEAD, b"x: y\r\n" * 2**10),
    "endless trailers": endless(chunked(b"2\r\nno\r\n0\r\n"), b"x: y\r\n" * 2**10),
    "endless beginnings": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2**8),
    "endless blanks": endless(JSON_HEAD + b"\r\n", b" " * 2**16),
    "an endless bomb": endless(JSON_HEAD + b"content-encoding: gzip\r\n\r\n" + BOMB[:10], BOMB[10 : 2**20]),
}
"""Replies that cannot be used, by what is wrong with them."""


def annotated(server: Hostile, folder: Path, *, retry_failed: bool = False, **options: object) -> Report:
    data = folder / "data.jsonl"
    samples = [f"Piet keeps bees in Ravensmoor, {n}." for n in range(SOUND)]
    samples.insert(SOUND // 2, "Piet keeps poison in Ravensmoor.")
    data.write_text("".join(json.dumps({"prompt": "Where?", "text": text}) + "\n" for text in samples))
    judge = JudgeOptions(
        **{"model": "judge", "base_url": server.url, "max_retries": 0, "timeout": 3.0, "concurrency": 2, **options}
    )
    chosen = AnnotateOptions(
        dataset=str(data), method="llm", out=folder / "set.parquet", retry_failed=retry_failed, force=retry_failed
    )
    return annotate(chosen, judge)


def serving(reply: Reply) -> Callable[[str, str], Reply]:
    return lambda sample, head: reply if "poison" in sample else http(completion())


def test_a_server_that_never_begins_its_reply_is_not_read_until_the_time_limit(tmp_path: Path) -> None:
    with Hostile(serving(POISONS["endless beginnings"])) as server:
        assert annotated(server, tmp_path, timeout=60.0).failed == 1
    (failed,) = [example.error for example in store.load(tmp_path / "set.parquet") if example.error]
    assert "more than 16 interim replies" in failed


def test_interim_replies_before_a_reply_are_passed_over(tmp_path: Path) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 16
    with Hostile(lambda sample, head: hints + http(completion())) as server:
        report = annotated(server, tmp_path)
        assert (report.failed, report.new) == (0, SOUND + 1)
        assert len(server.heads) == SOUND + 1


@pytest.mark.parametrize("name", POISONS)
def test_a_poisoned_reply_fails_its_own_record(name: str, tmp_path: Path) -> None:
    with Hostile(serving(POISONS[name])) as server:
        for retry in (False, True):
            report = annotated(server, tmp_path, retry_failed=retry)
            assert report.failed == 1
            for example in store.load(tmp_path / "set.parquet"):
                if "poison" in example.text:
                    assert (example.status, example.spans) == ("failed", ())
                    assert example.error
                    assert example.error.isprintable(), "no escape sequence, no half surrogate pair"
                else:
                    assert [example.quote(span) for span in example.spans] == ["Ravensmoor"]


READABLE: dict[str, Reply] = {
    "gzip": http(gzip.compress(completion()), content_encoding="gzip"),
    "deflate": http(zlib.compress(completion()), content_encoding="deflate"),
    "raw deflate": http(zlib.compress(completion())[2:-4], content_encoding="deflate"),
    "another charset": http(completion(), content_type="application/json; charset=zlib"),
    "no type": http(completion(), content_type=""),
    "a count of 2^63": http(completion(usage={"prompt_tokens": 2**63, "completion_tokens": -(2**63) - 1})),
    "a byte order mark": http(b"\xef\xbb\xbf" + completion()),
    "half a surrogate pair outside the answer": http(completion(id="\ud800", system_fingerprint="\udfff")),
}


@pytest.mark.parametrize("name", READABLE)
def test_what_is_only_odd_is_read(name: str, tmp_path: Path) -> None:
    with Hostile(serving(READABLE[name])) as server:
        report = annotated(server, tmp_path)
    assert report.failed == 0
    assert all([e.quote(span) for span in e.spans] == ["Ravensmoor"] for e in store.load(tmp_path / "set.parquet"))


def test_a_second_reply_is_not_taken_for_the_next(tmp_path: Path) -> None:
    wrong = http(completion(GOOD.replace("Ravensmoor", "bees")))
    with Hostile(lambda sample, head: http(completion()) + wrong) as server:
        report = annotated(server, tmp_path, concurrency=1)
    assert report.failed == 0
    assert all([e.quote(span) for span in e.spans] == ["Ravensmoor"] for e in store.load(tmp_path / "set.parquet"))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int, tmp_path: Path) -> None:
    with Hostile(lambda sample, head: http(completion())) as other:
        target = f"http://me:open-sesame@127.0.0.1:{other.port}/v1/chat/completions?key=open-sesame"
        with Hostile(serving(http(b"", f"{status} Elsewhere", location=target))) as server:
            report = annotated(server, tmp_path, max_retries=1)
    assert other.heads == []
    assert report.failed == 1
    (failed,) = [e for e in store.load(tmp_path / "set.parquet") if e.status == "failed"]
    assert f"redirects to http://127.0.0.1:{other.port}/v1/chat/completions; tif follows no" in (failed.error or "")


@pytest.mark.parametrize("location", ["", "//", "http://[::1", "\xff", "http://h:99999/", "javascript:no", "x" * 5000])
def test_an_odd_redirect_fails_its_record(location: str, tmp_path: Path) -> None:
    with Hostile(serving(http(b"", "302 Found", location=location))) as server:
        assert annotated(server, tmp_path).failed == 1


@pytest.mark.parametrize(
    "content", ["machine 127.0.0.1 login me password open-sesame\n", "default login a password b\n", "no"]
)
def test_a_login_of_netrc_is_not_used(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(content)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-own-key")
    with Hostile(lambda sample, head: http(completion())) as server:
        assert annotated(server, tmp_path).failed == 0
    assert all("authorization: bearer sk-own-key" in head.lower() for head in server.heads)


ENDLESS = [name for name in POISONS if "endless" in name or "bomb" in name]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the most memory of a process there")
@pytest.mark.parametrize("names", [ENDLESS, ["an endless reply"], ["a bomb"]], ids=["all", "endless", "bomb"])
def test_memory_stays_bounded(names: list[str], tmp_path: Path) -> None:
    """Every reply is an endless one or a bomb, and 48 come at a time."""
    replies = [POISONS[name] for name in names]
    count = 0

    def script(sample: str, head: str) -> Reply:
        nonlocal count
        count += 1
        return replies[count % len(replies)]

    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"prompt": "Where?", "text": f"Here, {n}."}) + "\n" for n in range(96)))
    code = (
        "import sys\nfrom pathlib import Path\nfrom tif.cli import script\n"
        "try:\n    script()\nfinally:\n    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    print(next(line.split()[1] for line in lines if line.startswith('VmHWM')), file=sys.stderr)"
    )
    with Hostile(script) as server:
        command = [
            sys.executable,
            "-c",
            code,
            "annotate",
            "--method",
            "llm",
            "--model",
            "judge",
            "--base-url",
            server.url,
        ]
        command += ["--dataset", str(data), "--out", str(tmp_path / "set.parquet"), "--concurrency", "48"]
        done = subprocess.run(
            [*command, "--timeout", "2", "--max-retries", "0"], capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode in (1, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert int(done.stderr.splitlines()[-1]) < 500 * 1024, "KiB"
