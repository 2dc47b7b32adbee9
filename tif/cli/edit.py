"""`tif spans edit`: correct spans by hand, in a page that this machine serves to itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tif.console import emit, say
from tif.errors import MissingError, UsageError
from tif.packages import install_hint


def register(spans: typer.Typer) -> None:
    """Put the command into the `spans` group."""
    spans.command()(edit)


def edit(
    path: Annotated[Path, typer.Argument(metavar="SET", help="The annotation set to correct.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    labels: Annotated[str, typer.Option(help="Further labels to offer, separated by commas.")] = "",
    tokenizer: Annotated[
        str, typer.Option(help="Model folder or hub id: show which of its tokens training would mask.")
    ] = "",
    template: Annotated[str, typer.Option(help="For --tokenizer: auto, chat, qa, text, or a format string.")] = "auto",
    max_length: Annotated[
        int | None, typer.Option(min=2, help="For --tokenizer: tokens a sample at most, as for training.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for the log, when it is stopped.")] = "",
    author: Annotated[str, typer.Option(envvar="TIF_AUTHOR", help="Who, for the log. Default: login name.")] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Correct spans by hand in a browser page on this machine, with the keyboard or the mouse.

    The page's address is printed. Every edit is on the disk before the page says so; ctrl+c saves all of them as a new
    version. After a crash the same command goes on from the last edit.

    Example: tif spans edit annotations/tofu10.parquet
    """
    import secrets
    import signal
    import socket
    import webbrowser

    try:
        import uvicorn

        from tif.edit.server import make_app
    except ModuleNotFoundError as error:
        raise MissingError(f"{error.name} is not installed", hint=install_hint("edit")) from None
    from tif.edit.desk import open_desk

    author = author or os.environ.get("USER") or os.environ.get("USERNAME") or "reviewer"
    masker = None
    if tokenizer:
        from tif.edit.masking import Masker
        from tif.tokens.encoding import Encoding
        from tif.tokens.templates import TemplateSpec

        masker = Masker.load(tokenizer, Encoding(template=TemplateSpec.of(template), max_length=max_length))
    extra = tuple(label for part in labels.split(",") if (label := part.strip()))
    with open_desk(path, author) as desk, socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            # From here on a browser that follows the address waits for the server, however long that takes to start.
            listener.listen()
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used", why=error.strerror, hint="Leave --port out for a free one."
            ) from None
        port = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        app = make_app(desk, token, cookie=f"tif_{port}", labels=extra, masker=masker)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )

        # uvicorn stops in an orderly way on either signal and then raises it again, which must not keep us from saving.
        # One that comes before uvicorn listens for it must stop the server all the same.
        def stop(*_: object) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        address = f"http://127.0.0.1:{port}/?token={token}"
        emit(address, now=True)
        say(f"correcting {path} as {author}; ctrl+c saves a new version and stops")
        if browser:
            webbrowser.open(address)
        server.run([listener])
        before = desk.session.base.version
        saved, conflicts = desk.finish(message)
        if saved.version == before:
            say(f"{path} stays at version {saved.version.number}")
        else:
            say(f"{path} is version {saved.version.number}, {len(conflicts)} conflicts")
