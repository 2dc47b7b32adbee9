"""The study of TOFU: 160 questions and a small model, or the field's own setting (`--scale 1b`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from benchmarks.claim.columns import Column, Demand, Measured, alone, leak, mean
from benchmarks.claim.data import write_worlds
from benchmarks.claim.plan import WORLDS, Experiment, Measurement, Plan, Study
from benchmarks.claim.rows import FRAMES, RECIPES, RETAIN_WEIGHT, controls, recipe, rival
from benchmarks.stages import write_rows
from benchmarks.tofu.results import UNSTEADY, Cell, quality, steady_utility, utility_interval
from tif.errors import InputError
from tif.sources import find_local, load

CHOSEN: Final = "phrase-line"
_BEST: Final = recipe(CHOSEN)
ROWS: Final = (
    _BEST,
    replace(
        _BEST, name="anchored-free", label="anchored, not settled", tuned_as="anchored",
        options={k: v for k, v in _BEST.options.items() if k not in ("settle", "floor")},
    ),
    rival("npo", "NPO + retain", seeds=None),
    rival("simnpo", "SimNPO + retain"),
    rival("graddiff", "GradDiff"),
    rival("altpo", "AltPO + retain", needs="alternates", seeds=None),
    rival("tpo", "TPO + retain", seeds=None),
    *controls(_BEST),
)  # fmt: skip
"""The table: the method, its rivals, and its controls."""


def _read(e: Experiment, name: str, rows: int | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in load(f"tofu:{name}", data_dir=e.data).rows][:rows]


def _write_asked(e: Experiment, world: Any, forget: list[dict[str, Any]], measured: list[dict[str, Any]]) -> None:
    parts = {e.plan.forget: forget, "retain": measured}
    parts |= {part: _read(e, f"{part}_perturbed", e.plan.utility_rows) for part in ("real_authors", "world_facts")}
    for part, rows in parts.items():
        write_rows(e.asked(world) / f"{part}_perturbed.json", rows)


def _refuse_shared(forget: list[dict[str, Any]], kept: list[dict[str, Any]]) -> None:
    if {row["question"] for row in forget} & {row["question"] for row in kept}:
        raise InputError("a question is both forgotten and kept")


def cut(e: Experiment) -> dict[str, int]:
    """Cut both worlds out of one forget split. The measured retain rows differ between the worlds.

    Raises:
        InputError: for files with too few rows, or with a question that is both forgotten and kept.
    """
    plan = e.plan
    own, kept = _read(e, f"{plan.forget}_perturbed"), _read(e, "retain_perturbed", plan.retain_rows)
    if len(own) < plan.forget_rows + plan.dev_rows or len(kept) < plan.retain_rows:
        raise InputError("has too few rows", where=str(e.data))
    _refuse_shared(own, kept)
    forget = {"eval": own[-plan.forget_rows :], "dev": own[: plan.dev_rows]}
    measured = {"eval": kept[-plan.measured_rows :], "dev": kept[: plan.measured_rows]}
    for world in WORLDS:
        _write_asked(e, world, forget[world], measured[world])
    return write_worlds(e, {world: forget[world] for world in WORLDS}, kept)


def cut_complete(e: Experiment) -> dict[str, int]:
    """Cut the field's own setting: all rows of the forget split, and its complement, whose last authors are `dev`.

    Raises:
        InputError: for files with too few rows, or with a question that is both forgotten and kept.
    """
    plan = e.plan
    share = 100 - int(plan.forget.removeprefix("forget"))
    own, measured = _read(e, f"{plan.forget}_perturbed"), _read(e, "retain_perturbed")
    asked = {row["question"] for row in measured}
    rest = _read(e, f"retain{share}")
    free = [row for row in rest if row["question"] not in asked]
    if len(own) < plan.forget_rows or len(free) < plan.dev_rows:
        raise InputError("has too few rows", where=str(e.data))
    _refuse_shared(own, rest)
    dev = free[-plan.dev_rows :]
    held = {row["question"] for row in dev}
    _write_asked(e, "eval", own, measured)
    holdout = find_local(plan.forget.replace("forget", "holdout"), e.data, "tofu")
    if holdout is not None:
        shutil.copy(holdout, e.asked("eval") / holdout.name)
    kept = [row for row in rest if row["question"] not in held]
    return write_worlds(e, {"eval": own, "dev": dev}, kept, known_dev=False)


def _quality(measured: Measured) -> Cell | None:
    return quality(measured.examples, measured.never)


def _steady(measured: Measured) -> Cell | None:
    steady = steady_utility({"utility_parts": measured.record.model_utility_parts})
    return steady, *utility_interval(measured.examples, without=UNSTEADY)


def _utility(measured: Measured) -> Cell | None:
    value = measured.record.model_utility
    return None if value is None else (value, *utility_interval(measured.examples))


def _overall(measured: Measured) -> Cell | None:
    composites = measured.record.composites
    return alone(composites.overall if composites else None)


def _overall_with_depth(measured: Measured) -> Cell | None:
    composites = measured.record.composites
    return alone(composites.overall_with_depth if composites else None)


def _measurements(plan: Plan, *, worlds: bool = True) -> tuple[Measurement, ...]:
    usual = {"forget": plan.forget, "max_new_tokens": plan.max_new_tokens}
    if plan.template != "auto":
        usual["template"] = plan.template
    alone = {**usual, "completions": False}
    again = {**alone, "attack": "relearn", "leak": plan.samples, "leak_forms": ("question",)}
    both = {**usual, "leak": plan.samples, "leak_forms": ("question", "paraphrase")}
    first = Measurement(
        name="measure", folder="measured-{world}", benchmark="tofu", options=both, marks=plan.marks, against=True,
        worlds=WORLDS if worlds else ("eval",),
    )  # fmt: skip
    relearned = Measurement(
        name="relearn", folder="relearned-{world}", benchmark="tofu", options=again, marks=plan.marks
    )
    if not plan.gold:
        return first, relearned
    by_ner = {name: value for name, value in alone.items() if name != "max_new_tokens"}
    return first, relearned, Measurement(
        name="by ner", folder="measured-ner", benchmark="tofu", options=by_ner, marks="ner"
    )  # fmt: skip


_LEAKS: Final = (
    Column("leak", "measure", leak("question")),
    Column("leak, other words", "measure", leak("paraphrase")),
    Column("leak relearned", "relearn", leak("question")),
    Column("UW", "measure", mean("forget", "uw_probability")),
    Column("GW", "measure", mean("forget", "gw_probability")),
)
COLUMNS: Final = (
    *_LEAKS,
    Column("GW by ner", "by ner", mean("forget", "gw_probability")),
    Column("retain", "measure", mean("retain", "probability")),
    Column("utility", "measure", _steady),
    Column("FQ", "measure", _quality),
)
DEMANDS: Final = (
    Demand("leak", above=0.02),
    Demand("leak, other words", above=0.02),
    Demand("leak relearned", above=0.05),
    Demand("GW", least=0.90),
    Demand("retain", share=0.98),
    Demand("utility", share=0.98),
    Demand("FQ", least=0.05),
)
"""The claim: all of them, in every seed."""


def _leak_note(plan: Plan) -> str:
    return (
        f"**Leak**: the share of questions whose {plan.samples} random answers contain an unwanted phrase. "
        "Questions are asked as written, in other words, and after one epoch of relearning on the forget rows."
    )


def _notes(plan: Plan) -> Iterator[str]:
    yield (
        f"**Target**: the base model, fine-tuned on {plan.forget_rows} rows of {plan.forget}, on its other "
        f"{plan.dev_rows} rows, and on {plan.retain_rows} retain rows. **Retain-only** never saw the first of these."
    )
    yield _leak_note(plan)
    yield (
        "**Spans**: rows are trained on the spans of `--method ner`, unless their name says otherwise. Leak, UW and "
        "GW follow the gold spans. GW by ner follows the spans of `--method ner`."
    )
    yield (
        "**Utility**: the harmonic mean of model utility's parts without ROUGE-L on real authors, which is near 0 "
        "for so small a model."
    )
    yield (
        f"**Tuning**: `tif tune` tries {', '.join(plan.grid)} for each method, on authors who are not evaluated. "
        f"Every row has retain samples of weight {RETAIN_WEIGHT:g}. Rows with frames have five epochs, others ten."
    )
    yield f"**anchored** is the recipe `{CHOSEN}` of `benchmarks/claim/rows.py`, with {len(FRAMES)} frames."


def _notes_1b(plan: Plan) -> Iterator[str]:
    yield (
        f"**Target** learned all of TOFU. **Retain-only** learned all but {plan.forget}. Both are OpenUnlearning's "
        "open checkpoints, if their folders were given; otherwise they were fine-tuned here."
    )
    yield _leak_note(plan)
    yield "**Spans**: every row is trained and measured on the spans of `--method ner`, unless its name says otherwise."
    yield (
        "**MU** is model utility, with all nine parts. **Overall** is OpenUnlearning's composite. It needs "
        "`--classifier` and `holdout10.json`. The published rows have the one with UDS."
    )
    yield (
        f"**Tuning**: `tif tune` tries {', '.join(plan.grid)} for each method, on {plan.dev_rows} questions of "
        f"retained authors. Every row has retain samples of weight {RETAIN_WEIGHT:g}. Rows with frames have five "
        "epochs, others ten."
    )
    yield f"**anchored** is the recipe `{CHOSEN}` of `benchmarks/claim/rows.py`, with {len(FRAMES)} frames."


SMALL: Final = Plan(train={"epochs": 10.0})
ONE_BILLION: Final = Plan(
    name="1b",
    forget="forget10",
    forget_rows=400,
    retain_rows=3_600,
    measured_rows=400,
    template="Llama-3.2-1B-Instruct",
    gold=False,
    aim="proxy",
    learn_lr=1e-5,
    learn_batch=32,
    batch=32,
    train={"epochs": 10.0},
    max_new_tokens=200,
    grid=("lr=1e-5,2e-5,5e-5",),
)


def study(plan: Plan = SMALL) -> Study:
    """Return the study of 160 questions."""
    return Study(
        title=f"The claim on {plan.forget_rows} questions", plan=plan, cut=cut, rows=ROWS, recipes=RECIPES,
        chosen=CHOSEN, measurements=_measurements(plan), columns=COLUMNS, demands=DEMANDS, notes=_notes,
    )  # fmt: skip


def study_1b(plan: Plan = ONE_BILLION) -> Study:
    """Return the study of all of forget10 and retain90."""
    columns = (
        *_LEAKS,
        Column("retain", "measure", mean("retain", "probability")),
        Column("MU", "measure", _utility),
        Column("FQ", "measure", _quality),
        Column("Overall", "measure", _overall),
        Column("Overall with UDS", "measure", _overall_with_depth),
    )
    demands = tuple(replace(each, column="MU") if each.column == "utility" else each for each in DEMANDS)
    return Study(
        title=f"The claim on {plan.forget}", plan=plan, cut=cut_complete, chosen=CHOSEN,
        rows=tuple(row for row in ROWS if row.spans != "gold"), columns=columns, demands=demands, notes=_notes_1b,
        measurements=_measurements(plan, worlds=False),
    )  # fmt: skip


__all__ = ["CHOSEN", "ROWS", "SMALL", "cut", "cut_complete", "study", "study_1b"]
