"""The evaluations of one report: each with a label of its own, all of the same questions, and what each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tif.errors import InputError, UsageError
from tif.eval.report.attacks import ATTACKS, attack_in_words
from tif.eval.report.entry import Entry
from tif.eval.report.redact import Redactor
from tif.eval.report.verdict import Attacked, Likelihoods, Model, Role, Verdict

_MUSE: Final = "MUSE has complete texts, and marks no phrases"
_OLDER: Final = "this evaluation is older than the count; run `tif eval` again, which keeps the finished parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """What a report lays side by side."""

    entries: tuple[Entry, ...]
    before: Entry | None
    """The starting model: the others are measured against it."""
    never_saw: Entry | None
    """The retain model, whose evaluation another one used as retain log."""

    @classmethod
    def of(cls, entries: Sequence[Entry], before: str | None = None) -> Evaluations:
        """Entries with labels of their own.

        Args:
            entries: what to report.
            before: label of the starting model; by default the entry whose model a run says it started from.

        Raises:
            UsageError: for no entries, or a label that none has.
            InputError: for entries that asked different questions under one id.
        """
        if not entries:
            raise UsageError("nothing to report", hint="tif report RUN [RUN ...]")
        named = _named(entries)
        _same_questions(named)
        start = _starting_model(named) if before is None else next((e for e in named if e.label == before), None)
        if before is not None and start is None:
            raise UsageError(
                f"no evaluation is called {before!r}", hint=f"Here: {', '.join(entry.label for entry in named)}."
            )
        return cls(entries=named, before=start, never_saw=_retain_model(named, start))

    def redacted(self, redactor: Redactor) -> Evaluations:
        """Return the same evaluations, each in its role, without the unwanted words."""
        entries = _named([redactor.entry(entry) for entry in self.entries])
        new = {id(old): entry for old, entry in zip(self.entries, entries, strict=True)}
        return Evaluations(
            entries=entries,
            before=new[id(self.before)] if self.before else None,
            never_saw=new[id(self.never_saw)] if self.never_saw else None,
        )

    @property
    def labels(self) -> list[str]:
        """All labels, in order: a model keeps its colour and marker in every figure."""
        return [entry.label for entry in self.entries]

    @property
    def others(self) -> list[Entry]:
        """All but the starting model."""
        return [entry for entry in self.entries if entry is not self.before]

    @property
    def unattacked(self) -> list[Entry]:
        """All but the evaluations after an attack, which have fewer measures."""
        return [entry for entry in self.entries if not entry.record.attack]

    @property
    def focus(self) -> Entry:
        """The first model that unlearned and was not attacked; the first of all if none did."""
        unlearned = [entry for entry in self.others if entry is not self.never_saw]
        intact = [entry for entry in unlearned if not entry.record.attack]
        return (intact or unlearned or [*self.entries])[0]

    def logged(self, key: str) -> dict[str, tuple[list[float], list[float]]]:
        """Return steps and values of a number in the runs' logs, by label, for the runs that logged it at two steps."""
        lines = {}
        for entry in self.entries:
            points = [(row["step"], row[key]) for row in entry.history if key in row and "step" in row]
            if len(points) > 1:
                lines[entry.label] = ([step for step, _ in points], [value for _, value in points])
        return lines

    def verdict(self) -> Verdict:
        """What the models write about the people to forget: the starting model first, the retain model last."""
        first = [self.before] if self.before else []
        last = [self.never_saw] if self.never_saw else []
        middle = [entry for entry in self.others if entry is not self.never_saw]
        models = [self._model(entry) for entry in (*first, *middle, *last)]
        if self.never_saw is None and (log := self._retain_log()) is not None:
            models.append(log)
        return Verdict(tuple(models), plain=self.focus.plain)

    def _role(self, entry: Entry) -> Role:
        if entry is self.before:
            return "before"
        if entry is self.never_saw:
            return "never saw"
        return "attacked" if entry.record.attack and entry is not self.focus else "unlearned"

    def _model(self, entry: Entry) -> Model:
        return replace(_model(entry, self._role(entry)), attacked=_attacked(entry, self.entries))

    def _retain_log(self) -> Model | None:
        """The retain model as the focus's record has it, where its own evaluation is not among the entries."""
        counts = self.focus.record.retain_leakage
        if "forget" not in counts:
            return None
        return Model(
            label="never saw them (retain log)",
            role="never saw",
            forget=counts["forget"],
            keep=counts.get("retain"),
            leaks=self.focus.record.retain_leaks.get(self.focus.form),
        )


