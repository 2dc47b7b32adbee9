"""Writes that a crash cannot tear, one error for what cannot be written, locks, and the cache folder."""

import errno
import multiprocessing
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tif
from tif import files
from tif.errors import InputError, StoreError, WriteError

OLD, NEW = b"old" * 100_000, b"new!" * 100_000


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "made" / "on the way" / "a[1]*.bin"
    files.write(path, OLD)
    files.write(path, "Zoë\r\n")
    assert path.read_bytes() == "Zoë\r\n".encode()
    assert names(path.parent) == [path.name]


def test_what_fails_in_between_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    files.write(path, OLD)

    def interrupted():
        with files.replacing(path) as new:
            new.write_bytes(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (path.read_bytes(), names(tmp_path)) == (OLD, ["a.bin"])


@pytest.mark.parametrize("write", [files.write, lambda path, _: files.replacing_folder(path).__enter__()])
def test_one_error_for_what_cannot_be_written(tmp_path, write):
    (tmp_path / "file").write_bytes(OLD)
    path = tmp_path / "file" / "a.bin"
    with pytest.raises(WriteError, match="cannot be written") as caught:
        write(path, NEW)
    assert isinstance(caught.value, InputError)
    assert caught.value.where == (str(path),)
    assert caught.value.why == "Not a directory"
    assert "permissions" in caught.value.hint


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError):
        files.write(tmp_path / "folder", NEW)
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(WriteError), files.replacing_folder(tmp_path / "file") as new:
        (new / "a").write_bytes(NEW)
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == OLD


