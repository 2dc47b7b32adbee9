"""The editing page's server against raw bytes: what no browser sends is refused, and the server goes on."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

EDIT = json.dumps({"id": "a", "rev": 0, "op": {"op": "accept"}}).encode()


@dataclass(frozen=True)
class Page:
    """A running `tif spans edit`."""

    process: subprocess.Popen[str]
    port: int
    token: str
    path: Path

    def send(self, data: bytes, *, more: bytes = b"", times: int = 0) -> bytes:
        """Send bytes, then `more` so many times or until the server hangs up, and return what came back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            try:
                connection.sendall(data)
                for _ in range(times):
                    connection.sendall(more)
            except OSError:
                pass  # the server hung up
            answer = b""
            try:
                connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(1 << 16):
                    answer += chunk
            except OSError:
                pass
        return answer

    def head(self, line: str, *headers: str, host: str | None = None) -> bytes:
        """The beginning of a request that knows the token."""
        own = f"127.0.0.1:{self.port}"
        lines = [line, f"Host: {own if host is None else host}", f"Cookie: tif_{self.port}={self.token}", *headers]
        return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")

    def post(self, *headers: str, where: str = "/api/edit") -> bytes:
        origin = f"Origin: http://127.0.0.1:{self.port}"
        return self.head(f"POST {where} HTTP/1.1", origin, "Content-Type: application/json", *headers)

    def memory(self) -> int:
        """The most memory that the process ever had, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("door") / "a.parquet"
    store.save(AnnotationSet((Example("a", "", "Ada met Bo.", (Span(0, 3),)),)), path)
    command = [sys.executable, "-m", "tif", "spans", "edit", str(path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        parts = urlsplit(process.stdout.readline().strip())
        assert parts.port is not None
        yield Page(process, parts.port, parse_qs(parts.query)["token"][0], path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


@pytest.mark.parametrize(
    "host",
    ["", "x", "127.0.0.1:x", "127.0.0.1:", "127.0.0.1:1:2", "127.0.0.1:80@evil.example", "127.0.0.1 :80",
     "127.0.0.1:\x7f", "127.0.0.1:-1", "127.0.0.1:+80", "127.0.0.1:0x50", "127.0.0.1:99999999", "[::1", "[::1]x:80",
     "LOCALHOST.evil.example", "127.0.0.1:65536", "127.0.0.1:0", "127.0.0.1:080", "127.0.0.1\xb2:80", "127.0.0.1:\xb2"],
)  # fmt: skip
def test_no_other_host_is_let_in(page: Page, host: str) -> None:
    assert status(page.send(page.head("GET /api/start HTTP/1.1", host=host))) == 400


def test_the_own_host_is_let_in(page: Page) -> None:
    assert status(page.send(page.head("GET /api/start HTTP/1.1"))) == 200


def test_a_request_without_or_with_two_hosts_is_refused(page: Page) -> None:
    cookie = f"Cookie: tif_{page.port}={page.token}\r\n".encode()
    for hosts in (b"", b"Host: evil.example\r\nHost: 127.0.0.1\r\n"):
        assert status(page.send(b"GET /api/start HTTP/1.1\r\n" + hosts + cookie + b"\r\n")) == 400


def test_no_body_is_longer_than_its_limit(page: Page) -> None:
    """A chunked body, and one with both lengths, which servers have taken for unlimited."""
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for headers in (["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 9"],
                    ["Content-Length: 9", "Transfer-Encoding: chunked"], ["transfer-encoding: Chunked"],
                    ["Transfer-Encoding: gzip, chunked"]):  # fmt: skip
        assert status(page.send(page.post(*headers), more=chunk, times=3000)) in (0, 400, 413)
    for length in ("1048577", "99999999999999999999", "-1", "+9", "9 9", "1e3", "0x9", "\xb2"):
        assert status(page.send(page.post(f"Content-Length: {length}"), more=b" " * 65536, times=64)) in (0, 400, 413)
    assert page.memory() < 400
    assert status(page.send(page.head("GET /api/start HTTP/1.1"))) == 200


def test_a_surrogate_in_any_form_is_refused_by_the_page_not_by_an_error(page: Page) -> None:
    bodies = {
        "/api/finish": [{"message": "\ud800", "author": "a"}, {"message": "m", "author": "\udfff"}],
        "/api/edit": [{"id": "\ud800", "rev": 0, "op": {}}, {"id": "a", "rev": 0, "op": {"op": "\udc00"}}],
    }
    for where, several in bodies.items():
        for body in several:
            raw = json.dumps(body).encode()
            assert status(page.send(page.post(f"Content-Length: {len(raw)}", where=where) + raw)) == 422
    assert store.head_version(page.path).number == 1


def test_what_is_no_http_is_refused_and_the_page_goes_on(page: Page) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\0" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        page.head("GET /api/record?id=%ED%A0%80 HTTP/1.1"),
        page.head("GET /api/record?id=%00%1b]52 HTTP/1.1"),
        page.head("GET /api/start?token=%ff&queue=%ff HTTP/1.1"),
        page.head("GET /api/start?queue=nothing HTTP/1.1"),
        page.head("CONNECT evil.example:443 HTTP/1.1"),
        page.head("GET http://evil.example/ HTTP/1.1"),
        page.post("Content-Length: 5") + b"[[[[[",
        page.post("Content-Length: 200000") + b"[" * 200_000,
        page.post(f"Content-Length: {len(EDIT) + 9}") + EDIT,
    ):
        assert status(page.send(raw)) != 500, raw[:60]
    assert status(page.send(page.post(f"Content-Length: {len(EDIT)}") + EDIT)) == 200
    assert page.process.poll() is None
