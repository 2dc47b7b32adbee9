"""The report's section on the composites of OpenUnlearning's paper: the terms of each first, then the composite."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tif.eval.measure import measures
from tif.eval.measure.composites import MIA, Composites, Memorization
from tif.eval.measure.leak_at_k import Interval
from tif.eval.report.depth import uds
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.membership import ATTACKS
from tif.eval.report.section import Section
from tif.eval.report.tables import Line, Table, cell

HEADING: Final = "Memorization, privacy and utility"
GLOSS: Final = (
    "Composites of OpenUnlearning's paper (arXiv 2506.12618), each below its terms. 1 is best. A composite is the "
    "harmonic mean of its terms, so it is 0 if one of them is 0: read the terms. n: examples behind a number. Ranges "
    "are 95% intervals over examples."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    """A line of the table."""

    name: str
    group: str
    value: Callable[[Entry], Interval | float | None]
    title: str = ""
    column: str = ""
    """The column of `examples.parquet` that it is a mean of."""


def section(evaluations: Evaluations) -> Section | None:
    """Return the table; None if no evaluation has a composite."""
    entries = [e for e in evaluations.entries if e.record.memorization is not None or e.record.composites is not None]
    if not entries:
        return None
    lines = []
    for number in _NUMBERS:
        values = [number.value(entry) for entry in entries]
        if any(value is not None for value in values):
            sizes = [_size(entry, number.column) for entry in entries]
            cells = [cell(value) for value in values]
            lines.append(Line(number.name, cells, sizes=sizes, title=number.title, group=number.group))
    shown = {line.name for line in lines}
    table = Table(
        corner="number",
        columns=[entry.label for entry in entries],
        lines=lines,
        notes={number.name: number.title for number in _NUMBERS if number.title and number.name in shown},
    )
    return Section(heading=HEADING, gloss=GLOSS, parts=[table], remarks=_missing(entries))


def _memorization(name: str, column: str) -> Callable[[Entry], Interval | float | None]:
    """Return a function for a term of Mem, 1 - the mean of a column, with the interval where the examples have it."""

    def value(entry: Entry) -> Interval | float | None:
        own: Memorization | None = entry.record.memorization
        if own is None:
            return None
        term: float = getattr(own, name)
        values = entry.values("forget", column)
        if column == "truth_ratio":
            values = [1 / (1 + ratio) for ratio in values]
        if not values or abs(sum(values) / len(values) - (1 - term)) > 1e-6:
            return term
        low, high = measures.bootstrap(values)
        return Interval(term, 1 - high, 1 - low)

    return value


def _closeness(attack: str) -> Callable[[Entry], float | None]:
    def value(entry: Entry) -> float | None:
        membership = entry.record.membership
        area = membership.attacks.get(attack) if membership else None
        return area.closeness if area else None

    return value


def _composite(name: str) -> Callable[[Entry], Interval | float | None]:
    def value(entry: Entry) -> Interval | float | None:
        numbers = entry.record.composites
        number: float | None = getattr(numbers, name) if numbers else None
        mean = entry.mean("forget", name) if name == "fluency" and number is not None else None
        return number if mean is None else Interval(*mean)

    return value


def _mem(entry: Entry) -> float | None:
    return entry.record.memorization.score if entry.record.memorization else None


def _depth(entry: Entry) -> Interval | float | None:
    """The Unlearning Depth Score, where it is a term of privacy."""
    numbers = entry.record.composites
    if numbers is None or numbers.privacy_with_depth is None:
        return None
    return uds(entry)


_MEM: Final = "Memorization of the forget set"
_PRIVACY: Final = "Privacy"
_UTILITY: Final = "Utility"
_ALL: Final = "All"
_NUMBERS: Final = (
    *(
        _Number(name=f"1 - {words}", group=_MEM, value=_memorization(name, column), column=column, title=title)
        for name, words, column, title in (
            ("extraction_strength", "extraction strength", "extraction_strength",
             "share of the right answer that greedy decoding needs before it writes the rest"),
            ("exact_memorization", "exact memorization", "exact_memorization",
             "share of tokens of the right answer that greedy decoding does not predict"),
            ("paraphrase_probability", "paraphrase probability", "paraphrase_probability",
             "1 - probability of the right answer in other words"),
            ("truth_ratio", "truth ratio (prob_mean)", "truth_ratio",
             "share of the wrong answers in the probability of right and wrong answers"),
        )
    ),
    _Number(name="memorization (Mem)", group=_MEM, value=_mem, title="harmonic mean of these four"),
    *(
        _Number(name=f"s {ATTACKS[attack][0]}", group=_PRIVACY, value=_closeness(attack))
        for attack in MIA
    ),
    _Number(name="privacy", group=_PRIVACY, value=_composite("privacy"),
            title="harmonic mean of the four s, which say how close membership inference is to the retain model's"),
    _Number(name="depth", group=_PRIVACY, value=_depth, column="depth",
            title="Unlearning Depth Score: 1 is the retain model, 0 the starting model"),
    _Number(name="privacy with depth", group=_PRIVACY, value=_composite("privacy_with_depth"),
            title="harmonic mean of privacy and depth"),
    _Number(name="model utility", group=_UTILITY,
            value=lambda e: e.record.model_utility if e.record.composites else None),
    _Number(name="fluency", group=_UTILITY, value=_composite("fluency"), column="fluency",
            title="mean probability that a classifier takes a forget answer for language and not for gibberish"),
    _Number(name="utility", group=_UTILITY, value=_composite("utility"),
            title="harmonic mean of model utility and fluency"),
    _Number(name="relative utility", group=_UTILITY, value=_composite("relative_utility"),
            title="utility as a share of the starting model's, at most 1"),
    _Number(name="overall", group=_ALL, value=_composite("overall"),
            title="harmonic mean of memorization, privacy and relative utility"),
    _Number(name="overall with depth", group=_ALL, value=_composite("overall_with_depth"),
            title="harmonic mean of memorization, privacy with depth and relative utility"),
)  # fmt: skip


def _size(entry: Entry, column: str) -> int | None:
    if not column:
        return None
    return len(entry.values("forget", column)) or None


def _missing(entries: Sequence[Entry]) -> list[str]:
    """Return why a composite is missing, one line for all models of one reason."""
    labels: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for name, reason in _reasons(entry.record.composites).items():
            labels.setdefault((name, reason), []).append(entry.label)
    return [f"No {name} for {', '.join(who)}: {reason}." for (name, reason), who in labels.items()]


def _reasons(composites: Composites | None) -> Mapping[str, str]:
    """Return the reasons of a record without those for composites with depth, which are an addition."""
    if composites is None:
        return {}
    return {
        name.replace("_", " "): re.sub("^(missing:|needs)", "it needs", reason).replace("_", " ")
        for name, reason in composites.reasons.items()
        if not name.endswith("with_depth")
    }


__all__ = ["HEADING", "section"]
