"""Arguments and options that several commands on annotation sets share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tif.options.declare import split_values
from tif.sets.metadata import AUTHOR_ENV

SetArg = Annotated[str, typer.Argument(metavar="SET[@N]", help="An annotation set; @N or @DIGEST names a version.")]
SetOrFile = Annotated[
    str, typer.Argument(metavar="SET", help="An annotation set (SET@N), or an exported file in any format.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Reason for the change, for the log.")]
Author = Annotated[str, typer.Option("--author", envvar=[*AUTHOR_ENV], help="Author, for the log.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--labels", help="Only spans with these labels, e.g. PERSON,DATE. Default: every label of the set."),
]
TrainedLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        help="Labels that training will forget, as in `tif train --labels`; spans of others are counted. "
        "Default: every label of the set.",
    ),
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


Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of text files, such as cp1252 for Windows. Default: UTF-8."),
]

__all__ = [
    "Author",
    "DataDir",
    "Encoding",
    "Json",
    "Labels",
    "Message",
    "Ours",
    "SetArg",
    "SetOrFile",
    "Theirs",
    "TrainedLabels",
    "split_labels",
]
