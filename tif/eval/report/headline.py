"""The metrics for researchers: one row a model, each number with its interval, and what each number is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Final

from pydantic import JsonValue

from tif.eval.measure import measures
from tif.eval.measure.leak_at_k import Interval
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.marks import quality_note
from tif.eval.report.section import Section
from tif.eval.report.tables import Line, Table, cell

HEADING: Final = "Metrics for researchers"
GLOSS: Final = "n: examples behind a number. Ranges are 95% intervals over examples."
COLUMNS: Final = (
    ("UW probability", "forget", "uw_probability"),
    ("GW probability", "forget", "gw_probability"),
    ("retain probability", "retain", "probability"),
    ("retain ROUGE-L", "retain", "rougeL_recall"),
)
"""The columns that are means over examples, and so have bootstrap intervals: name, part, column."""
DEPTH_COLUMNS: Final = (("depth (UDS)", "forget", "depth"), ("depth (logit lens)", "forget", "lens_depth"))
"""The same for `tif eval --depth`. The table has them if an evaluation does."""
GAP_COLUMNS: Final = (("UW gap to retain", "uw_probability"), ("GW gap to retain", "gw_probability"))
"""Differences to the retain model, example by example. The table has them if the retain model is in the report."""
DEFINITIONS: Final = {
    "UW probability": "probability of the unwanted words (UW) of the forget set: geometric mean over an example's "
    "tokens, then arithmetic mean over examples; it should fall to the level of a model that never saw the set",
    "GW probability": "the same of general words (GW), which are all other words of these answers; it should not fall "
    "below the level of a model that never saw the set",
    "retain probability": "the same of all words of the answers to keep (the retain set); it should stay",
    "retain ROUGE-L": "share of an answer to keep that the model writes when asked, word by word in order; it should "
    "stay",
    "model utility": "harmonic mean of nine numbers: probability, ROUGE-L and truth ratio on the retain set, real "
    "authors and world facts; it should stay",
    "forget quality": "p-value of a test whether the truth ratios on the forget set differ from the retain model's; it "
    "should be above 0.05, where the test finds no difference. It falls with n. D is the largest distance, 0 to 1, and "
    "does not fall with n; lower truth ratios mean that a model forgets too little",
    "depth (UDS)": "Unlearning Depth Score: share of the unwanted words that the hidden layers lost, measured by "
    "patching them into the starting model; 0 is the starting model, 1 the retain model",
    "depth (logit lens)": "the same, read from each hidden layer by the starting model's last norm and head",
    "leaks when asked": "share of questions whose greedy answer contains an unwanted phrase",
    "leaks when continued": "share of unwanted phrases that the greedy continuation of the words before them contains",
    "UW gap to retain": "UW probability minus the retain model's, example by example; above 0, the model knows more "
    "than one that never saw the set",
    "GW gap to retain": "GW probability minus the retain model's; below 0, words are damaged that nobody had to forget",
    "over-forgetting": "GW probability lost for each unit of UW probability lost. With a retain model, only the loss "
    "below its GW probability counts, so the retain model has 0. No number where UW probability fell by less than "
    "0.05, by less than a tenth, or by no more than chance",
}


Cell = Interval | float | None
"""None is a number that the evaluation does not have."""


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """One model's metrics by name. All rows of a table have the same names."""

    label: str
    cells: Mapping[str, Cell]
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Number of examples behind a cell, by its name. Numbers that combine several parts have none."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a cell says in words, by its name: a p-value's mark and direction."""

    def to_json(self) -> dict[str, JsonValue]:
        """The label and the cells in one object."""
        row: dict[str, JsonValue] = {"label": self.label}
        for name, number in self.cells.items():
            row[name] = asdict(number) if isinstance(number, Interval) else number
        return row | {"n": {**self.sizes}, "notes": {**self.notes}}


def summarise(evaluations: Evaluations) -> list[HeadlineRow]:
    """One row an entry. lm-eval's numbers come last, with 1.96 of its standard errors to both sides."""
    harness = {entry.label: _lm_eval(entry) for entry in evaluations.entries}
    tasks = dict.fromkeys(name for cells in harness.values() for name in cells)
    leaks = {entry.label: _leaks(entry) for entry in evaluations.entries}
    leaking = dict.fromkeys(name for cells in leaks.values() for name in cells)
    gaps: dict[str, dict[str, Cell]] = {entry.label: {} for entry in evaluations.entries}
    if evaluations.never_saw is not None:
        for entry in evaluations.entries:
            gaps[entry.label] = {name: _gap(evaluations, entry, column) for name, column in GAP_COLUMNS}
    depth = DEPTH_COLUMNS if any(entry.record.depth for entry in evaluations.entries) else ()
    return [
        HeadlineRow(
            entry.label,
            {
                **{name: _mean(entry, part, column) for name, part, column in (*COLUMNS, *depth)},
                "model utility": entry.record.model_utility,
                "forget quality": entry.record.forget_quality,
                **gaps[entry.label],
                "over-forgetting": _over_forgetting(evaluations, entry),
                **{name: leaks[entry.label].get(name) for name in leaking},
                **{name: harness[entry.label].get(name) for name in tasks},
            },
            sizes=_sizes(evaluations, entry),
            notes={"forget quality": note} if (note := quality_note(entry)) else {},
        )
        for entry in evaluations.entries
    ]


