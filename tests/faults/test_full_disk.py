"""A full file system: each command ends in one line, and the same command continues when there is room."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import inject
from tests.tokens import tiny
from tif.annotate.journal import AnnotationJournal
from tif.cli import main
from tif.errors import WriteError
from tif.sets import store
from tif.spans import AnnotationSet, Example


def resize(folder, size, *options):
    command = ["mount", "-t", "tmpfs", "-o", ",".join((*options, f"size={size}k")), "tmpfs", folder]
    return subprocess.run(command, capture_output=True, text=True)


@contextmanager
def small_disk(folder, size):
    """A file system of `size` KiB at `folder`; only root can mount one."""
    folder.mkdir(exist_ok=True)
    mounted = resize(folder, size)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()[:100]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def samples(folder, count=120):
    file = folder / "people.jsonl"
    rows = (
        {"id": f"p/{n}", "text": f"Oda Lind {n} keeps bees.", "spans": [{"start": 0, "end": 8}]} for n in range(count)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_annotate_on_a_full_disk_is_one_line_and_continues(tmp_path, cli):
    file = samples(tmp_path)
    with small_disk(tmp_path / "disk", 16) as disk:
        command = ["annotate", "--method", "manual", "--dataset", file, "--out", disk / "a.parquet"]
        full = cli(*command)
        assert full.code == 1
        assert full.err.count("error: ") == 1
        assert "cannot be written (No space left on device)" in full.err
        assert "unexpected" not in full.err
        assert resize(disk, 4000, "remount").returncode == 0
        done = cli(*command)
        assert done.code == 0
        assert "damaged" not in done.err
        assert int(done.err.split(" reused")[0].split()[-1]) > 20
        assert len(store.load(disk / "a.parquet")) == 120


def test_a_journal_keeps_no_part_of_a_line_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    examples = [Example(f"e/{n}", "", "Oda keeps bees.") for n in range(3)]
    with AnnotationJournal(tmp_path, {"name": "x"}) as journal:
        journal.add(examples[0])
        whole = journal.path.read_bytes()
        write = os.write
        with monkeypatch.context() as patched:
            # A short write, and then a full disk.
            sizes = iter((5, 0))

            def failing(descriptor, data):
                if size := next(sizes):
                    return write(descriptor, bytes(data)[:size])
                raise OSError(28, "No space left on device")

            patched.setattr(os, "write", failing)
            with pytest.raises(WriteError, match="No space left"):
                journal.add(examples[1])
        assert journal.path.read_bytes() == whole
        journal.add(examples[2])
        assert set(journal.read(examples)) == {"e/0", "e/2"}
    assert "damaged" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    root = tmp_path_factory.mktemp("workshop")
    tiny.save(root / "tiny", tiny.llama(400), tiny.chatty())
    store.save(AnnotationSet(tuple(tiny.examples())), root / "people.parquet")
    return root


def training(workshop: Path, out: Path, steps: int = 4) -> list[str]:
    text = f"train --masks {workshop}/people.parquet --model {workshop}/tiny --out {out} --max-steps {steps}"
    return f"{text} --batch-size 2 --lr 1e-3 --cpu --objective tpo --save-steps 1".split()


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("size", [40, 700, pytest.param(1000, marks=pytest.mark.faults)])
def test_training_on_a_full_disk_is_one_line_and_continues_to_the_same_weights(workshop, tmp_path, cli, size):
    if not (workshop / "whole").exists():
        assert cli(*training(workshop, workshop / "whole")).code == 0
    with small_disk(tmp_path / "disk", size) as disk:
        full = cli(*training(workshop, disk / "run"))
        assert full.code == 1
        assert sum(line.startswith("error: ") for line in full.err.splitlines()) == 1
        assert "No space left on device" in full.err
        assert "unexpected" not in full.err
        assert resize(disk, 20000, "remount").returncode == 0
        assert cli(*training(workshop, disk / "run")).code == 0
        assert weights(disk / "run") == weights(workshop / "whole")


@pytest.mark.faults
@pytest.mark.skipif(bool(inject.missing()), reason=inject.missing() or "strace works")
def test_a_failing_system_call_of_a_training_leaves_a_run_that_continues(workshop, tmp_path, capsys):
    out, log = tmp_path / "run", tmp_path / "strace.log"

    def work() -> int:
        return main(training(workshop, out, steps=2))

    assert work() == 0
    whole = weights(out)
    shutil.rmtree(out)
    assert inject.run(work, tmp_path, log=log).code == 0
    places = [call for call in inject.read(log) if str(out) in call.arguments][::4]  # a quarter, each a training
    for number, call in enumerate(places):
        shutil.rmtree(out)
        fault = f"{call.name}:error={('EIO', 'ENOSPC')[number % 2]}:when={call.when}"
        done = inject.run(work, tmp_path, fault)
        told = f"{fault}, {call.arguments}: {done}"
        assert done.code in (0, 1), told
        assert "Traceback" not in done.output, told
        assert "unexpected" not in done.output, told
        assert work() == 0, told
        assert weights(out) == whole, told
        assert main(["verify", str(out)]) == 0, told
    with capsys.disabled():
        print(f"\ntrain: {len(places)} failing system calls, each run continued to the same weights", file=sys.stdout)
