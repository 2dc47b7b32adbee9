"""The command line: each command parses, calls one library function and prints. No logic lives here.

Commands import heavy packages inside their functions, and only the called command is imported, so that `tif --help`
stays instant.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress
from functools import cache
from typing import Annotated

import typer

from tif import __version__, interrupt
from tif.console import complain, emit, flush
from tif.errors import ReaderGoneError, TifError, reason

_LONGEST = 400
"""Longest message of an unexpected failure in characters."""


def _version(value: bool) -> None:
    if value:
        emit(f"tif {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print version.")
    ] = False,
) -> None:
    pass


def new_app() -> typer.Typer:
    """The command line without its commands."""
    app = typer.Typer(
        name="tif",
        help="Make a language model forget chosen facts, and show what it forgot and what it kept.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    return app


@cache
def _app(command: str | None) -> typer.Typer:
    from tif.cli import commands

    app = new_app()
    if "_TIF_COMPLETE" in os.environ:  # shell completion needs the options of every command
        commands.register(app)
    else:
        commands.register_one(app, command if command in commands.COMMANDS else None)
    return app


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 ok, 1 known failure, 2 usage, 3 partly failed, 130 interrupted.

    Set `TIF_DEBUG=1` to see tracebacks.
    """
    words = sys.argv[1:] if argv is None else argv
    app = _app(next((word for word in words if not word.startswith("-")), None))
    debug = bool(os.environ.get("TIF_DEBUG"))
    try:
        # Not standalone: Typer's own errors arrive here, and become one line like all others.
        code = app(args=argv, prog_name="tif", standalone_mode=False)
        flush()
    except ReaderGoneError as gone:
        _let_go_of_stdout()
        return gone.exit_code
    except TifError as error:
        if debug:
            raise
        _let_go_if_full()
        complain("error", str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if (usage := _usage(error)) is not None:
            return usage
        if debug:
            raise
        _let_go_if_full()
        if (line := _known(error)) is not None:
            complain("error", " ".join(line.split())[:_LONGEST])
            return 1
        complain("error", f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}")
        complain("hint", "this failure is unexpected. Set TIF_DEBUG=1 to see the traceback, and please report it")
        return 1
    # Typer turns an interrupt into this exit code.
    return _interrupted() if code == interrupt.EXIT_CODE else code if isinstance(code, int) else 0


def _interrupted() -> int:
    """Say that the command was interrupted, and return the exit code."""
    complain("interrupted", "finished work is saved; run the same command again to continue")
    return interrupt.EXIT_CODE


def _usage(error: Exception) -> int | None:
    """Print an error of the command line as one line, and return its exit code; None for any other error.

    Some Typer versions bundle their own click, so the error is recognised by its attributes, not by its class.
    """
    if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
        return None
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).replace("Value error, ", "")  # pydantic's, of no use here
    message = re.sub(r"(Did you mean [^?]*\?)( \1)+", r"\1", message)  # older versions say it twice
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]  # the help itself
    else:
        command = context.command_path if context is not None else "tif"
        end = "" if message.endswith("?") else "."
        complain("error", f"{message.removesuffix('.')}{end} Run `{command} --help`.")
    return int(error.exit_code)


def _known(error: Exception) -> str | None:
    """Return one line for a failure of the system that no room of tif turned into its own error; None for any other."""
    match error:
        case UnicodeError():
            return f"text that is not valid Unicode ({error})"
        case OSError():
            places = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
            return f"{' -> '.join(places)}: {reason(error)}" if places else reason(error)
        case MemoryError():
            return "the memory is full"
        case RecursionError():
            return "the input is nested too deeply"
    return None


def _let_go_if_full() -> None:
    """Write what stdout holds back after an error, which keeps its own exit code."""
    try:
        flush()
    except TifError:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Point stdout at nothing, so that Python does not try once more to write there and complain at its end."""
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)


def _open_all() -> None:
    """Open closed standard streams on nothing: else the next file that is opened would take their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def script() -> None:
    """The `tif` command. It writes its data as UTF-8 whatever the terminal's encoding, so that tif reads it again."""
    _open_all()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path that is not UTF-8 is printed byte for byte.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    interrupt.begin()
    try:
        interrupt.raise_in_command()
        code = main()
        interrupt.end_at_once()
    except KeyboardInterrupt:  # outside of the command itself
        interrupt.end_at_once()
        code = 1
    if interrupt.seen() and code != interrupt.EXIT_CODE:  # also if a library made another error of it
        code = _interrupted()
    if code == interrupt.EXIT_CODE:
        _let_go_of_stdout()  # its reader may have stopped reading
    sys.exit(code)
