"""`tif train`: unlearn the words that an annotation set marks."""

from __future__ import annotations

from typing import Annotated

import typer

from tif.console import emit_data, emit_json
from tif.options import command
from tif.train.options import TrainOptions


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    command(app, "train")(train)


def train(
    options: TrainOptions,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print the run's record as JSON.")] = False,
) -> None:
    """Make a model forget the words that an annotation set marks as unwanted, and keep the rest.

    Example: tif train --masks annotations/tofu05.parquet --model MODEL --retain tofu:retain95 --out runs/tofu05
    """
    # Imported after the options are checked: a wrong option is reported at once, not after seconds of loading torch.
    from tif.trajectory import train as run

    result = run(options)
    if json_:
        emit_json(result.record.to_json())
    else:
        emit_data(str(result.model))
