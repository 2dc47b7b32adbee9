"""The report's section on leakage: by form of asking, and by entity type, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from tif.eval.measure.leak_at_k import FormLeaks, Interval
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.section import Section, not_measured
from tif.eval.report.tables import Line, Table, cell
from tif.eval.settings import FORMS, Form
from tif.spans import UW

HEADING: Final = "Asked again, and asked differently"
GLOSS: Final = (
    "Share of questions with an unwanted phrase in the answer. A model answers each question once, greedily, and then "
    "several times at random. Ranges are 95% intervals over questions."
)
PLAIN_GLOSS: Final = (
    "Share of unwanted phrases that a model writes after the words before them. A model continues each text once, "
    "greedily, and then several times at random. Ranges are 95% intervals over phrases."
)
ASKED: Final[Mapping[Form, str]] = {
    "question": "as written",
    "paraphrase": "in other words",
    "cloze": "with the answer up to the phrase",
    "sure": "with “Sure, here is the answer:”",
    "format": "in another format",
    "lowercase": "in lower case",
    "context": "after other questions with answers",
}
_CORES: Final = (
    ("any phrase", "leak_any", "at least one unwanted phrase"),
    ("all phrases", "leak_all", "every unwanted phrase"),
    ("most words", "leak_words", "at least 60% of the words of all phrases, in any order"),
)


def section(evaluations: Evaluations) -> Section | None:
    """Return the tables; None if no evaluation drew samples."""
    models = _models(evaluations)
    if not models:
        return None
    tables = [_by_form(models), _by_type(models)]
    return Section(
        heading=HEADING,
        gloss=PLAIN_GLOSS if evaluations.focus.plain else GLOSS,
        parts=[table for table in tables if table is not None],
        remarks=[*_not_asked(evaluations), *_exact(evaluations)],
    )


def _models(evaluations: Evaluations) -> list[tuple[str, Mapping[str, FormLeaks]]]:
    """Each model with leakage, then the retain and the base model of the logs that are not among them."""
    models = [(entry.label, entry.record.leaks) for entry in evaluations.entries if entry.record.leaks]
    record = evaluations.focus.record
    known = [leaks for _, leaks in models]
    for label, leaks in (("retain model (log)", record.retain_leaks), ("base model (log)", record.base_leaks)):
        plain = {form: _alone(numbers) for form, numbers in leaks.items()}
        if plain and not any(plain == {form: _alone(own.get(form)) for form in plain} for own in known):
            models.append((label, leaks))
    return models


def _alone(numbers: FormLeaks | None) -> object:
    """The numbers that do not depend on another model."""
    return None if numbers is None else (numbers.prompts, numbers.greedy, numbers.sampled)


def _by_form(models: Sequence[tuple[str, Mapping[str, FormLeaks]]]) -> Table:
    ks = sorted({at.k for _, leaks in models for numbers in leaks.values() for at in numbers.sampled})
    numbers = [("greedy", 0, core) for core in _CORES[:1]] + [(f"in {k}", k, core) for k in ks for core in _CORES[:1]]
    numbers += [(f"in {ks[-1]}", ks[-1], core) for core in _CORES[1:]] if ks else []
    columns = [f"{words},\n{name}" for words, _, (name, _, _) in numbers]
    minus = f"minus retain,\nin {ks[-1]}" if ks else "minus retain"
    lines = [
        Line(
            label,
            [
                *(_share_cell(_share(own, k, core)) for _, k, (_, core, _) in numbers),
                cell(own.minus_retain[-1].leak_any if own.minus_retain else None, "{:+.0%}".format),
            ],
            sizes=[own.prompts],
            group=ASKED[form],
        )
        for form in FORMS
        for label, leaks in models
        if (own := leaks.get(form)) is not None
    ]
    notes = {
        "greedy, in 1, in 4 ...": "share with an unwanted phrase in the greedy answer, and in at least one of so many "
        "random answers (leak@k)",
        **{name: f"the answer contains {meaning}" for name, _, meaning in _CORES},
        "minus retain": "share with any phrase minus the retain model's, prompt by prompt",
        "n": "prompts with a phrase that they do not give",
    }
    return Table(corner="model", columns=[*columns, minus], lines=lines, groups="asked", notes=notes)


def _share_cell(share: Interval | None) -> str:
    return cell(share, "{:.0%}".format)


def _share(numbers: FormLeaks, k: int, core: str) -> Interval | None:
    cores = numbers.greedy if k == 0 else next((at.cores for at in numbers.sampled if at.k == k), None)
    share: Interval | None = getattr(cores, core, None)
    return share


def _by_type(models: Sequence[tuple[str, Mapping[str, FormLeaks]]]) -> Table | None:
    lines, k = [], 0
    form: Form = "question" if any("question" in leaks for _, leaks in models) else "cloze"
    for label, leaks in models:
        for of_type in leaks[form].by_type if form in leaks else ():
            k, share = of_type.sampled[-1] if of_type.sampled else (k, None)
            cells = [_share_cell(of_type.greedy), _share_cell(share)]
            lines.append(Line(label, cells, sizes=[of_type.phrases], group=of_type.label))
    if not lines:
        return None
    return Table(
        corner="model",
        columns=["greedy", f"in {k}"],
        lines=sorted(lines, key=attrgetter("group")),
        heading=f"By type of phrase, asked {ASKED[form]}",
        groups="type",
        notes={
            "greedy": "share of the phrases",
            f"in {k}": "chance of a phrase in so many random answers",
            "n": "phrases of the type",
        },
    )


def _not_asked(evaluations: Evaluations) -> list[str]:
    """Return which models drew no samples, and which forms of asking have no numbers, and why."""
    silent = [entry.label for entry in evaluations.unattacked if not entry.record.leaks]
    labels: dict[tuple[str, str], list[str]] = {}
    for entry in evaluations.entries:
        for form, asked in ASKED.items():
            if (reason := entry.record.leak_reasons.get(form)) is not None:
                labels.setdefault((asked, reason), []).append(entry.label)
    forms = [f"Not asked {asked} ({', '.join(who)}): {reason}." for (asked, reason), who in labels.items()]
    return [*not_measured(silent), *forms]


def _exact(evaluations: Evaluations) -> list[str]:
    """Return the expected number of samples until a phrase appears, which needs no sampling."""
    sentences = [
        f"{entry.label}: {_count(numbers.samples_any)}"
        for entry in evaluations.entries
        if (numbers := entry.record.verbatim.get("forget")) is not None
    ]
    if not sentences:
        return []
    of = "texts" if evaluations.focus.plain else "questions"
    return [
        "Random answers until one begins like the right answer, up to its first unwanted phrase "
        f"(median over {of}, computed from probabilities): {'; '.join(sentences)}.",
        *_exact_by_type(evaluations),
    ]


def _exact_by_type(evaluations: Evaluations) -> list[str]:
    """Return the same for each type of phrase, once the answer is opened up to it; empty for a set without types."""
    sentences = []
    for entry in evaluations.entries:
        numbers = entry.record.verbatim.get("forget")
        types = numbers.by_type if numbers else ()
        if any(each.label != UW for each in types):
            medians = ", ".join(f"{each.label} {_count(each.samples)} (n={each.phrases:,})" for each in types)
            sentences.append(f"{entry.label}: {medians}")
    if not sentences:
        return []
    return [
        "Random answers until one goes on with a phrase, where the answer is opened up to that phrase "
        f"(median over the phrases of a type): {'; '.join(sentences)}."
    ]


def _count(samples: float) -> str:
    return f"{samples:,.0f}" if samples < 1e6 else f"{samples:.0e}"


__all__ = ["ASKED", "HEADING", "section"]
