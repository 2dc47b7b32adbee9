"""`tif demo`: the main job on invented people, from annotation to report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tif.console import emit, emit_json, say


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("runs/demo"),
    json_: Annotated[bool, typer.Option("--json", help="Write every number as one JSON object to stdout.")] = False,
) -> None:
    """Teach a tiny model about 64 invented people, make it forget eight, and show what it still writes."""
    from tif.demo.run import run, story

    result = run(out)
    if json_:
        emit_json(result.to_json())
        return
    for line in story(result):
        emit(line)
    say(f"wrote {result.report}")
