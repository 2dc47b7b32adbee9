"""An attack in words."""

from __future__ import annotations

from typing import Final

from tif.eval.measure.recovery import Robustness

_ON: Final = {
    "forget": "on the forget set",
    "general": "on the forget set, unwanted words without a loss",
    "retain": "on retain samples",
}


def attack_in_words(robustness: Robustness) -> str:
    """Return the attack in words: `1 epoch on the forget set, learning rate 2e-05, constant`."""
    used = robustness.relearning
    if used is None:
        return "4-bit rounding (nf4)"
    epochs = "1 epoch" if used.epochs == 1 else f"{used.epochs} epochs"
    share = f", {used.share:.0%} of its samples; the others are measured" if used.share < 1 else ""
    return f"relearning: {epochs} {_ON[used.on]}{share}, learning rate {used.lr:g}, {used.schedule}"


__all__ = ["attack_in_words"]
