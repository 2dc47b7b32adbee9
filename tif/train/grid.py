"""The candidates of a search: some options, each with the values that are tried."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tif.errors import UsageError
from tif.options import Written


@dataclass(frozen=True, slots=True)
class Grid(Written):
    """An option and its values. `Grid.of` reads one."""

    name: str
    """As in a config file."""
    values: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Grid:
        """`lr=1e-5,3e-5`; the name may also be written as on the command line, `--retain-weight=1,8`.

        Raises:
            UsageError: for a text without a name or a value, and for a value that occurs twice.
        """
        name, _, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        pieces = tuple(piece.strip() for piece in values.split(",") if piece.strip())
        if not name or not pieces:
            raise UsageError(f"{text!r} names no values", hint="Write the option and its values: lr=1e-5,3e-5.")
        if len(set(pieces)) < len(pieces):
            raise UsageError(f"{text!r} names a value twice", hint="Leave one out: each value costs a run.")
        return cls(name, pieces)

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.values)}"


RATES = Grid("lr", ("1e-5", "2e-5", "5e-5", "1e-4", "2e-4", "5e-4"))
"""What is tried without a grid: the same for every objective."""


def candidates(grids: Sequence[Grid]) -> list[dict[str, str]]:
    """Every combination of the grids' values, the last grid's changing fastest."""
    names = [grid.name for grid in grids]
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*(grid.values for grid in grids))]


def shown(settings: Mapping[str, str]) -> str:
    """A candidate's settings in a line: `lr=1e-5, beta=0.1`."""
    return ", ".join(f"{name}={value}" for name, value in settings.items())


__all__ = ["RATES", "Grid", "candidates", "shown"]