def test_a_full_disk_leaves_the_old_file_whichever_library_writes(tmp_path):
    """The limit on a file's size stands in for a full disk: the write itself fails, with real errors."""
    path, tensors = tmp_path / "a.bin", tmp_path / "a.safetensors"
    files.write(path, OLD)
    save_file({"x": torch.zeros(4)}, tensors)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteError, match="File too large"):
            files.write(path, NEW)
        with pytest.raises(WriteError, match="cannot be written"), files.replacing(tensors) as new:
            save_file({"x": torch.ones(100_000)}, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == OLD
    assert load_file(tensors)["x"].tolist() == [0.0] * 4
    assert names(tmp_path) == ["a.bin", "a.safetensors"]


def test_a_folder_is_replaced_with_all_that_is_in_it(tmp_path):
    path = tmp_path / "model"
    for content in ({"a": OLD, "b": OLD}, {"b": NEW}):
        with files.replacing_folder(path) as new:
            for name, data in content.items():
                files.write(new / name, data)
    assert names(path) == ["b"]
    assert (path / "b").read_bytes() == NEW
    assert names(tmp_path) == ["model"]


def test_what_fails_in_between_leaves_the_old_folder(tmp_path):
    path = tmp_path / "model"
    with files.replacing_folder(path) as new:
        files.write(new / "a", OLD)

    def fail():
        with files.replacing_folder(path) as new:
            files.write(new / "a", NEW)
            (new / "a" / "b").write_bytes(NEW)

    with pytest.raises(WriteError):
        fail()
    assert (path / "a").read_bytes() == OLD
    assert names(tmp_path) == ["model"]


def _swap_until_killed(path: Path, start: int) -> None:
    n = start
    while True:
        n += 1
        with files.replacing_folder(path) as new:
            for name in ("a", "b", "c"):
                (new / name).write_text(str(n))


@pytest.mark.slow
def test_a_folder_survives_kills_whole_and_leftovers_go(tmp_path):
    """Kill -9 at random moments: the next writer has a folder whose files are all of one write."""
    path = tmp_path / "model"
    context = multiprocessing.get_context("fork")
    for _ in range(60):
        before = int((path / "a").read_text()) if path.exists() else 0
        child = context.Process(target=_swap_until_killed, args=(path, before))
        child.start()
        time.sleep(0.01 + random.random() * 0.05)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        if path.exists():
            assert len({(path / name).read_text() for name in ("a", "b", "c")}) == 1
            assert int((path / "a").read_text()) >= before
    with files.replacing_folder(path) as new:
        (new / "a").write_text("last")
    assert names(tmp_path) == ["model"]


def test_a_folder_that_a_kill_left_between_its_two_renames_comes_back(tmp_path):
    path = tmp_path / "model"
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    old = tmp_path / f".model.{done.pid}.old"
    old.mkdir()
    (old / "a").write_bytes(OLD)
    with pytest.raises(KeyError), files.replacing_folder(path):
        raise KeyError
    assert (path / "a").read_bytes() == OLD
    assert names(tmp_path) == ["model"]


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    busy = StoreError("is busy")
    code = (
        "import sys\nfrom filelock import FileLock\n"
        "lock = FileLock(sys.argv[1])\nlock.acquire()\nprint(flush=True)\ninput()"
    )
    path = tmp_path / "made" / ".lock"
    path.parent.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    other.stdout.readline()
    with pytest.raises(StoreError, match="is busy"), files.locked(path, seconds=0, busy=busy):
        pytest.fail("somebody else holds it")
    other.communicate("\n")
    with files.locked(path, seconds=0, busy=busy):
        pass


def test_a_lock_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    with (
        pytest.raises(WriteError),
        files.locked(tmp_path / "file" / ".lock", seconds=0, busy=StoreError("is busy")),
    ):
        pytest.fail("there is no folder for it")


NO_FLOCK = """
import errno, fcntl, sys
def flock(descriptor, operation):
    raise OSError(int(sys.argv[2]), "no flock here")
fcntl.flock = flock
from pathlib import Path
from tif import files
from tif.errors import StoreError
with files.locked(Path(sys.argv[1]), seconds=0, busy=StoreError("is busy")):
    print(flush=True)
    input()
"""


@pytest.mark.parametrize("answer", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_flock_has_locks_too(tmp_path, answer):
    path = tmp_path / ".lock"
    path.touch()  # most versions of filelock leave the file of a finished save

    def holder():
        line = [sys.executable, "-c", NO_FLOCK, str(path), str(answer)]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = holder()
    assert first.stdout.readline() == "\n", first.stderr.read()
    second = holder()
    assert "StoreError: is busy" in second.communicate()[1]
    first.kill()
    first.wait()
    third = holder()  # the killed holder's file is nobody's lock
    assert third.stdout.readline() == "\n", third.stderr.read()
    assert third.communicate("\n") == ("", "")
    assert names(tmp_path) == [".lock"]


@pytest.mark.parametrize("answer", [errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
def test_a_folder_that_cannot_be_flushed(tmp_path, monkeypatch, answer):
    flush = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(answer, os.strerror(answer))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if answer == errno.EIO:
        with pytest.raises(WriteError, match="cannot be written"):
            files.write(tmp_path / "a.bin", NEW)
        return
    files.write(tmp_path / "a.bin", NEW)
    with files.replacing_folder(tmp_path / "folder") as new:
        (new / "b.bin").write_bytes(NEW)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "folder" / "b.bin").read_bytes() == NEW


def test_a_file_that_cannot_be_flushed_is_not_written(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    files.write(tmp_path / "a.bin", OLD)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(WriteError, match="cannot be written"):
        files.write(tmp_path / "a.bin", NEW)
    assert (tmp_path / "a.bin").read_bytes() == OLD


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "mine").mkdir()
    target, link, second = tmp_path / "shared" / "a.bin", tmp_path / "mine" / "a.bin", tmp_path / "b.bin"
    target.write_bytes(OLD)
    link.symlink_to("../shared/a.bin")
    second.symlink_to("mine/a.bin")
    files.write(second, NEW)
    assert (link.is_symlink(), second.is_symlink(), target.read_bytes()) == (True, True, NEW)
    assert names(tmp_path / "shared") == ["a.bin"]
    assert names(tmp_path / "mine") == ["a.bin"]
    ahead = tmp_path / "ahead"
    ahead.symlink_to("shared/new/c.bin")  # the target is made
    files.write(ahead, NEW)
    assert (tmp_path / "shared" / "new" / "c.bin").read_bytes() == NEW

    folder = tmp_path / "folder"
    folder.symlink_to("shared/model", target_is_directory=True)
    for content in (OLD, NEW):
        with files.replacing_folder(folder) as new:
            (new / "c.bin").write_bytes(content)
        assert folder.is_symlink()
        assert (tmp_path / "shared" / "model" / "c.bin").read_bytes() == content


def test_links_that_cannot_be_followed_are_refused(tmp_path):
    content, link = tmp_path / "5f3a", tmp_path / "a.bin"
    content.write_bytes(OLD)
    content.chmod(0o444)
    link.symlink_to(content)
    with pytest.raises(WriteError, match="cannot be written") as caught:
        files.write(link, NEW)
    assert caught.value.why == f"it is a link to the read-only file {content}"
    assert (link.is_symlink(), content.read_bytes()) == (True, OLD)
    circle = tmp_path / "circle"
    circle.symlink_to("circle")
    with pytest.raises(WriteError, match="cannot be written"):
        files.write(circle, NEW)
    assert circle.is_symlink()


def test_a_folder_is_made_or_refused_before_there_is_work(tmp_path):
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(WriteError, match="cannot be written to"):
        files.make_folder(tmp_path / "file")


def test_the_cache_follows_the_users_wish(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder("reference") == tmp_path / "tif" / "reference"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.cache_folder().name == "tif"
    assert files.cache_folder().is_relative_to(Path.home())


def test_nobody_else_renames_what_is_half_written():
    """One mechanism: no other module renames files, asks for fsync, or wraps what the system says of writing."""
    root = Path(tif.__file__).parent
    appended = {"annotate/journal.py", "edit/journal.py"}  # lines, one at a time, and no file replaced
    for path in root.rglob("*.py"):
        where, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        if where == "files.py":
            continue
        assert "XDG_CACHE_HOME" not in text, where
        assert "cannot be written:" not in text, where
        assert "os.replace(" not in text, where
        assert "fsync(" not in text or where in appended, where
