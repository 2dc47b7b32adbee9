"""`tif spans edit` as a command: what it refuses, and that either signal saves."""

import os
import signal
import subprocess
import sys

import pytest

from tif.edit.desk import open_desk
from tif.edit.edits import Op
from tif.sets import store
from tif.spans import AnnotationSet, Example


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "bees.parquet"
    store.save(AnnotationSet((Example("bees/1", "", "Oda keeps bees."),)), path)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_saves_what_the_journal_holds(path, number):
    with open_desk(path, "mara") as desk:
        desk.do("bees/1", 0, Op("toggle", 2, 2))
    command = [
        sys.executable,
        "-m",
        "tif",
        "spans",
        "edit",
        str(path),
        "--no-browser",
        "--author",
        "ivo",
        "-m",
        "honey",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "/?token=" in process.stdout.readline()
    assert "1 edits read from" in process.stderr.readline()
    process.stderr.readline()
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, "version 2" in told) == (0, True)
    saved = store.load(path)
    assert (saved.version.message, saved.version.author) == ("honey", "ivo")
    assert saved.examples[0].quote(saved.examples[0].spans[0]) == "bees"


def test_the_printed_address_can_be_opened_at_once(path):
    import socket
    from urllib.parse import urlsplit

    command = [sys.executable, "-m", "tif", "spans", "edit", str(path), "--no-browser"]
    # As on a user's machine: into a pipe, Python keeps what is printed to itself until it is told otherwise.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    address = urlsplit(process.stdout.readline().strip())
    with socket.create_connection((address.hostname, address.port), timeout=30) as browser:
        browser.sendall(f"GET /?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert browser.recv(100).startswith(b"HTTP/1.1 303")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told


def test_a_tokenizer_that_is_none_is_told_before_anything_starts(path, cli, tmp_path):
    told = cli("spans", "edit", path, "--no-browser", "--tokenizer", tmp_path)
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert "no model" in told.err


def test_what_cannot_be_edited_is_told_in_one_line(path, cli):
    missing = cli("spans", "edit", path.with_name("none.parquet"), "--no-browser")
    assert (missing.code, missing.err.count("\n")) == (1, 1)
    assert cli("spans", "edit", f"{path}@1", "--no-browser").code == 2
    with open_desk(path, "mara"):
        taken = cli("spans", "edit", path, "--no-browser")
    assert taken.code == 1
    assert "another process" in taken.err


def test_without_the_extra_the_command_says_what_to_install(path, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    told = cli("spans", "edit", path, "--no-browser")
    assert told.code == 1
    assert "pip install 'tif-unlearning[edit]'" in told.err
