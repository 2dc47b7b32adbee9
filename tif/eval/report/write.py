"""Evaluations -> one self-contained HTML page, or Markdown, or JSON.

    entries = [Entry.load("runs/target/eval"), Entry.load("runs/anchored")]
    write_report("report.html", entries, before="target")

An evaluation in memory serves as well: `Entry.of("anchored", evaluation, settings)`. The page loads nothing from
anywhere, follows the reader's light or dark scheme, and prints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from tif import files
from tif.errors import UsageError
from tif.escape import markdown_text
from tif.eval.record import LONG
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.facts import facts
from tif.eval.report.headline import summarise
from tif.eval.report.marks import mark_rows, marks, summary
from tif.eval.report.opening import remarks, verified
from tif.eval.report.options import ReportOptions
from tif.eval.report.page import page
from tif.eval.report.redact import NOTE, Redactor
from tif.eval.report.sections import measured, metrics, unmeasured
from tif.eval.report.seeds import over_seeds
from tif.eval.report.tables import markdown_table


def write_report(
    out: str | Path,
    entries: Sequence[Entry],
    *,
    before: str | None = None,
    title: str = "What was forgotten, and what was kept",
    intro: str = "",
    redact: bool = False,
) -> Path:
    """Write the HTML page.

    Args:
        out: file to write.
        entries: what to show, in order.
        before: label of the starting model (see `Evaluations.of`).
        title: the page's title.
        intro: a paragraph under it, plain text.
        redact: show no unwanted words (see `tif.eval.report.redact`).

    Raises:
        UsageError: for no entries, a label that none has, or a file name with an unwanted word in a redacted report.
        InputError: for entries that asked different questions.
        WriteError: if the file cannot be written.
    """
    evaluations = Evaluations.of(entries, before)
    if redact:
        redactor = Redactor.of(entries)
        if redactor.words(Path(out).stem) != Path(out).stem:
            raise UsageError(
                "the name of a redacted report contains unwanted words", where="--out", hint="Give another file name."
            )
        title, intro = redactor.words(title), " ".join(filter(None, [NOTE, redactor.words(intro)]))
        evaluations = evaluations.redacted(redactor)
    rows = summarise(evaluations)
    seeds = over_seeds(evaluations.entries, rows)
    files.write(Path(out), page(evaluations, rows, seeds, title=title, intro=intro))
    return Path(out)


def report(options: ReportOptions) -> Path:
    """Write the page that the options describe, and return its path.

    Raises:
        UsageError: for names that do not fit the evaluations.
        InputError: for an evaluation that cannot be read.
        WriteError: if the file cannot be written.
    """
    entries = Entry.load_all(options.evaluations, options.names)
    return write_report(options.out, entries, before=options.before, title=options.title, redact=options.redact)


def _evaluations(entries: Sequence[Entry], before: str | None, redact: bool) -> Evaluations:
    evaluations = Evaluations.of(entries, before)
    return evaluations.redacted(Redactor.of(entries)) if redact else evaluations


def write_json(
    out: str | Path | None, entries: Sequence[Entry], *, before: str | None = None, redact: bool = False
) -> dict[str, JsonValue]:
    """The verdict, the metrics and the evaluations' records as one object, written to `out` if given."""
    evaluations = _evaluations(entries, before, redact)
    rows = summarise(evaluations)
    verdict = evaluations.verdict()
    content: dict[str, JsonValue] = {
        "verdict": {"sentences": [*verdict.sentences()], "models": [asdict(model) for model in verdict.models]},
        "before": evaluations.before.label if evaluations.before else None,
        "headline": [row.to_json() for row in rows],
        "seeds": [group.to_json() for group in over_seeds(evaluations.entries, rows)],
        "evaluations": [
            {name: value for name, value in entry.record.to_json().items() if name not in LONG}
            for entry in evaluations.entries
        ],
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    if out is not None:
        files.write(Path(out), text)
    read: dict[str, JsonValue] = json.loads(text)  # lists in the place of tuples
    return read


def markdown(entries: Sequence[Entry], *, before: str | None = None, redact: bool = False) -> str:
    """The verdict, the marks and the sections of the page with their tables, as Markdown.

    Curves of the page are tables. The last lines name what was not measured.
    """
    evaluations = _evaluations(entries, before, redact)
    rows = summarise(evaluations)
    verdict, found = evaluations.verdict(), marks(evaluations)
    sections = [*measured(evaluations), *metrics(evaluations, rows, over_seeds(evaluations.entries, rows))]
    known = "".join(f"- {markdown_text(f'{name}: {text}')}\n" for name, text in facts(evaluations).items())
    models = [row.cells() for row in verdict.rows()]
    blocks = [
        "\n".join(map(markdown_text, verdict.sentences())) + "\n",
        _line(summary(verdict.focus.label, found)),
        markdown_table(*mark_rows(verdict.focus.label, found)),
        known,
        *map(_line, verified(evaluations)),
        *([markdown_table(verdict.heads, models)] if models else []),
        *map(_line, remarks(verdict)),
        *(section.markdown() for section in sections),
        *map(_line, unmeasured(evaluations)),
        *([_line(NOTE)] if redact else []),
    ]
    return "\n".join(blocks)


def _line(text: str) -> str:
    return f"{markdown_text(text)}\n"


__all__ = ["markdown", "report", "write_json", "write_report"]