def _named(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    taken: dict[str, int] = {}
    named = []
    for entry in entries:
        taken[entry.label] = taken.get(entry.label, 0) + 1
        n = taken[entry.label]
        named.append(replace(entry, label=f"{entry.label} ({n})") if n > 1 else entry)
    return tuple(named)


def _same_questions(entries: Sequence[Entry]) -> None:
    asked: dict[str, tuple[str, str, str]] = {}
    for entry in entries:
        for row in (row for rows in entry.examples.values() for row in rows):
            if row.get("question") is None:
                continue  # MUSE's texts for membership inference
            own = (entry.label, row["question"], row["answer"])
            label, question, answer = asked.setdefault(row["id"], own)
            if (question, answer) != own[1:]:
                raise InputError(
                    "a report lays models side by side on the same questions, and these were asked different ones",
                    where=(f"{label} and {entry.label}", row["id"]),
                    why=f"{question[:40]!r} and {row['question'][:40]!r}",
                    hint="Report them separately.",
                )


def _starting_model(entries: Sequence[Entry]) -> Entry | None:
    started = {entry.run.model.digest for entry in entries if entry.run}
    # A model that was attacked before it was evaluated is no longer what a run started from.
    intact = [entry for entry in entries if not entry.record.attack and entry.record.model]
    return next((entry for entry in intact if entry.record.model and entry.record.model.digest in started), None)


def _retain_model(entries: Sequence[Entry], before: Entry | None) -> Entry | None:
    """The entry that is another entry's retain log: the same file, or else the same truth ratios."""
    named = {entry.retain_log.resolve() for entry in entries if entry.retain_log}
    logs = {entry.record.retain_truth_ratio for entry in entries} - {()}
    others = [entry for entry in entries if entry is not before]
    for entry in others:
        if entry.folder is not None and entry.folder.resolve() in named:
            return entry
    for entry in others:
        if tuple(entry.values("forget", "truth_ratio")) in logs:
            return entry
    return None


def _attacked(entry: Entry, entries: Sequence[Entry]) -> tuple[Attacked, ...]:
    """What the same model writes after attacks, one for each evaluation that counted it."""
    own = entry.record.model
    if own is None or own.digest is None or entry.record.attack:
        return ()
    after = [each for each in entries if each.record.attack and each.record.model]
    same = [each for each in after if each.record.model and each.record.model.digest == own.digest]
    return tuple(
        Attacked(attack=_attack(each), label=each.label, counts=each.record.leakage["forget"])
        for each in same
        if "forget" in each.record.leakage
    )


def _attack(entry: Entry) -> str:
    if entry.record.robustness is not None and entry.record.robustness.relearning is not None:
        return attack_in_words(entry.record.robustness)
    return ATTACKS.get(entry.record.attack or "", entry.record.attack or "")


def _model(entry: Entry, role: Role) -> Model:
    counts = entry.record.leakage
    forget = counts.get("forget")
    return Model(
        label=entry.label,
        role=role,
        forget=forget,
        keep=counts.get("retain"),
        leaks=entry.record.leaks.get(entry.form),
        likelihoods=Likelihoods(
            unwanted=entry.record.mean("forget", "uw_probability"),
            general=entry.record.mean("forget", "gw_probability"),
            keep=entry.record.mean("retain", "probability"),
            keep_recall=entry.record.mean("retain", "rougeL_recall"),
        ),
        reason=None if forget else entry.record.reasons.get("forget_leakage", _MUSE if entry.record.muse else _OLDER),
    )


__all__ = ["Evaluations"]
