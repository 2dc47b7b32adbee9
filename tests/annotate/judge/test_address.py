"""The judge's address, and the way to it: queries, ports, proxies and certificates, as people have them."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.annotate.judge.judging import BAD, example, judge, texts
from tests.annotate.judge.server import Server, quotes
from tests.conftest import Result
from tif.annotate.judge.address import Address, Proxy, tls_context
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.options import JudgeOptions
from tif.errors import ServerError, UsageError

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def recording(reply: bytes = b"") -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers every connection alike, and the heads of the requests that came."""
    heads: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def serve() -> None:
            while True:
                try:
                    link, _ = door.accept()
                except OSError:
                    return
                with link:
                    heads.append(link.recv(65536))
                    link.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield door.getsockname()[1], heads
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("added", "asked"),
    [
        ("?api-version=2024-10-21", "?api-version=2024-10-21"),
        ("/?api-version=2024-10-21&x=a%20b", "?api-version=2024-10-21&x=a%20b"),
        ("?key=AIza%2Fx+y&key=2&flag", "?key=AIza%2Fx+y&key=2&flag"),
        ("?q=å b", "?q=%C3%A5%20b"),
        ("#fragment", ""),
        ("?a=1#fragment", "?a=1"),
        ("?", ""),
        ("/", ""),
    ],
)
def test_the_query_of_the_address_goes_to_every_request(added: str, asked: str) -> None:
    if " " in added:
        with pytest.raises(UsageError, match="white space"):
            JudgeOptions(model="judge", base_url=f"http://localhost:1/v1{added}")
        added = added.replace(" ", "%20")
    with Server(lambda request: quotes("bees")) as server:
        (marked,) = judge(server, base_url=server.url + added).annotate([example(0, BAD)])
        described = judge(server, base_url=server.url + added).describe()
    assert texts(marked) == ["bees"]
    assert [request.path for request in server.requests] == [f"/v1/chat/completions{asked}"]
    assert "?" not in json.dumps(described["observed"])


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:99999/v1",
        "http://localhost:-1/v1",
        "http://localhost:0/v1",
        "http://localhost:80x/v1",
        "http://[::1/v1",
        "http://[g::1]/v1",
        "http://",
        "http:///v1",
        "localhost:8000/v1",
        "ftp://localhost/v1",
        "http://local host/v1",
        "http://localhost/v1\x00",
        "http://a..b/v1",
        "http://" + "x" * 70 + ".invalid/v1",
    ],
)
@pytest.mark.parametrize("login", ["", "me:open-sesame@"])
def test_an_address_that_is_none_is_refused_in_one_line(address: str, login: str, cli: Callable[..., Result]) -> None:
    address = address.replace("://", f"://{login}", 1) + "?key=open-sesame#open-sesame"
    with pytest.raises(UsageError) as caught:
        JudgeOptions(model="judge", base_url=address)
    line = str(caught.value)
    assert line.startswith("--base-url: ")
    assert "is not an http address" in line
    assert "sesame" not in line


def test_the_command_refuses_a_port_out_of_range(cli: Callable[..., Result], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "Where?", "text": "In Ravensmoor."}\n')
    command = ["annotate", "--method", "llm", "--model", "judge", "--dataset", data, "--out", tmp_path / "s.parquet"]
    refused = cli(*command, "--base-url", "http://localhost:70000/v1")
    assert refused.code == 2
    assert refused.err.count("\n") <= 2
    assert "Port out of range 0-65535" in refused.err


def test_an_address_of_the_environment_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", " http://localhost:99999/v1\n")
    with pytest.raises(UsageError, match="OPENAI_BASE_URL"):
        JudgeOptions(model="judge")
    monkeypatch.setenv("OPENAI_BASE_URL", " http://localhost:8000/v1\n")
    assert JudgeOptions(model="judge").shown_url == "http://localhost:8000/v1"


