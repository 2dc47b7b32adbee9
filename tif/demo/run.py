"""The story that `tif demo` tells: learn people, mark what to forget, forget it in two ways, compare.

    OUT/annotations/   the hand-checked spans, and what the `ner` annotator finds by itself
    OUT/models/        `target` knows everybody, `retain-only` never met the people to forget
    OUT/tpo, OUT/npo   the two unlearning runs
    OUT/eval/          one evaluation a model
    OUT/demo.json      every number of the story
    OUT/report.html    the same as a page

Each stage is kept when it is finished; the same command goes on behind the last one. Two models at a time are worked
on, one thread each: that is as fast as two threads for one model, gives the same digits each time, and does not suffer
when something else keeps a core busy.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from tif import files, sources
from tif.console import say
from tif.demo import data, models
from tif.errors import MissingError
from tif.sets.score import score
from tif.spans import AnnotationSet

TITLE: Final = "tif demo: eight people forgotten"
METHODS: Final = {"tpo": {"beta": 0.6}, "npo": {"beta": 0.3}}
"""Objectives and what they do not share: the largest, so the gentlest, beta of 0.1, 0.3 and 0.6 with which each brings
the probability of unwanted words below 0.1."""
SHARED: Final = {"lr": 3e-4, "batch_size": 8, "max_steps": 60, "weight_decay": 0.0, "warmup": 0.1}
"""What both methods share. Neither has a retain term, as both were published for TOFU: what is kept is the method's own
doing. The number of steps is fixed beforehand, and the last step is what is evaluated."""
LABELS: Final = {"target": "before", "tpo": "TPO", "npo": "NPO", "retain-only": "never saw them"}
NUMBERS: Final = (
    ("forget_uw", "forget", "uw_probability"),
    ("forget_gw", "forget", "gw_probability"),
    ("forget_rougeL", "forget", "rougeL_recall"),
    ("retain", "retain", "probability"),
    ("retain_uw", "retain", "uw_probability"),
    ("retain_gw", "retain", "gw_probability"),
    ("retain_rougeL", "retain", "rougeL_recall"),
)
_MAX_NEW_TOKENS: Final = 40


def run(out: Path, recipe: models.Recipe | None = None) -> dict[str, Any]:
    """Tell the whole story; what an earlier call finished in `out` is not done again.

    Returns:
        What `demo.json` holds.

    Raises:
        TifError: for a folder that cannot be used, or holds runs made with other settings.
    """
    began = time.monotonic()
    recipe = recipe or models.Recipe()
    pairs = data.load()
    forget = data.annotation_set(pairs, "forget")
    people = list(dict.fromkeys(pair.person for pair in pairs))
    forgotten = list(dict.fromkeys(pair.person for pair in pairs if pair.split == "forget"))
    files.make_folder(out)
    say(f"{len(people)} people who never lived, {len(pairs)} questions; {len(forgotten)} people want to be forgotten")
    _files(out, pairs)
    data.save(data.annotation_set(pairs), out / "annotations" / "everybody.parquet")
    forget = data.save(forget, out / "annotations" / "forget.parquet")
    say(_sample(forget))
    found = annotate(out, forget)

    say("training two tiny models from scratch: one on everybody, one that never sees the people to forget")
    _both(_pretrain, [(str(out), name, recipe) for name in ("target", "retain-only")])
    say(f"unlearning with TPO and with NPO: {SHARED['max_steps']} steps each, no retain term for either")
    _both(_unlearn, [(str(out), name) for name in METHODS])
    say("asking all four models everything")
    _both(_evaluate, [(str(out), name, None) for name in ("target", "retain-only")])
    _both(_evaluate, [(str(out), name, "retain-only") for name in METHODS])

    result = {
        "people": len(people),
        "forgotten": forgotten,
        "questions": {split: sum(pair.split == split for pair in pairs) for split in ("forget", "retain")},
        "annotator": found,
        "settings": {"shared": SHARED, "methods": METHODS, "retain_term": "none"},
        "models": {name: _numbers(out, name) for name in LABELS},
        "report": str(_report(out)),
        "seconds": round(time.monotonic() - began, 1),
    }
    files.write(out / "demo.json", json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False))
    return result


def annotate(out: Path, forget: AnnotationSet) -> dict[str, Any]:
    """What the default annotator makes of the people to forget, measured against the hand-checked spans."""
    from tif.annotate.methods import find
    from tif.annotate.run import run as annotate_source

    try:
        annotator = find("ner")()
    except MissingError as error:
        say(f"the ner annotator is left out: {error}")
        return {"method": "ner", "left_out": str(error)}
    source = sources.load(str(out / "data" / "forget.jsonl"))
    made = annotate_source(source, annotator, out / "annotations" / "ner.parquet", message="tif demo").check().set
    total = score(made, forget).total
    say(
        f"ner, without a person's help, against the spans marked by hand: precision {total.char.precision:.2f}, "
        f"recall {total.char.recall:.2f} of characters"
    )
    return {"method": "ner", "left_out": None, "version": made.version.number, **total.to_json()}


def story(result: dict[str, Any]) -> list[str]:
    """What came out, in lines for a terminal."""
    told = [f"{'':16}{'forget UW':>10}{'forget GW':>10}{'retain':>10}{'retain UW':>10}{'retain GW':>10}"]
    for name, label in LABELS.items():
        row = result["models"][name]
        cells = [row[key] for key in ("forget_uw", "forget_gw", "retain", "retain_uw", "retain_gw")]
        told.append(f"{label:16}" + "".join(f"{value:10.2f}" for value in cells))
    return told


def _files(out: Path, pairs: Sequence[data.Pair]) -> None:
    for split in ("forget", "retain"):
        lines = [json.dumps(pair.record(), ensure_ascii=False) for pair in pairs if pair.split == split]
        files.write(out / "data" / f"{split}.jsonl", "\n".join(lines) + "\n")


def _sample(forget: AnnotationSet) -> str:
    example = forget.examples[0]
    marked = example.text
    for span in reversed(example.spans):
        marked = f"{marked[: span.start]}[{example.quote(span)}]{marked[span.end :]}"
    return f"  {example.prompt}\n  {marked}"


def _both(work: Callable[[Any], None], jobs: Sequence[Any]) -> None:
    """Two jobs at once, each in a process of its own."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(work, jobs):
            pass


