"""What an attack brings back: the evaluated model, the retain model under the same attack, and the starting model.

    controls = named(options, run, tokenizer)     the two other models, where options, run or log name them
    subject = Subject(load, attack)
    robustness = measure(subject, ...)            attacks and measures; then `subject()` is the attacked model

The forget rows' right answers are scored at each point of the curve. No text is generated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tif.console import warn
from tif.errors import InputError, TifError
from tif.eval import processes
from tif.eval.benchmarks.questions import Row
from tif.eval.compare.attack import Attack
from tif.eval.compare.logs import evaluated_model
from tif.eval.measure import recovery
from tif.eval.measure.recovery import AttackedModel, CurvePoint, Levels, Measure, Readings, Robustness
from tif.eval.measure.score import Scored, score
from tif.eval.options import EvaluateOptions
from tif.eval.parts import PartsCache, shared_cache
from tif.records import ModelIdentity, RunRecord
from tif.tokens.encoding import Encoder
from tif.tokens.models import load_model, load_tokenizer, model_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Load = Callable[[], "PreTrainedModel"]
Read = Callable[["PreTrainedModel"], Mapping[Measure, list[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A model beside the evaluated one, or the reason why there is none."""

    model: ModelIdentity | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """The models beside the evaluated one."""

    retain: Control
    starting: Control


class Subject:
    """A model that is attacked once, at its first use, and perhaps measured during the attack."""

    def __init__(self, load: Load, attack: Attack, *, whose: str = "") -> None:
        self._load, self._attack, self._whose = load, attack, whose
        self._attacked: PreTrainedModel | None = None

    def __call__(self) -> PreTrainedModel:
        """Return the attacked model."""
        if self._attacked is None:
            model = self._load()
            self._attack.apply(model, whose=self._whose)
            self._attacked = model
        return self._attacked

    def measured(self, read: Read) -> dict[str, list[float]]:
        """Attack the model, and return what `read` gives at each point, as `STEP.NAME`."""
        model, columns = self._load(), {}

        def measure(step: int) -> None:
            columns.update({f"{step}.{name}": values for name, values in read(model).items()})

        self._attack.apply(model, measure, whose=self._whose)
        self._attacked = model
        return columns


def named(
    options: EvaluateOptions,
    run: RunRecord | None,
    tokenizer: PreTrainedTokenizerBase,
    digest_of: Callable[[str], str] = model_digest,
) -> Controls:
    """Return the retain model and the starting model.

    An option names the model; without it, the retain log and the run do. A model that only they name may be missing.

    Args:
        options: the options of the evaluation.
        run: the training run of the evaluated model, if it is a run folder.
        tokenizer: of the evaluated model.
        digest_of: returns a model's digest. One that remembers saves reading a model again.

    Raises:
        InputError: if a model of the options has another tokenizer.
        MissingError: if it does not exist.
    """
    from_log = evaluated_model(options.retain_log) if options.retain_log else None
    started = run.model if run else ModelIdentity()
    return Controls(
        retain=_control("retain", options.retain_model, from_log or ModelIdentity(), tokenizer, digest_of),
        starting=_control("starting", options.starting_model, started, tokenizer, digest_of),
    )


