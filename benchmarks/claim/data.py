"""The rows of both worlds, cut out of TOFU's files, and their spans."""

from __future__ import annotations

from typing import Any

from benchmarks.claim.plan import FORGET, KINDS, WORLDS, Experiment
from benchmarks.stages import write_rows
from benchmarks.tofu.stages import annotate_kinds
from tif.annotate.methods import find as find_annotator
from tif.annotate.run import run as annotate
from tif.errors import InputError
from tif.sets import store
from tif.sources import load


def cut(e: Experiment) -> dict[str, Any]:
    """Write what is learned, kept and asked in each world.

    The target learns all rows. A world's retain-only model learns all but the world's forget rows. Its retain samples
    are the same, less what the other world forgets in `dev`. The measured retain rows differ between the worlds.

    Raises:
        InputError: for files with too few rows, or with a question that is both forgotten and kept.
    """
    plan = e.plan

    def read(name: str) -> list[dict[str, Any]]:
        return [dict(row) for row in load(f"tofu:{name}_perturbed", data_dir=e.data).rows]

    own, kept = read(FORGET), read("retain")[: plan.retain_rows]
    if len(own) < plan.forget_rows + plan.dev_rows or len(kept) < plan.retain_rows:
        raise InputError("has too few rows", where=str(e.data))
    forget = {"eval": own[-plan.forget_rows :], "dev": own[: plan.dev_rows]}
    measured = {"eval": kept[-plan.measured_rows :], "dev": kept[: plan.measured_rows]}
    if {row["question"] for row in own} & {row["question"] for row in kept}:
        raise InputError("a question is both forgotten and kept", where=str(e.data))
    learned = {"target": forget["eval"] + forget["dev"] + kept, "proxy": kept}
    learned |= {"retain-only-eval": forget["dev"] + kept, "retain-only-dev": forget["eval"] + kept}
    learned |= {"eval-retain": forget["dev"] + kept, "dev-retain": kept, "retain": kept}
    learned |= {"eval-forget": forget["eval"], "dev-forget": forget["dev"]}
    for name, rows in learned.items():
        write_rows(e.file(name), rows)
    utility = {part: read(part)[: plan.utility_rows] for part in ("real_authors", "world_facts")}
    for world in WORLDS:
        parts = {FORGET: forget[world], "retain": measured[world], **utility}
        for part, rows in parts.items():
            write_rows(e.asked(world) / f"{part}_perturbed.json", rows)
    return {name: len(rows) for name, rows in learned.items()}


def annotate_all(e: Experiment) -> dict[str, Any]:
    """Write every kind of spans, and count them."""
    found: dict[str, Any] = {}
    for world in WORLDS:
        source = load(str(e.file(f"{world}-forget")))
        places = {kind: e.spans(kind, world) for kind in KINDS}
        annotate_kinds(source, e.gold, places)
        for kind, place in places.items():
            examples = list(store.load(place))
            found[f"{world}-{kind}"] = {
                "spans": sum(len(x.spans) for x in examples),
                "characters": sum(s.end - s.start for x in examples for s in x.spans),
            }
    annotate(load(str(e.file("retain"))), find_annotator("ner")(), e.retain_spans).check()
    return found


__all__ = ["annotate_all", "cut"]
