"""Each system call of a save fails once: the old or the new state is left whole, and the next command works."""

import json
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import inject
from tif.cli import main, script
from tif.edit.desk import open_desk
from tif.edit.edits import Op
from tif.errors import TifError
from tif.sets import store

pytestmark = pytest.mark.skipif(bool(inject.missing()), reason=inject.missing() or "strace works")

ERRORS = ("EIO", "ENOSPC")
TEXTS = ("Oda Lind keeps bees in Skagen.", "Ivo Renn tunes organs in Tartu.", "Nothing here.")


@dataclass(frozen=True)
class Job:
    """A command, and how to look at what it leaves."""

    begin: Callable[[Path], None]
    work: Callable[[Path], int]
    state: Callable[[Path], object]
    """Reads the result whole, or raises."""


def datasets(folder: Path) -> None:
    """Two files with the same samples, whose spans end at 3 and at 4."""
    for end in (3, 4):
        rows = [{"id": f"p/{n}", "text": text, "spans": [{"start": 0, "end": end}]} for n, text in enumerate(TEXTS)]
        (folder / f"people-{end}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def head_and_versions(folder: Path) -> object:
    path = folder / "a.parquet"
    if not path.exists():
        return None
    for version in store.versions(path):
        store.load(f"{path}@{version.number}")
    return store.load(path).digest


def annotated(folder: Path, end: int = 3) -> int:
    file, out = folder / f"people-{end}.jsonl", folder / "a.parquet"
    return main(["annotate", "--method", "manual", "--dataset", f"{file}", "--out", f"{out}"])


def begun(folder: Path) -> None:
    datasets(folder)
    assert annotated(folder) == 0


def begun_twice(folder: Path) -> None:
    begun(folder)
    assert annotated(folder, 4) == 0


def exported(folder: Path) -> None:
    begun(folder)
    fix = folder / "fix.jsonl"
    assert main(["spans", "export", f"{folder}/a.parquet", "--out", f"{fix}"]) == 0
    rows = [json.loads(line) for line in fix.read_text().splitlines()]
    rows[0]["spans"] = []
    fix.write_text("".join(json.dumps(row) + "\n" for row in rows))


def edited(folder: Path) -> int:
    """Edit as the page does. What it shows as saved is saved."""
    path = folder / "a.parquet"
    try:
        with open_desk(path, "mara") as desk:
            for id_ in ("p/1", "p/2"):
                card = desk.session.card(id_)
                if card.example.status != "rejected":
                    desk.do(id_, card.rev, Op("reject"))
                    (folder.parent / f"acknowledged-{id_[2:]}").touch()
            desk.finish()
    except (TifError, OSError) as error:  # as the command line does
        print(f"error: {error}")
        return 1
    return 0


def edits(folder: Path) -> object:
    """The head, and whether acknowledged edits are there or in the journal."""
    digest = head_and_versions(folder)
    shown = folder / "a.parquet"
    with open_desk(shown, "mara") as desk:
        for mark in folder.parent.glob("acknowledged-*"):
            assert desk.session.card(f"p/{mark.name[-1]}").example.status == "rejected"
    return digest


JOBS = {
    "import": Job(
        exported,
        lambda folder: main(["spans", "import", f"{folder}/fix.jsonl", "--into", f"{folder}/a.parquet"]),
        head_and_versions,
    ),
    "restore": Job(begun_twice, lambda folder: main(["spans", "restore", f"{folder}/a.parquet@1"]), head_and_versions),
    "annotate": Job(begun, lambda folder: annotated(folder, 4), head_and_versions),
    "annotate first": Job(datasets, annotated, head_and_versions),
    "edit": Job(begun, edited, edits),
    "shown": Job(begun, lambda folder: main(["spans", "show", f"{folder}/a.parquet", "--json"]), head_and_versions),
}


def tried(name: str, root: Path, faults: Callable[[int, inject.Call], list[str]]) -> int:
    """Do a job once for each fault, and return the number of faults. The fault is in the message of a failure."""
    job = JOBS[name]
    start, folder = root / "start", root / "work"
    start.mkdir(parents=True)
    job.begin(start)
    before = job.state(start)

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder)
        for mark in root.glob("acknowledged-*"):
            mark.unlink()

    fresh()
    assert job.work(folder) == 0  # everything is imported now
    after = job.state(folder)
    fresh()
    places = inject.calls(lambda: job.work(folder), folder)
    if before != after:
        assert {"openat", "write", "fsync", "rename"} <= {call.name for call in places}
    count = 0
    for number, call in enumerate(places):
        for fault in faults(number, call):
            fresh()
            done = inject.run(lambda: job.work(folder), root, f"{call.name}:{fault}:when={call.when}")
            told = f"{fault} in {call.name}({call.arguments}: {done}"
            assert "Traceback" not in done.output, told
            assert "unexpected" not in done.output, told
            assert done.code in ((130, 0) if "signal" in fault else (0, 1)), told
            if done.code == 1:
                assert sum(line.startswith("error: ") for line in done.output.splitlines()) == 1, told
            state = job.state(folder)
            assert state in (before, after), told
            if done.code == 0 and "warning: " not in done.output:
                assert state == after, told
            assert job.work(folder) == 0, told
            assert job.state(folder) == after, told
            if name != "annotate first":
                assert main(["spans", "check", f"{folder}/a.parquet"]) == 0, told
            count += 1
    return count


