"""The stages of an experiment, each in a folder of its own that ends with `done.json`.

OUT/plan.json                    the plan
OUT/data/                        the samples of both worlds, the benchmark's files, other answers, own texts
OUT/spans/                       annotation sets
OUT/models/NAME/                 target, proxy, retain-only-eval, retain-only-dev
OUT/dev/RECIPE/seed-N/           the recipes, on the dev authors
OUT/tune/ROW/                    the searches, on the dev authors
OUT/eval/ROW/seed-N/             the runs of the table, with a folder for each evaluation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.claim import data, work
from benchmarks.claim.plan import WORLDS, Experiment, Row, World
from benchmarks.stages import Stage

REFERENCES = ("retain-only", "target")
"""The retain-only model first: others are compared with it."""


def shared(e: Experiment) -> Iterator[Stage]:
    """What all rows build on."""
    yield Stage("data", e.out / "data", partial(e.study.cut, e))
    yield Stage("annotate", e.out / "spans", partial(data.annotate_all, e), after=("data",))
    models: tuple[tuple[str, World], ...]
    models = (("target", "eval"), ("retain-only", "dev"), ("proxy", "eval"), ("retain-only", "eval"))
    for folder in dict.fromkeys(e.reference(name, world) for name, world in models):
        yield Stage(
            f"learn {folder.name}", folder, partial(work.learn, e, e.file(folder.name), folder), after=("annotate",)
        )
    needs = frozenset[str]().union(*(row.needs for row in (*e.rows, *e.recipes)))
    if "own-text" in needs:
        yield Stage("own texts", e.out / "own-texts", partial(work.write_own_texts, e), after=("learn target",))
    if "alternates" in needs:
        for world in WORLDS:
            yield Stage(
                f"alternates {world}",
                e.out / f"alternates-{world}",
                partial(work.write_alternates, e, world),
                after=("learn proxy",),
            )
    for reference in REFERENCES:
        for world in WORLDS:
            folder = e.reference(reference, world)
            yield from _measured(e, world, folder, f"{reference}-{world}", f"learn {folder.name}")


def _measured(e: Experiment, world: World, folder: Path, name: str, made: str) -> Iterator[Stage]:
    """Every evaluation of a model, behind those that it is compared with."""
    reference = name in [f"{each}-{world}" for each in REFERENCES]
    for measurement in e.study.measurements:
        if world not in measurement.worlds:
            continue
        after = [made, "annotate"]
        if measurement.against and name != f"retain-only-{world}":
            after.append(f"{measurement.name} retain-only-{world}")
        if measurement.against and e.classifier is not None and not reference:
            after.append(f"{measurement.name} target-{world}")
        work_on: Callable[[], dict[str, Any]] = partial(work.measure, e, measurement, world, folder)
        yield Stage(f"{measurement.name} {name}", e.measured(measurement, folder, world), work_on, tuple(after))


def pilots(e: Experiment) -> Iterator[Stage]:
    """The recipes on the dev authors: no row of the table, and no author in it."""
    for seed in e.plan.seeds:
        for row in e.recipes:
            yield from _run(e, row, "dev", seed, ())


def table(e: Experiment) -> Iterator[Stage]:
    """The rows of the table: one search each, then every seed."""
    for row in e.rows:
        if not row.tuned_as:
            yield Stage(f"tune {row.name}", e.search(row), partial(work.search, e, row), _needed(e, row, "dev"))
    for seed in e.plan.seeds:
        for row in e.rows:
            if seed in (e.plan.seeds if row.seeds is None else row.seeds):
                yield from _run(e, row, "eval", seed, (f"tune {row.tuned_as or row.name}",))


def _needed(e: Experiment, row: Row, world: World) -> tuple[str, ...]:
    extra = {"alternates": f"alternates {world}", "own-text": "own texts"}
    wanted = [stage for need, stage in extra.items() if need in row.needs]
    return ("annotate", "learn target", f"learn {e.reference('retain-only', world).name}", *wanted)


def _run(e: Experiment, row: Row, world: World, seed: int, after: tuple[str, ...]) -> Iterator[Stage]:
    folder, name = e.run(row, world, seed), f"{world} {row.name} {seed}"
    work_on: Callable[[], dict[str, Any]] = partial(work.unlearn, e, row, world, seed)
    yield Stage(f"unlearn {name}", folder, work_on, (*_needed(e, row, world), *after))
    yield from _measured(e, world, folder, name, f"unlearn {name}")


__all__ = ["pilots", "shared", "table"]
