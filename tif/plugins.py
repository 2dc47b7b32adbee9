"""Plugins of other packages: entry points by group and name."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any

from tif.errors import MissingError, UsageError


def names(group: str, builtin: Collection[str]) -> list[str]:
    """Return all known names: the built-in ones first, then those of other packages."""
    return [*builtin, *sorted({point.name for point in entry_points(group=group)} - set(builtin))]


def load(
    group: str,
    name: str,
    builtin: Collection[str],
    *,
    kind: str,
    where: str | tuple[str, ...] = (),
    of: type = object,
) -> Any:
    """Load the object that another package offers under a name that is not built in.

    Args:
        group: the entry point group.
        name: the name to load.
        builtin: the built-in names, for the error line.
        kind: the kind of object in one word, for the error line.
        where: the option that gave the name.
        of: the class that the object must be an instance of.

    Raises:
        UsageError: if no package offers the name, or the object has another type.
        MissingError: if the package cannot be imported.
    """
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        raise UsageError(f"no {kind} {name!r}", where=where, hint=f"Known: {', '.join(names(group, builtin))}.")
    try:
        plugin = points[0].load()
    except (ImportError, AttributeError) as error:
        raise MissingError(
            f"{kind} {name!r} cannot be loaded",
            where=f"entry point {points[0].value}",
            why=f"{type(error).__name__}: {error}",
            hint="Reinstall the package that provides it.",
        ) from error
    if not isinstance(plugin, of):
        raise UsageError(f"plugin {name!r} is not of type {of.__name__}", where=points[0].value)
    return plugin


__all__ = ["load", "names"]
