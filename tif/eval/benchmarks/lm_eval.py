"""Utility beyond the benchmark: tasks of lm-evaluation-harness, run on the evaluated model after its attack, if any.

Prompts, few-shot examples, metrics and standard errors are lm-eval's own, without a chat template. The numbers are
therefore comparable with published ones. The parts cache keeps each finished task.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tif.errors import InputError, MissingError, UsageError
from tif.eval import processes
from tif.eval.parts import PartsCache
from tif.packages import install_hint

BATCH: Final = 16
"""Requests per forward pass."""


def harness(
    load: Callable[[], Any],
    tokenizer: Any,
    tasks: Sequence[str],
    *,
    cache: PartsCache,
    folder: str | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """Return lm-eval's numbers for each task: `{"arc_easy": {"acc": 0.61, "acc_stderr": 0.01, ...}, ...}`.

    Args:
        load: returns the model. Called at the first task that is not in the parts cache.
        tokenizer: its tokenizer.
        tasks: names of tasks or groups. A group also returns the numbers of its members.
        cache: keeps finished tasks.
        folder: folder of additional tasks, as YAML files.
        limit: use only the first `limit` questions of each task.

    Raises:
        MissingError: if lm-eval is not installed, or the data of a task is not available.
        UsageError: for an unknown task, a missing folder, or several processes.
    """
    if processes.count() > 1:
        raise UsageError("--lm-eval runs in one process only", hint="Repeat `tif eval --lm-eval` without a launcher.")
    if folder is not None and not Path(folder).is_dir():
        raise UsageError("--lm-eval-tasks: is not a folder", where=folder)
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise MissingError("lm-eval is not installed", hint=install_hint("lm-eval")) from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=folder)
    for task in tasks:
        if not manager.match_tasks([task]):
            raise UsageError(f"lm-eval has no task {task!r}", hint="Run `lm-eval ls tasks` to list its tasks.")
    key = [version("lm_eval"), limit, _fingerprint(folder)]
    numbers: dict[str, dict[str, float]] = {}
    for task in tasks:

        def measure(task: str = task) -> dict[str, list[float]]:
            from lm_eval.models.huggingface import HFLM

            model = HFLM(pretrained=load(), tokenizer=tokenizer, batch_size=BATCH)
            try:
                result = simple_evaluate(model, tasks=[task], task_manager=manager, limit=limit, log_samples=False)
            except (OSError, ValueError) as error:  # `datasets` cannot download or read the data
                raise MissingError("lm-eval cannot run the task", where=task, why=str(error)[:160]) from None
            return _columns(result["results"])

        for name, values in cache.values(f"lm_eval.{task}", [task, *key], measure).items():
            member, metric = name.rsplit(" ", 1)
            numbers.setdefault(member, {})[metric] = values[0]
    if not numbers:
        raise InputError("lm-eval returned no numbers", where=", ".join(tasks))
    return numbers


def _columns(results: Mapping[str, Mapping[str, object]]) -> dict[str, list[float]]:
    """Return columns: `acc_stderr,none` of task `arc_easy` becomes `arc_easy acc_stderr`. Other filters stay named."""
    return {
        f"{task} {name.removesuffix(',none')}": [float(value)]
        for task, values in results.items()
        for name, value in values.items()
        if "," in name and isinstance(value, int | float)
    }


def _fingerprint(folder: str | None) -> str | None:
    """Return a digest of the task files. An edited task then runs again."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in (".yaml", ".yml", ".py"):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


__all__ = ["harness"]
