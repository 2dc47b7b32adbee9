"""When a run ends early, by the model's scores of the validation examples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tif.errors import UsageError
from tif.options import Written, shortest


@dataclass(frozen=True, slots=True)
class StopRule(Written):
    """A measure, and the level at which the run ends. `StopRule.of` reads one."""

    what: Literal["floor", "uw", "gw"]
    level: float
    """`floor`: fraction of unwanted tokens at or below their floor. `uw`: their mean probability. `gw`: the mean
    probability of general tokens as a fraction of what it was before the first step."""

    @classmethod
    def of(cls, text: str) -> StopRule:
        """`floor:0.95`, `uw:0.05` or `gw:0.8`.

        Raises:
            UsageError: for anything else, and for a level outside 0..1.
        """
        what, _, level = text.partition(":")
        try:
            value = float(level)
        except ValueError:
            value = math.nan
        if what not in ("floor", "uw", "gw") or not 0 < value <= 1:
            raise UsageError(
                f"early stop {text!r} cannot be read",
                hint="Use floor:FRACTION, uw:PROBABILITY or gw:FRACTION, each above 0 and at most 1.",
            )
        return cls(what, value)  # type: ignore[arg-type]  # one of the three, by the test above

    def __str__(self) -> str:
        return f"{self.what}:{shortest(self.level)}"


__all__ = ["StopRule"]
