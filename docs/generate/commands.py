"""The command line reference: every command with its options, read from the Typer app itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import typer

from tif.cli import new_app
from tif.cli.commands import register
from tif.options import Components, Options

PANEL: Final = "Options"
"""The panel of an option that names none, as in `--help`."""

_SPECIAL: Final = re.compile(r"([\\*_\[\]<>{}$#|~])")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option or argument, as `--help` shows it."""

    names: tuple[str, ...]
    shown: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command. `panels` holds its options under the headings that `--help` gives them."""

    path: str
    """`tif train`"""
    usage: str
    help: str
    panels: dict[str, list[Option]]
    classes: tuple[type[Options], Components | None] | None
    """The options class behind the command, and the components that it chooses among."""


def application() -> typer.Typer:
    """The command line, with every command."""
    app = new_app()
    register(app)
    return app


def commands() -> list[Command]:
    """Every command, a group before its own commands."""
    return list(_walk(typer.main.get_command(application()), "tif", None))


def _walk(command: Any, path: str, parent: Any) -> Iterator[Command]:
    context = command.context_class(command, info_name=path.split()[-1], parent=parent)
    panels: dict[str, list[Option]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            panel = getattr(parameter, "rich_help_panel", None)
            argument = parameter.param_type_name == "argument"
            names = (record[0],) if argument else (*parameter.opts, *parameter.secondary_opts)
            option = Option(names=names, shown=record[0], help=record[1])
            panels.setdefault(panel or ("Arguments" if argument else PANEL), []).append(option)
    # What every command has comes last.
    if PANEL in panels:
        panels[PANEL] = panels.pop(PANEL)
    classes = getattr(command.callback, "options", None)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield Command(path=path, usage=usage, help=command.help or "", panels=panels, classes=classes)
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(child, f"{path} {name}", context)


def markdown() -> str:
    """The reference as MyST Markdown: a section a command, a Sphinx `option` an option."""
    return "\n".join(line for command in commands() for line in _command(command))


def _command(command: Command) -> Iterator[str]:
    yield from (f"## {command.path}", "", prose(command.help), "", "```console", f"$ {command.usage}", "```", "")
    yield from (f"```{{program}} {command.path}", "```", "")
    for panel, options in command.panels.items():
        yield from (f"**{panel}**", "")
        for option in options:
            yield from (f"````{{option}} {_signature(option)}", prose(option.help), "````", "")


def _signature(option: Option) -> str:
    """The names with the value of each: `--beta FLOAT`. Sphinx separates names by a comma."""
    return option.shown.replace(" / ", ", ")


def prose(text: str) -> str:
    """Plain text as Markdown: examples as code, and no character that Markdown reads as its own."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").strip())
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs if paragraph.strip())


def _paragraph(text: str) -> str:
    example = re.match(r"(Examples?:)\s*(.*)", text, re.S)
    if example:
        return f"{example[1]}\n\n```console\n{example[2].strip()}\n```"
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(piece if number % 2 else _SPECIAL.sub(r"\\\1", piece) for number, piece in enumerate(pieces))


__all__ = ["Command", "Option", "application", "commands", "markdown", "prose"]
