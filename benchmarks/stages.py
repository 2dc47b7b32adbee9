"""One piece of work of an experiment, in a folder of its own, and how processes share the pieces."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tif import files
from tif.console import say
from tif.readers import read_json


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of work."""

    name: str
    folder: Path
    work: Callable[[], dict[str, Any]]
    """What it returns is kept in `done.json`."""
    after: tuple[str, ...] = ()
    """Names of the stages that it builds on."""
    elsewhere: bool = False
    """Whether it was finished elsewhere, on the same models, and its results are known."""

    @property
    def done(self) -> bool:
        """Whether it was finished."""
        return self.elsewhere or (self.folder / "done.json").is_file()

    def run(self) -> None:
        """Do it, unless it is done."""
        if self.done:
            return
        say(f"== {self.name}")
        began = time.monotonic()
        found = self.work()
        found |= {"seconds": round(time.monotonic() - began, 1)}
        files.write(self.folder / "done.json", json.dumps(found, indent=1, allow_nan=False))


def run_ready(every: Sequence[Stage], left: Sequence[Stage], locks: Path) -> Stage | None:
    """Run the first stage that is ready and that no other process runs.

    Args:
        every: all stages of the experiment.
        left: those that are to be run, in the order of work.
        locks: folder of the stages' locks.

    Returns:
        The stage; None if none is ready.
    """
    done = {stage.name for stage in every if stage.done}
    for stage in left:
        if not done.issuperset(stage.after):
            continue
        # The process holds the lock, so a kill frees it. It is outside the stage's folder, which some stages empty.
        lock = FileLock(locks / f"{stage.name.replace('/', '-')}.lock", timeout=0)
        try:
            with lock:
                stage.run()
        except Timeout:
            continue
        return stage
    return None


def result(folder: Path) -> dict[str, Any]:
    """What the finished stage of a folder kept in `done.json`; empty if it is not finished."""
    path = folder / "done.json"
    return dict(read_json(path)) if path.is_file() else {}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    files.write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


__all__ = ["Stage", "result", "run_ready", "write_rows"]
