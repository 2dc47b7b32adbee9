"""`tif annotate`: make an annotation set from samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tif.annotate.methods import METHODS
from tif.annotate.options import AnnotateOptions
from tif.console import emit_json, say, warn
from tif.options import Options, command

if TYPE_CHECKING:
    from tif.annotate.run import Report


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    command(app, "annotate", parts=METHODS)(annotate)


def annotate(
    options: AnnotateOptions,
    method: Options,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout.")] = False,
) -> None:
    """Find the unwanted words of every sample, and save them as an annotation set.

    Each finished example is saved at once. After a crash or Ctrl+C, run the same command again to continue. Exit code 3
    means that some examples failed and the others are saved.

    Example: tif annotate --method ner --dataset tofu:forget10

    Example: tif annotate --method llm --model gpt-4o --dataset notes.jsonl --policy policy.txt
    """
    from tif.annotate.request import answer
    from tif.annotate.run import Report

    result = answer(options, method)
    if isinstance(result, tuple):
        emit_json([row.to_json() for row in result])
    elif not isinstance(result, Report):
        emit_json(result.to_json())
    else:
        _show(result, json_=json_)
        result.check()


def _show(report: Report, *, json_: bool) -> None:
    counts, version = report.set.counts(), report.version
    if report.dropped:
        warn(
            f"{report.dropped} records of the previous version are not in this one; "
            f"`tif spans log {report.path}` lists the versions"
        )
    say(report.line)
    if report.policy is not None:
        say(report.policy.line)
    say(
        f"{report.path} is version {version.number}, {version.digest[:12]}: "
        f"{counts['spans']} spans in {counts['examples']} examples"
    )
    if json_:
        emit_json(report.to_json())
