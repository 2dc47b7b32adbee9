"""The verdict in plain words: what a model still writes about the people it should forget, and about the others.

    verdict = Verdict((before, unlearned, never_saw))
    verdict.sentences()         "Of 61 unwanted phrases about 8 people, the model still writes 2 when asked; ..."
    verdict.rows()              the same for every model, as the cells of a table

The counts are of `tif.eval.measure.leakage`. Probabilities stand in for a model that was not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tif.eval.measure.leak_at_k import FormLeaks
from tif.eval.measure.leakage import Leakage

Role = Literal["before", "unlearned", "never saw", "attacked"]
"""The starting model, a model that unlearned, one that never saw the forget set (the retain model), or one of these
after an attack."""

_WRITES: Final[dict[Role, str]] = {
    "before": "wrote",
    "unlearned": "still writes",
    "never saw": "writes",
    "attacked": "writes",
}
HEADS: Final = ("model", "unwanted phrases", "other words in the same answers", "about the people to keep")
"""Heads of the table that `Verdict.rows` fills."""
PLAIN_HEADS: Final = ("model", "unwanted phrases", "other words in the same texts", "texts to keep")
"""The same for plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihoods:
    """Means over questions, 0..1: what stands in where there are no counts. None where the data has no such number."""

    unwanted: float | None = None
    """Probability of unwanted words."""
    general: float | None = None
    """Probability of general words."""
    keep: float | None = None
    """Probability of the answers to keep."""
    keep_recall: float | None = None
    """ROUGE-L recall: how much of the answers to keep the model writes, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What a model writes about the people to forget after an attack."""

    attack: str
    """In words."""
    label: str
    """The evaluation's."""
    counts: Leakage


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model writes when asked."""

    label: str
    role: Role
    forget: Leakage | None = None
    """About the people to forget. None if the model was not asked, or if no unwanted phrase is marked."""
    keep: Leakage | None = None
    """About the people to keep."""
    leaks: FormLeaks | None = None
    """Samples about the people to forget. None if none were drawn."""
    likelihoods: Likelihoods = Likelihoods()
    reason: str | None = None
    """Why `forget` is None."""
    attacked: tuple[Attacked, ...] = ()
    """Its evaluations after attacks. One attack can occur several times, such as with other limits."""

    def after(self) -> list[tuple[str, Attacked]]:
        """Return each evaluation after an attack, with the attack in words, and its label if that attack recurs."""
        words = [each.attack for each in self.attacked]
        return [
            (f"{each.attack}, evaluation {each.label}" if words.count(each.attack) > 1 else each.attack, each)
            for each in self.attacked
        ]

    def leak_any(self, k: int) -> float | None:
        """Return the share of prompts with a phrase among k answers; None if k is not the most that were drawn."""
        most = self.leaks.most if self.leaks else None
        return most.cores.leak_any.mean if most and most.k == k else None

    def control(self, attacked: Attacked) -> Attacked | None:
        """Return this model's evaluation after the same attack, of as many phrases if there is one; else None."""
        same = [each for each in self.attacked if each.attack == attacked.attack]
        return next((each for each in same if each.counts.phrases == attacked.counts.phrases), next(iter(same), None))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """One model in the table. Every cell is words."""

    label: str
    unwanted: str
    other_words: str
    keep: str

    def cells(self) -> tuple[str, str, str, str]:
        """In the order of `Verdict.heads`."""
        return self.label, self.unwanted, self.other_words, self.keep