@pytest.mark.parametrize(("name", "share"), [("import", 9), ("annotate", 9), ("edit", 6)])
def test_a_failing_system_call_leaves_the_old_or_the_new_state(tmp_path, name, share):
    """Some of the calls fail once, by turns as on a broken and as on a full disk."""

    def faults(number, _call):
        return [f"error={ERRORS[number // share % 2]}"] if number % share == 0 else []

    assert tried(name, tmp_path, faults) > 3


@pytest.mark.faults
@pytest.mark.parametrize("name", JOBS)
def test_every_failing_system_call_leaves_the_old_or_the_new_state(tmp_path, name, capsys):
    count = tried(name, tmp_path, lambda _number, _call: [f"error={error}" for error in ERRORS])
    with capsys.disabled():
        print(f"\n{name}: {count} failing system calls, 0 lost")


def interrupted(folder: Path, argv: list[str]) -> int:
    """Run the command as the shell does, so that Ctrl-C is taken over."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have it switched off
    sys.argv = ["tif", *argv]
    script()
    raise AssertionError("script ends with SystemExit")


def interrupts(name: str, argv: list[str], root: Path, chosen: Callable[[int], bool]) -> int:
    """Press Ctrl-C at calls of a command, and return how often."""
    job = JOBS[name]
    start, folder = root / "start", root / "work"
    start.mkdir()
    job.begin(start)
    before = job.state(start)
    shutil.copytree(start, folder)
    assert job.work(folder) == 0
    after = job.state(folder)
    log = root / "strace.log"
    command = [each.format(folder) for each in argv]
    shutil.rmtree(folder)
    shutil.copytree(start, folder)
    assert inject.run(lambda: interrupted(folder, command), root, log=log).code == 0
    places = inject.read(log)
    count = 0
    for call in (call for number, call in enumerate(places) if chosen(number)):
        shutil.rmtree(folder)
        shutil.copytree(start, folder)
        done = inject.run(lambda: interrupted(folder, command), root, f"{call.name}:signal=SIGINT:when={call.when}")
        told = f"{call}: {done}"
        assert done.code == 130, told
        assert "Traceback" not in done.output, told
        assert "Exception ignored" not in done.output, told
        assert "interrupted: finished work is saved" in done.output, told
        assert job.state(folder) in (before, after), told
        assert job.work(folder) == 0, told
        assert job.state(folder) == after, told
        count += 1
    return count


SAVE = ("import", ["spans", "import", "{}/fix.jsonl", "--into", "{}/a.parquet"])
PRINT = ("shown", ["spans", "show", "{}/a.parquet", "--json"])


@pytest.mark.parametrize(("name", "argv"), [SAVE, PRINT])
def test_ctrl_c_during_a_save_or_a_print_ends_in_130(tmp_path, name, argv):
    assert interrupts(name, argv, tmp_path, lambda number: number % 12 == 1) > 0


@pytest.mark.faults
@pytest.mark.parametrize(("name", "argv"), [SAVE, PRINT])
def test_ctrl_c_at_any_system_call_ends_in_130(tmp_path, name, argv, capsys):
    count = interrupts(name, argv, tmp_path, lambda number: True)
    with capsys.disabled():
        print(f"\n{name}: {count} interrupts, each ended in 130 without a traceback")