def _quiet() -> None:
    import torch
    import transformers

    # Two progress bars on one terminal would overwrite each other: lines instead.
    os.environ["TERM"] = "dumb"
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()


def _pretrain(job: tuple[str, str, models.Recipe]) -> None:
    _quiet()
    out, name, recipe = job
    pairs = data.load()
    known = [pair.example for pair in pairs if name == "target" or pair.split == "retain"]
    models.pretrain(known, [pair.example for pair in pairs], Path(out, "models", name), recipe, f"training {name}")


def _unlearn(job: tuple[str, str]) -> None:
    _quiet()
    from tif.train.options import TrainOptions
    from tif.train.run import train

    out, name = job
    masks, target = Path(out, "annotations", "forget.parquet"), Path(out, "models", "target")
    options: dict[str, Any] = {**SHARED, **METHODS[name], "save_steps": 20, "cpu": True}
    train(TrainOptions(masks=str(masks), model=str(target), out=str(Path(out, name)), objective=name, **options))


def _evaluate(job: tuple[str, str, str | None]) -> None:
    _quiet()
    from tif.eval.options import EvaluateOptions
    from tif.eval.run import evaluate_model

    out, name, retain_model = job
    log = str(_eval_folder(Path(out), retain_model) / "eval.json") if retain_model else None
    model = Path(out, name) if name in METHODS else Path(out, "models", name)
    options = EvaluateOptions(
        model=str(model),
        benchmark="local",
        forget=str(Path(out, "data", "forget.jsonl")),
        retain=str(Path(out, "data", "retain.jsonl")),
        masks=str(Path(out, "annotations", "everybody.parquet")),
        retain_log=log,
        out=str(_eval_folder(Path(out), name)),
        device="cpu",
        max_new_tokens=_MAX_NEW_TOKENS,
    )
    evaluate_model(options)


def _eval_folder(out: Path, name: str) -> Path:
    return out / name / "eval" if name in METHODS else out / "eval" / name


def _numbers(out: Path, name: str) -> dict[str, Any]:
    from tif.eval.record import EvalRecord

    record = EvalRecord.read(_eval_folder(out, name))
    numbers = {key: record.parts[part][column] for key, part, column in NUMBERS}
    return numbers | {"forget_quality": record.forget_quality}


def _report(out: Path) -> Path:
    from tif.eval.report.entry import Entry
    from tif.eval.report.write import write_report

    entries = [Entry.load(_eval_folder(out, name), label) for name, label in LABELS.items()]
    return write_report(out / "report.html", entries, before=LABELS["target"], title=TITLE)


__all__ = ["LABELS", "METHODS", "SHARED", "annotate", "run", "story"]
