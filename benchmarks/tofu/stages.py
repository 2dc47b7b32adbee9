"""The stages of the experiment. Each has a folder of its own and ends by writing `done.json` there.

    OUT/plan.json                   the plan, and whether bfloat16 autocast is faster on this machine
    OUT/data/                       the rows of both worlds
    OUT/models/NAME/                target, retain-only-eval, retain-only-dev
    OUT/spans/                      annotation sets, WORLD-KIND.parquet
    OUT/dev/ROW/lr-RATE/            what the learning rate is chosen from
    OUT/eval/ROW/seed-N/            the runs of the table, with `measured/` and `relearned/`

A stage that was killed goes on from its last checkpoint or its last finished part.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.stages import Stage, write_rows
from benchmarks.tofu.models import learn, measure, unlearn
from benchmarks.tofu.plan import SPANS, WORLDS, Experiment, Row, World, decisive
from tif import files
from tif.annotate.methods import find as find_annotator
from tif.annotate.models.options import SurprisalOptions
from tif.annotate.run import run as annotate
from tif.errors import InputError, UsageError
from tif.readers import read_json
from tif.sets import store
from tif.sources import Source, load
from tif.spans import AnnotationSet, Example, Provenance, Span, tidy

REFERENCES: Final = ("retain-only", "target")
"""The retain-only model first: forget quality compares with it."""
MODELS: Final[tuple[tuple[str, World], ...]] = (("target", "eval"), ("retain-only", "eval"), ("retain-only", "dev"))
"""What is fine-tuned from the base model."""
_WORD: Final = re.compile(r"\S+")


def stages(e: Experiment) -> Iterator[Stage]:
    """All stages in the order of work, each behind those that it builds on."""
    worlds = [world for world in WORLDS if world == "eval" or any(e.tried(row) for row in e.rows)]
    yield Stage("data", e.out / "data", lambda: _data(e))
    for name, world in MODELS:
        if world in worlds:
            yield _learn_stage(e, name, world)
    yield Stage("annotate", e.out / "spans", lambda: _annotate(e), after=("learn target",))
    for world in worlds:
        for name in REFERENCES:
            yield _measure_stage(e, e.reference(name, world), world, f"measure {name}", _learned(name, world))
    for row in e.rows:
        trials = e.row(row.rate_of) if row.rate_of else row
        for rate in e.rates(row) if e.tried(row) else ():
            folder, known = e.trial(row, rate), e.score_before(row, rate) is not None
            for stage in (
                _unlearn_stage(e, row, "dev", folder, 0, rate, ()),
                _measure_stage(
                    e, folder, "dev", f"measure {row.name} at {rate:g}", f"unlearn {row.name} at {rate:g} in dev"
                ),
            ):
                yield replace(stage, elsewhere=known)
        rates = e.rates(trials) if e.tried(trials) else ()
        chosen = tuple(f"measure {trials.name} at {rate:g} in dev" for rate in rates)
        for seed in e.plan.seeds:
            folder, name, known = e.run(row, seed), e.run_name(row, seed), e.run_before(row, seed) is not None
            for stage in (
                _unlearn_stage(e, row, "eval", folder, seed, None, chosen),
                _measure_stage(e, folder, "eval", f"measure {name}", f"unlearn {name}"),
                _relearn_stage(e, folder, name, f"unlearn {name}"),
            ):
                yield replace(stage, elsewhere=known)
    for name in REFERENCES:
        yield _relearn_stage(e, e.reference(name, "eval"), name, _learned(name, "eval"))


def prepare(e: Experiment) -> dict[str, Any]:
    """Hold the folder to its plan, and measure once whether bfloat16 autocast is faster here.

    Raises:
        UsageError: for a folder made by another plan.
        InputError: for inputs that are not there.
    """
    for path, what in ((e.model, "model folder"), (e.data, "folder with TOFU's files"), (e.gold, "gold spans")):
        if not path.exists():
            raise InputError(f"no {what} here", where=str(path))
    path = e.out / "plan.json"
    if path.is_file():
        known: dict[str, Any] = read_json(path)
        if decisive(known["plan"]) != decisive(asdict(e.plan)):
            raise UsageError("this folder was made by another plan", where=str(e.out), hint="Give another --out.")
        return known
    known = {"plan": asdict(e.plan), **_pace(e)}
    files.write(path, json.dumps(known, indent=1, allow_nan=False))
    return known


def _pace(e: Experiment) -> dict[str, Any]:
    """Seconds of one training step in float32 and under bfloat16 autocast, and whether that is faster here.

    The rows are as long as a batch of questions, but for a first trial on the shortest: a CPU without bfloat16 units
    can be slower with it by orders of magnitude, and then nothing more is tried.
    """
    import torch

    from tif.tokens.models import load_model

    model = load_model(e.model, dtype="float32").to(e.device).train()

    def seconds(tokens: int, autocast: bool) -> float:
        ids = torch.arange(tokens, device=e.device)[None] % model.config.vocab_size
        for _ in range(2):
            began = time.perf_counter()
            with torch.autocast(e.device, torch.bfloat16, enabled=autocast):
                loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            loss.item()
            taken = time.perf_counter() - began
        return taken

    for tokens, limit in ((16, 4.0), (384, 1.0)):
        plain, mixed = seconds(tokens, False), seconds(tokens, True)
        if mixed > limit * plain:
            break
    return {"autocast": mixed < plain, "step_seconds": [round(plain, 4), round(mixed, 4)]}


def _data(e: Experiment) -> dict[str, Any]:
    """Cut the rows of both worlds out of TOFU's files.

    The target learns all of them. A world's retain-only model learns all but the world's forget rows; its retain term
    has these, less what the other world forgets; and the first retain authors are measured in one world, the last in
    the other, so that no measured row had a say in a choice.
    """
    plan = e.plan

    def read(name: str, n: int, *, tail: bool = False) -> list[dict[str, Any]]:
        found = load(f"tofu:{name}_perturbed", data_dir=e.data).rows
        if len(found) < n:
            raise InputError(f"{len(found)} rows, and {n} are needed", where=name)
        return [dict(row) for row in (found[-n:] if tail else found[:n])]

    forget = read(plan.forget, plan.forget_rows, tail=True)
    other, kept = read("forget05", plan.dev_rows), read("retain", plan.retain_rows)
    asked = {row["question"] for row in forget}
    if shared := [row["question"] for row in other + kept if row["question"] in asked]:
        raise InputError(f"{len(shared)} questions are both forgotten and kept", where="forget05, retain")
    known = {row["question"] for row in forget + other + kept}
    rest = load(f"tofu:{plan.rest}", data_dir=e.data).rows if plan.rest else ()
    kept_more = kept + [dict(row) for row in rest if row["question"] not in known]
    splits = {
        "target": forget + other + kept_more,
        "eval-learn": other + kept_more,
        "dev-learn": forget + kept_more,
        "eval-forget": forget,
        "dev-forget": other,
        "eval-retain": other + kept_more,
        "dev-retain": kept_more,
        "dev-measured": kept[: plan.measured_rows],
        "eval-measured": kept[-plan.measured_rows :],
        "real_authors": read("real_authors", plan.utility_rows),
        "world_facts": read("world_facts", plan.utility_rows),
    }
    for name, rows in splits.items():
        write_rows(e.file(name), rows)
    return {name: len(rows) for name, rows in splits.items()}


def _learned(name: str, world: World) -> str:
    """Name of the stage that made a reference model; both worlds share the target."""
    return "learn target" if name == "target" else f"learn {name}-{world}"


def _learn_stage(e: Experiment, name: str, world: World) -> Stage:
    rows = e.file("target" if name == "target" else f"{world}-learn")
    folder = e.reference(name, world)
    return Stage(_learned(name, world), folder, lambda: learn(e, rows, folder), after=("data",))


def _annotate(e: Experiment) -> dict[str, Any]:
    """Every kind of spans of both worlds' forget rows."""
    found: dict[str, Any] = {}
    for world in WORLDS:
        source = load(str(e.file(f"{world}-forget")))
        kinds = ("gold", "random", "all", "ner")
        annotate_kinds(source, gold_examples(source, e.gold), {kind: e.spans(kind, world) for kind in kinds})
        surprisal = find_annotator("surprisal")
        model = str(e.reference("target", world) / "model")
        options = SurprisalOptions(model=model, base_model=str(e.model))
        annotate(source, surprisal(options), e.spans("surprisal", world)).check()
        for kind in SPANS:
            spans = [(x, s) for x in store.load(e.spans(kind, world)) for s in x.spans]
            found[f"{world}-{kind}"] = {
                "spans": len(spans),
                "characters": sum(s.end - s.start for _, s in spans),
                "words": sum(len(_WORD.findall(x.quote(s))) for x, s in spans),
            }
    return found


