"""Text of samples, names and records never controls the terminal, and a stdout that fails ends in one line."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tokens.tiny import byte_level
from tif.cli import main
from tif.escape import markdown_row, visible, visible_line
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

EVIL = "\x1b]52;c;ZXZpbA==\x07\x9b31m\x9d0;x\x9c\r\x08\u202e"
TEXT = f"Ada{EVIL} met Bo.\nShe left."
OWN = re.compile(rb"\x1b\[[0-9;]*m")
"""The only sequences that tif itself writes: colours."""
COMMANDS = """
    spans show {a}; spans show {a} --plain; spans show {a} --json; spans show {a} --id {evil}; spans show {evil}
    spans check {a}; spans log {a}; spans log {a} --json; spans diff {a} {b}; spans diff {a} {b} --md
    spans export {a}; spans export {a} --format inline; spans score {a} --gold {b}; spans agree {a} {b}; spans queue {a}
    spans queue {a} {b}; spans merge {b} --into {c} --from-version {c}@1; spans export {a} --out {evil}/x.jsonl
    spans export {a} --format {evil}; {evil}; masks {a} --tokenizer {model}; masks {a} --tokenizer {evil}
    annotate --method manual --dataset {evil}.jsonl; annotate --method manual --dataset {bad} --out {evil}.parquet
    verify {a}; verify {evil}; eval --import-log {evil}; report {evil}; train --masks {evil} --model {evil}
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evil")
    label = f"NAME{EVIL}".replace("\r", "")

    def example(name, *spans, **more):
        return Example(f"{name}{EVIL}| <b>x</b>", f"Who?{EVIL}", TEXT, spans, **more)

    first = [
        example("a", Span(0, 3, label, f"ner{EVIL}", 0.5), Span(0, 4, "UW")),
        example("b", status="failed", error=f"no reply {EVIL}"),
        example("c"),
    ]
    second = [example("a", Span(0, 3, f"OTHER{EVIL}")), example("b"), example("c", Span(0, 3, label))]
    for name, examples in (("a", first), ("b", second), ("c", first)):
        store.save(
            AnnotationSet(tuple(examples)), folder / f"{name}.parquet", message=f"why{EVIL}", author=f"mara{EVIL}"
        )
    head = store.load(folder / "c.parquet")
    store.save(head.with_examples((first[0], example("b", Span(0, 1)), first[2])), folder / "c.parquet")
    byte_level().save_pretrained(folder / "model")
    (folder / "model" / "config.json").write_text('{"model_type": "llama"}')
    (folder / "bad.jsonl").write_text(json.dumps({"question": "q", "answer": "a", "id": EVIL}) + f'\n{{"{EVIL}')
    names = {name: str(folder / f"{name}.parquet") for name in "abc"}
    return {**names, "model": str(folder / "model"), "bad": str(folder / "bad.jsonl"), "evil": f"no{EVIL}"}


