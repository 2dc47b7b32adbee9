"""Evaluations -> one self-contained HTML page, or Markdown, or JSON.

    entries = [Entry.load("runs/target/eval"), Entry.load("runs/tpo")]
    write_report("report.html", entries, before="target")

An evaluation in memory serves as well: `Entry.of("TPO", evaluation, settings)`. The page loads nothing from anywhere,
follows the reader's light or dark scheme, and prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tif import files
from tif.errors import InputError, UsageError
from tif.eval.measure import measures
from tif.eval.options import ReportOptions
from tif.eval.report.entry import Entry
from tif.eval.report.page import page
from tif.eval.report.seeds import over_seeds

COLUMNS: Final = (
    ("UW probability", "forget", "uw_probability"),
    ("GW probability", "forget", "gw_probability"),
    ("retain probability", "retain", "probability"),
    ("retain ROUGE-L", "retain", "rougeL_recall"),
)
"""The headline columns that are means over examples, and so have bootstrap intervals: name, part, column."""


def compose(entries: Sequence[Entry], before: str | None = None) -> tuple[list[Entry], Entry | None]:
    """Entries with labels of their own, held to be of the same questions, and the one that the others are measured
    against.

    Args:
        entries: what to report.
        before: label of the model before unlearning; by default the entry whose model some run says it started from.

    Raises:
        UsageError: for no entries, or a label that none has.
        InputError: for entries that asked different questions under one id.
    """
    if not entries:
        raise UsageError("nothing to report", hint="tif report RUN [RUN ...]")
    taken: dict[str, int] = {}
    named = []
    for entry in entries:
        taken[entry.label] = taken.get(entry.label, 0) + 1
        n = taken[entry.label]
        named.append(replace(entry, label=f"{entry.label} ({n})") if n > 1 else entry)
    _same_questions(named)
    if before is not None:
        found = next((e for e in named if e.label == before), None)
        if found is None:
            raise UsageError(f"no evaluation is called {before!r}", hint=f"Here: {', '.join(e.label for e in named)}.")
        return named, found
    started = {e.run.model.digest for e in named if e.run}
    # A model that was attacked before it was evaluated is no longer what a run started from.
    whole = [e for e in named if not e.record.attack]
    return named, next((e for e in whole if e.record.model and e.record.model.digest in started), None)


def _same_questions(entries: Sequence[Entry]) -> None:
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for entry in entries:
        for row in (row for rows in entry.examples.values() for row in rows):
            label, other = asked.setdefault(row["id"], (entry.label, row))
            if (row["question"], row["answer"]) != (other["question"], other["answer"]):
                raise InputError(
                    "a report lays models side by side on the same questions, and these were asked different ones",
                    where=(f"{label} and {entry.label}", row["id"]),
                    why=f"{other['question'][:40]!r} and {row['question'][:40]!r}",
                    hint="Report them separately.",
                )


def summarise(entries: Sequence[Entry], before: Entry | None) -> list[dict[str, Any]]:
    """The headline table: one object an entry; a mean is `{"mean", "low", "high"}`, an unknown number None.

    lm-eval's numbers follow, with intervals of 1.96 of its standard errors to both sides.
    """
    beyond = list(dict.fromkeys(name for entry in entries for name in _beyond(entry)))
    found = []
    for entry in entries:
        row: dict[str, Any] = {"label": entry.label}
        for name, part, column in COLUMNS:
            mean = entry.mean(part, column)
            row[name] = None if mean is None else dict(zip(("mean", "low", "high"), mean, strict=True))
        row["model utility"] = entry.record.model_utility
        row["forget quality"] = entry.record.forget_quality
        row["over-forgetting"] = None
        if before is not None and entry is not before:
            pairs = [e.mean("forget", f"{kind}_probability") for kind in ("uw", "gw") for e in (before, entry)]
            if all(pairs):
                row["over-forgetting"] = measures.over_forgetting(*(pair[0] for pair in pairs if pair))
        row |= {name: _beyond(entry).get(name) for name in beyond}
        found.append(row)
    return found


def _beyond(entry: Entry) -> dict[str, dict[str, float] | float]:
    found: dict[str, dict[str, float] | float] = {}
    for task, values in entry.record.lm_eval.items():
        for metric, value in values.items():
            metric_, comma, filtered = metric.partition(",")
            error = values.get(f"{metric_}_stderr{comma}{filtered}")
            if metric_.endswith("_stderr"):
                continue
            interval = {"mean": value, "low": value - 1.96 * error, "high": value + 1.96 * error} if error else value
            found[f"{task} {metric}"] = interval
    return found


def write_report(
    out: str | Path,
    entries: Sequence[Entry],
    *,
    before: str | None = None,
    title: str = "What was forgotten, and what was kept",
    intro: str = "",
    extra: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the HTML page.

    Args:
        out: file to write.
        entries: what to show, in order.
        before: label of the model before unlearning (see `compose`).
        title: the page's title.
        intro: a paragraph under it, plain text.
        extra: further sections, (heading, trusted HTML), put before the audit.

    Raises:
        UsageError: for no entries, or a label that none has.
        WriteError: if the file cannot be written.
    """
    named, base = compose(entries, before)
    rows = summarise(named, base)
    seeds = over_seeds(named, rows)
    return _save(out, page(named, base, rows, seeds, title=title, intro=intro, extra=extra))


def report(options: ReportOptions) -> Path:
    """Write the page that the options describe, and return its path.

    Raises:
        UsageError: for names that do not fit the evaluations.
        InputError: for an evaluation that cannot be read.
        WriteError: if the file cannot be written.
    """
    entries = Entry.load_all(options.evaluations, options.names)
    return write_report(options.out, entries, before=options.before, title=options.title)


def write_json(out: str | Path | None, entries: Sequence[Entry], *, before: str | None = None) -> dict[str, Any]:
    """The headline table, parts and provenance as one object, written to `out` if given."""
    named, base = compose(entries, before)
    left_out = ("per_example", "retain_truth_ratio")
    rows = summarise(named, base)
    found = {
        "before": base.label if base else None,
        "headline": rows,
        "seeds": over_seeds(named, rows),
        "evaluations": [{k: v for k, v in e.record.to_json().items() if k not in left_out} for e in named],
    }
    if out is not None:
        _save(out, json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False))
    return found


def markdown(entries: Sequence[Entry], *, before: str | None = None) -> str:
    """The headline table as Markdown, and below it the same over seeds where there are several."""
    named, base = compose(entries, before)
    rows = summarise(named, base)
    tables = [_table(rows)]
    if seeds := over_seeds(named, rows):
        tables.append(_table(seeds))
    return "\n".join(tables)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(shown(row[name]).replace('|', chr(92) + '|') for name in head)} |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """A cell of the headline table as text."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping) and "sd" in value:
        return f"{value['mean']:.3g} ± {value['sd']:.2g}"
    if isinstance(value, Mapping):
        return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _save(out: str | Path, text: str) -> Path:
    path = Path(out)
    files.write(path, text)
    return path


__all__ = ["COLUMNS", "compose", "markdown", "report", "shown", "summarise", "write_json", "write_report"]