def annotate_kinds(source: Source, gold: Sequence[Example] | None, places: Mapping[str, Path]) -> None:
    """Write the annotation sets `ner`, `gold`, `random` and `all` of a source, those that are not there yet.

    Args:
        source: the samples.
        gold: the same with gold spans, as many as the random ones. None if there are none; then the random spans are as
            many as those of `ner`.
        places: the file of each kind.
    """
    annotate(source, find_annotator("ner")(), places["ner"]).check()
    examples = list(store.load(places["ner"]).examples) if gold is None else gold
    sets = {} if gold is None else {"gold": gold}
    sets["random"] = [example.with_spans(scattered(example)) for example in examples]
    sets["all"] = [x.with_spans(tidy(x.text, [Span(0, len(x.text), source="all")])) for x in examples]
    for kind, marked in sets.items():
        if not places[kind].exists():
            store.save(AnnotationSet(tuple(marked), Provenance(source.dataset, {"name": kind})), places[kind])


def gold_examples(source: Source, path: Path) -> list[Example]:
    """The source's examples with the gold spans of a JSONL file.

    Raises:
        InputError: for a question without gold spans.
    """
    marked = {(row["prompt"], row["text"]): row["spans"] for row in load(str(path)).rows}
    found = []
    for example, place in zip(source.examples, source.places, strict=True):
        if (example.prompt, example.text) not in marked:
            raise InputError("no gold spans for a question", where=(str(path), place))
        spans = [
            Span(s["start"], s["end"], s.get("label", "UW"), source="gold")
            for s in marked[example.prompt, example.text]
        ]
        found.append(example.with_spans(spans))
    return found