def on_a_terminal(code, *words, folder=None):
    """What a process writes to a terminal, with stdout and stderr on it."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("CI", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=theirs, stderr=theirs, stdin=theirs, env=env, cwd=folder
    )
    os.close(theirs)
    data = b""
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # the terminal has no writer any more
            chunk = b""
        if not chunk:
            break
        data += chunk
    os.close(ours)
    process.wait()
    return data


def controls(data):
    """The control characters in the output of a terminal, other than colours, tabs and line ends."""
    rest = OWN.sub(b"", data).decode().replace("\r\n", "\n")
    return set(re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", rest))


def lines_of(places):
    return [[word.format(**places) for word in line.split()] for line in re.split(r"[;\n]", COMMANDS) if line.strip()]


def test_no_command_writes_a_control_character_of_data_to_the_terminal(places):
    code = (
        "import json, sys\nfrom tif.cli import main\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    print('>>>', main(line), flush=True)\n"
    )
    data = on_a_terminal(code, json.dumps(lines_of(places)), folder=Path(places["a"]).parent)
    codes = [int(code) for code in re.findall(rb">>> (\d+)", data)]
    assert len(codes) == len(lines_of(places))
    assert codes.count(0) > 12
    assert controls(data) == set()
    assert b"Traceback" not in data
    assert b"unexpected" not in data
    assert data.count(rb"\u001b]52;c;ZXZpbA==\u0007") > 40, "the text is there, as it is spelled"


def test_progress_and_messages_write_no_control_character_of_data():
    code = (
        "import sys\nfrom tif.console import progress, say, warn\n"
        "with progress('an' + sys.argv[1], 2) as advance:\n"
        "    advance(note='[bold]' + sys.argv[1]); say(sys.argv[1]); warn(sys.argv[1]); advance()\n"
    )
    data = on_a_terminal(code, EVIL)
    own = {b"\x1b[2K", b"\x1b[1A", b"\x1b[?25l", b"\x1b[?25h"}
    for sequence in own:
        data = data.replace(sequence, b"")
    assert controls(data.replace(b"\r", b"")) == set()
    assert b"[bold]" in data
    assert rb"\u001b]52" in data


def test_pipes_get_data_byte_for_byte_and_readers_get_it_spelled(places, cli, tmp_path):
    done = cli("spans", "export", places["a"])
    assert [json.loads(line)["text"] for line in done.out.split("\n") if line] == [TEXT] * 3
    shown = cli("spans", "show", places["a"], "--json")
    assert [row["text"] for row in json.loads(shown.out)] == [TEXT] * 3
    assert not re.search("[\x7f-\x9f]", shown.out)
    assert "\x1b" not in cli("spans", "show", places["a"]).out


def test_a_colour_stays_on_its_words_beside_control_characters(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("a", "", "\x0b\x07\r met Ada there.", (Span(8, 11),)),)), path)
    data = on_a_terminal("import sys\nfrom tif.cli import main\nmain(sys.argv[1:])", "spans", "show", str(path))
    assert re.search(rb"\x1b\[[0-9;]+mAda\x1b\[0m there\.", data)


def test_rows_of_markdown_take_any_text(places, cli):
    table = cli("spans", "diff", places["a"], places["b"], "--md").out
    rows = [line for line in table.split("\n") if line]
    assert len(rows) > 4
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 4 for row in rows)
    assert "<b>" not in table
    row = markdown_row(["a|b\n<script>&lt;", "![x](y) `c` *d* _e_ f_g \\| ~h~ $i$"])
    assert row == (r"| a\|b &lt;script>&amp;lt; | !\[x\](y) \`c\` \*d\* \_e\_ f_g \\\| \~h\~ \$i\$ |")


def test_what_is_harmless_stays():
    text = "Zoë\tłódź 東京 👩‍🔬 \u200f\u05d0\u200e\u00ad\nx"
    assert visible(text) == text
    assert visible_line("a\nb\ud800") == "a\\nb\\ud800"


# stdout that is full, closed, or has no reader.


@pytest.mark.parametrize(
    "command",
    ["spans export {a}", "spans show {a}", "spans log {a} --json", "spans diff {a} {b} --md", "--help", "--version"],
)
def test_a_full_or_closed_stdout_is_told_in_one_line(places, command, tmp_path):
    words = [word.format(**places) for word in command.split()]
    # A limit on the size of files fails a write as a full disk does, and every system has one.
    full = f">{tmp_path / 'out'}"
    for limit, redirect, why in (("ulimit -f 0", full, "File too large"), ("true", ">&-", "it is closed")):
        line = ["sh", "-c", f'{limit}; "$0" -m tif "$@" {redirect}', sys.executable, *words]
        done = subprocess.run(line, capture_output=True, text=True)
        if command == "--help" and redirect == ">&-":
            assert "Traceback" not in done.stderr
            continue
        assert done.returncode == 1, done.stderr
        problems = [line for line in done.stderr.splitlines() if "shown; the set" not in line and "differ" not in line]
        # Typer itself prints the help.
        line = f"error: {why}" if command == "--help" else f"error: stdout: cannot be written ({why})."
        assert problems[-1].startswith(line), done.stderr
        assert len(problems) == 1


def test_a_reader_that_leaves_ends_the_command_quietly(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet(tuple(Example(str(i), "", "Ada met Bo. " * 20) for i in range(2000))), path)
    for command in ("export", "check", "show --limit 2000"):
        line = f'"$0" -m tif spans {command} "$1" | head -n 1; exit "${{PIPESTATUS[0]}}"'
        done = subprocess.run(["bash", "-c", line, sys.executable, str(path)], capture_output=True, text=True)
        assert done.returncode == 141
        assert not [line for line in done.stderr.splitlines() if "shown; the set" not in line]


@pytest.mark.parametrize("redirect", ["2>&-", "2>&1 | true"])
def test_messages_that_cannot_be_written_change_nothing(places, tmp_path, redirect):
    out = tmp_path / "out.jsonl"
    line = f'"$0" -m tif spans export "$1" --out "$2" {redirect}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line, sys.executable, places["a"], str(out)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(out.read_text().splitlines()) == 3


def test_without_any_standard_stream_files_are_written_whole(places, tmp_path):
    out = tmp_path / "out.jsonl"
    line = '"$0" -m tif spans export "$1" --out "$2" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", line, sys.executable, places["a"], str(out)]).returncode == 0
    assert all(json.loads(line) for line in out.read_text().splitlines())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(5, "Input/output error", "x.bin"), "error: x.bin: Input/output error"),
        (OSError("odd"), "error: odd"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), "error: text that is not valid Unicode ('utf-8' codec"),
        (MemoryError(), "error: the memory is full"),
        (RecursionError("deep"), "error: the input is nested too deeply"),
    ],
)
def test_failures_of_the_system_are_known_wherever_they_come_from(monkeypatch, capsys, error, line):
    def fail(*_):
        raise error

    monkeypatch.setattr("tif.sets.store.history", fail)
    assert main(["spans", "log", "a.parquet"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(line)
    assert told.count("\n") == 1
