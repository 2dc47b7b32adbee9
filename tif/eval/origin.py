"""Which model is evaluated, which run made it, and where its evaluation goes."""

from __future__ import annotations

from pathlib import Path

from tif import seal
from tif.errors import InputError, UsageError
from tif.eval.options import EvaluateOptions
from tif.records import COMPLETE, RUN_FILE, RunRecord, run_around


def default_out(model: str, digest: str, attacked: str | None = None) -> Path:
    """Return `RUN/eval` for a run folder, else `runs/eval/NAME-DIGEST`, to keep other model folders unchanged.

    A checkpoint of a run has `RUN/eval-checkpoint-N`. The evaluation after an attack has its own folder, so that a
    report can show both.
    """
    suffix = f"-{attacked}" if attacked else ""
    if (Path(model) / RUN_FILE).is_file():
        return Path(model) / f"eval{suffix}"
    if (run := run_around(model)) is not None:
        return run / f"eval-{Path(model).name}{suffix}"
    return Path("runs", "eval", f"{Path(model).name}-{digest[:8]}{suffix}")


def run_of(model: str) -> RunRecord | None:
    """Return the record of the run that made the model.

    Raises:
        InputError: for a run or a checkpoint whose files have changed, or a checkpoint that is not complete.
    """
    run = RunRecord.of_model(model)
    if run is None:
        return None
    if run_around(model) is None:
        run.check_outputs(Path(model))
    elif (damaged := seal.damage(Path(model), COMPLETE)) is not None:
        raise InputError(
            "is not as the run wrote it", where=damaged, why="the checkpoint is damaged or not complete",
            hint="Evaluate another checkpoint, or the run itself.",
        )  # fmt: skip
    return run


def model_of(options: EvaluateOptions) -> str:
    """Return the path or hub id of the model.

    Raises:
        UsageError: if the options have none.
    """
    if options.model is None:
        raise UsageError("no model given", hint="Use tif eval RUN_OR_MODEL.")
    return options.model


__all__ = ["default_out", "model_of", "run_of"]
