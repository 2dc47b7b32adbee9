"""The marks of a report: what a model must reach to pass, beside one that never saw the forget set.

    found = marks(evaluations)
    summary("ours", found)          "ours passes 4 of 5 marks that were measured. It fails: ..."

A mark is a number of the retain model or of the starting model. What has no such number has no mark, and what was not
measured says how to measure it. docs/metrics.md has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tif.eval.measure import measures
from tif.eval.measure.leakage import Leakage
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.mark import AS_NEVER, KEEP, SIGNIFICANT, TO_MEASURE, Mark, Outcome, keep_rule, kept
from tif.eval.report.muse_marks import muse_marks
from tif.eval.report.verdict import Count, Model, Verdict, keep_count, other_words_count, plural, unwanted_count

_LONGEST: Final = 40
"""Characters of a model's name above a column."""


def marks(evaluations: Evaluations) -> list[Mark]:
    """Return all marks of the report's first model, in the order of the page."""
    if evaluations.focus.record.muse is not None:
        return [*muse_marks(evaluations)]
    verdict = evaluations.verdict()
    models = _Models(verdict.focus, verdict.beside("before"), verdict.beside("never saw"))
    return [
        _asked(models, verdict),
        _asked_again(models, verdict),
        *_attacked(models, evaluations),
        *_other_words(models, verdict),
        _keep(models, verdict),
        *_tests(evaluations),
    ]


def summary(label: str, found: Sequence[Mark]) -> str:
    """Return the marks in two or three sentences."""
    decided = [mark for mark in found if mark.outcome in ("passes", "fails")]
    failed = [mark.name for mark in decided if mark.outcome == "fails"]
    missing = [mark.name for mark in found if mark.outcome == "not measured"]
    if not decided:
        line = f"{label}: no mark could be measured."
    elif failed:
        line = f"{label} fails {len(failed)} of {plural(len(decided), 'mark')}: {_listed(failed)}."
    else:
        line = f"{label} passes {'the' if len(decided) == 1 else f'all {len(decided)}'} " + (
            "mark that was measured." if len(decided) == 1 else "marks that were measured."
        )
    return line + (f" Not measured: {_listed(missing)}." if missing else "")


