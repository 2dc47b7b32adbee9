"""`tif eval` and `tif report`."""

from __future__ import annotations

from typing import Annotated

import typer

from tif.cli.arguments import Json
from tif.console import emit, emit_json, emit_text, say
from tif.errors import UsageError
from tif.eval.options import EvaluateOptions
from tif.eval.report.options import ReportOptions
from tif.options import command


def register(app: typer.Typer) -> None:
    """Put `eval` and `report` on the command line."""
    command(app, "eval")(evaluate)
    command(app, "report")(report)


def evaluate(options: EvaluateOptions, *, json_: Json = False) -> None:
    """Measure what a model has forgotten and what it has kept.

    Example: tif eval runs/people

    Example: tif eval runs/people --full

    Example: tif eval runs/people --benchmark local --forget people.csv --retain keep.csv

    Example: tif eval runs/tofu10 --benchmark tofu --forget forget10 --retain-log retain/eval.json
    """
    from tif.eval.evaluate import evaluate as run
    from tif.eval.processes import main
    from tif.eval.record import EVAL_FILE
    from tif.eval.run import Evaluated
    from tif.eval.show import lines

    result = run(options)
    if not main():
        return
    attacked = result.attacked if isinstance(result, Evaluated) else ()
    for each in (result, *attacked) if isinstance(result, Evaluated) else ():
        say(f"wrote {each.out / EVAL_FILE}")
    shown = result.record if isinstance(result, Evaluated) else result
    records = [each.record for each in attacked]
    if json_:
        own = {"after_attacks": [record.headline() for record in records]} if records else {}
        emit_json({**shown.headline(), **own})
        return
    for line in lines(shown, records):
        emit(line)


def report(
    options: ReportOptions,
    *,
    md: Annotated[bool, typer.Option("--md", help="Write the tables as Markdown to stdout, and no page.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Write one JSON object to stdout, and no page.")] = False,
) -> None:
    """Show evaluations together on one self-contained HTML page.

    Example: tif report runs/people --out report.html
    """
    if md and json_:
        raise UsageError("--md and --json cannot be combined", hint="Give one of them.")
    from tif.eval.report.entry import Entry
    from tif.eval.report.write import markdown, write_json
    from tif.eval.report.write import report as write

    if not (md or json_):
        say(f"wrote {write(options)}")
        return
    entries = Entry.load_all(options.evaluations, options.names)
    if md:
        emit_text(markdown(entries, before=options.before, redact=options.redact).rstrip())
    else:
        emit_json(write_json(None, entries, before=options.before, redact=options.redact))
