"""What is not Python reaches the wheel: the page, the demo's data, the type marker."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_the_page_and_the_data(tmp_path):
    source = tmp_path / "source"
    # A copy, so that no build folder of an earlier state is mixed in.
    shutil.copytree(ROOT / "tif", source / "tif", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {p.relative_to(source).as_posix() for p in (source / "tif").rglob("*") if p.is_file()}
    assert {"tif/py.typed", "tif/edit/static/edit.js", "tif/data/demo.jsonl"} <= wanted
    assert wanted - held == set()
