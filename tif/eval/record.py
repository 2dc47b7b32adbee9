"""`eval.json`: the numbers of one evaluation, and what is needed to compute them again.

This module alone knows the file's keys. `tif eval` writes an `EvalRecord`; reports, comparisons, the demo and the
benchmarks read one. Every wing but evaluation does without it, so it lies here and not beside `RunRecord`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from tif import __version__
from tif.errors import InputError
from tif.eval.measure.leakage import Leakage
from tif.eval.settings import Scoring
from tif.records import ModelIdentity, RunRecord
from tif.sources import read_json

EVAL_SCHEMA: Final = 2
"""Version of the layout of `eval.json` that this tif writes. It reads version 1, too."""

EVAL_FILE: Final = "eval.json"
_HEADLINE: Final = ("model_utility", "forget_quality", "uw_probability", "gw_probability")
_LONG: Final = ("per_example", "retain_truth_ratio")
"""Fields with a value for each example: `headline` leaves them out."""

Means = Mapping[str, float | int | None]
"""`n`, the number of examples, and the mean of each number; None where no example has the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksUsed:
    """The annotation set that told unwanted words from general ones."""

    ref: str
    """`FILE@N` or `FILE@DIGEST`."""
    version: int
    digest: str
    author: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The forget set's questions with their truth ratios, so that the record serves as a retain log."""

    question: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    truth_ratio: tuple[float | None, ...] = ()
    """p(wrong) / p(right); None where the data has no wrong answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """One evaluation. A field that has its default may be missing in the file of an older tif."""

    created: str
    schema: int = EVAL_SCHEMA
    tif: str | None = None
    """Version of tif."""
    python: str | None = None
    benchmark: Literal["tofu", "muse", "local"] | None = None
    """None for an evaluation in memory."""
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    """The options, as `EvaluateOptions.to_json` gives them."""
    model: ModelIdentity | None = None
    attack: Literal["relearn", "nf4"] | None = None
    """What was done to the model before it was evaluated."""
    forget: str | None = None
    """The forget split, or its file."""
    limit: int | None = None
    dtype: str | None = None
    base_model: str | None = None
    """With MUSE: the model that membership inference compares with."""
    settings: Scoring | None = None
    """With the template that `auto` stood for. None with MUSE."""
    masks: MasksUsed | None = None
    run: RunRecord | None = None
    """The training run that made the model, if the model is a run folder."""

    model_utility: float | None = None
    model_utility_reason: str | None = None
    """Why the number is None; the same for the other `_reason` fields."""
    model_utility_parts: Mapping[str, float] = field(default_factory=dict)
    forget_quality: float | None = None
    forget_quality_reason: str | None = None
    forget_quality_forced: str | None = None
    """What was wrong with a comparison that `--force` allowed."""
    retain_log: str | None = None
    retain_truth_ratio: tuple[float, ...] = ()
    uw_probability: float | None = None
    uw_probability_reason: str | None = None
    gw_probability: float | None = None
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """Per part, how many unwanted phrases the model writes when asked."""
    retain_leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """The same of the retain model, where its log counts the same phrases."""
    parts: Mapping[str, Means] = field(default_factory=dict)
    """Numbers of `forget`, `retain`, `real_authors` and `world_facts`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a number is None, by its name."""
    per_example: Mapping[str, Questions] = field(default_factory=dict)
    muse: Mapping[str, JsonValue] | None = None
    """MUSE's numbers."""
    lm_eval: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """lm-evaluation-harness's numbers, by task and metric."""

    @classmethod
    def new(cls, **values: object) -> Self:
        """A record of this moment, this tif and this Python."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(created=now, tif=__version__, python=platform.python_version(), **values)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: str | Path) -> EvalRecord:
        """The record in a file, or in a folder's `eval.json`.

        Raises:
            InputError: if the file cannot be read, or is not the record of an evaluation.
        """
        path = Path(path)
        path = path / EVAL_FILE if path.is_dir() else path
        try:
            return cls.from_json(read_json(path))
        except InputError as error:
            raise (error if error.where and error.where[0] == str(path) else error.within(str(path))) from None

    @classmethod
    def from_json(cls, content: JsonValue) -> EvalRecord:
        """What `to_json` gives, in this version of the layout or in version 1.

        Raises:
            InputError: naming the first field that is missing or has another type.
        """
        if not isinstance(content, dict) or type(schema := content.get("schema")) is not int or "tif" not in content:
            raise InputError("is not the record of an evaluation", hint="`tif eval RUN` writes one.")
        if schema not in (1, EVAL_SCHEMA):
            raise InputError(
                f"has schema version {schema}; this tif reads 1 and {EVAL_SCHEMA}",
                hint="Install the tif that wrote it, or newer.",
            )
        content = {name: value for name, value in content.items() if value is not None}
        if isinstance(content.get("run"), dict):
            content["run"] = RunRecord.from_json(content["run"]).to_json()
        if schema == 1:
            content = _renamed(content)
        try:
            return _READER.validate_json(json.dumps(content), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError("is not a complete evaluation", why=f"{where}: {first['msg']}") from None

    def to_json(self) -> dict[str, JsonValue]:
        """As JSON values."""
        return asdict(self)

    def headline(self) -> dict[str, JsonValue]:
        """What `tif eval --json` prints: the headline numbers first, without the values of each example."""
        record = self.to_json()
        names = [*_HEADLINE, *(name for name in record if name not in (*_HEADLINE, *_LONG))]
        if self.muse is not None:
            empty = {f"{name}{end}" for name in _HEADLINE for end in ("", "_reason")} | {"parts", "settings", "forget"}
            names = [name for name in names if name not in empty]
        return {name: record[name] for name in names}

    def but(self, **changed: object) -> EvalRecord:
        """The same record with some fields changed."""
        return replace(self, **changed)  # type: ignore[arg-type]

    def mean(self, part: str, name: str) -> float | None:
        """The mean of a number over a part; None where there is none."""
        return self.parts.get(part, {}).get(name)


def columns(rows: Sequence[Mapping[str, object]]) -> Questions:
    """The questions, answers and truth ratios of per-example rows."""
    return Questions(**{name: tuple(row[name] for row in rows) for name in _COLUMNS})  # type: ignore[arg-type]


def _renamed(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A record of the first layout under today's names."""
    new = dict(content, schema=EVAL_SCHEMA)
    if isinstance(model := content.get("model"), dict):
        new["model"] = {"path": model.get("spec"), "digest": model.get("digest")}
    if isinstance(settings := content.get("settings"), dict):
        settings = dict(settings)
        if "eos" in settings:
            settings["supervise_eos"] = settings.pop("eos") == "gw"
        if "label" in settings:
            settings["labels"] = [settings.pop("label")]
        new["settings"] = settings
    if "reference_model" in new:
        new["base_model"] = new.pop("reference_model")
    return new


_COLUMNS: Final = tuple(each.name for each in fields(Questions))
_READER: Final = TypeAdapter(EvalRecord)

__all__ = ["EVAL_FILE", "EVAL_SCHEMA", "EvalRecord", "MasksUsed", "Means", "Questions", "columns"]