@dataclass(frozen=True, slots=True)
class Count:
    """How many of a number of things a model writes."""

    written: int
    total: int

    def __str__(self) -> str:
        return f"{self.written:,} of {self.total:,}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The models of one report.

    Raises:
        ValueError: for no models.
    """

    models: tuple[Model, ...]
    plain: bool = False
    """Whether the forget set is plain text, which a model continues from the words before each phrase."""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("a verdict needs a model")

    @property
    def focus(self) -> Model:
        """The model that the sentences speak of: the first that unlearned, else the first of all."""
        return next((model for model in self.models if model.role == "unlearned"), self.models[0])

    def beside(self, role: Role) -> Model | None:
        """Return the first model of a role that is not the focus."""
        return next((model for model in self.models if model.role == role and model is not self.focus), None)

    @property
    def heads(self) -> tuple[str, str, str, str]:
        """Heads of the table that `rows` fills."""
        return PLAIN_HEADS if self.plain else HEADS

    def sentences(self) -> list[str]:
        """What the focus writes about the people to forget, beside the model before and one that never saw them; then
        the same of the other words in these answers, and of the people to keep."""
        focus = self.focus
        if focus.forget is None:
            return [self._not_counted(focus.reason)]
        counts = focus.forget
        lines = [
            f"{focus.label}: of {plural(counts.phrases, 'unwanted phrase')}"
            f"{f' about {_people(counts)}' if counts.subjects else ''}, "
            f"the model {_WRITES[focus.role]} {counts.written:,} "
            f"{'after the words before them' if self.plain else 'when asked'}{self._others(unwanted_count)}."
        ]
        if (again := self._asked_again()) is not None:
            lines.append(again)
        lines += self._after_attacks()
        if (words := other_words_count(focus)) is not None:
            lines.append(
                f"Of {plural(words.total, 'other word')} in the same answers, it {_WRITES[focus.role]} "
                f"{words.written:,}{self._others(other_words_count)}."
            )
        if focus.keep is not None:
            lines.append(
                f"Of {plural(focus.keep.phrases, 'such phrase')} about {_people(focus.keep)} to keep, it "
                f"{_WRITES[focus.role]} {focus.keep.written:,}{self._others(keep_count, 'the people to forget')}."
            )
        return lines

    def remarks(self) -> list[str]:
        """What a reader of the table must know beside the sentences: which models were not asked, and whether a model
        that never saw the forget set is missing. One line for each reason."""
        silent = [model for model in self.models if model.forget is None]
        reasons = dict.fromkeys(model.reason for model in silent)
        if self.focus in silent:
            del reasons[self.focus.reason]  # the sentences give this one
        lines = [self._not_counted(reason) for reason in reasons]
        if not any(model.role == "never saw" for model in self.models):
            lines.append(
                "Nothing here shows what a model writes that never saw the forget set. Evaluate such a model with the "
                "same --masks, and give its eval.json as --retain-log."
            )
        return lines

    def rows(self) -> list[VerdictRow]:
        """One for each model. Empty where no model has a number for it, as with MUSE."""
        if all(model.forget is None and model.likelihoods == Likelihoods() for model in self.models):
            return []
        return [
            VerdictRow(
                label=model.label,
                unwanted=_cell(model, unwanted_count, model.likelihoods.unwanted) + _people_written(model),
                other_words=_cell(model, other_words_count, model.likelihoods.general),
                keep=_keep_cell(model),
            )
            for model in self.models
        ]

    def _not_counted(self, reason: str | None) -> str:
        """One line for all models that share a reason."""
        labels = [model.label for model in self.models if model.forget is None and model.reason == reason]
        line = f"Unwanted phrases are not counted for {', '.join(labels)}: {reason or 'the model was not asked'}."
        known = any(model.likelihoods != Likelihoods() for model in self.models if model.label in labels)
        return f"{line} The table shows probabilities instead." if known else line

    def _after_attacks(self) -> list[str]:
        """What the focus writes after each attack, beside the retain model after the same attack."""
        never_saw = self.beside("never saw")
        lines = []
        for attack, attacked in self.focus.after():
            counts = attacked.counts
            line = f"After {attack}, it writes {Count(counts.written, counts.phrases)}"
            if never_saw is not None and (beside := never_saw.control(attacked)) is not None:
                control = beside.counts
                count = (
                    control.written if control.phrases == counts.phrases else Count(control.written, control.phrases)
                )
                line += f"; a model that never saw them, after the same attack: {count}"
            lines.append(f"{line}.")
        return lines

    def _asked_again(self) -> str | None:
        """The share of questions with a phrase among several random answers; None if the focus has no samples."""
        leaks = self.focus.leaks
        if leaks is None or leaks.most is None:
            return None
        k, share = leaks.most.k, leaks.most.cores.leak_any
        verb, interval = _WRITES[self.focus.role], f"(95% interval {share.low:.0%} to {share.high:.0%})"
        if self.plain:
            line = (
                f"In {plural(k, 'random continuation')} from the same words, it {verb} {share.mean:.0%} of "
                f"{plural(leaks.prompts, 'phrase')} {interval}"
            )
        else:
            line = (
                f"Asked {plural(k, 'time')} with random answers, it {verb} such a phrase for {share.mean:.0%} of "
                f"{plural(leaks.prompts, 'question')} {interval}"
            )
        named: tuple[tuple[Role, str], ...] = (
            ("before", "before unlearning"),
            ("never saw", "a model that never saw them"),
        )
        for role, words in named:
            model = self.beside(role)
            if model is not None and (other := model.leak_any(k)) is not None:
                line += f"; {words}: {other:.0%}"
        return f"{line}."

    def _others(self, count: Callable[[Model], Count | None], whom: str = "them") -> str:
        """The same count of the model before unlearning and of one that never saw the people."""
        own, words = count(self.focus), ""
        named: tuple[tuple[Role, str], ...] = (
            ("before", "before unlearning it wrote"),
            ("never saw", f"a model that never saw {whom} writes"),
        )
        for role, verb in named:
            model = self.beside(role)
            other = count(model) if model else None
            if own is not None and other is not None:
                words += f"; {verb} {f'{other.written:,}' if other.total == own.total else other}"
        return words


def unwanted_count(model: Model) -> Count | None:
    """Return the unwanted phrases that a model writes; None if it was not asked."""
    return Count(model.forget.written, model.forget.phrases) if model.forget else None


def other_words_count(model: Model) -> Count | None:
    """Return the other words in the same answers that it writes; None if it was not asked, or if there are none."""
    if model.forget is None or not model.forget.general_words:
        return None
    return Count(model.forget.general_words_written, model.forget.general_words)


def keep_count(model: Model) -> Count | None:
    """Return the phrases about the people to keep that it writes; None if it was not asked."""
    return Count(model.keep.written, model.keep.phrases) if model.keep else None


def _cell(model: Model, count: Callable[[Model], Count | None], likelihood: float | None) -> str:
    counted = count(model)
    if counted is not None:
        return f"{_WRITES[model.role]} {counted}"
    return "not known" if likelihood is None else f"probability {likelihood:.2f}"


def _keep_cell(model: Model) -> str:
    if model.keep is None and model.likelihoods.keep_recall is not None:
        return f"{_WRITES[model.role]} {model.likelihoods.keep_recall:.0%} of the words"
    return _cell(model, keep_count, model.likelihoods.keep)


def _people_written(model: Model) -> str:
    counts = model.forget
    if counts is None or not counts.written or counts.subjects_written in (None, counts.subjects):
        return ""
    return f", about {plural(counts.subjects_written or 0, 'person', 'people')}"


def _people(counts: Leakage) -> str:
    return plural(counts.subjects, "person", "people") if counts.subjects else "the people"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a number and its noun."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


__all__ = [
    "HEADS",
    "PLAIN_HEADS",
    "Attacked",
    "Count",
    "Likelihoods",
    "Model",
    "Role",
    "Verdict",
    "VerdictRow",
    "keep_count",
    "other_words_count",
    "plural",
    "unwanted_count",
]
