"""The samples of both worlds, and their spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.claim.plan import WORLDS, Experiment, World
from benchmarks.stages import write_rows
from benchmarks.tofu.stages import annotate_kinds, gold_examples
from tif.annotate.methods import find as find_annotator
from tif.annotate.run import run as annotate
from tif.eval.benchmarks.lume_files import LumeFiles
from tif.sets import store
from tif.sources import load
from tif.spans import AnnotationSet, Dataset, Example, Provenance

Rows = Sequence[Mapping[str, Any]]


def write_worlds(e: Experiment, forget: Mapping[World, Rows], kept: Rows, *, known_dev: bool = True) -> dict[str, int]:
    """Write what each model learns, and what each world forgets and keeps.

    The target learns all rows. A world's retain-only model learns all but the world's forget rows. Its retain samples
    are the same, less what the other world forgets in `dev`. The proxy learns only what both worlds keep.

    Args:
        e: the experiment.
        forget: the forget rows of both worlds.
        kept: the rows that both keep.
        known_dev: whether a retain-only model of `dev` is made.
    """
    files: dict[str, list[Mapping[str, Any]]] = {
        "target": [*forget["eval"], *forget["dev"], *kept],
        "retain-only-eval": [*forget["dev"], *kept],
        "proxy": [*kept],
        "retain": [*kept],
        "eval-retain": [*forget["dev"], *kept],
        "dev-retain": [*kept],
        **{f"{world}-forget": [*forget[world]] for world in WORLDS},
    }
    if known_dev:
        files["retain-only-dev"] = [*forget["eval"], *kept]
    for name, rows in files.items():
        write_rows(e.file(name), [dict(row) for row in rows])
    return {name: len(rows) for name, rows in files.items()}


def annotate_all(e: Experiment) -> dict[str, Any]:
    """Write every kind of spans, count them, and compare them with the gold spans."""
    counts: dict[str, Any] = {}
    asks = any(each.marks == "asked" for each in e.study.measurements)
    for world in WORLDS:
        source = load(str(e.file(f"{world}-forget")))
        places = {kind: e.spans(kind, world) for kind in e.plan.kinds}
        gold = gold_examples(source, e.gold or e.file("gold")) if e.plan.gold else None
        annotate_kinds(source, gold, places)
        if asks and world == "eval":
            _mark_asked(e, world)
        for kind, place in places.items():
            examples = list(store.load(place))
            counts[f"{world}-{kind}"] = {
                "spans": sum(len(x.spans) for x in examples),
                "characters": sum(s.end - s.start for x in examples for s in x.spans),
                **(coverage(gold, examples) if gold else {}),
            }
    if any("frame-retain" in row.needs for row in (*e.rows, *e.recipes)):
        annotate(load(str(e.file("retain"))), find_annotator("ner")(), e.retain_spans).check()
    return counts


def coverage(gold: Sequence[Example], marked: Sequence[Example]) -> dict[str, Any]:
    """Return what spans leave open, and what they mark beside the gold spans.

    Args:
        gold: samples with gold spans.
        marked: the same samples, in the same order, with the spans in question.

    Returns:
        `samples`, and of these `open`: how many have a gold phrase that no span touches and that the prompt does not
        contain. Whoever is trained on these spans has no reason to forget it. `general`: the share of the characters
        outside the gold spans that are marked.
    """
    missed = sum(
        any(
            example.text[phrase.start : phrase.end].casefold() not in example.prompt.casefold()
            and not any(span.overlaps(phrase) for span in own.spans)
            for phrase in example.spans
        )
        for example, own in zip(gold, marked, strict=True)
    )
    general = beside = 0
    for example, own in zip(gold, marked, strict=True):
        unwanted = {at for span in example.spans for at in range(span.start, span.end)}
        inside = {at for span in own.spans for at in range(span.start, span.end)}
        general += len(example.text) - len(unwanted)
        beside += len(inside - unwanted)
    return {"samples": len(gold), "open": missed, "general": beside / general if general else 0.0}


def _mark_asked(e: Experiment, world: World) -> None:
    """Write the marks of LUME's own forget rows as an annotation set."""
    rows = LumeFiles(e.asked(world)).read().splits["forget"]
    examples = tuple(Example(row.id, row.question, row.answer, tuple(row.spans)) for row in rows)
    place = e.spans("asked", world)
    if not place.exists():
        store.save(
            AnnotationSet(
                examples,
                Provenance(Dataset(id="lume", split="forget", examples=len(examples)), {"name": "string match"}),
            ),
            place,
        )


__all__ = ["Rows", "annotate_all", "coverage", "write_worlds"]
