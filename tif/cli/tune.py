"""`tif tune`: choose the options of an objective on samples that are not evaluated."""

from __future__ import annotations

from typing import Annotated

import typer

from tif.console import emit, emit_json
from tif.options import command
from tif.train.grid import shown
from tif.train.tune_options import TuneOptions


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    command(app, "tune")(tune)


def tune(
    options: TuneOptions,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print the search's record as JSON.")] = False,
) -> None:
    """Try a few settings of an objective on samples that are not evaluated, and choose one.

    Every candidate is trained on --masks. The one that brings its unwanted phrases nearest to the level of --aim, and
    keeps the retain samples, is chosen. No benchmark is read. After a crash, run the same command again to continue.

    Example: tif tune --objective npo --masks dev.parquet --model MODEL --aim BASE --retain keep.csv --out runs/tune-npo
    """
    from tif.train.tune import tune as run

    record = run(options)
    if json_:
        emit_json(record.to_json())
        return
    assert record.aim is not None
    assert record.start is not None
    emit(
        f"aim: unwanted phrases at {record.aim.phrase:.4f}, from {record.start.phrase:.4f}; "
        f"retain samples at {options.keep:g} or more"
    )
    for each in record.candidates:
        mark = "chosen" if each.number == record.chosen else ""
        line = f"{shown(each.settings)}: unwanted phrases {each.unwanted.phrase:.4f}, kept {each.kept:.3f}  {mark}"
        emit(line.rstrip())
    for failed in record.diverged:
        emit(f"{shown(failed.settings)}: diverged")
