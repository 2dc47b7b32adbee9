"""`tif train` as users call it: training, with evaluations on the way if the options ask for them.

    RUN/trajectory/step-50/eval.json     the evaluation after 50 steps, as `tif eval RUN` gives it
    RUN/log.jsonl                        its main numbers, which the report draws

Training and evaluation do not know each other. This module lets training call evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tif.records import TRAJECTORY

if TYPE_CHECKING:
    from tif.eval.record import EvalRecord
    from tif.train.options import TrainOptions
    from tif.train.run import RunResult


def train(options: TrainOptions) -> RunResult:
    """Unlearn, and evaluate on the way with `evaluate_every`.

    Raises:
        UsageError, MaskError, StoreError, InputError, MissingError, WriteError, TifError: as `tif.train.run.train`.
    """
    from tif.train.run import train as run

    return run(options, evaluate=partial(evaluate_step, options) if options.evaluate_every is not None else None)


def evaluate_step(options: TrainOptions, model: Path, step: int) -> Mapping[str, float]:
    """Evaluate the weights of one step on the run's own annotation set and samples to keep.

    Args:
        options: the options of the run.
        model: the weights, in the run's folder of checkpoints.
        step: the number of steps so far.

    Returns:
        The main numbers by name.
    """
    from tif.eval.options import EvaluateOptions
    from tif.eval.run import evaluate_model

    out = Path(options.out) / TRAJECTORY / f"step-{step}"
    given = EvaluateOptions(
        model=str(model),
        out=str(out),
        limit=options.evaluate_limit,
        data_dir=options.data_dir,
        device="cpu" if options.cpu else None,
    )
    return main_numbers(evaluate_model(given).record)


def main_numbers(record: EvalRecord) -> dict[str, float]:
    """Return the numbers of an evaluation that the log has. A number that the data does not give is left out."""
    forget = record.leakage.get("forget")
    numbers = {
        "uw_probability": record.uw_probability,
        "gw_probability": record.gw_probability,
        "phrases_written": forget.written / forget.phrases if forget is not None else None,
        "retain_probability": record.mean("retain", "probability"),
        "retain_rougeL_recall": record.mean("retain", "rougeL_recall"),
    }
    return {name: float(value) for name, value in numbers.items() if value is not None}


__all__ = ["evaluate_step", "main_numbers", "train"]
