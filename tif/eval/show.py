"""Format an evaluation as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Final

from tif.eval.compare.logs import LogNumbers
from tif.eval.measure.composites import Composites
from tif.eval.measure.depth import Depth
from tif.eval.measure.lume import PARTS, TASKS, LumeNumbers
from tif.eval.measure.membership import Membership
from tif.eval.measure.recovery import Robustness
from tif.eval.record import EvalRecord, MuseNumbers, PrivLeakReference
from tif.eval.report.attacks import ATTACKS, attack_in_words

_SHOWN = ("probability", "rougeL_recall", "truth_ratio")
"""The numbers to show for each part."""

_REFERENCES: Final[dict[PrivLeakReference, str]] = {
    "retain log": "the retain log",
    "muse news": "MUSE's own retain model of News",
    "muse books": "MUSE's own retain model of Books",
    "chance": "0.5, as open-unlearning does; --corpus or --retain-log gives a better value",
}


_P_VALUE: Final = "a p-value; higher is better; below 0.05 the model differs from the retain model"


def lines(result: EvalRecord | LogNumbers, attacked: Iterable[EvalRecord] = ()) -> Iterator[str]:
    """Yield the headline numbers, one per line, then the numbers of each task and part, then those after attacks."""
    if isinstance(result, LogNumbers):
        yield _number("model_utility", result.model_utility, result.model_utility_reason)
        yield from _forget_quality(result)
        for name, value in result.parts.items():
            yield f"  {name:28} {value:.4f}"
        return
    if result.lume is not None:
        yield from _lume(result.lume, result.retain_lume)
    if result.muse is None:
        yield _number("model_utility", result.model_utility, result.model_utility_reason)
        yield from _forget_quality(result)
        yield _number("uw_probability", result.uw_probability, result.uw_probability_reason)
        yield _number("gw_probability", result.gw_probability, None)
        if result.memorization is not None:
            terms = ", ".join(f"1 - {name} = {value:.3g}" for name, value in asdict(result.memorization).items()
                              if name != "score")  # fmt: skip
            yield _number("memorization", result.memorization.score, terms)
        yield from _phrases(result)
        yield from _leaks(result)
        if result.membership is not None:
            yield from _membership(result.membership)
        if result.depth is not None:
            yield from _depth(result.depth)
        if result.robustness is not None:
            yield from _robustness(result.robustness)
        yield from _gaps(result)
        if result.composites is not None:
            yield from _composites(result.composites, result)
    else:
        yield from _muse(result.muse)
    for task, metrics in result.lm_eval.items():
        yield f"{task:20} " + "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    for part, means in result.parts.items():
        numbers = "  ".join(f"{name} {_mean(means.get(name))}" for name in _SHOWN)
        yield f"  {part:14} n={means['n']:<4} {numbers}"
    for record in attacked:
        yield from _after_attack(record)


def _after_attack(record: EvalRecord) -> Iterator[str]:
    """Yield the numbers of an evaluation after an attack that stand beside those without it."""
    words = attack_in_words(record.robustness) if record.robustness else ATTACKS.get(record.attack or "", record.attack)
    yield f"after {words}:"
    if record.muse is not None:
        yield from _muse(record.muse)
    yield from _phrases(record)
    if record.robustness is not None:
        yield from _robustness(record.robustness)


def _forget_quality(result: EvalRecord | LogNumbers) -> Iterator[str]:
    note = result.forget_quality_reason if result.forget_quality is None else _P_VALUE
    yield _number("forget_quality", result.forget_quality, note)
    if result.ks_distance is not None:
        yield _number("KS distance D", result.ks_distance, None)
    if result.forget_quality_forced:
        yield f"--force: the logs differ ({result.forget_quality_forced}), so this forget quality is meaningless"


def _phrases(result: EvalRecord) -> Iterator[str]:
    for part, counts in result.leakage.items():
        written = f"the model writes {counts.written:,} of {counts.phrases:,} unwanted phrases"
        yield _number(f"phrases {part}", counts.written / counts.phrases, written)


def _leaks(result: EvalRecord) -> Iterator[str]:
    for form, numbers in result.leaks.items():
        shares = [("greedy", numbers.greedy), *((f"leak@{at.k}", at.cores) for at in numbers.sampled)]
        line = "  ".join(f"{name} {cores.leak_any}" for name, cores in shares)
        others = (("retain model", result.retain_leaks), ("base model", result.base_leaks))
        for name, leaks in others:
            if form in leaks and (most := leaks[form].most) is not None:
                line += f"  {name} leak@{most.k} {most.cores.leak_any.mean:.3f}"
        yield f"{f'leak {form}':16} n={numbers.prompts}  {line}"
    for form, reason in result.leak_reasons.items():
        yield _number(f"leak {form}", None, reason)


def _depth(depth: Depth) -> Iterator[str]:
    for name, by in (("depth (UDS)", depth.patching), ("depth (lens)", depth.lens)):
        yield _number(name, by.score, f"{by.n} of {depth.examples} examples; retain model 1, starting model 0")


def _robustness(robustness: Robustness) -> Iterator[str]:
    name = robustness.measure
    for whose, model in (("attacked", robustness.model), ("retain attacked", robustness.retain)):
        if model is None:
            yield _number(whose, None, robustness.retain_reason)
            continue
        before, after = getattr(model.before, name), getattr(model.after, name)
        yield f"{whose:16} {name} {before or '-'} before, {after or '-'} after"
        if model.curve:
            levels = [(point.epoch, getattr(point.levels, name)) for point in model.curve]
            points = (f"{epoch:.2g}: {_mean(level.mean if level else None)}" for epoch, level in levels)
            yield f"{'  by epoch':16} {'  '.join(points)}"
    share, reason = robustness.recovered, robustness.starting_reason or robustness.recovered_reason
    about = f"95% interval {share.low:.3g} to {share.high:.3g}; starting model 1" if share else reason
    yield _number("share recovered", share.mean if share else None, about)


def _membership(membership: Membership) -> Iterator[str]:
    for name, area in membership.attacks.items():
        interval = membership.interval(name)
        note = f"AUC, 95% [{interval.low:.3g}, {interval.high:.3g}]"
        if area.gap is not None:
            note += f", retain model's {area.retain_auc:.3g}, gap {area.gap:+.3g}"
        yield _number(f"mia {name}", area.auc, note)


def _gaps(result: EvalRecord) -> Iterator[str]:
    if result.retain_gaps is None:
        return
    for name, interval in result.retain_gaps.named().items():
        note = f"minus the retain model's, 95% [{interval.low:+.3g}, {interval.high:+.3g}]"
        yield _number(f"{name} gap", interval.mean, note)
    if (core := result.retain_gaps.core) is not None:
        note = f"lower is better; p {core.p:.3g}, n={core.examples}; below 0.05 the model differs from the retain model"
        yield _number("core test D", core.distance, note)


def _composites(numbers: Composites, result: EvalRecord) -> Iterator[str]:
    """Yield the terms of the composites first, then each composite with its reason, `overall` last."""
    areas = result.membership.attacks if result.membership else {}
    for name, area in areas.items():
        if area.closeness is not None:
            yield _number(
                f"s_{name}", area.closeness, "1: same AUC as the retain model; 0: AUC 0, or at least twice as large"
            )
    if numbers.fluency is not None:
        yield _number("fluency", numbers.fluency, None)
    terms = {
        "privacy": "harmonic mean of s_loss, s_zlib, s_min_k and s_min_k_plus_plus",
        "privacy_with_depth": "harmonic mean of privacy and depth (UDS)",
        "utility": "harmonic mean of model_utility and fluency",
        "relative_utility": "utility / the starting model's, at most 1",
        "overall": "harmonic mean of memorization, privacy and relative_utility",
        "overall_with_depth": "harmonic mean of memorization, privacy_with_depth and relative_utility",
    }
    for name, definition in terms.items():
        value = getattr(numbers, name)
        if value is not None or not name.endswith("with_depth"):
            yield _number(name, value, definition if value is not None else numbers.reasons.get(name))


def _number(name: str, value: float | None, reason: str | None) -> str:
    return f"{name:16} {'-' if value is None else f'{value:.4g}'}{f'  ({reason})' if reason else ''}"


def _mean(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _lume(numbers: LumeNumbers, retain: LumeNumbers | None) -> Iterator[str]:
    """Yield the terms first, then their aggregate, each with the retain model's value."""
    for part in PARTS:
        for task in TASKS:
            if (own := numbers.scores(part).get(task)) is None:
                continue
            other = retain.scores(part).get(task) if retain else None
            for name, count in (("regurgitation", own.completions), ("knowledge", own.questions)):
                beside = getattr(other, name) if other else None
                note = f"n={count}" + (f", retain model {beside:.4g}" if beside is not None else "")
                yield _number(f"{part} {task} {name}", getattr(own, name), note)
    for part, by_type in numbers.leakage.items():
        for kind, counts in by_type.items():
            line = f"{counts.answered} of {counts.asked} answers, {counts.written} of {counts.continued} continuations"
            if retain and (other_counts := retain.leakage.get(part, {}).get(kind)):
                line += f"; retain model {other_counts.answered} and {other_counts.written}"
            yield f"{f'{part} leaks {kind}':30} {line}"
    yield _number("task aggregate", numbers.task_aggregate, numbers.task_aggregate_reason
                  or (f"retain model {retain.task_aggregate:.4g}" if retain and retain.task_aggregate is not None
                      else None))  # fmt: skip
    yield _number("membership score", numbers.membership_score, numbers.membership_score_reason)


def _muse(numbers: MuseNumbers) -> Iterator[str]:
    for name, value in asdict(numbers).items():
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        if shown := [f"{key} {number:.4g}".strip() for key, number in pairs if isinstance(number, int | float)]:
            yield f"{name:20} " + "  ".join(shown)
    if numbers.privleak_reference:
        yield f"{'privleak compares':20} with {_REFERENCES[numbers.privleak_reference]}"
    if numbers.privleak_reason:
        yield f"{'privleak':20} -  ({numbers.privleak_reason})"


__all__ = ["lines"]
