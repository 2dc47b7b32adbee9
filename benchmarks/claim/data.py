"""The rows of both worlds, cut out of TOFU's files, and their spans."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.claim.plan import FORGET, WORLDS, Experiment
from benchmarks.tofu.stages import gold_examples, scattered
from tif import files
from tif.annotate.methods import find as find_annotator
from tif.annotate.run import run as annotate
from tif.errors import InputError
from tif.sets import store
from tif.sources import load
from tif.spans import AnnotationSet, Provenance, Span, tidy


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
        _write(e.file(name), rows)
    utility = {part: read(part)[: plan.utility_rows] for part in ("real_authors", "world_facts")}
    for world in WORLDS:
        parts = {FORGET: forget[world], "retain": measured[world], **utility}
        for part, rows in parts.items():
            _write(e.asked(world) / f"{part}_perturbed.json", rows)
    return {name: len(rows) for name, rows in learned.items()}


def _write(path: Any, rows: list[dict[str, Any]]) -> None:
    files.write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def annotate_all(e: Experiment) -> dict[str, Any]:
    """Write every kind of spans, and count them."""
    found: dict[str, Any] = {}
    for world in WORLDS:
        source = load(str(e.file(f"{world}-forget")))
        gold = gold_examples(source, e.gold)
        kinds = {
            "gold": gold,
            "random": [example.with_spans(scattered(example)) for example in gold],
            "all": [x.with_spans(tidy(x.text, [Span(0, len(x.text), source="all")])) for x in gold],
        }
        for kind, examples in kinds.items():
            if not e.spans(kind, world).exists():  # type: ignore[arg-type]
                store.save(
                    AnnotationSet(tuple(examples), Provenance(source.dataset, {"name": kind})),
                    e.spans(kind, world),  # type: ignore[arg-type]
                )
        annotate(source, find_annotator("ner")(), e.spans("ner", world)).check()
        for kind in ("ner", *kinds):
            examples = list(store.load(e.spans(kind, world)))  # type: ignore[arg-type]
            found[f"{world}-{kind}"] = {
                "spans": sum(len(x.spans) for x in examples),
                "characters": sum(s.end - s.start for x in examples for s in x.spans),
            }
    annotate(load(str(e.file("retain"))), find_annotator("ner")(), e.retain_spans).check()
    return found


__all__ = ["annotate_all", "cut"]