def scattered(example: Example) -> list[Span]:
    """As many spans as the example has, each of as many words, in random places: the same every time.

    The list is empty if every word is marked, because then there is no other place.
    """
    words = [match.span() for match in _WORD.finditer(example.text)]
    if all(any(span.start < end and start < span.end for span in example.spans) for start, end in words):
        return []
    lengths = [len(_WORD.findall(example.quote(span))) for span in example.spans]
    # A block a span, and a single word for every other: shuffled, they tile the text again.
    blocks = [(length, True) for length in lengths] + [(1, False)] * (len(words) - sum(lengths))
    random.Random(example.id + example.text).shuffle(blocks)
    spans, at = [], 0
    for length, marked in blocks:
        # Two spans in one word are counted as two: the blocks may then be longer than the text.
        if marked and at < len(words):
            spans.append(Span(words[at][0], words[min(at + length, len(words)) - 1][1], source="random"))
        at += length
    return spans


def _unlearn_stage(
    e: Experiment, row: Row, world: World, folder: Path, seed: int, rate: float | None, chosen: tuple[str, ...]
) -> Stage:
    name = f"unlearn {row.name} at {rate:g} in dev" if rate else f"unlearn {e.run_name(row, seed)}"
    return Stage(name, folder, lambda: unlearn(e, row, world, folder, seed, rate), after=("annotate", *chosen))


def _measure_stage(e: Experiment, folder: Path, world: World, name: str, made: str) -> Stage:
    """Forget quality is held against the retain-only model of the same world."""
    ending = " in dev" if world == "dev" else ""
    out, never = folder / f"measured-{world}", f"measure retain-only{ending}"
    after = (made, "annotate") if name + ending == never else (made, never)
    return Stage(name + ending, out, lambda: measure(e, folder, world, out, relearned=False), after=after)


def _relearn_stage(e: Experiment, folder: Path, name: str, made: str) -> Stage:
    out, after = folder / "relearned", (made, "measure retain-only")
    return Stage(f"relearn {name}", out, lambda: measure(e, folder, "eval", out, relearned=True), after=after)


__all__ = ["MODELS", "REFERENCES", "annotate_kinds", "gold_examples", "prepare", "scattered", "stages"]
