"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A time limit on single examples says more about the machine than about the code.
settings.register_profile("tif", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tif")

# huggingface_hub reads it once, at its import, and asks the network again and again without it.
os.environ["HF_HUB_OFFLINE"] = "1"

KEPT = {"TIF_SHARED", "TIF_SMOLLM2", "TIF_SMOLLM2_GGUF", "TIF_LLAMA_PYTHON"}
"""Where the tests on real input find it."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


def succeed(result: Result) -> Result:
    """A command's result, if it succeeded."""
    assert result.code == 0, result.err
    assert "Traceback" not in result.err
    return result


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process, as `tif ARGS...` would, errors mapped to exit codes."""
    from tif.cli import main

    def run(*args: object) -> Result:
        capfd.readouterr()
        code = main([str(a) for a in args])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests share a cache folder, and write no reference scores into the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests may leak in."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "TIF_")) and name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data (`TIF_SHARED`, by default ../shared/data beside the checkout)."""
    root = Path(os.environ.get("TIF_SHARED", Path(__file__).parents[2] / "shared")).resolve()
    data = root / "data" if (root / "data").is_dir() else root
    assert (data / "tofu" / "forget05.json").is_file(), f"no TOFU files in {data}: set TIF_SHARED"
    return data


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """A folder with SmolLM2-135M-Instruct (`TIF_SMOLLM2`); `make smollm2` makes one."""
    folder = Path(os.environ.get("TIF_SMOLLM2", Path(__file__).parents[1] / ".cache" / "smollm2")).resolve()
    assert (folder / "model.safetensors").is_file(), f"no model in {folder}: `make smollm2` or set TIF_SMOLLM2"
    return folder
