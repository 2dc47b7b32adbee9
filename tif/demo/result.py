"""What a demo came to: `demo.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pydantic import JsonValue

from tif.eval.measure.leakage import Leakage
from tif.eval.record import EvalRecord
from tif.eval.report.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorScore:
    """The default annotator's spans against those that people marked."""

    method: str
    left_out: str | None = None
    """Why the annotator could not run."""
    version: int | None = None
    """Of the set that it made."""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Precision, recall and F1 by unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """One model's evaluation in short. Probabilities and ROUGE are means over questions."""

    forget_uw: float | None
    forget_gw: float | None
    forget_rougeL: float | None  # the metric's name
    retain: float | None
    retain_uw: float | None
    retain_gw: float | None
    retain_rougeL: float | None
    forget_quality: float | None
    forget_leakage: Leakage | None
    """Unwanted phrases about the people to forget."""
    retain_leakage: Leakage | None
    """The same of the people to keep."""

    @classmethod
    def of(cls, record: EvalRecord) -> Numbers:
        """The numbers of one evaluation."""
        return cls(
            forget_uw=record.mean("forget", "uw_probability"),
            forget_gw=record.mean("forget", "gw_probability"),
            forget_rougeL=record.mean("forget", "rougeL_recall"),
            retain=record.mean("retain", "probability"),
            retain_uw=record.mean("retain", "uw_probability"),
            retain_gw=record.mean("retain", "gw_probability"),
            retain_rougeL=record.mean("retain", "rougeL_recall"),
            forget_quality=record.forget_quality,
            forget_leakage=record.leakage.get("forget"),
            retain_leakage=record.leakage.get("retain"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that the demo measured."""

    people: int
    forgotten: tuple[str, ...]
    """The people to forget."""
    questions: Mapping[str, int]
    """How many, by split."""
    annotator: AnnotatorScore
    schedule: Mapping[str, float | int | str]
    """What all methods share."""
    models: Mapping[str, Numbers]
    verdict: Verdict
    report: str
    seconds: float

    def to_json(self) -> dict[str, JsonValue]:
        """As it stands in `demo.json`. The verdict is its sentences."""
        record = asdict(self)
        return record | {"forgotten": list(self.forgotten), "verdict": self.verdict.sentences()}


__all__ = ["AnnotatorScore", "Numbers", "Result"]
