"""Install hints name the distribution that runs; nothing tells a reader to install PyPI's `tif`, another project."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from tif import packages

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLACES = ("tif", "docs", "annotations", "benchmarks", "examples", "tests")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".html", ".js", ".ipynb", ".txt", ""}
ANOTHER_PROJECT = re.compile(r"""\b(?:install|add)(?:\s+-\S+)*["'`\s\\]+tif(?![\w-])|(?<![\w-])tif\[[a-z]""")


def texts():
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for place in PLACES for path in (ROOT / place).rglob("*") if path.is_file()]
    return [path for path in files if path.suffix in TEXT and "__pycache__" not in path.parts]


def test_the_project_and_the_hints_have_one_name():
    assert PROJECT["name"] == packages.NAME
    assert packages.distribution() == packages.NAME


def test_every_extra_that_a_hint_asks_for_exists():
    assert set(get_args(packages.Extra)) <= set(PROJECT["optional-dependencies"])
    assert packages.install_hint("hub") == "Install it: pip install 'tif-unlearning[hub]'"


def test_a_hint_names_the_distribution_that_runs(monkeypatch):
    monkeypatch.setattr(packages, "packages_distributions", lambda: {"tif": ["tif-of-a-fork"]})
    assert packages.install_hint("ner") == "Install it: pip install 'tif-of-a-fork[ner]'"
    monkeypatch.setattr(packages, "packages_distributions", dict)
    assert packages.install_hint("ner") == "Install it: pip install 'tif-unlearning[ner]'"


def test_extras_refer_to_the_project_by_its_name():
    wanted = [line for lines in PROJECT["optional-dependencies"].values() for line in lines if line.startswith("tif")]
    assert wanted
    assert [line for line in wanted if not line.startswith(f"{packages.NAME}[")] == []


@pytest.mark.parametrize(
    "sentence",
    ["pip install tif", "pip install 'tif[all]'", "uv add tif", 'pip install -U "tif[hub]"', "pip install\n    tif"],
)
def test_the_search_recognises_the_wrong_name(sentence):
    assert ANOTHER_PROJECT.search(sentence)


@pytest.mark.parametrize(
    "sentence", ["pip install '.[all]'", "pip install 'tif-unlearning[hub]'", "Install the tif that wrote it"]
)
def test_the_search_leaves_the_right_name_alone(sentence):
    assert not ANOTHER_PROJECT.search(sentence)


def test_no_text_installs_another_project():
    paths = texts()
    assert {"README.md", "packages.py", "annotators.md"} <= {path.name for path in paths}
    bad = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in paths
        if path != Path(__file__)
        for match in ANOTHER_PROJECT.finditer(path.read_text(encoding="utf-8"))
    ]
    assert bad == []


def test_one_function_makes_every_hint():
    makers = [path.name for path in (ROOT / "tif").rglob("*.py") if "pip install" in path.read_text(encoding="utf-8")]
    assert makers == ["packages.py"]


def test_the_installed_distribution_has_the_command():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="tif")
    assert script.value == "tif.cli:script"
    done = subprocess.run([sys.executable, "-m", "tif", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"tif {importlib.metadata.version(packages.NAME)}"
