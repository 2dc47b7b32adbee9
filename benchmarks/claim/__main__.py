"""`python -m benchmarks.claim`: run the missing stages of an experiment, then write the results.

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

from benchmarks.claim import lume, muse, tofu
from benchmarks.claim.page import write
from benchmarks.claim.plan import Experiment, Study, decisive
from benchmarks.claim.stages import pilots, shared, table
from benchmarks.stages import Stage, run_ready
from tif import files
from tif.console import emit, say
from tif.errors import InputError, TifError, UsageError
from tif.readers import read_json

PAUSE: Final = 0.5
"""Seconds to wait while other processes run every stage that is ready."""
PARTS: Final[dict[str, Callable[[Experiment], Iterator[Stage]]]] = {"shared": shared, "pilots": pilots, "table": table}
STUDIES: Final[dict[str, Callable[[], Study]]] = {
    "tofu": tofu.study, "lume": lume.study, "muse": muse.study, "tofu-1b": tofu.study_1b
}  # fmt: skip
DOCS: Final = {"tofu": "claim", "tofu-1b": "claim-1b"}
"""Folders for the results that have another name than the plan."""


def main(arguments: list[str] | None = None) -> int:
    """Run the missing stages and print those that are still missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=__doc__)
    parser.add_argument("--plan", choices=("tofu", "lume", "muse"), default="tofu", help="the benchmark")
    parser.add_argument(
        "--scale", choices=("small", "1b"), default="small",
        help="small: SmolLM2-135M; 1b: Llama-3.2-1B-Instruct on TOFU's forget10, on a GPU",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--data", type=Path, required=True, help="folder with the benchmark's files")
    parser.add_argument("--gold", type=Path, help="tofu, small: JSONL of forget05's gold spans")
    parser.add_argument("--target", type=Path, help="folder of a model that learned everything; default: make one")
    parser.add_argument(
        "--retain-only", type=Path, help="folder of one that never saw the forget set; default: make it"
    )
    parser.add_argument("--classifier", type=Path, help="folder of a fluency classifier, for OpenUnlearning's Overall")
    parser.add_argument("--autocast", action="store_true", help="train in bfloat16 on a CPU that is faster with it")
    parser.add_argument("--out", type=Path, help="default: runs/NAME")
    parser.add_argument("--docs", type=Path, help="folder for the results; default: docs/NAME")
    parser.add_argument("--results-only", action="store_true", help="write the results and run no stage")
    parser.add_argument("--parts", default="shared,table", help="of shared, pilots and table, separated by commas")
    parser.add_argument("--only", default="", help="run only stages whose name begins so; several separated by commas")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    name = given.plan if given.scale == "small" else f"{given.plan}-{given.scale}"
    if name not in STUDIES:
        parser.error("--scale 1b is for --plan tofu")
    if unknown := set(given.parts.split(",")) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if (name == "tofu") != (given.gold is not None):
        parser.error("--plan tofu needs --gold" if name == "tofu" else "--gold is for --plan tofu")
    models = {"target": given.target, "retain-only-eval": given.retain_only}
    place = DOCS.get(name, name)
    e = Experiment(
        study=STUDIES[name](), model=given.model, data=given.data, gold=given.gold, device=given.device,
        out=given.out or Path("runs") / place, classifier=given.classifier, autocast=given.autocast,
        given={model: folder for model, folder in models.items() if folder is not None},
    )  # fmt: skip
    asked = [a for a in (sys.argv[1:] if arguments is None else arguments) if a != "--results-only"]
    code = 0 if given.results_only else run(e, given.parts.split(","), only=tuple(given.only.split(",")))
    if code == 0:
        write(e, given.docs or Path("docs") / place, shlex.join(["python", "-m", "benchmarks.claim", *asked]))
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
    """Hold the folder to its plan and its inputs.

    Raises:
        InputError: for an input that does not exist.
        UsageError: for a folder made by another plan or from other models.
    """
    inputs = {"base model": e.model, "data folder": e.data, "gold spans": e.gold, "classifier": e.classifier, **e.given}
    for name, place in inputs.items():
        if place is not None and not place.exists():
            raise InputError(f"there is no {name}", where=str(place), hint="Correct the path.")
    path, plan = e.out / "plan.json", json.loads(json.dumps(asdict(e.plan)))
    models = {name: str(folder) for name, folder in {**e.given, "classifier": e.classifier}.items() if folder}
    models |= {"autocast": "bfloat16"} if e.autocast else {}
    if path.is_file():
        known = read_json(path)
        if decisive(known) != decisive({**plan, "given": models} if models else plan):
            raise UsageError(
                "this folder was made by another plan, from other models, or in another arithmetic", where=str(e.out),
                hint="Give another --out.",
            )  # fmt: skip
        return
    files.write(path, json.dumps({**plan, "given": models} if models else plan, indent=1))


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
