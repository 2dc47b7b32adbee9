"""No file and no message contains a secret, however the server repeats it."""

from __future__ import annotations

import base64
import html
import json
import sqlite3
import string
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Result
from tests.faults.hostile import Hostile, Reply, completion, http
from tif.annotate.judge.secrets import Secrets
from tif.sets import store

KEY = "sk-Own/Key+9&<\"x'=~zq"
SECRETS = {
    "key": KEY,
    "query": "AIzaQueryValue9x",
    "fragment": "FragmentValue9x",
    "password": "PasswordValue9x",
    "proxy": "ProxyPassword9x",
}

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, all escaped": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "JSON, all escaped twice": lambda text: "".join(f"\\\\u{ord(c):04X}" for c in text),
    "Python": lambda text: "".join(f"\\x{ord(c):02x}" for c in text),
    "URL": lambda text: quote(text, safe=""),
    "URL, all": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": lambda text: html.escape(text),
    "HTML, all": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, all in hex": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "Base64 of a header": lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(),
    "Base64 of a login": lambda text: base64.b64encode(f"me:{text}\n".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "upper case": str.upper,
}


def repeating(text: str) -> list[Reply]:
    """Every place of a reply in which a server can repeat a text."""
    item = {"text": text, "occurrence": None}
    return [
        http(completion(json.dumps({"asked": text, "unwanted": [item, {"text": "Ravensmoor", "occurrence": None}]}))),
        http(completion(text)),
        http(completion(f"```{text}")),
        http(text.encode()),
        http(completion(choices=[{"message": {"refusal": text}}])),
        http(completion(choices=[{"message": {"content": "no"}, "finish_reason": text}])),
        http(json.dumps({"error": {"message": text, "code": text}}).encode(), "400 Bad Request"),
        http(text.encode(), "500 Broken", content_type="text/plain"),
        http(json.dumps({"detail": text}).encode(), "422 Bad"),
        http(b"", "302 Found", location=f"http://other.example/{quote(text, safe='')}?{quote(text)}"),
        http(b"", f"200 {quote(text)}"),
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_repeated_secret_reaches_no_file_and_no_message(
    encoding: str, cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRETS['proxy']}@proxy.invalid:3128")
    encoded = [ENCODINGS[encoding](value) for value in SECRETS.values()]
    replies = [reply for text in encoded for reply in repeating(text)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"text": f"Bees in Ravensmoor, {n}."}) + "\n" for n in range(len(replies))))
    folder = tmp_path / "out"

    def script(sample: str, head: str) -> Reply:
        return replies[int(sample.rpartition(" ")[2].rstrip("."))]

    with Hostile(script) as server:
        address = f"http://me:{SECRETS['password']}@127.0.0.1:{server.port}/v1"
        address += f"?key={SECRETS['query']}#{SECRETS['fragment']}"
        command = ["annotate", "--method", "llm", "--model", "judge", "--base-url", address, "--dataset", data]
        command += [
            "--out",
            folder / "set.parquet",
            "--max-retries",
            0,
            "--concurrency",
            40,
            "--response-format",
            "text",
        ]
        done = cli(*command, "--json")
    assert done.code == 3, done.err
    assert f"key={SECRETS['query']}" in server.heads[0]
    saved = store.load(folder / "set.parquet")
    assert len(saved) == len(replies)
    text = done.out + done.err + repr(saved.examples) + repr(saved.provenance)
    for file in folder.rglob("*"):
        if file.suffix == ".sqlite":
            with closing(sqlite3.connect(file)) as database:
                text += "\n".join(database.iterdump())
        if file.is_file():
            text += file.read_bytes().decode("latin-1")
    assert "***" in text
    lowered = text.lower()
    for name, value in SECRETS.items():
        for form in ENCODINGS.values():
            whole = form(value)
            # The first and last digits of Base64 also depend on what is around the secret.
            assert whole.lower() not in lowered, name
            assert json.dumps(whole)[1:-1].lower() not in lowered, name
        assert value[4:].lower() not in lowered, name


@given(st.text(string.printable.strip(), min_size=8, max_size=40), st.sampled_from(sorted(ENCODINGS)), st.text())
def test_any_secret_is_hidden_in_any_encoding(value: str, encoding: str, around: str) -> None:
    secrets = Secrets(frozenset([value]))
    encoded = ENCODINGS[encoding](value)
    shown = secrets.hidden(f"{around} {encoded} {around}")
    assert "***" in shown
    assert encoded not in shown.replace(around, "")


def test_only_secrets_are_hidden() -> None:
    secrets = Secrets.of("https://h.example/v1?api-version=2024-10-21&deployment=judge&key=AIzaQueryValue9x")
    assert secrets.reply("On 2024-10-21 the judge left.") == "On 2024-10-21 the judge left."
    assert "AIza" not in secrets.reply("The key AIzaQueryValue9x.")
    short = Secrets(frozenset({"ollama"}))
    assert short.reply("An ollama is no llama.") == "An ollama is no llama."
    assert short.hidden("bad key ollama") == "bad key ***"
    assert Secrets(frozenset()).short("as it\n is\x1b[31m \ud800") == "as it is [31m \ufffd"


def test_a_secret_at_the_cut_of_a_message_is_hidden_too() -> None:
    secrets = Secrets(frozenset({"sk-very-long-secret-value"}))
    for at in range(150, 420):
        assert "sk-" not in secrets.short("x" * at + "sk-very-long-secret-value" * 30)
        assert "%73" not in secrets.short("x" * at + "%73%6b%2d" + "very-long-secret-value")
