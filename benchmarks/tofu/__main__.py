"""`python -m benchmarks.tofu`: do what is missing, then write the results; the same command goes on after a kill.

Several may run at once on the same folder and share the work; on a CPU, with `OMP_NUM_THREADS=1`, that is faster than
one process on all cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from benchmarks.tofu.plan import PLANS, ROWS, Experiment
from benchmarks.tofu.stages import prepare, stages
from tif.console import emit, say
from tif.errors import TifError

PAUSE: Final = 5.0
"""Seconds until the next look, while all that can be done is being done by others."""


def main(arguments: list[str] | None = None) -> int:
    """Run the stages that are missing, rewriting the results after each row; print what is missing in the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tofu", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--data", type=Path, required=True, help="folder with TOFU's files")
    parser.add_argument("--gold", type=Path, required=True, help="JSONL of forget05's gold spans")
    parser.add_argument(
        "--scale",
        choices=PLANS,
        default="small",
        help="small: two CPU cores; seeds: its main rows thrice; wide: more authors; full: a GPU",
    )
    parser.add_argument("--out", type=Path, help="default: runs/tofu-SCALE")
    parser.add_argument("--docs", type=Path, help="where the results are written; default: docs, or docs/SCALE")
    parser.add_argument("--rows", help="only these rows, separated by commas")
    parser.add_argument("--results-only", action="store_true", help="run nothing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    plan = PLANS[given.scale]
    by_name = {row.name: row for row in ROWS}
    known = plan.rows or tuple(by_name)
    rows = tuple(by_name[name] for name in known)
    names = given.rows.split(",") if given.rows else known
    if unknown := set(names) - set(known):
        parser.error(f"no row {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    asked = [a for a in (sys.argv[1:] if arguments is None else arguments) if a != "--results-only"]
    command = shlex.join(["python", "-m", "benchmarks.tofu", *asked])
    out = given.out or Path(f"runs/tofu-{plan.name}")
    docs = given.docs or (Path("docs") if plan.name == "small" else Path("docs") / plan.name)
    experiment = Experiment(plan, given.model, given.data, given.gold, out, rows, device=given.device)
    return work(experiment, docs, command, names=names, run=not given.results_only)


def work(experiment: Experiment, docs: Path, command: str, *, names: list[str], run: bool = True) -> int:
    """`main` after its arguments: all stages but those of rows not in `names`."""
    from benchmarks.tofu.page import write
    from benchmarks.tofu.results import earlier

    try:
        prepare(experiment)
        # First what all rows share: by these models is told whether earlier results are of the same experiment.
        for rows in ([], names) if run else ():
            experiment = replace(experiment, earlier=earlier(experiment, docs))
            while not finish_one(experiment, rows, docs, command):
                pass
        experiment = replace(experiment, earlier=earlier(experiment, docs))
        found = write(experiment, docs, command)
    except TifError as error:
        say(f"error: {error}")
        return error.exit_code
    for name in found["missing"]:
        emit(f"missing: {name}")
    emit(f"{len(found['done'])} stages done, {len(found['missing'])} missing; results in {docs / 'results.md'}")
    return 0


def finish_one(experiment: Experiment, rows: list[str], docs: Path, command: str) -> bool:
    """Do the first stage that can be done now and that no other process is at, or wait a little for that process.

    Returns:
        Whether nothing is left to do.
    """
    from benchmarks.tofu.page import write

    every = list(stages(experiment))
    done = {stage.name for stage in every if stage.done}
    left = [stage for stage in every if stage.name not in done and wanted(experiment, stage.folder, rows)]
    for stage in left:
        if not done.issuperset(stage.after):
            continue
        # Held by the process, so that a kill frees it. Beside the folder: some stages empty theirs.
        lock = FileLock(experiment.out / "locks" / f"{stage.name.replace('/', '-')}.lock", timeout=0)
        try:
            with lock:
                stage.run()
        except Timeout:
            continue
        if stage.name.startswith("relearn") or stage.name == "measure target":
            write(experiment, docs, command)
        return False
    if left:
        time.sleep(PAUSE)
    return not left


def wanted(experiment: Experiment, folder: Path, names: list[str]) -> bool:
    """Whether a stage's folder is needed for the rows of these names: their own, those that they take their learning
    rate from (in `dev` alone), and what all rows share."""
    world, row = (*folder.relative_to(experiment.out).parts, "")[:2]
    if world == "dev":
        return row in names or any(experiment.row(name).rate_of == row for name in names)
    return world != "eval" or row in names


if __name__ == "__main__":
    sys.exit(main())