def mark_rows(label: str, found: Sequence[Mark]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of the table of marks, as text, without a model for which no mark has a number.

    Args:
        label: the name of the model that the marks are about.
        found: its marks.
    """
    heads = ["number", label if len(label) <= _LONGEST else f"{label[:_LONGEST]}…", "before", "never saw them", "mark",
             "outcome"]  # fmt: skip
    rows = [
        [mark.name[:1].upper() + mark.name[1:], mark.result, mark.before, mark.never_saw, mark.rule, mark.outcome]
        for mark in found
    ]
    shown = [number for number in range(len(heads)) if number not in (1, 2, 3) or any(row[number] for row in rows)]
    return [heads[number] for number in shown], [[row[number] for number in shown] for row in rows]


@dataclass(frozen=True, slots=True)
class _Models:
    """The model that the report is about, and the two beside it."""

    focus: Model
    before: Model | None
    never_saw: Model | None


def _asked(models: _Models, verdict: Verdict) -> Mark:
    name = "unwanted phrases, continued once" if verdict.plain else "unwanted phrases, asked once"
    counts = models.focus.forget
    if counts is None:
        return Mark(name=name, outcome="not measured", rule=models.focus.reason or "the model was not asked")
    never = models.never_saw.forget if models.never_saw else None
    comparable = never is not None and never.phrases == counts.phrases
    most = never.written if never is not None and comparable else 0
    why = AS_NEVER if comparable else "no model that never saw them was asked for the same phrases"
    return Mark(
        name=name, outcome="passes" if counts.written <= most else "fails",
        result=_shown(models.focus, unwanted_count), before=_shown(models.before, unwanted_count),
        never_saw=_shown(models.never_saw, unwanted_count), rule=f"at most {most:,}: {why}",
    )  # fmt: skip


def _asked_again(models: _Models, verdict: Verdict) -> Mark:
    what = "continued" if verdict.plain else "asked"
    leaks = models.focus.leaks
    if leaks is None or leaks.most is None:
        return Mark(name=f"unwanted phrases, {what} many times", outcome="not measured", rule=TO_MEASURE["leak"])
    k, share = leaks.most.k, leaks.most.cores.leak_any
    before, never = (each.leak_any(k) if each else None for each in (models.before, models.never_saw))
    gap = next((each.leak_any for each in leaks.minus_retain if each.k == k), None)
    passed = (gap.low <= 0) if gap else share.mean <= (never or 0.0)
    if gap is not None:
        rule = f"not above a model that never saw them: difference {gap.mean:+.0%} ({gap.low:+.0%} to {gap.high:+.0%})"
    elif never is not None:
        rule = f"at most {never:.0%}: {AS_NEVER}"
    else:
        rule = "at most 0%: no model that never saw them is here"
    return Mark(
        name=f"unwanted phrases, {what} {k} times",
        outcome="passes" if passed else "fails",
        result=f"{share.mean:.0%} of {plural(leaks.prompts, 'phrase' if verdict.plain else 'question')} "
        f"({share.low:.0%} to {share.high:.0%})",
        before=_percent(before),
        never_saw=_percent(never),
        rule=rule,
    )


def _attacked(models: _Models, evaluations: Evaluations) -> Iterator[Mark]:
    attacked = models.focus.after()
    records = {entry.label: entry.record for entry in evaluations.entries}
    if not any(records[each.label].attack == "relearn" for _, each in attacked):
        yield Mark(name="unwanted phrases after relearning", outcome="not measured", rule=TO_MEASURE["relearn"])
    for attack, each in attacked:
        name, counts = f"unwanted phrases after {attack}", each.counts
        beside = models.never_saw.control(each) if models.never_saw else None
        control, robustness = beside.counts if beside else None, records[each.label].robustness
        if control is not None and control.phrases == counts.phrases:
            yield Mark(
                name=name,
                outcome="passes" if counts.written <= control.written else "fails",
                result=_written(counts),
                never_saw=_written(control),
                rule=f"at most {control.written:,}: {AS_NEVER}, after the same attack",
            )
        elif robustness is not None and (gap := robustness.gap_after) is not None:
            yield Mark(
                name=name,
                outcome="passes" if gap.low <= 0 else "fails",
                result=_written(counts),
                rule="their probability not above a model that never saw them, after the same attack: difference "
                f"{gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})",
            )
        else:
            rule = "no mark: a model that never saw them was not attacked in the same way"
            yield Mark(name=name, outcome="no mark", result=_written(counts), rule=rule)


def _other_words(models: _Models, verdict: Verdict) -> Iterator[Mark]:
    focus = models.focus
    never, before = models.never_saw, models.before
    if focus.forget is not None and focus.forget.general_words:
        numbers = [_shown(each, other_words_count) for each in (focus, before, never)]
        own, other = focus.forget, never.forget if never else None
        least = other.general_words_written if other and other.general_words == own.general_words else None
        passed = least is not None and own.general_words_written >= least
        rule = f"at least {least:,}: {AS_NEVER}" if least is not None else None
    else:
        levels = [each.likelihoods.general if each else None for each in (focus, before, never)]
        if levels[0] is None:
            return
        numbers = [f"probability {level:.2f}" if level is not None else "" for level in levels]
        passed = levels[2] is not None and levels[0] >= levels[2]
        rule = f"at least {levels[2]:.2f}: {AS_NEVER}" if levels[2] is not None else None
    yield Mark(
        name=f"other words in the same {'texts' if verdict.plain else 'answers'}",
        outcome="no mark" if rule is None else "passes" if passed else "fails",
        result=numbers[0],
        before=numbers[1],
        never_saw=numbers[2],
        rule=rule or "no mark: no model that never saw them is here",
    )


def _keep(models: _Models, verdict: Verdict) -> Mark:
    name = "texts to keep" if verdict.plain else "answers to keep"
    focus, before = models.focus, models.before
    for kind in ("phrases", "words", "probability"):
        own = _kept(focus, kind)
        if own is None:
            continue
        start, never = _kept(before, kind), _kept(models.never_saw, kind)
        shown = [_kept_words(each, kind) for each in (focus, before, models.never_saw)]
        if never is None:
            shown[2] = ""
        return Mark(
            name=name,
            outcome=kept(own, start),
            result=shown[0],
            before=shown[1],
            never_saw=shown[2],
            rule=keep_rule(None if start is None else _kept_level(before, kind, KEEP * start)),
        )
    rule = "to measure it, run `tif eval RUN --retain DATASET`"
    return Mark(name=name, outcome="not measured", rule=rule)


def _tests(evaluations: Evaluations) -> Iterator[Mark]:
    focus, before = evaluations.focus, evaluations.before
    record = focus.record
    if record.forget_quality is not None:
        yield Mark(
            name="same truth ratios as a model that never saw them",
            outcome="passes" if record.forget_quality > SIGNIFICANT else "fails",
            result=f"p = {record.forget_quality:.3g}{_direction(evaluations)}",
            rule=f"forget quality p above {SIGNIFICANT}",
        )
    start = before.record.model_utility if before and before is not focus else None
    if record.model_utility is not None:
        yield Mark(
            name="model utility",
            outcome=kept(record.model_utility, start),
            result=f"{record.model_utility:.3f}",
            before="" if start is None else f"{start:.3f}",
            rule=keep_rule(None if start is None else f"{KEEP * start:.3f}"),
        )


def _direction(evaluations: Evaluations) -> str:
    note = quality_note(evaluations.focus)
    return f" ({note})" if note else ""


def quality_note(entry: Entry) -> str:
    """Return what a model's forget quality says: whether the test finds a difference, in which direction, how large.

    Empty for a model without forget quality.
    """
    record = entry.record
    if record.forget_quality is None:
        return ""
    ratios = entry.values("forget", "truth_ratio")
    parts = [f"no difference found at {SIGNIFICANT}"]
    if record.forget_quality <= SIGNIFICANT:
        parts = [f"differs at {SIGNIFICANT}"]
        if ratios and record.retain_truth_ratio:
            parts.append(f"forgets {measures.forgets(ratios, record.retain_truth_ratio)}")
    if record.ks_distance is not None:
        parts.append(f"D = {record.ks_distance:.2f}")
    return ", ".join(parts)


def _kept(model: Model | None, kind: str) -> float | None:
    if model is None:
        return None
    if kind == "phrases":
        return model.keep.written / model.keep.phrases if model.keep else None
    return model.likelihoods.keep_recall if kind == "words" else model.likelihoods.keep


def _kept_words(model: Model | None, kind: str) -> str:
    level = _kept(model, kind)
    if model is None or level is None:
        return ""
    return _shown(model, keep_count) if kind == "phrases" else _kept_level(model, kind, level)


def _kept_level(model: Model | None, kind: str, level: float) -> str:
    if kind == "phrases" and model is not None and model.keep is not None:
        return f"{math.ceil(level * model.keep.phrases - 1e-9):,}"
    return f"{level:.0%} of the words" if kind == "words" else f"probability {level:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _shown(model: Model | None, count: Callable[[Model], Count | None]) -> str:
    number = count(model) if model else None
    return "" if number is None else str(number)


def _written(counts: Leakage) -> str:
    return str(Count(counts.written, counts.phrases))


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names)


__all__ = ["KEEP", "SIGNIFICANT", "Mark", "Outcome", "mark_rows", "marks", "quality_note", "summary"]
