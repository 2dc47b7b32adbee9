"""The floor of bounded forgetting: the log-probability below which an unwanted token is pushed no further."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tif.errors import UsageError
from tif.options import Written, shortest


@dataclass(frozen=True, slots=True)
class Floor(Written):
    """Where a token's floor lies. `Floor.of` reads one."""

    kind: Literal["base", "level", "drop"]
    """`base`: the token's log-probability under the base model. `level`: one log-probability for every token. `drop`:
    so many nats below the starting model's."""
    nats: float = 0.0

    @classmethod
    def of(cls, text: str) -> Floor:
        """`base`, a negative number for a level, or a positive one for a drop.

        Raises:
            UsageError: for anything else.
        """
        if text == "base":
            return cls("base")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value == 0:
            raise UsageError(
                f"floor {text!r} cannot be read",
                hint="Use 'base', a log-probability such as -8, or a drop in nats such as 5.",
            )
        return cls("level" if value < 0 else "drop", value)

    def __str__(self) -> str:
        return "base" if self.kind == "base" else shortest(self.nats)


__all__ = ["Floor"]
