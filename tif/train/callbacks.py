"""Callbacks of a training run: the sampler's epoch, the log and progress, and other logging integrations."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from tif import files
from tif.console import Advance, progress
from tif.errors import UsageError
from tif.train.data import PairSampler, TrainingSet


class Epoch(TrainerCallback):  # type: ignore[misc]
    """Gives the sampler and the training set the epoch.

    accelerate's own way does not reach a sampler whose first batches are skipped.
    """

    def __init__(self, order: PairSampler, examples: TrainingSet) -> None:
        self.order, self.examples = order, examples

    def on_epoch_begin(self, _args: Any, state: TrainerState, _control: Any, **_: Any) -> None:
        """Set the epoch. A continued run begins in the epoch that was interrupted."""
        self.order.epoch = self.examples.epoch = int(state.epoch or 0.0)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Progress on the terminal, and `log.jsonl`: one record a log step, none twice in a continued run."""

    def __init__(self, path: Path, doing: str = "unlearning") -> None:
        self.path, self.doing = path, doing
        self._advance: Advance | None = None
        """None without a bar: before the first step and after the last one."""
        self._shown = contextlib.ExitStack()

    def on_train_begin(self, _args: Any, state: TrainerState, _control: Any, **_: Any) -> None:
        """Begin the log with the records of the checkpoint."""
        if state.is_world_process_zero:
            files.write(self.path, "".join(json.dumps(record) + "\n" for record in state.log_history))
            self._advance = self._shown.enter_context(progress(self.doing, state.max_steps, done=state.global_step))

    def on_step_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Advance the progress bar."""
        if self._advance is not None:
            self._advance(1)

    def on_log(self, _args: Any, state: TrainerState, _control: Any, **_: Any) -> None:
        """Write the record, and show its terms beside the bar."""
        if state.is_world_process_zero:
            record = state.log_history[-1]
            with files.writing(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            shown = ("loss", "lpl", "pl", "forget", "retain", "uw_probability", "gw_probability")
            note = "  ".join(f"{k.removesuffix('robability')} {record[k]:.3g}" for k in shown if k in record)
            if self._advance is not None:
                self._advance(0, note=note)

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Remove the progress bar."""
        self.close()

    def close(self) -> None:
        """Release the terminal, also after a failure. May be called twice."""
        self._shown.close()
        self._advance = None


def reporters(names: Iterable[str], folder: Path) -> list[TrainerCallback]:
    """transformers' integrations by name. TensorBoard's events go to `folder/tensorboard`, also in a continued run.

    Raises:
        UsageError: for a name that transformers does not know, or whose package is not installed.
    """
    callbacks = []
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise UsageError(f"no integration {name!r}", where="--report-to", hint=f"Known: {known}.")
        try:
            reporter = INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            raise UsageError(
                str(error).rstrip("."), where=f"--report-to {name}", hint="Install its package, or leave it out."
            ) from error
        if name == "tensorboard":
            reporter.logging_dir = str(folder / "tensorboard")
        callbacks.append(reporter)
    return callbacks


__all__ = ["Epoch", "Watch", "reporters"]
