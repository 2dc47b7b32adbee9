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

    kind: Literal["base", "primed", "proxy", "level", "drop"]
    """`base`: the token's log-probability under the base model. `primed`: the same behind retain samples. `proxy`:
    under the base model, shortly trained on retain samples. `level`: one log-probability for every token. `drop`: so
    many nats below the starting model's."""
    nats: float = 0.0

    @classmethod
    def of(cls, text: str) -> Floor:
        """`base`, `primed`, `proxy`, a negative number for a level, or a positive one for a drop.

        Raises:
            UsageError: for anything else.
        """
        if text in ("base", "primed", "proxy"):
            return cls(text)  # type: ignore[arg-type]  # one of the three, by the test above
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value == 0:
            raise UsageError(
                f"floor {text!r} cannot be read",
                hint="Use 'base', 'primed', 'proxy', a log-probability such as -8, or a drop in nats such as 5.",
            )
        return cls("level" if value < 0 else "drop", value)

    @property
    def of_base_model(self) -> bool:
        """Whether a base model gives it."""
        return self.kind in ("base", "primed", "proxy")

    @property
    def of_retain(self) -> bool:
        """Whether retain samples are needed for it."""
        return self.kind in ("primed", "proxy")

    def __str__(self) -> str:
        return self.kind if self.of_base_model else shortest(self.nats)


__all__ = ["Floor"]
