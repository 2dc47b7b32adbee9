"""Which file holds which command. Each file has `register(app)`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Put every command on `app`, once."""
    if app.registered_commands or app.registered_groups:
        return
    from tif.cli import annotate, demo, evaluate, masks, spans, train

    for module in (annotate, spans, masks, train, evaluate, demo):
        module.register(app)
