"""`run.json`: what a training run forgot, how, from which model, with which code, and at what cost.

This module alone knows the file's keys. Training makes a `RunRecord`; evaluation, reports and benchmarks read one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from tif import files, seal
from tif.errors import InputError
from tif.options import of_today
from tif.readers import read_json
from tif.sources import Keep, several
from tif.spans import Provenance

RUN_SCHEMA: Final = 4
"""Version of the layout of `run.json` that this tif writes. It also reads the older ones. From 4 on, it is sealed."""
_READABLE: Final = tuple(range(1, RUN_SCHEMA + 1))
_SEALED: Final = 4

RUN_FILE: Final = "run.json"


CHECKPOINTS: Final = "checkpoints"
"""The folder in a run with its checkpoints."""

TRAJECTORY: Final = "trajectory"
"""The folder in a run with the evaluations during training."""
EVALUATION: Final = "evaluation_"
"""Before the names of an evaluation's numbers in `log.jsonl`."""
COMPLETE: Final = "complete"
"""A file that is written last, with the SHA-256 of the others. A checkpoint without it is never read."""


def run_around(model: str | Path) -> Path | None:
    """The run folder of a checkpoint, RUN/checkpoints/NAME; None for anything else."""
    parent = Path(model).expanduser().absolute().parent
    return parent.parent if parent.name == CHECKPOINTS and (parent.parent / RUN_FILE).is_file() else None


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model, and what it holds."""

    path: str | None = None
    """Folder or hub id, as it was given."""
    digest: str | None = None
    """SHA-256 of weights and config: the same model at another path has the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksIdentity:
    """An annotation set, and which version of it."""

    path: str
    """`FILE` or `FILE@N`, as it was given."""
    digest: str
    """Of examples and spans."""
    version: int | None = None
    fingerprint: str | None = None
    """Of the samples alone, whatever is marked in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One process that worked on a run. A session that was killed has no `finished`."""

    started: str
    code_sha256: str | None = None
    """Over tif's own source files."""
    finished: str | None = None
    device: str | None = None
    seconds: float | None = None
    processes: int | None = None
    from_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePass:
    """What the scores of the starting model cost, which are computed before the first step."""

    seconds: float
    from_cache: bool
    epochs: float | None = None
    seconds_per_epoch: float | None = None
    share: float | None = None
    """Part of the time of reference pass and training together, as far as both were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Where and why a run ended early."""

    rule: str
    step: int
    validation_uw_probability: float
    validation_gw_probability: float
    validation_at_floor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Where a run stands on the line from its starting to its final weights, by its own forget set."""

    fraction: float
    """0 for the starting weights, 1 for those after the last step."""
    uw_probability: float
    """Mean probability of the forget set's unwanted tokens there."""
    floor_probability: float
    """The same at their floor."""
    phrase_probability: float | None = None
    """Mean probability of the forget set's unwanted phrases there. This decides; None for an older run, where the mean
    over tokens decided."""
    phrase_floor: float | None = None
    """The same at their floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a finished run took."""

    tokens: int
    seconds: float
    flos: float | None = None
    peak_host_bytes: int | None = None
    peak_device_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One training run. A field that has its default may also be missing in the file of an older tif.

    Raises:
        InputError: for a finished run without its number of steps.
    """

    status: Literal["running", "finished"]
    config: Mapping[str, JsonValue]
    """The options, as `TrainOptions.to_json` gives them."""
    masks: MasksIdentity
    model: ModelIdentity
    """The starting model."""
    sessions: tuple[Session, ...]
    schema: int = RUN_SCHEMA
    tif: str | None = None
    """Version of tif."""
    incidental: tuple[str, ...] = ()
    """Names of the options that do not change the result, or whose effect a digest holds."""
    objective: Mapping[str, str | float | None] = field(default_factory=dict)
    """The numbers that the objective used, also those that the options left open."""
    base_model: ModelIdentity | None = None
    prompting: str | None = None
    """SHA-256 of the starting model's tokenizer, chat template and generation config."""
    template: str | None = None
    """The template that `auto` stood for."""
    date: str | None = None
    """The date that a chat template got as today's, `2025-04-10`."""
    validation_digest: str | None = None
    """Of the validation set, if one was given."""
    forget_tokens_sha256: str | None = None
    retain_tokens_sha256: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """Examples and tokens that were trained on, and what was left out."""
    provenance: Provenance = field(default_factory=Provenance)
    """Of the annotation set."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    reference: ReferencePass | None = None
    steps: int | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file that a finished run wrote, by its path in the run folder: model, adapter and log."""
    early_stop: Stopped | None = None
    settled: Settled | None = None
    cost: Cost | None = None

    def __post_init__(self) -> None:
        if self.status == "finished" and self.steps is None:
            raise InputError("the record of a finished run lacks its number of steps")

    @classmethod
    def of_folder(cls, folder: str | Path) -> RunRecord | None:
        """The record of a run folder; None for a folder without one, such as a plain model.

        Raises:
            InputError: as `read`.
        """
        path = Path(folder) / RUN_FILE
        return cls.read(path) if path.is_file() else None

    @classmethod
    def of_model(cls, model: str | Path) -> RunRecord | None:
        """The record of the run that made a model: a run folder, or one of its checkpoints; None for another model.

        Raises:
            InputError: as `read`.
        """
        return cls.of_folder(run_around(model) or model)

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """The record in a file.

        Raises:
            InputError: if the file cannot be read, or is not the record of a run.
        """
        content = read_json(path)
        try:
            return cls.from_json(content)
        except InputError as error:
            raise error.within(str(path)) from None

    @classmethod
    def from_json(cls, content: JsonValue) -> RunRecord:
        """What `to_json` made, of this version of the layout or of one before.

        Raises:
            InputError: naming the first field that is missing or has another type; if the seal does not match.
        """
        if not isinstance(content, dict) or type(schema := content.get("schema")) is not int:
            raise InputError("is not the record of a run")
        if schema not in _READABLE:
            raise InputError(
                f"has schema version {schema}; this tif reads 1 to {RUN_SCHEMA}",
                hint="Install the tif that wrote it, or newer.",
            )
        content = seal.unsealed(content, required=schema >= _SEALED)
        try:
            record = _READER.validate_json(json.dumps(_of_today(content, schema)), strict=True)
            refuse_infinite(asdict(record))
            return record
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError("is not a complete record of a run", why=f"{where}: {first['msg']}") from None

    def check_outputs(self, folder: Path) -> None:
        """Compare the files of a finished run with what the run wrote.

        Raises:
            InputError: naming the first file that was changed, added or removed.
        """
        for check in seal.compare(folder, self.outputs):
            if not check.passed:
                raise InputError(
                    "is not as the run wrote it",
                    where=check.name,
                    why=check.detail or "it is missing",
                    hint=f"Restore it. To use the model as it is now, give {folder / 'model'}.",
                )

    def continues(self, earlier: RunRecord) -> bool:
        """Whether an earlier record is this one, or was this one before the run was finished."""
        if earlier.status == "finished":
            return self == earlier
        progress = ("status", "sessions", "reference", "steps", "outputs", "early_stop", "settled", "cost")
        return self == replace(earlier, **{name: getattr(self, name) for name in progress})

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with their seal."""
        return seal.sealed(asdict(self))

    def write(self, folder: Path) -> None:
        """Write `run.json` in the run folder.

        Raises:
            WriteError: if it cannot be written.
        """
        files.write(folder / RUN_FILE, json.dumps(self.to_json(), indent=2, ensure_ascii=False))

    @property
    def seed(self) -> int:
        """The seed of order, pairs and adapters."""
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else 0

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Labels of the spans that were forgotten; None for every label of the set."""
        labels = self.config.get("labels")
        return tuple(map(str, labels)) if isinstance(labels, list) else None

    @property
    def retain_sources(self) -> tuple[str, ...]:
        """Sources of the samples to keep, without their weights."""
        return tuple(Keep.of(str(each)).source for each in cast(Iterable[object], several(self.config.get("retain"))))

    @property
    def asked_template(self) -> str | None:
        """The template of the options, such as `auto`."""
        template = self.config.get("template")
        return template if isinstance(template, str) else None

    @property
    def system_prompt(self) -> str | None:
        """The system prompt of the options; None for the chat template's own."""
        prompt = self.config.get("system_prompt")
        return prompt if isinstance(prompt, str) else None

    @property
    def asked_date(self) -> str | None:
        """The date of the options; None for the usual one."""
        date = self.config.get("date")
        return date if isinstance(date, str) else None

    @property
    def punctuation(self) -> Literal["gw", "uw"]:
        """What punctuation outside spans was trained as."""
        return "uw" if self.config.get("punctuation") == "uw" else "gw"

    @property
    def code_sha256(self) -> str | None:
        """Of the code that worked on the run last."""
        return self.sessions[-1].code_sha256 if self.sessions else None

    def main_options(self) -> dict[str, JsonValue]:
        """The options that tell most of a run, without those left at None: for a reader, not for a program."""
        names = ("objective", "scope", "space", "beta", "lr", "epochs", "max_steps", "seed")
        return {name: value for name in names if (value := self.config.get(name)) is not None}

    def outcome(self) -> dict[str, JsonValue]:
        """The options that change the result and that no digest stands for."""
        return {name: value for name, value in self.config.items() if name not in self.incidental}

    def same_but_seed(self) -> str:
        """A key that two runs share if they differ in their seed at most, and in what does not change the result.

        Models and sets count by their digest, so the same base model at another path makes no difference.
        """
        options = {name: value for name, value in self.outcome().items() if name != "seed"}
        base = self.base_model.digest if self.base_model else None
        digests = [self.masks.digest, self.model.digest, base, self.validation_digest]
        return json.dumps([options, digests], sort_keys=True)


