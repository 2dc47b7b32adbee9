"""`tune(options)`: train a few candidates on samples that are not evaluated, and choose one by the training side alone.

    OUT/tune.json            options, digests, every candidate with its numbers, and the chosen one
    OUT/chosen.toml          the chosen options, for `tif train --config`
    OUT/candidates/N/        run.json and log.jsonl of each candidate; its weights are deleted once it is measured

The same call on the same folder goes on behind the last candidate that was measured, and within a candidate behind its
last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import JsonValue, TypeAdapter, ValidationError

from tif import files, seal
from tif.console import say, warn
from tif.errors import DivergedError, InputError, TifError, UsageError, first_of
from tif.readers import read_json
from tif.records import CHECKPOINTS
from tif.sets import store
from tif.spans import SavedSet
from tif.tokens.masks import Encoded
from tif.tokens.models import load_model, model_digest
from tif.train.grid import shown
from tif.train.objectives import find
from tif.train.options import TrainOptions
from tif.train.phrases import Level, level
from tif.train.prepare import Prepared, nothing_kept, prepare
from tif.train.reference import score, score_cached
from tif.train.run import train
from tif.train.tune_options import TuneOptions

TUNE_FILE: Final = "tune.json"
TUNE_SCHEMA: Final = 2
"""Version of the layout of `tune.json`. In the first one, the mean over unwanted tokens was the aim."""
_OWN: Final = frozenset({"masks", "out", "validation", "limit"})
"""Options that belong to the search's own samples."""
RETAIN_ROWS: Final = 400
"""Retain samples that a candidate is measured on: the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One run of the search, measured on the samples that it was trained on."""

    number: int
    settings: Mapping[str, str]
    """The options that were tried."""
    unwanted: Level
    """Of the forget set's unwanted words."""
    kept: float
    """Mean probability of tokens of the retain samples, as a fraction of the starting model's."""
    reached: bool
    """Whether unwanted phrases are at or below the level of the model that never saw them."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged:
    """A candidate without numbers: its loss or its weights are not finite."""

    number: int
    settings: Mapping[str, str]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRecord:
    """`tune.json`: what was tried, on what, and what was chosen."""

    config: Mapping[str, JsonValue]
    digests: Mapping[str, str]
    """Of the annotation set, the starting model, the model that gives the aim, and the retain samples' tokens."""
    aim: Level | None = None
    """Of unwanted words under the model that never saw them. Its `phrase` is what candidates are to reach."""
    start: Level | None = None
    """The same under the starting model."""
    candidates: tuple[Candidate, ...] = ()
    diverged: tuple[Diverged, ...] = ()
    chosen: int | None = None
    """Number of the chosen candidate; None until all are measured."""
    schema: int = TUNE_SCHEMA

    @property
    def choice(self) -> Candidate | None:
        """The chosen candidate."""
        return next((each for each in self.candidates if each.number == self.chosen), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON values, with their seal."""
        return seal.sealed(asdict(self))

    @classmethod
    def read(cls, path: Path) -> TuneRecord:
        """The record in a file.

        Raises:
            InputError: if it cannot be read, or was changed.
        """
        content = read_json(path)
        if not isinstance(content, dict) or type(schema := content.get("schema")) is not int:
            raise InputError("is not the record of a search", where=str(path))
        if schema < TUNE_SCHEMA:
            raise InputError(
                "is the record of an older search",
                where=str(path),
                why="its aim was the mean over unwanted tokens, which is no longer used",
                hint="Give another --out, or delete this folder.",
            )
        if schema > TUNE_SCHEMA:
            raise InputError(
                f"has schema version {schema}; this tif reads {TUNE_SCHEMA}",
                where=str(path),
                hint="Install the tif that wrote it, or newer.",
            )
        try:
            return TypeAdapter(cls).validate_json(json.dumps(seal.unsealed(content, required=True)))
        except ValidationError as error:
            raise InputError("is not the record of a search", where=str(path), why=str(error)[:160]) from None
        except InputError as error:
            raise error.within(str(path)) from None


def tune(options: TuneOptions) -> TuneRecord:
    """Search.

    Raises:
        UsageError: for a folder with another search in it, or samples that are to be evaluated.
        TifError: as `train`, and if every candidate diverges. One that diverges does not stop the search.
    """
    folder = Path(options.out)
    prepared = _prepared(options.of_candidate(options.candidates()[0], options.out))
    if options.evaluated is not None:
        _refuse_evaluated(options, options.evaluated, prepared.annotations)
    record = _begin(options, folder, prepared)
    before = _scores(options.model, prepared, options, record.digests["model"])
    goal = _unwanted(_scores(options.aim, prepared, options, record.digests["aim"]), prepared)
    record = replace(record, start=_unwanted(before, prepared), aim=goal)
    kept_before = _retained(before, prepared)
    for number, settings in enumerate(options.candidates()):
        tried = {each.number for each in record.candidates} | {each.number for each in record.diverged}
        if number in tried:
            continue
        say(f"candidate {number + 1} of {len(options.candidates())}: {shown(settings)}")
        place = folder / "candidates" / str(number)
        try:
            run = train(options.of_candidate(settings, str(place)))
        except DivergedError as error:
            warn(f"candidate {number + 1} is left out: {error}")
            failed = Diverged(number=number, settings=settings, error=str(error))
            record = replace(record, diverged=(*record.diverged, failed))
            _write(record, folder)
            _delete_weights(place)
            continue
        after = score(_placed(str(run.model), options), _rows(prepared), title="measuring the candidate")
        unwanted = _unwanted(after, prepared)
        candidate = Candidate(
            number=number,
            settings=settings,
            unwanted=unwanted,
            kept=_retained(after, prepared) / kept_before,
            reached=unwanted.phrase <= goal.phrase,
            seconds=run.record.cost.seconds if run.record.cost else 0.0,
        )
        record = replace(record, candidates=(*record.candidates, candidate))
        _write(record, folder)
        _delete_weights(run.folder)
    if not record.candidates:
        raise TifError(
            "every candidate diverged, so none can be chosen", where=options.out, hint="Try smaller values of lr."
        )
    chosen = choose(record.candidates, aim=goal, keep=options.keep)
    if chosen.kept < options.keep:
        warn(f"no candidate keeps {options.keep:g} of the retain samples; the one that keeps most is chosen")
    record = replace(record, chosen=chosen.number)
    _write(record, folder)
    files.write(folder / "chosen.toml", _toml(options.of_candidate(dict(chosen.settings), options.out), options))
    return record


def choose(candidates: Sequence[Candidate], *, aim: Level, keep: float) -> Candidate:
    """The candidate nearest to the aim, of those that keep enough; if none does, the one that keeps most."""
    enough = [each for each in candidates if each.kept >= keep]
    if not enough:
        return max(candidates, key=lambda each: each.kept)
    return min(enough, key=lambda each: each.unwanted.distance(aim))


def _delete_weights(run: Path) -> None:
    for name in ("model", "adapter", CHECKPOINTS):
        shutil.rmtree(run / name, ignore_errors=True)


def _begin(options: TuneOptions, folder: Path, prepared: Prepared) -> TuneRecord:
    """The record of this search: a new one, or the one in the folder."""
    digests = {
        "masks": prepared.annotations.digest,
        "model": model_digest(options.model),
        "aim": model_digest(options.aim),
        "retain": hashlib.sha256(json.dumps([item.input_ids for item in prepared.retain]).encode()).hexdigest(),
    }
    new = TuneRecord(config=options.to_json(), digests=digests)
    if not (folder / TUNE_FILE).is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError("is not empty, and not a search of tif", where=str(folder), hint="Give another --out.")
        files.make_folder(folder)
        _write(new, folder)
        return new
    known = TuneRecord.read(folder / TUNE_FILE)
    outcome = options.outcome()
    different = [name for name in outcome if known.config.get(name) != outcome[name]]
    different += [f"{name} (its content)" for name in digests if known.digests.get(name) != digests[name]]
    if different:
        raise UsageError(
            f"contains another search: {first_of(different)} differs",
            where=str(folder),
            hint="Give another --out, or delete this folder.",
        )
    return known


def _refuse_evaluated(options: TuneOptions, evaluated: str, own: SavedSet) -> None:
    """Refuse to tune on what is evaluated: the numbers would flatter the method that is tuned most."""
    theirs = {(e.prompt, e.text) for e in store.load(evaluated, data_dir=options.data_dir).examples}
    if both := [example.id for example in own.examples if (example.prompt, example.text) in theirs]:
        raise UsageError(
            f"{len(both)} of {len(own.examples)} samples are to be evaluated: {first_of(both)}",
            where=options.masks,
            hint="Tune on other samples that the starting model was trained on.",
        )


def _prepared(options: TrainOptions) -> Prepared:
    objective = find(options.objective)
    options.check_for(objective)
    prepared = prepare(options, options.settings_of(objective).scope, needs=objective.needs)
    if not prepared.retain:
        raise nothing_kept("a search")
    if not prepared.marks:
        raise UsageError("a search needs marked words: their level decides", where=options.masks)
    return prepared


def _rows(prepared: Prepared) -> list[Encoded]:
    """Forget rows, then the first retain rows."""
    return [*prepared.forget, *prepared.retain[:RETAIN_ROWS]]


def _placed(model: str, options: TuneOptions) -> Any:
    loaded = load_model(model, dtype=options.dtype, attn_implementation=options.attention)
    return loaded.to("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")


def _scores(model: str, prepared: Prepared, options: TuneOptions, digest: str) -> list[torch.Tensor]:
    return score_cached(_placed(model, options), digest, _rows(prepared))[0]


def _unwanted(scores: Sequence[torch.Tensor], prepared: Prepared) -> Level:
    """Of the forget set as it was annotated. Frames would give methods with and without them different aims."""
    forget = scores[: len(prepared.forget)]
    return level(prepared.forget, [tokens[:, 1] for tokens in forget])


def _retained(scores: Sequence[torch.Tensor], prepared: Prepared) -> float:
    """Mean probability of the retain samples' tokens."""
    return torch.cat([tokens[:, 1].double().exp() for tokens in scores[len(prepared.forget) :]]).mean().item()


def _write(record: TuneRecord, folder: Path) -> None:
    files.write(folder / TUNE_FILE, json.dumps(record.to_json(), indent=2, ensure_ascii=False))


def _toml(chosen: TrainOptions, options: TuneOptions) -> str:
    """The chosen options that differ from the defaults, without those that belong to the search's own samples."""
    values = chosen.model_dump(mode="json", include=set(chosen.model_fields_set) - _OWN)
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value is not None]
    return "\n".join([f"# chosen by tif tune, aim {options.aim}", "[train]", *lines, ""])


__all__ = ["TUNE_FILE", "Candidate", "Diverged", "TuneRecord", "choose", "tune"]
