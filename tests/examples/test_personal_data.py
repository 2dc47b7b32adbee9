"""docs/personal-data.md: a reader who types its commands, in order, gets what the page shows."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Result
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8")
MEASURED = ("tif eval",)
"""Commands whose numbers depend on the arithmetic of the machine."""


def sessions() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page, with the lines that the page shows below it."""
    command, shown = "", []
    for line in "".join(re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)).splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line.removeprefix("$ "), []
        else:
            shown.append(line)
    yield command, shown


def comparable(line: str, measured: bool) -> str:
    """The line without digests, and without the numbers that a machine's arithmetic decides."""
    line = re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", line)
    return " ".join((re.sub(r"\d+(\.\d+)?(e-\d+)?", "N", line) if measured else line).split())


@pytest.mark.slow
def test_a_reader_gets_from_the_csv_file_to_the_report(
    cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    commands = []
    for command, shown in sessions():
        commands.append(command)
        if command.startswith("tif "):
            result = cli(*shlex.split(command)[1:])
        else:
            line = re.sub(r"^python ", lambda _: f"{shlex.quote(sys.executable)} ", command)
            done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True)
            result = Result(done.returncode, done.stdout, done.stderr)
        assert result.code == 0, f"{command}\n{result.err}"
        measured = command.startswith(MEASURED)
        printed = [comparable(line, measured) for line in (result.out + "\n" + result.err).splitlines()]
        missing = [line for line in shown if comparable(line, measured) not in printed]
        assert missing == [], f"{command} printed\n{result.out}\n{result.err}"
    assert {name.split()[1] for name in commands if name.startswith("tif ")} >= {"annotate", "spans", "train", "eval",
                                                                                 "report", "verify"}  # fmt: skip

    marked = store.load("customers.parquet")
    values = [example.quote(span) for example in marked.examples for span in example.spans]
    assert len(values) == 24
    assert {span.label for example in marked.examples for span in example.spans} == {"EMAIL", "PHONE", "ADDRESS"}
    run = RunRecord.of_folder("runs/customers")
    assert run is not None
    assert run.masks.digest == marked.version.digest
    before, after = EvalRecord.read("before"), EvalRecord.read("runs/customers/eval")
    assert before.leakage["forget"].written >= 20
    assert after.leakage["forget"].written <= 1
    assert after.leaks["question"].prompts == 24
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "customers" in page
    assert [value for value in values if value.lower() in page.lower()] == []