def refuse_infinite(content: Mapping[str, Any]) -> None:
    """Make sure that all numbers of a record can be written as JSON again.

    Raises:
        InputError: for infinity and NaN. JSON has no such number, but 1e999 is read as one.
    """
    try:
        json.dumps(content, allow_nan=False)
    except ValueError:
        raise InputError("contains a number that is infinite or too large") from None


def _of_today(content: dict[str, JsonValue], schema: int) -> dict[str, JsonValue]:
    """A record of an earlier layout, whose options had other names or meanings."""
    config = content.get("config")
    if schema == RUN_SCHEMA or not isinstance(config, dict):
        return content
    new = {**content, "schema": RUN_SCHEMA, "config": of_today(config, schema)}
    if schema == 1:
        # The first layout did not list the incidental options.
        new["incidental"] = list(_INCIDENTAL_1)
        if "floor_model" in new:
            new["base_model"] = new.pop("floor_model")
    return new


_INCIDENTAL_1: Final = (
    "out", "save_steps", "keep_checkpoints", "log_steps", "report_to", "data_dir", "masks", "model", "base_model",
    "validation",
)  # fmt: skip
_READER: Final = TypeAdapter(RunRecord)

__all__ = [
    "CHECKPOINTS",
    "COMPLETE",
    "EVALUATION",
    "RUN_FILE",
    "RUN_SCHEMA",
    "TRAJECTORY",
    "Cost",
    "MasksIdentity",
    "ModelIdentity",
    "ReferencePass",
    "RunRecord",
    "Session",
    "Settled",
    "Stopped",
    "refuse_infinite",
    "run_around",
]
