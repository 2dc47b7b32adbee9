"""A source of samples to keep, with its share in the mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from tif.errors import UsageError
from tif.options import Written, shortest


@dataclass(frozen=True, slots=True)
class Keep(Written):
    """A source and its weight. `Keep.of` reads one."""

    source: str
    weight: float = 1.0
    """The share of this source in what is drawn, relative to the other sources' weights, whatever their sizes."""

    @classmethod
    def of(cls, text: str) -> Keep:
        """`tofu:retain95`, or with a weight `tofu:retain95=3`.

        Raises:
            UsageError: for a weight that is not above 0.
        """
        source, equals, tail = text.rpartition("=")
        try:
            weight = float(tail) if equals and source else math.nan
        except ValueError:
            weight = math.nan
        if math.isnan(weight):
            return cls(text)
        if not 0 < weight < math.inf:
            raise UsageError(f"{text!r} has a weight that is not above 0", hint="Leave the source out, or weigh it 1.")
        return cls(source, weight)

    def __str__(self) -> str:
        plain = Keep.of(self.source) == self if self.weight == 1 else False
        return self.source if plain else f"{self.source}={shortest(self.weight)}"


def _several(value: object) -> object:
    """One source alone, as config files and records of an older tif have it."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | Keep) else value


Keeps = Annotated[tuple[Keep, ...], BeforeValidator(_several)]

__all__ = ["Keep", "Keeps"]