def test_a_host_that_no_name_server_knows_is_told() -> None:
    annotator = LlmAnnotator(JudgeOptions(model="judge", base_url="http://judge.invalid/v1", max_retries=0))
    with pytest.raises(ServerError, match=r"judge\.invalid"):
        list(annotator.annotate([example(0, BAD)]))


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "ftp", "quic"])
def test_a_proxy_that_cannot_be_used_is_refused_and_nothing_is_sent(
    name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"{scheme}://me:open-sesame@127.0.0.1:9")
    with Server(lambda request: quotes("bees")) as server:
        with pytest.raises(UsageError, match=f"{name}: {scheme} proxies are not supported") as caught:
            list(judge(server).annotate([example(0, BAD)]))
        assert server.requests == []
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://me:open%2Fse%3Aåme@127.0.0.1:{}/"])
def test_requests_go_through_the_proxy(name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"choices": [{"message": {"content": quotes("bees").content}}]}).encode()
    reply = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer)
    with recording(reply) as (port, heads):
        monkeypatch.setenv(name, form.format(port))
        options = JudgeOptions(model="judge", base_url="http://judge.invalid:8000/v1?key=1", max_retries=0)
        (marked,) = LlmAnnotator(options).annotate([example(0, BAD)])
    assert texts(marked) == ["bees"]
    assert heads[0].startswith(b"POST http://judge.invalid:8000/v1/chat/completions?key=1 HTTP/1.1\r\n")
    login = base64.b64encode("me:open/se:åme".encode())
    assert (b"Proxy-Authorization: Basic " + login in heads[0]) == ("@" in form)


def test_a_secure_server_is_reached_through_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(b"HTTP/1.1 407 Proxy Authentication Required\r\nconnection: close\r\n\r\n") as (port, heads):
        monkeypatch.setenv("ALL_PROXY", f"http://me:open-sesame@127.0.0.1:{port}")
        options = JudgeOptions(model="judge", base_url="https://judge.invalid/v1?key=1", max_retries=0)
        (marked,) = LlmAnnotator(options).annotate([example(0, BAD)])
    assert marked.status == "failed"
    assert "Proxy Authentication Required" in (marked.error or "")
    assert "sesame" not in (marked.error or "")
    assert heads[0].startswith(b"CONNECT judge.invalid:443 ")
    assert base64.b64encode(b"me:open-sesame") in heads[0]
    assert b"chat" not in heads[0]


def test_a_proxy_that_is_not_there_is_told_and_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Server(lambda request: quotes("bees")) as server:
        with pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
            list(judge(server, max_retries=0).annotate([example(0, BAD)]))
        assert server.requests == []


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:99999", "http://[::1", "http://", "http://me:open-sesame@h:x"])
def test_a_malformed_proxy_is_refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError, match="HTTPS_PROXY") as caught:
        Proxy.on_the_way("https://judge.invalid/v1")
    assert "sesame" not in str(caught.value)
    assert Proxy.on_the_way("http://judge.invalid/v1") is None, "it is for the other scheme"


@pytest.mark.parametrize(
    ("no_proxy", "address", "direct"),
    [
        ("127.0.0.1,localhost,::1", "http://127.0.0.1:8000/v1", True),
        ("127.0.0.0/8", "http://127.0.0.1/v1", True),
        ("fe80::/10, 10.0.0.0/8", "http://10.1.2.3/v1", True),
        ("fe80::/10,10.0.0.0/8", "http://11.1.2.3/v1", False),
        ("[::1]", "http://[::1]:8000/v1", True),
        ("::1", "http://[::1]:8000/v1", True),
        ("fd00::/8", "http://[fd12::1]/v1", True),
        (".example.org", "http://judge.example.org/v1", True),
        ("example.org", "http://judge.example.org/v1", True),
        ("ample.org", "http://example.org/v1", False),
        ("judge.example:8000", "http://judge.example:8000/v1", True),
        ("judge.example:8000", "http://judge.example:9000/v1", False),
        ("*", "http://judge.example/v1", True),
        ("other, *", "http://judge.example/v1", True),
        ("", "http://judge.example/v1", False),
        ("nonsense/99,::", "http://127.0.0.1/v1", False),
    ],
)
def test_no_proxy_is_read_as_written(
    no_proxy: str, address: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (Proxy.on_the_way(address) is None) == direct


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_do_not_matter_without_encryption(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "none.pem"))
    with Server(lambda request: quotes("bees")) as server:
        (marked,) = judge(server).annotate([example(0, BAD)])
    assert texts(marked) == ["bees"]


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder"])
def test_certificates_that_cannot_be_read_are_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cacert.pem"
    if kind == "folder":
        file.mkdir()
    elif kind != "missing":
        file.write_text("" if kind == "empty" else "no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        tls_context()
    annotator = LlmAnnotator(JudgeOptions(model="judge", base_url="https://localhost:1/v1"))
    with pytest.raises(UsageError, match=r"cacert\.pem"):
        list(annotator.annotate([example(0, BAD)]))


def test_the_parts_of_an_address() -> None:
    address = Address.of("https://me:pass@h.example:8443/v1?key=abc#part", "--base-url")
    assert (address.url, address.query) == ("https://me:pass@h.example:8443/v1", "key=abc")
    assert address.shown == "https://h.example:8443/v1"
    assert "pass" not in repr(address)
    assert "abc" not in repr(address)
