"""`python -m benchmarks.claim`: run the missing stages of the experiment, then write the results.

After a kill, the same command continues. Several processes may share the work in one folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.claim.page import write
from benchmarks.claim.plan import Experiment, Plan
from benchmarks.claim.stages import pilots, shared, table
from benchmarks.stages import Stage, run_ready
from tif import files
from tif.console import emit, say
from tif.errors import TifError, UsageError
from tif.readers import read_json

PAUSE: Final = 0.5
"""Seconds to wait while other processes run every stage that is ready."""
PARTS: Final[dict[str, Callable[[Experiment], Iterator[Stage]]]] = {"shared": shared, "pilots": pilots, "table": table}


def main(arguments: list[str] | None = None) -> int:
    """Run the missing stages and print those that are still missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--data", type=Path, required=True, help="folder with TOFU's files")
    parser.add_argument("--gold", type=Path, required=True, help="JSONL of forget05's gold spans")
    parser.add_argument("--out", type=Path, default=Path("runs/claim"))
    parser.add_argument("--docs", type=Path, default=Path("docs/claim"), help="folder for the results")
    parser.add_argument("--results-only", action="store_true", help="write the results and run no stage")
    parser.add_argument("--parts", default="shared,table", help="of shared, pilots and table, separated by commas")
    parser.add_argument("--only", default="", help="run only stages whose name begins so; several separated by commas")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    e = Experiment(plan=Plan(), model=given.model, data=given.data, gold=given.gold, out=given.out, device=given.device)
    asked = [a for a in (sys.argv[1:] if arguments is None else arguments) if a != "--results-only"]
    code = 0 if given.results_only else run(e, given.parts.split(","), only=tuple(given.only.split(",")))
    if code == 0:
        write(e, given.docs, shlex.join(["python", "-m", "benchmarks.claim", *asked]))
    return code


def run(e: Experiment, parts: list[str], only: tuple[str, ...] = ("",)) -> int:
    """Run the stages of these parts whose names begin with one of `only`."""
    try:
        prepare(e)
        every = [stage for part in ("shared", *parts) for stage in PARTS[part](e)]
        stages = list({stage.name: stage for stage in every}.values())
        while not finish_one(e, stages, only):
            pass
    except TifError as error:
        say(f"error: {error}")
        return error.exit_code
    for stage in stages:
        if not stage.done:
            emit(f"missing: {stage.name}")
    return 0


def prepare(e: Experiment) -> None:
    """Hold the folder to its plan.

    Raises:
        UsageError: for a folder made by another plan.
    """
    path, plan = e.out / "plan.json", json.loads(json.dumps(asdict(e.plan)))
    if path.is_file() and read_json(path) != plan:
        raise UsageError("this folder was made by another plan", where=str(e.out), hint="Give another --out.")
    files.write(path, json.dumps(plan, indent=1))


def finish_one(e: Experiment, stages: list[Stage], only: tuple[str, ...]) -> bool:
    """Run the first stage that is ready and that no other process runs, or wait a little.

    Returns:
        Whether nothing is left to do.
    """
    left = [stage for stage in stages if not stage.done and stage.name.startswith(only)]
    if run_ready(stages, left, e.out / "locks") is not None:
        return False
    if left:
        time.sleep(PAUSE)
    return not left


if __name__ == "__main__":
    sys.exit(main())
