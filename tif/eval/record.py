"""`eval.json`: the numbers of one evaluation, and the settings to compute them again.

Only this module knows the file's keys. `tif eval` writes an `EvalRecord`; reports, comparisons, the demo and the
benchmarks read it. The other wings do not need it, so it is not in the same module as `RunRecord`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from tif import __version__, seal
from tif.errors import InputError
from tif.eval.measure.composites import Composites, Memorization
from tif.eval.measure.depth import Depth
from tif.eval.measure.gaps import RetainGaps
from tif.eval.measure.leak_at_k import FormLeaks, LeakCounts
from tif.eval.measure.leakage import Leakage
from tif.eval.measure.lume import LumeNumbers
from tif.eval.measure.membership import Membership
from tif.eval.measure.recovery import Robustness
from tif.eval.measure.verbatim import Verbatim
from tif.eval.options import Attack, Benchmark
from tif.eval.settings import Corpus, Scoring
from tif.options import of_today
from tif.readers import read_json
from tif.records import ModelIdentity, RunRecord, refuse_infinite
from tif.spans import Status, now

EVAL_SCHEMA: Final = 3
"""Schema version of `eval.json` that this tif writes. It also reads the older ones. From 3 on, it is sealed."""

_READABLE: Final = (1, 2, EVAL_SCHEMA)
_SEALED: Final = 3

EVAL_FILE: Final = "eval.json"
EXAMPLES_FILE: Final = "examples.parquet"
"""One row for each example, with every number."""
_HEADLINE: Final = ("model_utility", "forget_quality", "uw_probability", "gw_probability")
LONG: Final = ("per_example", "retain_truth_ratio", "leak_counts", "files", seal.SEAL)
"""Keys with a value for each example or file, and the seal over them. `headline` omits them."""

PrivLeakReference = Literal["retain log", "muse news", "muse books", "chance"]
"""A retain log, MUSE's own retain model of a corpus, or open-unlearning's 0.5."""

Means = Mapping[str, float | int | None]
"""`n`, the number of examples, and the mean of each number; None if no example has the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksUsed:
    """The annotation set that marks the unwanted words."""

    ref: str
    """`FILE@N` or `FILE@DIGEST`."""
    version: int
    digest: str
    author: str = ""
    message: str = ""
    method: str = ""
    """The annotator and its model. "" in a record of an older tif."""
    statuses: Mapping[Status, int] = field(default_factory=dict)
    """Review status of the set's samples that are in the forget data. Empty in a record of an older tif."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The forget set's questions with their truth ratios. They let the record serve as a retain log."""

    question: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    truth_ratio: tuple[float | None, ...] = ()
    """p(wrong) / p(right); None if the data has no wrong answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MuseNumbers:
    """The numbers of MUSE (arXiv 2407.06460)."""

    corpus: Corpus | None = None
    """None if neither an option nor the folder names it."""
    verbmem_forget: Means = field(default_factory=dict)
    knowmem_forget: Means = field(default_factory=dict)
    knowmem_retain: Means = field(default_factory=dict)
    attacks: Mapping[str, float | None] = field(default_factory=dict)
    """AUC of each membership inference attack, forget against holdout texts; None if no text is long enough."""
    privleak_texts_sha256: str | None = None
    """Digest of these texts. PrivLeak compares AUCs of the same texts."""
    privleak_texts: Mapping[str, int] = field(default_factory=dict)
    """Number of forget and holdout texts."""
    privleak: float | None = None
    privleak_reason: str | None = None
    """Why `privleak` is None."""
    privleak_retain_auc: float | None = None
    privleak_reference: PrivLeakReference | None = None
    """Where `privleak_retain_auc` is from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """One evaluation. A file of an older tif may lack fields that have a default."""

    created: str
    schema: int = EVAL_SCHEMA
    tif: str | None = None
    """Version of tif."""
    python: str | None = None
    benchmark: Benchmark | None = None
    """None if the evaluation did not come from `tif eval`."""
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    """The options, from `EvaluateOptions.to_json`."""
    model: ModelIdentity | None = None
    prompting: str | None = None
    """SHA-256 over the tokenizer, its chat template and the generation config of the model's folder."""
    attack: Attack | None = None
    """The attack on the model before the evaluation."""
    forget: str | None = None
    """The forget split, or its file."""
    limit: int | None = None
    dtype: str | None = None
    base_model: str | None = None
    """With MUSE: the base model for membership inference."""
    prompt: str | None = None
    """How the model sees a question, without special tokens; `{prompt}` stands for the question. None with MUSE."""
    settings: Scoring | None = None
    """Scoring settings, with the template that `auto` selected. None with MUSE."""
    masks: MasksUsed | None = None
    run: RunRecord | None = None
    """The training run that made the model, if the model is a run folder."""

    model_utility: float | None = None
    model_utility_reason: str | None = None
    """Why the number is None. The other `_reason` fields have the same meaning."""
    model_utility_parts: Mapping[str, float] = field(default_factory=dict)
    forget_quality: float | None = None
    forget_quality_reason: str | None = None
    forget_quality_forced: str | None = None
    """Why the logs do not match, if `--force` allowed the comparison."""
    forget_quality_unchecked: str | None = None
    """What the logs do not store, so that tif could not compare it."""
    ks_distance: float | None = None
    """Kolmogorov-Smirnov distance D of the forget quality's test, 0..1."""
    retain_log: str | None = None
    retain_truth_ratio: tuple[float, ...] = ()
    uw_probability: float | None = None
    uw_probability_reason: str | None = None
    gw_probability: float | None = None
    memorization: Memorization | None = None
    """The composite Mem of the forget set, with its terms. None if the data lacks paraphrased or perturbed answers."""
    composites: Composites | None = None
    """Privacy, utility and overall. None if no term of theirs is known."""
    starting_log: str | None = None
    """The starting model's evaluation, which relative utility compares with."""
    retain_gaps: RetainGaps | None = None
    """The forget set's words against the retain model's, with the sign."""
    retain_gaps_reason: str | None = None
    leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """By part: how many unwanted phrases the model writes when asked."""
    retain_leakage: Mapping[str, Leakage] = field(default_factory=dict)
    """The retain model's leakage, if its log counts the same phrases."""
    membership: Membership | None = None
    """Membership inference on the forget set. None without holdout questions, and with MUSE."""
    depth: Depth | None = None
    """How deep the unwanted words were removed. None without `--depth`."""
    robustness: Robustness | None = None
    """What the attack brings back. None without `--attack`, and with MUSE."""
    verbatim: Mapping[str, Verbatim] = field(default_factory=dict)
    """By part: how likely a sample contains unwanted phrases exactly as in the right answer."""
    leaks: Mapping[str, FormLeaks] = field(default_factory=dict)
    """`tif eval --leak`: leakage of the forget set by form of asking."""
    leak_counts: Mapping[str, LeakCounts] = field(default_factory=dict)
    """The counts of each prompt behind `leaks`, for comparisons."""
    leak_reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a form has no numbers."""
    retain_leaks: Mapping[str, FormLeaks] = field(default_factory=dict)
    """The retain model's, if its log has the same prompts."""
    base_leaks: Mapping[str, FormLeaks] = field(default_factory=dict)
    """The base model's, if its log has the same prompts."""
    base_log: str | None = None
    parts: Mapping[str, Means] = field(default_factory=dict)
    """Means by part: `forget`, `retain`, `real_authors` and `world_facts`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a number is None, by its name."""
    per_example: Mapping[str, Questions] = field(default_factory=dict)
    muse: MuseNumbers | None = None
    lume: LumeNumbers | None = None
    retain_lume: LumeNumbers | None = None
    """The retain model's, if its log is of the same texts."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the other files of the evaluation, by their path in its folder."""
    lm_eval: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """lm-evaluation-harness's numbers, by task and metric."""

    @classmethod
    def new(cls, **values: object) -> Self:
        """Make a record with the current time, tif version and Python version."""
        return cls(created=now(), tif=__version__, python=platform.python_version(), **values)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: str | Path) -> EvalRecord:
        """Read the record from a file, or from a folder's `eval.json`.

        Raises:
            InputError: if the file cannot be read, or is not an evaluation.
        """
        path = Path(path)
        path = path / EVAL_FILE if path.is_dir() else path
        try:
            return cls.from_json(read_json(path))
        except InputError as error:
            raise (error if error.where and error.where[0] == str(path) else error.within(str(path))) from None

    @classmethod
    def from_json(cls, content: JsonValue) -> EvalRecord:
        """Make a record from the result of `to_json`, of this schema version or version 1.

        Raises:
            InputError: if a field is missing or has another type, naming the first; if the seal does not match.
        """
        if not isinstance(content, dict) or type(schema := content.get("schema")) is not int or "tif" not in content:
            raise InputError("is not the record of an evaluation", hint="Make one with `tif eval RUN`.")
        if schema not in _READABLE:
            raise InputError(
                f"has schema version {schema}; this tif reads 1 to {EVAL_SCHEMA}",
                hint="Install the version of tif that wrote it, or a newer one.",
            )
        content = seal.unsealed(content, required=schema >= _SEALED)
        content = {name: value for name, value in content.items() if value is not None}
        if isinstance(content.get("run"), dict):
            content["run"] = RunRecord.from_json(content["run"]).to_json()
        content = dict(_renamed(content) if schema == 1 else content, schema=EVAL_SCHEMA)
        try:
            record = _READER.validate_json(json.dumps(content), strict=True)
            refuse_infinite(asdict(record))
            return record
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError("is not a complete evaluation", why=f"{where}: {first['msg']}") from None

    def to_json(self) -> dict[str, JsonValue]:
        """Return the record as JSON values, with its seal and that of its run."""
        return seal.sealed(
            {name: _json(value) for name, value in asdict(self).items()}
            | {"run": self.run.to_json() if self.run else None}
        )

    def headline(self) -> dict[str, JsonValue]:
        """Return the JSON of `tif eval --json`: headline numbers first, without values of single examples."""
        record = self.to_json()
        names = [*_HEADLINE, *(name for name in record if name not in (*_HEADLINE, *LONG))]
        if self.muse is not None:
            unused = {f"{name}{end}" for name in _HEADLINE for end in ("", "_reason")} | {"parts", "settings", "forget"}
            names = [name for name in names if name not in unused]
        return {name: record[name] for name in names}

    def but(self, **changed: object) -> EvalRecord:
        """Return a copy of the record with changed fields."""
        return replace(self, **changed)  # type: ignore[arg-type]

    def mean(self, part: str, name: str) -> float | None:
        """Return the mean of a number over a part; None if there is no such number."""
        return self.parts.get(part, {}).get(name)


def columns(rows: Sequence[Mapping[str, object]]) -> Questions:
    """Return the questions, answers and truth ratios of per-example rows."""
    return Questions(**{name: tuple(row[name] for row in rows) for name in _COLUMNS})  # type: ignore[arg-type]


def _json(value: Any) -> JsonValue:
    """Return the value with lists in the place of tuples, as reading the file gives it."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    return [_json(inner) for inner in value] if isinstance(value, list | tuple) else value


def _renamed(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the content of a version 1 file under the current names."""
    new = dict(content)
    if isinstance(model := content.get("model"), dict):
        new["model"] = {"path": model.get("spec"), "digest": model.get("digest")}
    for name in ("settings", "config"):
        if isinstance(options := content.get(name), dict):
            new[name] = of_today(options, 1)
    if "reference_model" in new:
        new["base_model"] = new.pop("reference_model")
    return new


_COLUMNS: Final = tuple(each.name for each in fields(Questions))
_READER: Final = TypeAdapter(EvalRecord)

__all__ = [
    "EVAL_FILE",
    "EVAL_SCHEMA",
    "EXAMPLES_FILE",
    "LONG",
    "EvalRecord",
    "MasksUsed",
    "Means",
    "MuseNumbers",
    "Questions",
    "columns",
]
