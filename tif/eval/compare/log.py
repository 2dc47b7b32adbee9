"""An evaluation log of tif or of another project, and the TOFU split that it is of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tif.eval.measure.leakage import Leakage
from tif.eval.settings import Scoring

SPLIT_SIZES: Final = {"forget01": 40, "forget05": 200, "forget10": 400}
FIELD_CAP: Final = 300
"""The TOFU family evaluates at most 300 questions of a split (`ds_size: 300`)."""
_NAMED: Final = re.compile(r"(?:retain(99|95|90)|forget(01|05|10))(?![0-9])", re.IGNORECASE)
_RETAIN_OF: Final = {"99": "forget01", "95": "forget05", "90": "forget10"}
MISNAMED: Final = {"c3981c330329": "forget10"}
"""Logs that circulate under the name of another split: fingerprint of their truth ratios -> the split in their name."""

LogFormat = Literal["tif", "tofu", "open-unlearning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The content of an evaluation log.

    `questions` and `answers` have one entry per forget question: empty strings if the format does not store them.
    """

    path: str
    format: LogFormat
    truth_ratios: tuple[float, ...]
    """p(wrong) / p(right) of each forget question that has one."""
    questions: tuple[str, ...]
    """A log of another project stores the complete prompt."""
    answers: tuple[str, ...]
    model_utility: float | None
    utility_parts: Mapping[str, float]
    missing: str | None = None
    """Why `model_utility` is None."""
    gaps: tuple[str, ...] = ()
    """What the log lacks or has as NaN, although it was used."""
    stated_forget_quality: float | None = None
    """The forget quality that the log itself states."""
    prompt: str | None = None
    """A prompt of tif's evaluation, without special tokens; `{prompt}` stands for the question. Else None."""
    settings: Scoring | None = None
    """How tif scored; None for a log of another project."""
    asked: tuple[tuple[str, str], ...] = ()
    """Question and answer of every forget row, with or without a truth ratio. Empty for a log of another project."""
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """By part: the unwanted phrases that the model writes when asked. Empty for a log of another project."""

    @property
    def split(self) -> str | None:
        """The TOFU split that has as many questions; None if there is none."""
        return next((name for name, size in SPLIT_SIZES.items() if size == len(self.questions)), None)

    def warnings(self) -> list[str]:
        """Return what is wrong with the log: another split than its path or its readers promise, and its gaps."""
        # tif's own logs name their split. Their folders may have any name.
        parts = Path(self.path).absolute().parts
        promised = _promised(parts[-1:] if self.format == "tif" else parts)
        n = len(self.questions)
        wrong = {
            name: f"the path says {name} ({size} questions)"
            for name, size in SPLIT_SIZES.items()
            if n and name in promised and n not in (size, min(size, FIELD_CAP))
        }
        if name := MISNAMED.get(fingerprint(self.truth_ratios)):
            wrong.setdefault(name, f"this log circulates as a log of {name} ({SPLIT_SIZES[name]} questions)")
        like = f", as many as {self.split}" if self.split else ""
        lines = [f"{why}, but it has {n}{like}. Do not use it as a log of {name}" for name, why in wrong.items()]
        return [f"{self.path}: {line}" for line in [*lines, *self.gaps]]


def fingerprint(truth_ratios: tuple[float, ...]) -> str:
    """Return a short digest of a log's truth ratios. It stays the same when the file is renamed or written again."""
    rounded = json.dumps([f"{ratio:.5g}" for ratio in truth_ratios])
    return hashlib.sha256(rounded.encode()).hexdigest()[:12]


def _promised(parts: Sequence[str]) -> set[str]:
    """Return the splits that the last part of a path with such a name promises."""
    for part in reversed(parts):
        if splits := {_RETAIN_OF[m[1]] if m[1] else f"forget{m[2]}" for m in _NAMED.finditer(part)}:
            return splits
    return set()


__all__ = ["FIELD_CAP", "MISNAMED", "SPLIT_SIZES", "Log", "LogFormat", "fingerprint"]
