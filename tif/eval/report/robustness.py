"""The report's section on attacks: levels before and after, beside the retain model, and the share recovered."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.recovery import AttackedModel, Levels, Measure, RelearningUsed, Robustness
from tif.eval.report import figures
from tif.eval.report.attacks import attack_in_words
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.tables import cell

HEADING: Final = "Does it come back?"
GLOSS: Final = (
    "How probable the forgotten words are before and after an attack on the model. The retain model, which never saw "
    "them, gets the same attack: what it gains is what the attack itself teaches. Share recovered: 0% is nothing, "
    "100% the starting model's level. Small print: 95% intervals over samples."
)
_NAMES: Final[dict[Measure, str]] = {
    "uw_probability": "probability of an unwanted word (UW)",
    "probability": "probability of a word of the answer",
}
_AXES: Final[dict[Measure, str]] = {"uw_probability": "UW probability", "probability": "answer probability"}
_WITH: Final = "retain model, same attack"


def section(evaluations: Evaluations) -> str:
    """Return the table and the curves as HTML; empty if no evaluation is of an attacked model."""
    attacked = [(entry.label, each) for entry in evaluations.entries if (each := entry.record.robustness) is not None]
    if not attacked:
        return ""
    return _table(attacked) + _curves(attacked, evaluations.labels)


def _table(attacked: Sequence[tuple[str, Robustness]]) -> str:
    heads = ("model", "n", "before", "after", "retain model before", "retain model after", "share recovered")
    head = "".join(f'<th scope="col"{_right(i)}>{escape(name)}</th>' for i, name in enumerate(heads))
    body, notes = "", []
    for label, each in attacked:
        models = (each.model, each.retain)
        cells = [f"{each.model.before.examples:,}"]
        cells += [cell(level, "{:.3f}".format) for model in models for level in _ends(model, each.measure)]
        cells.append(cell(each.recovered, "{:.0%}".format))
        numbers = "".join(f'<td class="n">{number}</td>' for number in cells)
        about = f"{attack_in_words(each)}; {_NAMES[each.measure]}"
        body += f'<tr><th scope="row">{escape(label)}<br><small class="soft">{escape(about)}</small></th>{numbers}</tr>'
        notes += [f"{label}: {reason}." for reason in (each.retain_reason, _no_share(each)) if reason]
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return table + "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)


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


def _right(index: int) -> str:
    return ' class="n"' if index else ""


def _curves(attacked: Sequence[tuple[str, Robustness]], order: Sequence[str]) -> str:
    """One figure for each relearning: models that relearned in the same way, on as many samples, share it."""
    groups: dict[tuple[RelearningUsed, Measure, int], list[tuple[str, Robustness]]] = {}
    for label, each in attacked:
        if each.relearning is not None:
            groups.setdefault((each.relearning, each.measure, each.model.before.examples), []).append((label, each))
    drawn = "".join(_figure(members, used.epochs, order) for (used, _, _), members in groups.items())
    return f'<div class="figures">{drawn}</div>' if drawn else ""


def _figure(members: Sequence[tuple[str, Robustness]], epochs: int, order: Sequence[str]) -> str:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    last = members[0][1]
    for label, each in members:
        lines[label] = _line(each.model, each.measure)
    controls = {retain.model.digest: retain for _, each in members if (retain := each.retain)}
    for retain in controls.values():
        lines[_WITH if len(controls) == 1 else f"{_WITH} ({retain.model.path})"] = _line(retain, last.measure)
    if last.starting is not None and (level := _level(last.starting, last.measure)) is not None:
        lines["starting model"] = ([0.0, float(epochs)], [level.mean, level.mean])
    # The models beside it are no evaluations of the report: they have places of their own behind the report's.
    places = [*order, *(name for name in lines if name not in order)]
    svg = figures.curves(lines, "epochs of relearning", _AXES[last.measure], order=places)
    caption = (
        f"{attack_in_words(last).capitalize()}. Each point is the mean over {last.model.before.examples:,} samples. "
        "A model that has forgotten stays at the retain model's line. One that hides the words returns to the starting "
        "model's."
    )
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _line(model: AttackedModel, measure: Measure) -> tuple[list[float], list[float]]:
    points = [(point.epoch, level.mean) for point in model.curve if (level := _level(point.levels, measure))]
    return [x for x, _ in points], [y for _, y in points]


__all__ = ["GLOSS", "HEADING", "section"]
