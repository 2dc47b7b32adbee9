"""The examples run, and say the same."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def code_of_notebook() -> list[str]:
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def statements(source: str) -> list[str]:
    """The statements of the story, without imports and without the output folder."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            tree = ast.Module(node.body[1:], [])
    kept = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return [ast.unparse(node) for node in kept if not ast.unparse(node).startswith("out = ")]


def test_script_and_notebook_are_the_same_story():
    script = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8")
    assert statements("\n".join(code_of_notebook())) == statements(script)


@pytest.mark.slow
def test_script_and_notebook_run(tmp_path, monkeypatch, capsys):
    """The notebook runs behind the script in the same folder, so that finished models and scores are used again."""
    command = [sys.executable, str(EXAMPLES / "quickstart.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = (
        int(re.search(rf"{name}: the model writes (\d+) of 61 unwanted phrases", done.stdout)[1])
        for name in ("before", "after")
    )
    assert before >= 55
    assert after <= 6
    assert "Token by token" in (tmp_path / "runs/quickstart/report.html").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in code_of_notebook():
        exec(compile(cell, "quickstart.ipynb", "exec"), names)
    assert capsys.readouterr().out == done.stdout
