"""Which commands there are, and that help does not import them."""

import json
import os
import subprocess
import sys

import pytest
from typer.main import get_command

from tif.cli import commands, new_app


@pytest.fixture(scope="module")
def everything():
    app = new_app()
    commands.register(app)
    return get_command(app).commands


def test_the_lines_of_help_are_those_of_the_commands_themselves(everything):
    """Whoever changes the first sentence of a command's docstring changes it in COMMANDS too."""
    own = {name: command.help.split("\n\n")[0].replace("\n", " ") for name, command in everything.items()}
    assert own == {name: line for name, (_, line) in commands.COMMANDS.items()}


def test_help_has_no_line_breaks_inside_a_paragraph(everything):
    spans = everything["spans"].commands
    every = [*everything.values(), *spans.values()]
    assert len(every) > 15
    assert [command.name for command in every if "\n" in command.help.replace("\n\n", "")] == []
    assert "a version of SET. Anything else is refused without --force." in spans["export"].help


@pytest.mark.parametrize("name", list(commands.COMMANDS))
def test_a_command_that_is_called_has_its_own_options(everything, name):
    app = new_app()
    commands.register_one(app, name)
    alone = get_command(app).commands
    assert set(alone) == set(everything)
    assert [p.name for p in alone[name].params] == [p.name for p in everything[name].params]


def test_help_imports_no_options_class():
    code = "import sys\nfrom tif.cli import main\nassert main(['--help']) == 0\nassert 'pydantic' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in commands.COMMANDS)


def test_a_shell_completes_the_options_of_a_command():
    code = "import sys\nfrom tif.cli import main\nsys.argv = ['tif']\nmain()"
    asked = {"_TIF_COMPLETE": "complete_bash", "COMP_WORDS": "tif train --ba", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **asked})
    assert "--batch-size" in done.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16"])
def test_data_is_utf8_whatever_the_terminal_is(tmp_path, encoding):
    answers = ["Zoë wohnt in Łódź.", "Sie kam aus 東京."]
    lines = [json.dumps({"question": "Wo?", "answer": answer}, ensure_ascii=False) for answer in answers]
    (tmp_path / "people.jsonl").write_text("\n".join(lines), encoding="utf-8")
    place = {"cwd": tmp_path, "capture_output": True, "env": {**os.environ, "PYTHONIOENCODING": encoding}}

    def tif(*line):
        done = subprocess.run([sys.executable, "-m", "tif", *line], **place)
        assert done.returncode == 0, done.stderr
        return done.stdout

    tif("annotate", "--method", "manual", "--dataset", "people.jsonl", "--out", "a.parquet")
    assert all(answer in tif("spans", "show", "a.parquet").decode() for answer in answers)
    exported = tif("spans", "export", "a.parquet")
    assert [json.loads(line)["text"] for line in exported.decode().splitlines()] == answers
    (tmp_path / "again.jsonl").write_bytes(exported)
    tif("spans", "import", "again.jsonl", "--into", "a.parquet")
