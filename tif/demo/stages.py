"""The demo's work on one model each: teach it, make it forget, evaluate it. Each runs in a process with one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from typing import Final

from tif.demo import data, models
from tif.demo.plan import BASE, RETAIN_ONLY, TARGET, Folder, Method, Schedule

PROCESSES: Final = 2
_FINE_TUNING_EPOCHS: Final = 14
"""Of target and retain-only model: they start from the base model, which knows how such answers are worded."""
_MAX_NEW_TOKENS: Final = 40
_SAVE_STEPS: Final = 25


@dataclass(frozen=True, slots=True)
class Work:
    """What each process needs to know."""

    folder: Folder
    recipe: models.Recipe
    schedule: Schedule

    def teach(self, name: str) -> None:
        """Train the base model from scratch, or the target or the retain-only model from the base model."""
        pairs = data.load()
        vocabulary = [pair.example for pair in pairs]
        if name == BASE:
            known = data.base_people(pairs)
            examples = [pair.example for pair in pairs if pair.person in known]
            models.pretrain(examples, vocabulary, self.folder.model(name), self.recipe, f"training {name}")
            return
        examples = [pair.example for pair in pairs if name == TARGET or pair.split == "retain"]
        recipe = replace(self.recipe, epochs=min(self.recipe.epochs, _FINE_TUNING_EPOCHS))
        start = self.folder.model(BASE)
        models.pretrain(examples, vocabulary, self.folder.model(name), recipe, f"training {name}", start=start)

    def unlearn(self, method: Method) -> None:
        """Make the target forget, with a retain term on the answers of everybody else."""
        from tif.sources import Keep
        from tif.train.options import TrainOptions
        from tif.train.run import train

        schedule = self.schedule
        train(
            TrainOptions(
                masks=str(self.folder.annotations("forget")),
                model=str(self.folder.model(TARGET)),
                out=str(self.folder.model(method.objective)),
                retain=(Keep(str(self.folder.data("retain"))),),
                retain_loss=schedule.retain_loss,
                retain_weight=schedule.retain_weight,
                objective=method.objective,
                base_model=str(self.folder.model(BASE)) if method.needs_base else None,
                lr=schedule.lr,
                batch_size=schedule.batch_size,
                max_steps=schedule.max_steps,
                weight_decay=schedule.weight_decay,
                warmup=schedule.warmup,
                save_steps=_SAVE_STEPS,
                cpu=True,
            )
        )

    def evaluate(self, name: str) -> None:
        """Ask a model everything. All but the target and the retain-only model are compared with the latter."""
        from tif.eval.options import EvaluateOptions
        from tif.eval.run import evaluate_model

        alone = name in (TARGET, RETAIN_ONLY)
        options = EvaluateOptions(
            model=str(self.folder.model(name)),
            benchmark="local",
            forget=str(self.folder.data("forget")),
            retain=str(self.folder.data("retain")),
            masks=str(self.folder.annotations("everybody")),
            retain_log=None if alone else str(self.folder.evaluation(RETAIN_ONLY) / "eval.json"),
            out=str(self.folder.evaluation(name)),
            device="cpu",
            max_new_tokens=_MAX_NEW_TOKENS,
        )
        evaluate_model(options)


@contextmanager
def processes() -> Iterator[Executor]:
    """Two processes with one thread each. They stay for all stages, so that each imports torch once.

    An interrupt ends them: a signal that only this process got would otherwise wait for their jobs.
    """
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            raise


def finish(pool: Executor, *jobs: Callable[[], None]) -> None:
    """Run jobs side by side, and wait for all of them."""
    for done in [pool.submit(job) for job in jobs]:
        done.result()


def _quiet() -> None:
    import torch
    import transformers

    # Two progress bars on one terminal would overwrite each other: lines instead.
    os.environ["TERM"] = "dumb"
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


__all__ = ["Work", "finish", "processes"]
