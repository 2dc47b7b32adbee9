"""`tif demo`: the whole story, on people who never lived."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tif.console import emit, emit_json, say


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path("runs/demo"),
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout: every number.")] = False,
) -> None:
    """Teach a tiny model 64 invented people, make it forget eight, and see what else it forgot. Minutes on a CPU."""
    from tif.demo.run import run, story

    result = run(out)
    if json_:
        emit_json(result)
        return
    for line in story(result):
        emit(line)
    say(f"wrote {result['report']}")
