"""The stages of the experiment, each in a folder of its own that ends with `done.json`.

OUT/plan.json                    the plan
OUT/data/                        the rows of both worlds, other answers, own texts
OUT/spans/                       annotation sets
OUT/models/NAME/                 target, proxy, retain-only-eval, retain-only-dev
OUT/dev/RECIPE/seed-N/           the recipes, on the dev authors
OUT/tune/ROW/                    the searches, on the dev authors
OUT/eval/ROW/seed-N/             the runs of the table, with `measured-eval/` and `relearned-eval/`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.claim import data, work
from benchmarks.claim.plan import WORLDS, Experiment, Row, World
from benchmarks.stages import Stage


def shared(e: Experiment) -> Iterator[Stage]:
    """What all rows build on."""
    yield Stage("data", e.out / "data", partial(data.cut, e))
    yield Stage("annotate", e.out / "spans", partial(data.annotate_all, e), after=("data",))
    for name, world in (("target", "eval"), ("retain-only", "dev"), ("proxy", "eval"), ("retain-only", "eval")):
        folder = e.reference(name, world)
        yield Stage(
            f"learn {folder.name}", folder, partial(work.learn, e, e.file(folder.name), folder), after=("annotate",)
        )
    yield Stage("own texts", e.out / "own-texts", partial(work.write_own_texts, e), after=("learn target",))
    for world in WORLDS:
        yield Stage(
            f"alternates {world}",
            e.out / f"alternates-{world}",
            partial(work.write_alternates, e, world),
            after=("learn proxy",),
        )
        yield from _measured(e, world, e.reference("retain-only", world), f"retain-only-{world}", ())
    for world in WORLDS:
        yield from _measured(
            e, world, e.reference("target", world), f"target-{world}", (_never(world),), "learn target"
        )


def _never(world: World) -> str:
    return f"measure retain-only-{world}"


def _measured(
    e: Experiment, world: World, folder: Path, name: str, after: tuple[str, ...], made: str = ""
) -> Iterator[Stage]:
    before = (made or f"learn {name}", *after)
    yield Stage(f"measure {name}", folder / f"measured-{world}", partial(work.measure, e, world, folder), before)
    if world == "eval":
        again = partial(work.measure, e, world, folder, relearned=True)
        yield Stage(f"relearn {name}", folder / f"relearned-{world}", again, before)
        yield Stage(f"by ner {name}", folder / "measured-ner", partial(work.measure_by, e, folder), before)


def pilots(e: Experiment) -> Iterator[Stage]:
    """The recipes on the dev authors: no row of the table, and no author in it."""
    for seed in e.plan.seeds:
        for row in e.recipes:
            yield from _run(e, row, "dev", seed, ())


def table(e: Experiment) -> Iterator[Stage]:
    """The rows of the table: one search each, then every seed."""
    for row in e.rows:
        if not row.tuned_as:
            yield Stage(f"tune {row.name}", e.search(row), partial(work.search, e, row), _needed(row, "dev"))
    for seed in e.plan.seeds:
        for row in e.rows:
            if seed in (e.plan.seeds if row.seeds is None else row.seeds):
                yield from _run(e, row, "eval", seed, (f"tune {row.tuned_as or row.name}",))


def _needed(row: Row, world: World) -> tuple[str, ...]:
    extra = {"alternates": f"alternates {world}", "own-text": "own texts"}
    wanted = [stage for need, stage in extra.items() if need in row.needs]
    return ("learn target", f"learn retain-only-{world}", *wanted)


def _run(e: Experiment, row: Row, world: World, seed: int, after: tuple[str, ...]) -> Iterator[Stage]:
    folder, name = e.run(row, world, seed), f"{world} {row.name} {seed}"
    work_on: Callable[[], dict[str, Any]] = partial(work.unlearn, e, row, world, seed)
    yield Stage(f"unlearn {name}", folder, work_on, (*_needed(row, world), *after))
    yield from _measured(e, world, folder, name, (_never(world),), f"unlearn {name}")


__all__ = ["pilots", "shared", "table"]
