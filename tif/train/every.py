"""How often something happens in training: every epoch, or every N steps."""

from __future__ import annotations

from dataclasses import dataclass

from tif.errors import UsageError
from tif.options import Written, counted


@dataclass(frozen=True, slots=True)
class Every(Written):
    """A number of optimizer steps. `Every.of` reads one."""

    steps: int | None = None
    """None for an epoch."""

    @classmethod
    def of(cls, text: str) -> Every:
        """`epoch`, or a number of steps.

        Raises:
            UsageError: for anything else.
        """
        if text == "epoch":
            return cls()
        steps = counted(text)
        if steps is None:
            raise UsageError(f"{text!r} cannot be read", hint="Use 'epoch', or a number of steps such as 50.")
        return cls(steps)

    def __str__(self) -> str:
        return "epoch" if self.steps is None else str(self.steps)


__all__ = ["Every"]
