"""The judge against two real servers of a small model: a poor judge, and servers that each misunderstand something.

Nothing is asserted of the spans' quality. What counts is that every record is accounted for, and nothing crashes.
`TIF_SMOLLM2` is the model's folder; `TIF_LLAMA_PYTHON` a Python with llama-cpp-python, `TIF_SMOLLM2_GGUF` its weights.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Result
from tif.sets import store

pytestmark = pytest.mark.real

ROWS = 10


@contextmanager
def serving(command: list[str], port: int, log: Path, path: str = "/v1/models") -> Iterator[str]:
    """A server in its own process, once it answers."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
        try:
            for _ in range(600):
                assert process.poll() is None, f"the server ended:\n{log.read_text(errors='replace')[-2000:]}"
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                        break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    time.sleep(0.2)
            else:
                pytest.fail(f"the server never answered:\n{log.read_text(errors='replace')[-2000:]}")
            yield f"http://127.0.0.1:{port}/v1"
        except AssertionError as error:
            if process.poll() is not None:
                told = log.read_text(errors="replace")[-2000:]
                error.add_note(f"the server ended meanwhile, with {process.returncode}:\n{told}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def judged(cli: Callable[..., Result], url: str, model: object, source: Path, out: Path) -> dict[str, Any]:
    """Annotate, and check that each record is accounted for, and that a second run asks nothing."""
    command = ["annotate", "--method", "llm", "--model", model, "--base-url", url, "--dataset", source, "--limit", ROWS]
    command += ["--out", out, "--concurrency", 2, "--timeout", 180, "--max-reply-tokens", 200, "--json"]
    result = cli(*command)
    assert result.code in (0, 3), result.err
    assert "Traceback" not in result.err
    told = json.loads(result.out)
    saved = store.load(out)
    rows = [json.loads(line) for line in source.read_text().splitlines()[:ROWS]]
    assert [example.text for example in saved] == [row["answer"] for row in rows]
    assert told["new"] + told["failed"] == ROWS
    assert (result.code == 3) == bool(told["failed"])
    for example in saved:
        assert example.status in ("auto", "failed")
        assert example.status != "failed" or example.error
        assert all(example.text[span.start : span.end].strip() for span in example.spans)
    usage = told["method"]["usage"]
    assert usage["requests"] >= ROWS
    assert usage["prompt_tokens"] > 0
    second = cli(*command)
    assert json.loads(second.out)["method"]["usage"]["requests"] == usage["requests"], (
        "finished work is not asked again"
    )
    return dict(told["method"])


def test_transformers_serve(cli: Callable[..., Result], shared: Path, smollm2: Path, tmp_path: Path) -> None:
    port = free_port()
    serve = Path(sys.executable).with_name("transformers")
    command = [str(serve), "serve", str(smollm2), "--port", str(port), "--host", "127.0.0.1", "--device", "cpu"]
    with serving(command, port, tmp_path / "log", path="/health") as url:
        method = judged(cli, url, smollm2, shared / "tofu" / "forget05.json", tmp_path / "set.parquet")
    # It takes a schema and ignores it, so what counts is that its prose was survived.
    assert method["observed"]["response_format"] == "json_schema"


@pytest.mark.skipif(
    "TIF_LLAMA_PYTHON" not in os.environ, reason="TIF_LLAMA_PYTHON names no Python with llama-cpp-python"
)
def test_llama_cpp_server(cli: Callable[..., Result], shared: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [os.environ["TIF_LLAMA_PYTHON"], "-m", "llama_cpp.server", "--model", os.environ["TIF_SMOLLM2_GGUF"]]
    command += ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", "4096"]
    with serving(command, port, tmp_path / "log") as url:
        method = judged(cli, url, "smollm2", shared / "tofu" / "forget05.json", tmp_path / "set.parquet")
    assert method["observed"]["response_format"] == "json_object"
