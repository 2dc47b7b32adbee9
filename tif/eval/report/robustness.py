"""The report's section on attacks: levels before and after, beside the retain model, and the share recovered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.recovery import AttackedModel, Levels, Measure, RelearningUsed, Robustness
from tif.eval.report.attacks import attack_in_words
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.section import Curve, Curves, Section
from tif.eval.report.tables import Line, Table, cell

HEADING: Final = "Does it come back?"
GLOSS: Final = (
    "How probable the forgotten words are before and after an attack on the model. The retain model, which never saw "
    "them, gets the same attack: what it gains is what the attack itself teaches. Ranges are 95% intervals over "
    "samples."
)
_NAMES: Final[dict[Measure, str]] = {
    "uw_probability": "probability of an unwanted word (UW)",
    "probability": "probability of a word of the answer",
}
_AXES: Final[dict[Measure, str]] = {"uw_probability": "UW probability", "probability": "answer probability"}
_NOTES: Final = {
    "share recovered": "(after - before) / (starting model - before), each a mean over samples; 0% is nothing, 100% "
    "the starting model's level"
}
_WITH: Final = "retain model, same attack"


def section(evaluations: Evaluations) -> Section | None:
    """Return the table and the curves; None if no evaluation is of an attacked model."""
    attacked = [(entry.label, each) for entry in evaluations.entries if (each := entry.record.robustness) is not None]
    if not attacked:
        return None
    return Section(
        heading=HEADING,
        gloss=GLOSS,
        parts=[_table(attacked), *_curves(attacked, evaluations.labels)],
        remarks=[
            f"{label}: {reason}."
            for label, each in attacked
            for reason in (each.retain_reason, _no_share(each))
            if reason
        ],
    )


def _table(attacked: Sequence[tuple[str, Robustness]]) -> Table:
    lines = []
    for label, each in attacked:
        models = (each.model, each.retain)
        cells = [cell(level) for model in models for level in _ends(model, each.measure)]
        cells.append(cell(each.recovered, "{:.0%}".format))
        group = f"{attack_in_words(each)}: {_NAMES[each.measure]}"
        lines.append(Line(label, cells, sizes=[each.model.before.examples], group=group))
    # Models after the same attack stand below one another.
    groups = list(dict.fromkeys(line.group for line in lines))
    return Table(
        corner="model",
        columns=["before", "after", "retain model\nbefore", "retain model\nafter", "share\nrecovered"],
        lines=sorted(lines, key=lambda line: groups.index(line.group)),
        groups="attack: number",
        notes=_NOTES,
    )


def _no_share(each: Robustness) -> str | None:
    if each.recovered_reason is None:
        return None
    why = each.starting_reason or each.recovered_reason
    return f"no share recovered, because {why}"


def _ends(model: AttackedModel | None, measure: Measure) -> tuple[Interval | None, Interval | None]:
    return (_level(model.before, measure), _level(model.after, measure)) if model else (None, None)


def _level(levels: Levels, measure: Measure) -> Interval | None:
    value: Interval | None = getattr(levels, measure)
    return value


def _curves(attacked: Sequence[tuple[str, Robustness]], order: Sequence[str]) -> Iterator[Curves]:
    """Yield the curves of each relearning: models that relearned in the same way, on as many samples, share them."""
    groups: dict[tuple[RelearningUsed, Measure, int], list[tuple[str, Robustness]]] = {}
    for label, each in attacked:
        if each.relearning is not None:
            groups.setdefault((each.relearning, each.measure, each.model.before.examples), []).append((label, each))
    for members in groups.values():
        yield _relearning(members, order)


def _relearning(members: Sequence[tuple[str, Robustness]], order: Sequence[str]) -> Curves:
    curves = {label: _curve(each.model, each.measure) for label, each in members}
    last = members[0][1]
    controls = {retain.model.digest: retain for _, each in members if (retain := each.retain)}
    for retain in controls.values():
        name = _WITH if len(controls) == 1 else f"{_WITH} ({retain.model.path})"
        curves[name] = _curve(retain, last.measure)
    if last.starting is not None and (level := _level(last.starting, last.measure)) is not None:
        curves["starting model"] = dict.fromkeys(sorted({x for curve in curves.values() for x in curve}), level)
    return Curves(
        xlabel="epochs of relearning",
        ylabel=_AXES[last.measure],
        curves=curves,
        caption=(
            f"{attack_in_words(last).capitalize()}. Each point is the mean over {last.model.before.examples:,} "
            "samples. A model that has forgotten stays at the retain model's line. One that hides the words returns to "
            "the starting model's."
        ),
        # The models beside it are no evaluations of the report: they have places of their own behind the report's.
        order=[*order, *(name for name in curves if name not in order)],
    )


def _curve(model: AttackedModel, measure: Measure) -> Curve:
    return {point.epoch: level for point in model.curve if (level := _level(point.levels, measure)) is not None}


__all__ = ["HEADING", "section"]
