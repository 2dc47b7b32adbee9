"""`tif demo`: learn about people, mark what to forget, forget it in three ways, and compare.

    OUT/annotations/                the hand-checked spans, and those of the `ner` annotator
    OUT/models/                     `base`; `target` knows everybody; `retain-only` never saw the people to forget
    OUT/anchored, OUT/tpo, OUT/npo  the unlearning runs
    OUT/eval/                       the evaluations of target and retain-only model; a run has its own
    OUT/demo.json                   every number
    OUT/report.html                 the same as a page

A finished stage stays; the same command continues after the last one. Two models at a time are worked on, with one
thread each. That is as fast as two threads for one model, and it gives the same digits each time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tif import files, sources
from tif.console import say
from tif.demo import data, models, stages
from tif.demo.plan import BASE, LABELS, METHODS, RETAIN_ONLY, TARGET, Folder, Schedule
from tif.demo.result import AnnotatorScore, Numbers, Result
from tif.errors import MissingError
from tif.sets.score import score
from tif.spans import AnnotationSet

TITLE: Final = "tif demo: eight people forgotten"
_INTRO: Final = (
    "The people are invented. The model is tiny, with under a million weights, so its wrong answers are often broken "
    "sentences. Each method starts from the same model and has the same retain term on the same samples."
)


def run(out: Path, recipe: models.Recipe | None = None) -> Result:
    """Do all stages that no earlier call finished in `out`.

    Raises:
        TifError: for a folder that cannot be used, or holds runs made with other settings.
    """
    began = time.monotonic()
    pairs, folder, schedule = data.load(), Folder(out), Schedule()
    people = list(dict.fromkeys(pair.person for pair in pairs))
    forgotten = list(dict.fromkeys(pair.person for pair in pairs if pair.split == "forget"))
    files.make_folder(out)
    say(f"{len(people)} invented people, {len(pairs)} questions; {len(forgotten)} people want to be forgotten")
    _write_data(folder, pairs)
    data.save(data.annotation_set(pairs), folder.annotations("everybody"))
    forget = data.save(data.annotation_set(pairs, "forget"), folder.annotations("forget"))
    say(_marked(forget))

    work = stages.Work(folder, recipe or models.Recipe(), schedule)
    with stages.processes() as pool:
        say(f"training a tiny base model from scratch on {len(data.base_people(pairs))} of the people to keep")
        base = pool.submit(partial(work.teach, BASE))
        annotator = annotate(folder, forget)
        base.result()
        say("training it further: once on everybody (target), once without the people to forget (retain-only)")
        stages.finish(pool, *(partial(work.teach, name) for name in (TARGET, RETAIN_ONLY)))
        names = ", ".join(method.label for method in METHODS)
        say(f"unlearning with {names}: {schedule.max_steps} steps each, all with the same retain term")
        stages.finish(
            pool,
            *(partial(work.unlearn, method) for method in METHODS),
            *(partial(work.evaluate, name) for name in (TARGET, RETAIN_ONLY)),
        )
        say("asking the unlearned models everything")
        stages.finish(pool, *(partial(work.evaluate, method.objective) for method in METHODS))
    result = _result(folder, pairs, annotator, schedule, began)
    files.write(out / "demo.json", json.dumps(result.to_json(), ensure_ascii=False, indent=1, allow_nan=False))
    return result


def annotate(folder: Folder, forget: AnnotationSet) -> AnnotatorScore:
    """Run the default annotator on the people to forget, and score it against the hand-checked spans."""
    from tif.annotate.methods import find
    from tif.annotate.run import run as annotate_source

    try:
        annotator = find("ner")()
    except MissingError as error:
        say(f"the ner annotator is left out: {error}")
        return AnnotatorScore(method="ner", left_out=str(error))
    source = sources.load(str(folder.data("forget")))
    made = annotate_source(source, annotator, folder.annotations("ner"), message="tif demo").check().set
    total = score(made, forget).total
    say(
        f"the ner annotator alone, against the spans checked by hand: precision {total.char.precision:.2f}, "
        f"recall {total.char.recall:.2f} of characters"
    )
    return AnnotatorScore(method="ner", version=made.version.number, scores=total.to_json())


def story(result: Result) -> list[str]:
    """The verdict as lines for a terminal: a table of all models, then the sentences."""
    from tif.eval.report.verdict import HEADS

    table = [HEADS, *(row.cells() for row in result.verdict.rows())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [*lines, "", *result.verdict.sentences()]


def _write_data(folder: Folder, pairs: Sequence[data.Pair]) -> None:
    for split in ("forget", "retain"):
        lines = [json.dumps(pair.record(), ensure_ascii=False) for pair in pairs if pair.split == split]
        files.write(folder.data(split), "\n".join(lines) + "\n")


def _marked(forget: AnnotationSet) -> str:
    """The first question and its answer, with the unwanted words in brackets."""
    example = forget.examples[0]
    marked = example.text
    for span in reversed(example.spans):
        marked = f"{marked[: span.start]}[{example.quote(span)}]{marked[span.end :]}"
    return f"  {example.prompt}\n  {marked}"


def _result(
    folder: Folder, pairs: Sequence[data.Pair], annotator: AnnotatorScore, schedule: Schedule, began: float
) -> Result:
    from tif.eval.report.entry import Entry
    from tif.eval.report.evaluations import Evaluations
    from tif.eval.report.write import write_report

    entries = [Entry.load(folder.evaluation(name), label) for name, label in LABELS.items()]
    before = LABELS[TARGET]
    report = write_report(folder.root / "report.html", entries, before=before, title=TITLE, intro=_INTRO)
    return Result(
        people=len({pair.person for pair in pairs}),
        forgotten=tuple(dict.fromkeys(pair.person for pair in pairs if pair.split == "forget")),
        questions={split: sum(pair.split == split for pair in pairs) for split in ("forget", "retain")},
        annotator=annotator,
        schedule=schedule.to_json(),
        models={name: Numbers.of(entry.record) for name, entry in zip(LABELS, entries, strict=True)},
        verdict=Evaluations.of(entries, before).verdict(),
        report=str(report),
        seconds=round(time.monotonic() - began, 1),
    )


__all__ = ["annotate", "run", "story"]
