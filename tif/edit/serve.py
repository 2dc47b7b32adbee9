"""Serve the correction page until it is stopped, then save its edits."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tif.edit.desk import Desk, open_desk
from tif.errors import MissingError, UsageError
from tif.packages import install_hint
from tif.spans import SavedSet

if TYPE_CHECKING:
    from tif.edit.masking import Masker

REVIEWER: Final = "reviewer"
"""The author if no name is known."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of a correction."""

    saved: SavedSet
    changed: bool
    """Whether a new version was saved; otherwise the version is the old one."""
    conflicts: tuple[str, ...]
    """Ids of the records that another person changed too."""


def serve(
    path: Path,
    author: str,
    *,
    started: Callable[[Desk, str], None],
    port: int = 0,
    labels: Sequence[str] = (),
    trained: Sequence[str] | None = None,
    masker: Masker | None = None,
    message: str = "",
) -> Finished:
    """Serve the page for a set until SIGINT or SIGTERM, then save the edits as a new version.

    Args:
        path: the set.
        author: who corrects.
        started: called with the page's address, which a browser may open at once.
        port: of this machine; 0 takes a free one.
        labels: offered besides those that the set uses, in the order of their keys.
        trained: labels that training will forget; None for every label.
        masker: shows which tokens would be masked.
        message: why, for the log.

    Raises:
        MissingError: if the packages for a server are not installed.
        UsageError: if the port cannot be used, or `path` names one version of a set.
        StoreError: as `open_desk`.
    """
    try:
        import uvicorn

        from tif.edit.server import make_app
    except ModuleNotFoundError as error:
        raise MissingError(f"{error.name} is not installed", hint=install_hint("edit")) from None

    with open_desk(path, author or REVIEWER) as desk, socket.socket() as listener:
        port = _listen(listener, port)
        token = secrets.token_urlsafe(24)
        app = make_app(
            desk,
            token,
            cookie=f"tif_{port}",
            labels=tuple(labels),
            trained=None if trained is None else tuple(trained),
            masker=masker,
        )
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )

        # uvicorn shuts down on either signal and then raises it again; the save must still happen.
        # This handler also stops the server on a signal that arrives before uvicorn installs its own handler.
        def stop(*_: object) -> None:
            server.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        started(desk, f"http://127.0.0.1:{port}/?token={token}")
        server.run([listener])
        before = desk.session.base.version
        saved, conflicts = desk.finish(message)
        return Finished(saved, saved.version != before, conflicts)


def _listen(listener: socket.socket, port: int) -> int:
    """Listen before the server starts, so that a browser that opens the address waits for it.

    Returns:
        The port.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        hint = "Leave out --port to use a free one."
        raise UsageError(f"port {port} cannot be used", why=error.strerror, hint=hint) from None
    chosen: int = listener.getsockname()[1]
    return chosen


__all__ = ["REVIEWER", "Finished", "serve"]
