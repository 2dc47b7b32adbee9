"""`tif eval --full`: every measure that the data and the models at hand allow, without naming each.

    full = full_of(options)             explicit options stay as they are
    full.options                        with the options that `--full` stands for: leakage, depth, gradient norms
    full.left_out                       why something is not measured, by measure
    full.after_attacks(retain_log)      options of one more evaluation for each attack, in its own folder

A record has the options that `--full` stood for, so `--config eval.json` measures the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar, get_args

from tif.console import say
from tif.errors import TifError, UsageError
from tif.eval import processes
from tif.eval.benchmarks import membership
from tif.eval.compare.attack import name_of
from tif.eval.options import CONTROLS, RELEARNING, Attack, EvaluateOptions
from tif.tokens.models import load_tokenizer

Models = TypeVar("Models")

SAMPLES: Final = 16
"""Samples of each prompt."""
ATTACKS: Final[tuple[Attack, ...]] = get_args(Attack)
_NOT_AFTER_ATTACKS: Final = (
    "leak", "leak_forms", "base_log", "depth", "gradnorm", "base_model", "fluency_classifier", "starting_log",
    "lm_eval", "lm_eval_tasks",
)  # fmt: skip
"""Options without effect after attacks: those evaluations give phrases, probabilities and the share recovered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """What an evaluation measures, and what `--full` leaves out."""

    options: EvaluateOptions
    """The options of the evaluation."""
    given: EvaluateOptions | None = None
    """The options with `--full`; None without it."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why something is not measured, by measure."""
    attacks: tuple[Attack, ...] = ()
    """Attacks that `--full` adds."""

    def depth_models(
        self, named: Callable[[], Models], *, marked: bool = True
    ) -> tuple[Models | None, Mapping[str, str]]:
        """Return the models that depth compares with, if it is measured, and why `--full` leaves something out.

        Args:
            named: returns the models.
            marked: whether the rows have unwanted words. Without them, `--full` has no leakage either.

        Raises:
            TifError: as `named`, if the user asked for depth or named a model that cannot be used.
        """
        models, late = None, dict[str, str]()
        if not marked and self._added("leak"):
            late["leak"] = "no unwanted word is marked: --masks SET"
        try:
            models = named() if self.options.depth else None
        except TifError as error:
            if not self._added("depth"):
                raise
            if not isinstance(error, UsageError) and any(getattr(self.options, name) for name in CONTROLS):
                raise
            late["depth"] = _reason(error)
        announce(late)
        return models, {**self.left_out, **late}

    def _added(self, name: str) -> bool:
        """Return whether `--full` added this option."""
        given = self.given
        return given is not None and name not in given.model_fields_set and bool(getattr(self.options, name))

    def after_attacks(self, retain_log: str | None) -> Iterator[EvaluateOptions]:
        """Yield the options of the evaluation after each attack.

        Args:
            retain_log: the retain log, also one that `--make-retain-log` has just made.
        """
        given = self.given
        if given is None or given.model is None:
            return
        for attack in self.attacks:
            plain = given.plain(given.model, out=None, retain_log=retain_log, inference=False)
            unused = ("full", *_NOT_AFTER_ATTACKS, *(() if attack == "relearn" else RELEARNING))
            options = plain.without(*unused, attack=attack)
            yield options.but(out=f"{given.out}-{name_of(options)}" if given.out else None)


def full_of(options: EvaluateOptions) -> Full:
    """Return what to measure. Without `--full`, the options are unchanged. Say what `--full` leaves out, and why.

    Args:
        options: the options with the benchmark named.
    """
    if not options.full:
        return Full(options=options)
    chosen, attacks, left_out = options, [], dict[str, str]()
    for name, value in (("leak", SAMPLES), ("depth", True)):
        if name not in options.model_fields_set:
            try:
                chosen = chosen.but(**{name: value})
            except UsageError as error:
                left_out[name] = _reason(error)
    if not membership.possible(options):
        left_out["membership"] = _no_holdout(options)
    else:
        if "gradnorm" not in options.model_fields_set:
            chosen = chosen.but(gradnorm=True)
        if options.base_model is None:
            left_out["membership_reference"] = "it needs a base model: --base-model MODEL"
    if options.attack is None and options.model is not None:
        for attack in ATTACKS:
            try:
                options.without(*(() if attack == "relearn" else RELEARNING), attack=attack)
                attacks.append(attack)
            except UsageError as error:
                left_out[attack] = _reason(error)
    left_out |= _not_named(chosen)
    unused = {"full"} | ({*RELEARNING} if options.attack != "relearn" else set())
    if not chosen.depth and options.attack is None:
        unused |= {*CONTROLS}
    announce(left_out)
    return Full(options=chosen.without(*unused), given=options, left_out=left_out, attacks=tuple(attacks))


def check_models(full: Full) -> None:
    """Refuse a model that the user named and that does not exist, before the first evaluation and not after it.

    Raises:
        MissingError: if there is no such model.
        InputError: if it cannot be read.
    """
    for name in CONTROLS if full.given is not None else ():
        if (path := getattr(full.given, name)) is not None:
            load_tokenizer(path)


def announce(left_out: Mapping[str, str]) -> None:
    """Say what `--full` leaves out, one line each."""
    for name, reason in left_out.items() if processes.main() else ():
        say(f"--full leaves out {name.replace('_', ' ')}: {reason}")


def _not_named(options: EvaluateOptions) -> Mapping[str, str]:
    """Return what needs a log, a classifier or tasks that the options do not name."""
    reasons = {}
    if options.retain_log is None and not options.make_retain_log:
        reasons["retain_comparison"] = "it needs the retain model's evaluation: --retain-log FILE"
    if options.leak and options.base_log is None:
        reasons["base_comparison"] = "it needs the base model's evaluation: --base-log FILE"
    if options.fluency_classifier is None and options.benchmark != "muse":
        reasons["fluency"] = "it needs a text classifier: --fluency-classifier MODEL"
    if not options.lm_eval:
        reasons["lm_eval"] = "it needs names of tasks: --lm-eval TASK"
    return reasons


def _no_holdout(options: EvaluateOptions) -> str:
    """Return why there is no membership inference."""
    if options.question_key != "question":
        return "--question-key asks in other words, and holdout questions have none"
    own = {"tofu": ", or TOFU's holdoutNN.json in the data folder",
           "lume": ", or SemEval's member.jsonl and nonmember.jsonl in the data folder"}  # fmt: skip
    return f"it needs samples that no model saw: --holdout FILE{own.get(options.benchmark or '', '')}"


def _reason(error: TifError) -> str:
    """Return an error as the reason of a measure that is left out."""
    where = f"{', '.join(error.where)} " if error.where else ""
    what = error.why if error.why and error.what.endswith("does nothing here") else f"{where}{error.what}"
    return f"{what}. {error.hint}".rstrip(".") if error.hint else what


__all__ = ["ATTACKS", "SAMPLES", "Full", "announce", "check_models", "full_of"]
