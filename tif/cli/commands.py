"""The file of each command. Each file has `register(app)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Final

import typer

COMMANDS: Final = {
    "annotate": ("annotate", "Find the unwanted words of every sample, and save them as an annotation set."),
    "spans": ("spans", "Look at, compare and correct annotation sets."),
    "masks": ("masks", "Show which tokens are prompt (dim), general words, and unwanted words (red), and count them."),
    "train": ("train", "Make a model forget the words that an annotation set marks as unwanted, and keep the rest."),
    "tune": ("tune", "Try a few settings of an objective on samples that are not evaluated, and choose one."),
    "eval": ("evaluate", "Measure what a model has forgotten and what it has kept."),
    "verify": (
        "verify",
        "Compare runs, sets and evaluations with the digests that tif recorded.",
    ),
    "report": ("evaluate", "Show evaluations together on one self-contained HTML page."),
    "demo": (
        "demo",
        "Teach a tiny model about 64 invented people, make it forget eight, and show what it still writes.",
    ),
}
"""Command -> its file, and its line in `tif --help`. The line is here so that `tif --help` imports no command: their
options classes take longer to import than everything else."""


def register(app: typer.Typer) -> None:
    """Put every command on `app`."""
    for module in dict.fromkeys(module for module, _ in COMMANDS.values()):
        import_module(f"tif.cli.{module}").register(app)
    _join_lines(app)


def register_one(app: typer.Typer, name: str | None) -> None:
    """Put one command on `app`, and for the others only their line in `tif --help`.

    Args:
        app: the Typer application.
        name: the called command; None if only help is needed.
    """
    module = COMMANDS[name][0] if name else None
    if module is not None:
        import_module(f"tif.cli.{module}").register(app)
        _join_lines(app)
    for other, (its_module, line) in COMMANDS.items():
        if its_module != module:
            app.command(other, help=line)(_placeholder())


def _join_lines(app: typer.Typer) -> None:
    """Join the lines of each paragraph of every command's help: Typer would break the help where the docstring does."""
    for command in app.registered_commands:
        paragraphs = (command.help or inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _join_lines(group.typer_instance)


def _placeholder() -> Callable[[], None]:
    def placeholder() -> None:
        raise AssertionError("only its help is here")

    return placeholder


__all__ = ["COMMANDS", "register", "register_one"]
