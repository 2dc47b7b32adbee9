"""The reference of config files: the keys of every command and component, read from the options classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from generate.commands import commands, prose
from tif.options import Declared, Options, declared
from tif.options.declare import members

_TYPES: Final = {bool: "true or false", int: "integer", float: "number", str: "text"}


def markdown() -> str:
    """A section a command that reads a config file, and one below it for each component."""
    lines: list[str] = []
    for command in commands():
        if command.classes is not None:
            common, parts = command.classes
            lines += section(2, command.path, common)
            if parts is not None:
                for name, options in parts.builtin.items():
                    lines += section(3, f'{command.path}, {parts.by} = "{name}"', options)
    return "\n".join(lines)


def section(level: int, title: str, options: type[Options]) -> Iterator[str]:
    """The keys of one class as a table under a heading."""
    yield from (f"{'#' * level} {title}", "")
    rows = [row(each) for each in declared(options)]
    if rows:
        yield from table(["key", "value", "default", "meaning"], rows)
    else:
        yield "It has no options of its own."
    yield ""


def row(each: Declared) -> list[str]:
    """One option: key, type, default and help."""
    return [f"`{each.name}`", value(each), default(each), prose(each.option.help)]


def default(each: Declared) -> str:
    """What holds without the key."""
    if each.required:
        return "must be given"
    return str(each.default).lower() if isinstance(each.default, bool) else prose(each.shown_default or "not set")


def value(each: Declared) -> str:
    """What the file may hold for an option."""
    kinds = [kind(part) for part in members(each.type) if part is not NoneType]
    limits = [
        f"{word} {bound:g}"
        for word, bound in (
            ("above", each.option.above),
            ("from", each.option.least),
            ("below", each.option.below),
            ("up to", each.option.most),
        )
        if bound is not None
    ]
    return ", ".join([" or ".join(kinds), *limits])


def kind(type_: Any) -> str:
    """A type in words."""
    if get_origin(type_) is Literal:
        return ", ".join(f'`"{choice}"`' for choice in get_args(type_))
    if get_origin(type_) is tuple:
        return f"list of {kind(get_args(type_)[0])}"
    return _TYPES.get(type_, "text")


def table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """A Markdown table. A cell is one line."""
    for cells in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |"


__all__ = ["default", "kind", "markdown", "row", "section", "table", "value"]
