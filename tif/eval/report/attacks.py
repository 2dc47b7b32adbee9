"""An attack in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tif.eval.measure.recovery import Robustness

ATTACKS: Final[Mapping[str, str]] = {"relearn": "relearning", "nf4": "4-bit quantization"}
"""The names of attacks in sentences."""
_ON: Final = {
    "forget": "the forget set",
    "general": "the general words of the forget set",
    "retain": "retain samples",
}


def attack_in_words(robustness: Robustness) -> str:
    """Return the attack in words: `relearning (1 epoch on the forget set, learning rate 2e-05, constant, ...)`.

    Two attacks with the same words are the same attack, so all settings are in the words.
    """
    used = robustness.relearning
    if used is None:
        return "4-bit quantization (nf4)"
    epochs = "1 epoch" if used.epochs == 1 else f"{used.epochs} epochs"
    part, rest = (f"{100 * used.share:g}% of ", ", measured on the rest") if used.share < 1 else ("", "")
    return (
        f"relearning ({epochs} on {part}{_ON[used.on]}{rest}, learning rate {used.lr:g}, {used.schedule}, "
        f"batch size {used.batch_size})"
    )


__all__ = ["ATTACKS", "attack_in_words"]
