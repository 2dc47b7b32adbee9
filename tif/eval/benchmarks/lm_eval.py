"""Utility beyond the benchmark: any task of lm-evaluation-harness, on the model that is evaluated, attacks included.

Prompts, few-shot examples, metrics and standard errors are lm-eval's own, without a chat template, so that numbers can
be held against published ones. Each task is kept in the parts cache once it is done.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tif.errors import InputError, MissingError, UsageError
from tif.eval import processes
from tif.eval.parts import PartsCache
from tif.packages import install_hint

BATCH: Final = 16
"""Requests of a forward."""


def harness(
    load: Callable[[], Any],
    tokenizer: Any,
    tasks: Sequence[str],
    *,
    cache: PartsCache,
    folder: str | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """What lm-eval says of each task: `{"arc_easy": {"acc": 0.61, "acc_stderr": 0.01, ...}, ...}`.

    Args:
        load: returns the model; called for the first task that is not in the parts cache.
        tokenizer: its tokenizer.
        tasks: names of tasks or groups; a group gives its members besides.
        cache: where finished tasks are kept.
        folder: of further tasks, as YAML files.
        limit: at most so many questions of a task.

    Raises:
        MissingError: if lm-eval is not installed, or a task's data cannot be had.
        UsageError: for an unknown task, a folder that is none, or several processes.
    """
    if processes.count() > 1:
        raise UsageError("--lm-eval runs in one process", hint="Run `tif eval --lm-eval` once more without launcher.")
    if folder is not None and not Path(folder).is_dir():
        raise UsageError("no folder of tasks here", where=folder)
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise MissingError("lm-eval is not installed", hint=install_hint("lm-eval")) from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=folder)
    for task in tasks:
        if not manager.match_tasks([task]):
            raise UsageError(f"lm-eval has no task {task!r}", hint="`lm-eval ls tasks` lists them.")
    key = [version("lm_eval"), limit, _fingerprint(folder)]
    found: dict[str, dict[str, float]] = {}
    for task in tasks:

        def measure(task: str = task) -> dict[str, list[float]]:
            from lm_eval.models.huggingface import HFLM

            model = HFLM(pretrained=load(), tokenizer=tokenizer, batch_size=BATCH)
            try:
                said = simple_evaluate(model, tasks=[task], task_manager=manager, limit=limit, log_samples=False)
            except (OSError, ValueError) as error:  # `datasets` says so of what it cannot reach or read
                raise MissingError("lm-eval cannot run the task", where=task, why=str(error)[:160]) from None
            return _columns(said["results"])

        for name, values in cache.values(f"lm_eval.{task}", [task, *key], measure).items():
            of, metric = name.rsplit(" ", 1)
            found.setdefault(of, {})[metric] = values[0]
    if not found:
        raise InputError("lm-eval measured nothing", where=", ".join(tasks))
    return found


def _columns(results: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """`acc_stderr,none` of task `arc_easy` -> column `arc_easy acc_stderr`; other filters keep their name."""
    return {
        f"{task} {name.removesuffix(',none')}": [float(value)]
        for task, values in results.items()
        for name, value in values.items()
        if "," in name and isinstance(value, int | float)
    }


def _fingerprint(folder: str | None) -> str | None:
    """Of the task files, so that an edited task is measured again."""
    if folder is None:
        return None
    found = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix in (".yaml", ".yml", ".py"):
            found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


__all__ = ["harness"]