def measure(
    subject: Subject,
    identity: ModelIdentity,
    rows: Sequence[Row],
    encoder: Encoder,
    attack: Attack,
    controls: Controls,
    options: EvaluateOptions,
    cache: PartsCache,
) -> Robustness:
    """Attack the evaluated model and the retain model, and score the forget rows at each point.

    Args:
        subject: the evaluated model. Unless its readings are in the cache, it is attacked here.
        identity: the evaluated model.
        rows: the forget rows to measure.
        encoder: encodes the rows as the other measures do.
        attack: the attack, the same for both models.
        controls: from `named`.
        options: the options of the evaluation.
        cache: the evaluation's parts cache.
    """
    items = [encoder.encode(row.texts()[0]) for row in rows]
    tokens = [[item.input_ids, item.kinds, item.offsets] for item in items]
    key = hashlib.sha256(json.dumps([attack.key, tokens], sort_keys=True).encode()).hexdigest()

    def read(model: PreTrainedModel) -> Mapping[Measure, list[float]]:
        def work(share: Sequence[Row]) -> list[Scored]:
            return score(model, encoder, [row.texts()[0] for row in share])

        return recovery.read(processes.split(rows, work), [row.annotated or bool(row.spans) for row in rows])

    def other(control: Control, name: str, make: Callable[[Load], dict[str, list[float]]]) -> _Points | None:
        if control.model is None:
            return None
        path, digest = str(control.model.path), control.model.digest
        device = processes.device(options.device)
        shared = [digest, options.dtype or "stored", name, key]
        return _points(
            shared_cache("robustness").values(
                hashlib.sha256(json.dumps(shared).encode()).hexdigest(),
                shared,
                lambda: make(lambda: load_model(path, dtype=options.dtype).to(device)),
            )
        )

    def once(load: Load) -> dict[str, list[float]]:
        model = load()
        attack.prepare(model)
        return {f"0.{name}": values for name, values in read(model).items()}

    retain = other(
        controls.retain, "retain", lambda load: Subject(load, attack, whose="the retain model").measured(read)
    )
    starting = other(controls.starting, "starting", once)
    own = _points(cache.values("attack", key, lambda: subject.measured(read)))
    name = recovery.main_measure(own[0])
    compared = recovery.compare(
        name,
        list(own.values()),
        list(retain.values()) if retain else None,
        starting[0] if starting else None,
    )
    return Robustness(
        measure=name,
        relearning=attack.relearning.used if attack.relearning else None,
        model=_attacked(identity, own, attack),
        retain=_attacked(controls.retain.model, retain, attack) if controls.retain.model and retain else None,
        retain_reason=controls.retain.reason,
        starting_model=controls.starting.model,
        starting=Levels.of(starting[0]) if starting else None,
        starting_reason=controls.starting.reason,
        **{field: getattr(compared, field) for field in compared.__dataclass_fields__},
    )


_Points = dict[int, Readings]
"""The readings by step, in order."""


def _points(columns: Mapping[str, Sequence[float]]) -> _Points:
    steps = sorted({int(name.partition(".")[0]) for name in columns})
    return {
        step: {name: np.asarray(columns[f"{step}.{name}"], dtype=np.float64) for name in recovery.MEASURES}
        for step in steps
    }


def _attacked(model: ModelIdentity, points: _Points, attack: Attack) -> AttackedModel:
    levels = {step: Levels.of(readings) for step, readings in points.items()}
    relearning = attack.relearning
    curve = (
        [CurvePoint(epoch=step / relearning.epoch, step=step, levels=each) for step, each in levels.items()]
        if relearning
        else []
    )
    return AttackedModel(model=model, before=levels[0], after=levels[max(levels)], curve=tuple(curve))


def _control(
    role: str,
    given: str | None,
    implied: ModelIdentity,
    tokenizer: PreTrainedTokenizerBase,
    digest_of: Callable[[str], str],
) -> Control:
    path = given or implied.path
    hint = f"--{role}-model" + (", or a --retain-log of `tif eval`" if role == "retain" else "")
    if path is None:
        return Control(reason=f"no {role} model was given ({hint})")
    try:
        digest = digest_of(path)
        if load_tokenizer(path).get_vocab() != tokenizer.get_vocab():
            raise InputError(
                "has another tokenizer than the evaluated model",
                where=f"{role} model {path}",
                hint=f"Give another --{role}-model.",
            )
    except TifError as error:
        if given is not None:
            raise
        reason = f"the {role} model {path} cannot be used: {error.what}"
        warn(f"{reason}. Give another one as {hint}")
        return Control(reason=reason)
    if given is None and implied.digest not in (None, digest):
        reason = f"the {role} model {path} has changed since"
        warn(f"{reason}, so it is not used. Give a copy of the original as --{role}-model")
        return Control(reason=reason)
    return Control(model=ModelIdentity(path, digest))


__all__ = ["Control", "Controls", "Subject", "measure", "named"]