def section(rows: Sequence[HeadlineRow]) -> Section | None:
    """Return the table, with one line a number and one column a model; None if no model has a number."""
    names = [name for name in rows[0].cells if any(row.cells[name] is not None for row in rows)]
    if not names:
        return None
    lines = [
        Line(
            name,
            [_shown(row.cells[name]) + _note(row.notes.get(name, "")) for row in rows],
            sizes=[row.sizes.get(name) for row in rows],
            title=definition(name),
        )
        for name in names
    ]
    notes = {name: definition(name) for name in names}
    table = Table(corner="number", columns=[row.label for row in rows], lines=lines, notes=notes)
    return Section(heading=HEADING, gloss=GLOSS, parts=[table])


def _shown(number: Cell) -> str:
    """A cell as trusted HTML. A p-value has three digits, so that a small one is no 0."""
    return f"{number:.3g}" if isinstance(number, float | int) else cell(number)


def _note(words: str) -> str:
    words = words.replace("D = ", "D\u00a0=\u00a0")
    return f'<small class="words">{escape(words)}</small>' if words else ""


def _sizes(evaluations: Evaluations, entry: Entry) -> dict[str, int]:
    """How many examples each number is a mean over."""
    sizes = {name: len(entry.values(part, column)) for name, part, column in (*COLUMNS, *DEPTH_COLUMNS)}
    if entry.record.forget_quality is not None:
        sizes["forget quality"] = len(entry.values("forget", "truth_ratio"))
    never_saw = evaluations.never_saw
    for name, column in GAP_COLUMNS if never_saw else ():
        pair = paired([each for each in (entry, never_saw) if each], column)
        sizes[name] = len(pair[0]) if pair else 0
    before = evaluations.before
    if before is not None and entry is not before and (both := paired([before, entry], "uw_probability")):
        sizes["over-forgetting"] = len(both[0])
    if (numbers := entry.record.leaks.get(entry.form)) is not None:
        sizes |= dict.fromkeys(_leaks(entry), numbers.prompts)
    return {name: size for name, size in sizes.items() if size}


def _mean(entry: Entry, part: str, column: str) -> Interval | None:
    mean = entry.mean(part, column)
    return None if mean is None else Interval(*mean)


def _over_forgetting(evaluations: Evaluations, entry: Entry) -> float | None:
    before, never_saw = evaluations.before, evaluations.never_saw
    if before is None or entry is before:
        return None
    uw, gw = (paired([before, entry], kind) for kind in ("uw_probability", "gw_probability"))
    if not uw or not gw:
        return None
    triple = paired([before, entry, never_saw], "gw_probability") if never_saw else ()
    return measures.over_forgetting(*uw, *(triple or gw))


def _gap(evaluations: Evaluations, entry: Entry, column: str) -> Interval | None:
    never_saw = evaluations.never_saw
    if never_saw is None or entry is never_saw:
        return None
    pair = paired([entry, never_saw], column)
    return Interval(*measures.difference(*pair)) if pair else None


def paired(entries: Sequence[Entry], column: str) -> tuple[list[float], ...]:
    """Return one list of values for each entry, of those forget examples that have the number in all of them."""
    values = [
        {row["id"]: row[column] for row in entry.examples.get("forget", ()) if row.get(column) is not None}
        for entry in entries
    ]
    ids = [id_ for id_ in values[0] if all(id_ in known for known in values)]
    return tuple([known[id_] for id_ in ids] for known in values) if ids else ()


def _leaks(entry: Entry) -> dict[str, Cell]:
    numbers = entry.record.leaks.get(entry.form)
    if numbers is None:
        return {}
    cells: dict[str, Cell] = {f"leaks when {'continued' if entry.plain else 'asked'}": numbers.greedy.leak_any}
    if (most := numbers.most) is not None:
        cells[f"leaks in {most.k} {'continuations' if entry.plain else 'answers'}"] = most.cores.leak_any
    return cells


def definition(name: str) -> str:
    """Return what a column of the table means."""
    if name.startswith("leaks in "):
        return (
            "leak@k: share of questions (of plain text: of phrases) of which so many random answers contain an "
            "unwanted phrase"
        )
    return DEFINITIONS.get(name, "as lm-evaluation-harness measures it")


def _lm_eval(entry: Entry) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for task, values in entry.record.lm_eval.items():
        for metric, value in values.items():
            name, comma, variant = metric.partition(",")
            if name.endswith("_stderr"):
                continue
            error = values.get(f"{name}_stderr{comma}{variant}")
            cells[f"{task} {metric}"] = Interval(value, value - 1.96 * error, value + 1.96 * error) if error else value
    return cells


__all__ = [
    "COLUMNS",
    "DEFINITIONS",
    "DEPTH_COLUMNS",
    "GAP_COLUMNS",
    "HEADING",
    "Cell",
    "HeadlineRow",
    "Interval",
    "definition",
    "paired",
    "section",
    "summarise",
]
