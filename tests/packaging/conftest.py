"""The wheel and the sdist, built once for all tests here, from a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "site")
"""Build results and caches. A build in the checkout itself would take older ones along."""


@dataclass(frozen=True)
class Built:
    """What `python -m build` made of a copy of the checkout."""

    source: Path
    sdist: Path
    wheel: Path


def environment() -> dict[str, str]:
    """The variables without the tests' cache folder, so that pip has its downloads from its own."""
    return {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NO_SOURCE))
    command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(source)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return Built(source, sdist, wheel)
