"""Which file holds which command. Each file has `register(app)`."""

from __future__ import annotations

from importlib import import_module

import typer

MODULES = ("annotate", "spans", "masks", "train", "evaluate", "demo")


def register(app: typer.Typer) -> None:
    """Put every command on `app`, once."""
    if app.registered_commands or app.registered_groups:
        return
    for name in MODULES:
        import_module(f"tif.cli.{name}").register(app)
