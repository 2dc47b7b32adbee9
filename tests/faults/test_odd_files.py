"""Pipes, devices, folders and bombs in the place of files: one line, soon, and with bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Result
from tif import files
from tif.readers import read_records

Run = Callable[..., Result]

DATA = '{"prompt": "Who?", "text": "Ada met Bo."}\n'
MANUAL = ("annotate", "--method", "manual", "--out", "new.parquet")
JUDGE = (
    "annotate",
    "--method",
    "llm",
    "--model",
    "judge",
    "--base-url",
    "http://127.0.0.1:9/v1",
    "--out",
    "new.parquet",
)
PLACES: dict[str, Sequence[str]] = {
    "dataset": (*MANUAL, "--dataset", "odd.jsonl"),
    "table": (*MANUAL, "--dataset", "odd.parquet"),
    "spans": (*MANUAL, "--dataset", "a.jsonl", "--spans", "odd.jsonl"),
    "config": (*MANUAL, "--dataset", "a.jsonl", "--config", "odd.toml"),
    "JSON config": (*MANUAL, "--dataset", "a.jsonl", "--config", "odd.json"),
    "entities policy": (*MANUAL, "--dataset", "a.jsonl", "--entities-policy", "odd.toml"),
    "policy": (*JUDGE, "--dataset", "a.jsonl", "--policy", "odd.txt"),
    "examples": (*JUDGE, "--dataset", "a.jsonl", "--examples", "odd.jsonl"),
    "log": ("eval", "--import-log", "odd.json"),
    "scored": ("spans", "score", "odd.jsonl", "--gold", "odd.jsonl"),
    "imported": ("spans", "import", "odd.jsonl", "--into", "new.parquet"),
    "set": ("spans", "show", "odd.parquet"),
    "verified": ("verify", "odd.parquet"),
    "reported": ("report", "odd.json", "--out", "report.html"),
}
"""Commands that read a file called `odd`."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "_PIPE_SECONDS", 0.1)
    Path("a.jsonl").write_text(DATA)


def odd(command: Sequence[str]) -> list[Path]:
    return [Path(word) for word in dict.fromkeys(command) if word.startswith("odd.")]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "sparse"])
@pytest.mark.parametrize("place", PLACES)
def test_no_odd_file_is_waited_for(cli: Run, place: str, kind: str) -> None:
    for path in odd(PLACES[place]):
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "sparse":
                with path.open("wb") as file:
                    file.truncate(2**42)
    done = cli(*PLACES[place])
    assert done.code in (1, 2), done
    lines = done.err.splitlines()
    assert "unexpected" not in done.err
    assert "the memory is full" not in done.err
    assert len([line for line in lines if not line.startswith("warning")]) == 1, done.err
    assert "odd." in done.err + done.out
    assert not Path("new.parquet").exists()


@pytest.fixture
def endless() -> Iterator[Path]:
    """A pipe that is written to as long as it is read."""
    path = Path("odd.jsonl").absolute()
    os.mkfifo(path)
    writer = subprocess.Popen(["sh", "-c", f"yes '{DATA.strip()}' > {path}"], stderr=subprocess.DEVNULL)
    yield path
    writer.kill()
    writer.wait()


def test_an_endless_pipe_is_read_up_to_a_limit(cli: Run, endless: Path) -> None:
    done = cli(*PLACES["dataset"])
    assert (done.code, done.err) == (1, "error: odd.jsonl: cannot be read: it is larger than 64 MiB\n")


def test_a_pipe_that_ends_is_read() -> None:
    os.mkfifo("odd.jsonl")

    def write() -> None:
        with Path("odd.jsonl").open("w") as pipe:
            pipe.write(DATA * 9999)

    writer = threading.Thread(target=write)
    writer.start()
    assert len(list(read_records("odd.jsonl"))) == 9999
    writer.join()


TEXT = "Ada met Bo. " * 2**17


def repeated(count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([TEXT]))


def spans(count: int) -> pa.Array:
    items = pa.StructArray.from_arrays([pa.array([0] * count), repeated(count)], ["start", "label"])
    return pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), items)


BOMBS = {
    "a text again and again": lambda: {"text": repeated(20_000)},
    "a label again and again": lambda: {"text": pa.array(["x"] * 20_000), "spans": spans(20_000)},
    "one long text": lambda: {"text": pa.array(["x" * (2**29 + 2**20)])},
    "many empty rows": lambda: {"text": pa.nulls(200_000_000, pa.string())},
}
"""Columns of small files that are large in memory."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux shows the most memory of a process there")
@pytest.mark.parametrize("name", BOMBS)
def test_a_small_table_that_unpacks_to_more_than_the_memory_is_one_line(name: str) -> None:
    table = pa.table(BOMBS[name]())
    style = {"use_dictionary": name != "one long text", "write_statistics": False, "store_schema": False}
    pq.write_table(table, "odd.parquet", compression="zstd", **style)
    assert Path("odd.parquet").stat().st_size < 2**20
    code = (
        "import sys\nfrom pathlib import Path\nfrom tif.cli import main\n"
        "codes = {main(words.split()) for words in sys.argv[1:]}\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in lines if 'VmHWM' in line))\n"
        "sys.exit(max(codes) if codes == {1} else 99)"
    )
    commands = [" ".join(PLACES[place]) for place in ("table", "set")]
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert done.stderr.count("error: odd.parquet: is larger than 512 MiB after decompression.") == 2
    assert done.stderr.count("\n") == 2
    assert int(done.stdout.split()[-1]) < 500 * 2**10, "KiB"


def test_a_dictionary_in_an_arrow_folder_is_not_repeated(cli: Run) -> None:
    Path("odd").mkdir()
    table = pa.table({"text": repeated(20_000)})
    with pa.OSFile("odd/data-0.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    done = cli(*MANUAL, "--dataset", "odd")
    assert done.code == 1
    assert done.err.startswith("error: odd/data-0.arrow: is larger than 512 MiB after decompression.")


def test_a_large_table_without_repetition_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for what a small file claims: a file may be large."""
    monkeypatch.setattr("tif.readers.unpacked.MOST_BYTES", 1000)
    dice = os.urandom(20_000).hex()
    texts = [dice[start : start + 20] for start in range(0, len(dice), 20)]
    pq.write_table(pa.table({"text": texts}), "large.parquet", compression="zstd")
    assert [row["text"] for _, row in read_records("large.parquet")] == texts


def test_a_damaged_footer_is_an_error_and_does_not_end_the_process() -> None:
    """pyarrow ends the process when some fields of a damaged footer are read from Python."""
    columns = {
        "text": ["Ada met Bo.", None] * 9,
        "n": list(range(18)),
        "spans": [[{"start": 0, "label": "UW"}], []] * 9,
    }
    pq.write_table(pa.table(columns), "whole.parquet", compression="zstd")
    code = (
        "import random\nfrom pathlib import Path\nimport pyarrow as pa\n"
        "from tif.errors import TifError\nfrom tif.readers.parquet import read_table\n"
        "whole, dice, errors = Path('whole.parquet').read_bytes(), random.Random(1), 0\n"
        "footer = int.from_bytes(whole[-8:-4], 'little')\n"
        "for _ in range(600):\n"
        "    data = bytearray(whole)\n"
        "    data[-9 - dice.randrange(footer)] ^= 1 << dice.randrange(8)\n"
        "    Path('flipped.parquet').write_bytes(data)\n"
        "    try:\n        read_table(Path('flipped.parquet'))\n"
        "    except (TifError, pa.ArrowException, OSError, ValueError):\n        errors += 1\n"
        "print(errors)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
