"""What other packages add to tif: entry points by group and name."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any

from tif.errors import MissingError, UsageError


def names(group: str, builtin: Collection[str]) -> list[str]:
    """Everything that can be asked for: the built-in ones first, then those of other packages."""
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
    """What another package offers under a name that is none of the built-in ones.

    Args:
        group: of entry points.
        name: what was asked for.
        builtin: names that tif brings along, for the error.
        kind: what is looked for, in a word.
        where: the option that asked for it.
        of: what it has to be an instance of.

    Raises:
        UsageError: for a name that nobody offers, or something else under it.
        MissingError: if the package cannot be imported here.
    """
    points = [point for point in entry_points(group=group) if point.name == name]
    if not points:
        raise UsageError(f"no {kind} {name!r}", where=where, hint=f"Known: {', '.join(names(group, builtin))}.")
    try:
        found = points[0].load()
    except (ImportError, AttributeError) as error:
        raise MissingError(
            f"{kind} {name!r} cannot be loaded",
            where=f"entry point {points[0].value}",
            why=f"{type(error).__name__}: {error}",
            hint="Reinstall the package that provides it.",
        ) from error
    if not isinstance(found, of):
        raise UsageError(f"plugin {name!r} is no {of.__name__}", where=points[0].value)
    return found


__all__ = ["load", "names"]
