"""Arguments and options that several commands on annotation sets share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tif.options.declare import split_values

SetArg = Annotated[str, typer.Argument(metavar="SET[@N]", help="An annotation set; @N or @DIGEST names a version.")]
SetOrFile = Annotated[
    str, typer.Argument(metavar="SET", help="An annotation set (SET@N), or an exported file in any format.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Reason for the change, for the log.")]
Author = Annotated[
    str, typer.Option("--author", envvar=["TIF_AUTHOR", "USER", "USERNAME"], help="Author, for the log.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--labels", help="Only spans with these labels, e.g. PERSON,DATE. Default: every label of the set."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="TIF_DATA_DIR", help="Folder with the data set, for a set without texts."),
]
Ours = Annotated[bool, typer.Option("--ours", help="Keep the head's record where both sides changed it.")]
Theirs = Annotated[bool, typer.Option("--theirs", help="Take the other side's record where both changed it.")]


def split_labels(values: list[str] | None) -> tuple[str, ...] | None:
    """Split the labels of `--labels`: `PERSON,DATE`, or one option each; None if not given.

    Raises:
        UsageError: if the values contain no label.
    """
    return None if values is None else split_values(values, "--labels")


__all__ = ["Author", "DataDir", "Json", "Labels", "Message", "Ours", "SetArg", "SetOrFile", "Theirs", "split_labels"]
