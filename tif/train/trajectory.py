"""Evaluations during training. They only watch: nothing is chosen, stopped or changed by their numbers.

Before the first step, every so many steps and at the end, after settling, the weights are written to
`RUN/checkpoints/evaluated` and given to a function of the caller. Its numbers go to `log.jsonl`. Random states are
restored afterwards, so the run has the same weights with and without evaluations.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from tif.records import CHECKPOINTS, EVALUATION
from tif.train import checkpoint

if TYPE_CHECKING:
    from tif.train.trainer import Unlearner

Evaluate = Callable[[Path, int], Mapping[str, float]]
"""Evaluates the model in a folder after so many steps. All processes call it."""

SNAPSHOT: Final = "evaluated"
"""The folder in RUN/checkpoints with the weights that are evaluated. It is deleted after the last evaluation."""


class Trajectory(TrainerCallback):  # type: ignore[misc]
    """Evaluates the model every so many steps.

    Args:
        trainer: whose model is evaluated.
        evaluate: the caller's function.
        every: optimizer steps between two evaluations.
        folder: the run folder.
    """

    def __init__(self, trainer: Unlearner, evaluate: Evaluate, every: int, folder: Path) -> None:
        self.trainer, self.evaluate, self.every = trainer, evaluate, every
        self.snapshot = folder / CHECKPOINTS / SNAPSHOT

    def on_train_begin(self, _args: Any, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Evaluate the starting model, unless the run continues from a checkpoint."""
        if state.global_step == 0:
            self._evaluate(0)

    def on_step_end(self, _args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Evaluate every N steps. The last step has its evaluation in `finish`."""
        last = control.should_training_stop or state.global_step >= state.max_steps
        if state.global_step % self.every == 0 and not last:
            self._evaluate(state.global_step)

    def finish(self) -> None:
        """Evaluate the weights as they are saved, and delete the copy. All processes call it, after settling."""
        self._evaluate(self.trainer.state.global_step)
        self.trainer.accelerator.wait_for_everyone()
        if self.trainer.args.should_save:
            shutil.rmtree(self.snapshot, ignore_errors=True)

    def _evaluate(self, step: int) -> None:
        with _random_states():
            self._write()
            numbers = self.evaluate(self.snapshot, step)
        self.trainer.log_beside({f"{EVALUATION}{name}": value for name, value in numbers.items()})

    def _write(self) -> None:
        trainer, main = self.trainer, self.trainer.args.should_save
        if main and self.snapshot.is_dir():
            shutil.rmtree(self.snapshot)
        trainer.accelerator.wait_for_everyone()
        with checkpoint.writing(self.snapshot):
            trainer.save_model(str(self.snapshot))
            trainer.accelerator.wait_for_everyone()
            if main:
                checkpoint.mark(self.snapshot)
        trainer.accelerator.wait_for_everyone()


@contextmanager
def _random_states() -> Iterator[None]:
    """Restore the random states of Python, numpy and torch afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


__all__ = ["SNAPSHOT", "Evaluate", "Trajectory"]
