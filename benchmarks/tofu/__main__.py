"""`python -m benchmarks.tofu`: run the missing stages, then write the results.

After a kill, the same command continues. Several processes may share the work in one folder. On a CPU, with
`OMP_NUM_THREADS=1`, this is faster than one process on all cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.stages import run_ready
from benchmarks.tofu.plan import PLANS, ROWS, Experiment
from benchmarks.tofu.stages import prepare, stages
from tif.console import emit, say
from tif.errors import TifError

PAUSE: Final = 5.0
"""Seconds to wait while other processes run every stage that is ready."""


def main(arguments: list[str] | None = None) -> int:
    """Run the missing stages and write the results after each row. Print the stages that are still missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tofu", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--data", type=Path, required=True, help="folder with TOFU's files")
    parser.add_argument("--gold", type=Path, required=True, help="JSONL of forget05's gold spans")
    parser.add_argument(
        "--scale",
        choices=PLANS,
        default="small",
        help="small: two CPU cores; seeds: its main rows with three seeds; wide: more authors; full: a GPU",
    )
    parser.add_argument("--out", type=Path, help="default: runs/tofu-SCALE")
    parser.add_argument("--docs", type=Path, help="folder for the results; default: docs/SCALE")
    parser.add_argument("--rows", help="run only these rows, separated by commas")
    parser.add_argument("--results-only", action="store_true", help="write the results and run no stage")
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
    docs = given.docs or Path("docs") / plan.name
    experiment = Experiment(plan, given.model, given.data, given.gold, out, rows, device=given.device)
    return work(experiment, docs, command, names=names, run=not given.results_only)


def work(experiment: Experiment, docs: Path, command: str, *, names: list[str], run: bool = True) -> int:
    """Do the work of `main` with parsed arguments, for the rows in `names`."""
    from benchmarks.tofu.page import write
    from benchmarks.tofu.results import earlier

    try:
        prepare(experiment)
        # First the models that all rows share: they decide whether earlier results belong to the same experiment.
        for rows in ([], names) if run else ():
            experiment = replace(experiment, earlier=earlier(experiment, docs))
            while not finish_one(experiment, rows, docs, command):
                pass
        experiment = replace(experiment, earlier=earlier(experiment, docs))
        record = write(experiment, docs, command)
    except TifError as error:
        say(f"error: {error}")
        return error.exit_code
    for name in record["missing"]:
        emit(f"missing: {name}")
    emit(f"{len(record['done'])} stages done, {len(record['missing'])} missing; results in {docs / 'results.md'}")
    return 0


def finish_one(experiment: Experiment, rows: list[str], docs: Path, command: str) -> bool:
    """Run the first stage that is ready and that no other process runs, or wait a little.

    Returns:
        Whether nothing is left to do.
    """
    from benchmarks.tofu.page import write

    every = list(stages(experiment))
    left = [stage for stage in every if not stage.done and wanted(experiment, stage.folder, rows)]
    stage = run_ready(every, left, experiment.out / "locks")
    if stage is not None:
        if stage.name.startswith("relearn") or stage.name == "measure target":
            write(experiment, docs, command)
        return False
    if left:
        time.sleep(PAUSE)
    return not left


def wanted(experiment: Experiment, folder: Path, names: list[str]) -> bool:
    """Return whether the rows of these names need a stage's folder.

    They need their own folders, those of the rows that give them a learning rate (in `dev` only), and shared ones.
    """
    world, row = (*folder.relative_to(experiment.out).parts, "")[:2]
    if world == "dev":
        return row in names or any(experiment.row(name).rate_of == row for name in names)
    return world != "eval" or row in names


if __name__ == "__main__":
    sys.exit(main())
