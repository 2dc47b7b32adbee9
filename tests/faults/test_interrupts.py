"""Ctrl-C and SIGTERM at any call of a command: exit code 130, one line, and no half file."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import FrameType

import pytest

from tests.eval.conftest import make_llama, make_row, make_tokenizer
from tests.faults import inject
from tif.cli import main, script
from tif.sets import store
from tif.spans import AnnotationSet, Example

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINE = "interrupted: finished work is saved; run the same command again to continue\n"
OLD = "<p>an older report</p>"
TIMEOUT = 300
"""Seconds, so that a command that hangs is found and ended."""


PRELOADED = ["tests.faults.test_interrupts", "tif.eval.run", "tif.eval.report.write", "tif.cli.commands"]
"""What each command imports, and takes long."""


def run(argv: list[str], folder: Path, *, at: int = -1, number: int = signal.SIGINT, until: str = "") -> inject.Done:
    """Run a command as the shell does, and send it a signal at one of its Python calls.

    The command is forked from a process of its own, which has no other threads. CPython 3.11 can hang in the first call
    that it profiles if it was forked from a process with threads, such as a worker of pytest.

    Args:
        argv: its arguments.
        folder: for its output, and for the number of calls, in `count`.
        at: the call; a negative number for none.
        number: the signal.
        until: count the calls before the first one of this function.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=command, args=(argv, folder, at, int(number), until))
    process.start()
    process.join(TIMEOUT)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{argv} still ran after {TIMEOUT} s")
    return inject.Done(process.exitcode, (folder / "output.txt").read_text(errors="replace"))


def command(argv: list[str], folder: Path, at: int, number: int, until: str) -> None:
    """Be the command: the child of `run`."""
    sink = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
    for each in SIGNALS:  # tests in the background have Ctrl-C switched off
        signal.signal(each, signal.default_int_handler)
    count, stopped = 0, False

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count, stopped
        if event == "call" and not stopped:
            stopped = frame.f_code.co_name == until
            if stopped and at < 0:
                raise SystemExit(0)
            if count == at:
                os.kill(os.getpid(), number)
            count += 1

    sys.argv = ["tif", *argv]
    code = 70
    try:
        sys.setprofile(profile)
        script()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 71
    except BaseException:
        traceback.print_exc()
    finally:
        sys.setprofile(None)
        (folder / "count").write_text(str(count))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def points(argv: list[str], folder: Path, *, times: int, until: str = "") -> list[int]:
    """Return some of a command's calls, evenly spread."""
    assert run(argv, folder, until=until).code == 0
    count = int((folder / "count").read_text())
    # The first calls come before the command takes the signals over, and the last after it let go of them.
    first, last = 300, count - 300
    return [first + (last - first) * number // (times - 1) for number in range(times)]


def messages(done: inject.Done) -> str:
    """Return what the command printed, without its own progress and warnings."""
    return "".join(line for line in done.output.splitlines(True) if not line.startswith(("warning: ", "wrote ")))


def no_temporaries(folder: Path) -> bool:
    return not [*folder.rglob("*.tmp"), *folder.rglob("*.old")]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, questions and the model's evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer)).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in map(make_row, range(4))]
    (folder / "forget.jsonl").write_text("\n".join(lines))
    assert main(evaluation(folder, folder / "eval")) == 0
    return folder


def evaluation(folder: Path, out: Path) -> list[str]:
    model, forget = str(folder / "model"), str(folder / "forget.jsonl")
    return f"eval {model} --benchmark local --forget {forget} --max-new-tokens 4 --device cpu --out {out}".split()


def reported(evaluated: Path, folder: Path, times: int) -> int:
    out = folder / "report.html"
    argv = ["report", str(evaluated / "eval"), "--out", str(out)]
    places = points(argv, folder, times=times)
    new = out.read_text()
    for place in places:
        for number in SIGNALS:
            out.write_text(OLD)
            done = run(argv, folder, at=place, number=number)
            assert (done.code, messages(done)) == (130, LINE), (place, number, done)
            assert out.read_text() in (OLD, new)
            assert no_temporaries(folder)
    return len(places) * len(SIGNALS)


def evaluations(evaluated: Path, folder: Path, times: int) -> int:
    out = folder / "eval"
    argv = evaluation(evaluated, out)
    places = points(argv, folder, times=times)
    whole = files(out)
    for place in places:
        for number in SIGNALS:
            shutil.rmtree(out)
            done = run(argv, folder, at=place, number=number)
            assert (done.code, messages(done)) == (130, LINE), (place, number, done)
            assert no_temporaries(out)
            left = files(out)
            assert {name: content for name, content in whole.items() if name in left} == left
            assert main(argv) == 0
            assert files(out) == whole
            assert main(["verify", str(out)]) == 0
    return len(places) * len(SIGNALS)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files whose content is the same at every evaluation: not the record, which has the time."""
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")} if folder.is_dir() else {}


def opened(folder: Path, times: int) -> int:
    path = folder / "people.parquet"
    texts = [f"Oda Lind keeps {number} bees." for number in range(40)]
    saved = store.save(AnnotationSet(tuple(Example(text, "", text) for text in texts)), path)
    argv = ["spans", "edit", str(path), "--no-browser"]
    places = points(argv, folder, times=times, until="_listen")
    for place in places:
        for number in SIGNALS:
            done = run(argv, folder, at=place, number=number)
            assert (done.code, messages(done)) == (130, LINE), (place, number, done)
            assert store.load(path).digest == saved.digest
            assert no_temporaries(folder)
    return len(places) * len(SIGNALS)


def test_a_report_is_the_old_or_the_new_one(evaluated: Path, tmp_path: Path) -> None:
    assert reported(evaluated, tmp_path, 4) == 8


def test_an_evaluation_continues(evaluated: Path, tmp_path: Path) -> None:
    assert evaluations(evaluated, tmp_path, 2) == 4


def test_the_editing_page_stops_before_it_is_served(tmp_path: Path) -> None:
    assert opened(tmp_path, 4) == 8


@pytest.mark.faults
def test_many_calls_of_long_work(
    evaluated: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {
        "report": reported(evaluated, tmp_path_factory.mktemp("report"), 40),
        "eval": evaluations(evaluated, tmp_path_factory.mktemp("eval"), 12),
        "spans edit": opened(tmp_path_factory.mktemp("edit"), 20),
    }
    with capsys.disabled():
        for name, count in counts.items():
            print(f"\n{name}: {count} signals, each ended in 130 with one line and no half file")


STARTING = """
import os, signal, sys
number, place = int(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, *_):
        if name == place:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
sys.argv = ["tif", "--version"]
from tif.cli import script
script()
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", ["tif.cli", "tif.console", "rich.console", "tif.cli.commands"])
def test_a_signal_while_the_command_is_imported_prints_no_traceback(number: int, place: str) -> None:
    line = [sys.executable, "-c", STARTING, str(int(number)), place]
    done = subprocess.run(line, capture_output=True, text=True)
    lines = "" if place != "tif.cli.commands" else LINE
    assert (done.returncode, done.stdout, done.stderr) == (130, "", lines)
