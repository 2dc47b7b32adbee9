"""The report's section on leakage: by form of asking, and by entity type, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import Final

from tif.eval.measure.leak_at_k import FormLeaks, Interval
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.tables import cell
from tif.eval.settings import FORMS, Form
from tif.spans import UW

GLOSS: Final = (
    "Share of questions with an unwanted phrase in the answer. A model answers each question once, greedily, and then "
    "several times at random. Small print: 95% intervals over questions."
)
PLAIN_GLOSS: Final = (
    "Share of unwanted phrases that a model writes after the words before them. A model continues each text once, "
    "greedily, and then several times at random. Small print: 95% intervals over phrases."
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


def section(evaluations: Evaluations) -> str:
    """Return the tables as HTML; empty if no evaluation drew samples."""
    models = _models(evaluations)
    if not models:
        return ""
    return _by_form(models) + _by_type(models) + _exact(evaluations)


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


def _by_form(models: Sequence[tuple[str, Mapping[str, FormLeaks]]]) -> str:
    ks = sorted({at.k for _, leaks in models for numbers in leaks.values() for at in numbers.sampled})
    names = [("greedy", 0, core) for core in _CORES[:1]] + [(f"in {k}", k, core) for k in ks for core in _CORES[:1]]
    names += [(f"in {ks[-1]}", ks[-1], core) for core in _CORES[1:]] if ks else []
    heads = [(f"{words}, {name}", title) for name, _, (words, _, title) in names]
    heads.append(
        (
            f"minus retain, in {ks[-1]}" if ks else "minus retain",
            "any phrase: difference to the retain model, by question",
        )
    )
    rows = []
    for form in FORMS:
        for label, leaks in models:
            if (numbers := leaks.get(form)) is not None:
                cells = [_share(numbers, k, core) for _, k, (_, core, _) in names]
                gap = numbers.minus_retain[-1].leak_any if numbers.minus_retain else None
                rows.append(
                    [ASKED[form], label, f"{numbers.prompts:,}", *map(_share_cell, cells), cell(gap, "{:+.0%}".format)]
                )
    return _table("asked, model", [("n", "prompts with a phrase that they do not give"), *heads], rows)


def _share_cell(share: Interval | None) -> str:
    return cell(share, "{:.0%}".format)


def _share(numbers: FormLeaks, k: int, core: str) -> Interval | None:
    cores = numbers.greedy if k == 0 else next((at.cores for at in numbers.sampled if at.k == k), None)
    share: Interval | None = getattr(cores, core, None)
    return share


def _by_type(models: Sequence[tuple[str, Mapping[str, FormLeaks]]]) -> str:
    rows, k = [], 0
    form: Form = "question" if any("question" in leaks for _, leaks in models) else "cloze"
    for label, leaks in models:
        for of_type in leaks[form].by_type if form in leaks else ():
            k, share = of_type.sampled[-1] if of_type.sampled else (k, None)
            rows.append(
                [of_type.label, label, f"{of_type.phrases:,}", _share_cell(of_type.greedy), _share_cell(share)],
            )
    if not rows:
        return ""
    rows.sort(key=lambda row: row[0])
    heads = [("n", "phrases"), ("greedy", "share of the phrases"), (f"in {k}", "chance of a phrase in so many answers")]
    return f"<h3>By type of phrase, asked {ASKED[form]}</h3>{_table('type, model', heads, rows)}"


def _exact(evaluations: Evaluations) -> str:
    """The expected number of samples until a phrase appears, which needs no sampling."""
    sentences = [
        f"{entry.label}: {_count(numbers.samples_any)}"
        for entry in evaluations.entries
        if (numbers := entry.record.verbatim.get("forget")) is not None
    ]
    if not sentences:
        return ""
    of = "texts" if evaluations.focus.plain else "questions"
    return (
        '<p class="soft">Random answers until one begins like the right answer, up to its first unwanted phrase '
        f"(median over {of}, computed from probabilities): {escape('; '.join(sentences))}.</p>"
        + _exact_by_type(evaluations)
    )


def _exact_by_type(evaluations: Evaluations) -> str:
    """Return the same for each type of phrase, once the answer is opened up to it; empty for a set without types."""
    sentences = []
    for entry in evaluations.entries:
        numbers = entry.record.verbatim.get("forget")
        types = numbers.by_type if numbers else ()
        if any(each.label != UW for each in types):
            medians = ", ".join(f"{each.label} {_count(each.samples)} (n={each.phrases:,})" for each in types)
            sentences.append(f"{entry.label}: {medians}")
    if not sentences:
        return ""
    return (
        '<p class="soft">Random answers until one goes on with a phrase, where the answer is opened up to that phrase '
        f"(median over the phrases of a type): {escape('; '.join(sentences))}.</p>"
    )


def _count(samples: float) -> str:
    return f"{samples:,.0f}" if samples < 1e6 else f"{samples:.0e}"


def _table(stub: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """A table in groups of rows. A row has the group's name, its own name, then trusted HTML."""
    head = f'<th scope="col">{escape(stub)}</th>'
    for name, title in heads:
        lines = "<br>".join(map(escape, name.split(", ")))
        head += f'<th class="n" scope="col" title="{escape(title)}">{lines}</th>'
    body = ""
    for group, members in groupby(rows, key=itemgetter(0)):
        body += f'<tr><th scope="rowgroup" colspan="{len(heads) + 1}">{escape(group)}</th></tr>'
        for _, name, *numbers in members:
            cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
            body += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


__all__ = ["ASKED", "GLOSS", "PLAIN_GLOSS", "section"]
