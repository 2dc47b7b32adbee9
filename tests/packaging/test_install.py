"""The wheel, installed without extras into an empty venv: `tif demo` runs there, and the hints lead to the extras."""

import json
import os
import re
import shlex
import subprocess
import venv

import pytest

from tests.packaging.conftest import ROOT, environment

pytestmark = [pytest.mark.install, pytest.mark.slow]

PIP_ARGS = shlex.split(os.environ.get("PIP_ARGS", ""))


@pytest.fixture(scope="module")
def run(built, tmp_path_factory):
    """Runs a command of the new venv outside the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    variables = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}

    def call(command, *arguments, timeout=1200):
        return subprocess.run(
            [folder / "venv" / "bin" / command, *arguments],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    install = ("-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *PIP_ARGS)
    for package in ("torch", built.wheel):
        done = call("python", *install, package)
        assert done.returncode == 0, done.stderr
    return call


def test_the_requirements_of_all_packages_are_met(run):
    done = run("python", "-m", "pip", "check")
    assert done.returncode == 0, done.stdout


def test_no_extra_is_installed(run):
    code = "import importlib.util as u; print([n for n in ('datasets', 'spacy', 'openai', 'peft') if u.find_spec(n)])"
    assert run("python", "-c", code).stdout.strip() == "[]"


def test_the_demo_runs_and_writes_its_report(run, tmp_path):
    where = run("python", "-c", "import tif; print(tif.__file__)").stdout.strip()
    assert "site-packages" in where
    assert str(ROOT) not in where
    done = run("tif", "demo", "--out", tmp_path / "demo", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"]
    assert "<svg" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")


def test_the_command_of_a_hint_installs_the_extra(run):
    """pip takes the distribution that is installed already, so the hint needs no index that has it."""
    refused = run("tif", "spans", "edit", "none.parquet", "--no-browser")
    assert refused.returncode == 1
    hint = re.search(r"Install it: pip (install '.+?')", refused.stderr)
    assert hint, refused.stderr
    done = run("python", "-m", "pip", *shlex.split(hint[1]), "--dry-run", *PIP_ARGS)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stdout
    assert "uvicorn" in done.stdout
    assert "tif-unlearning-" not in done.stdout.split("Would install")[1]
