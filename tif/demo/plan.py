"""What `tif demo` compares: the models, the unlearning methods, and where each lies below the demo's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

ANCHORED: Final = "anchored"
"""The name of our own objective in the registry."""
BASE: Final = "base"
"""The model before it learned about most people, among them all who are to be forgotten."""
TARGET: Final = "target"
"""The starting model of every method."""
RETAIN_ONLY: Final = "retain-only"
"""The retain model: as the target, but without the people to forget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to unlearn."""

    objective: str
    """Its name in the registry, and the name of its folder."""
    label: str
    """How the report calls it."""
    needs_base: bool = False


METHODS: Final = (
    Method(objective=ANCHORED, label="anchored TPO", needs_base=True),
    Method(objective="tpo", label="TPO"),
    Method(objective="npo", label="NPO"),
)
"""Ours first, then the published ones. Each has the beta of its paper or of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What all methods share. The number of steps is fixed beforehand, and the last step is evaluated.

    All have the same retain term on the same samples. Of the learning rates 3e-4, 5e-4 and 1e-3, the last is the one
    with which each of the three keeps the most of the other people's answers.
    """

    lr: float = 1e-3
    batch_size: int = 8
    max_steps: int = 100
    weight_decay: float = 0.0
    warmup: float = 0.1
    retain_loss: Literal["ce", "kl"] = "ce"
    retain_weight: float = 8.0
    """The weight that anchored TPO has by default."""

    def to_json(self) -> dict[str, float | int | str]:
        """By name, as `demo.json` has them."""
        return asdict(self)


LABELS: Final = {TARGET: "before", **{m.objective: m.label for m in METHODS}, RETAIN_ONLY: "never saw them"}
"""The evaluated models in the order of the report, and how it calls them."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The demo's output folder."""

    root: Path

    def annotations(self, name: str) -> Path:
        """An annotation set."""
        return self.root / "annotations" / f"{name}.parquet"

    def data(self, split: str) -> Path:
        """The questions and answers of a split."""
        return self.root / "data" / f"{split}.jsonl"

    def model(self, name: str) -> Path:
        """A model's folder: the run folder of a method, else below `models`."""
        return self.root / name if name in self._methods() else self.root / "models" / name

    def evaluation(self, name: str) -> Path:
        """The folder of a model's evaluation."""
        return self.root / name / "eval" if name in self._methods() else self.root / "eval" / name

    @staticmethod
    def _methods() -> Iterator[str]:
        return (method.objective for method in METHODS)


__all__ = ["ANCHORED", "BASE", "LABELS", "METHODS", "RETAIN_ONLY", "TARGET", "Folder", "Method", "Schedule"]
