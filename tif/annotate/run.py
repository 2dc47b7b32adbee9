"""Run an annotator over a dataset and save a versioned set. It can resume, and keeps people's decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Self

from tif.annotate.base import OBSERVED, Annotator
from tif.annotate.journal import AnnotationJournal
from tif.console import progress, warn
from tif.entities.policy import EntitiesPolicy
from tif.errors import InputError, PartialError, StoreError, UsageError
from tif.sets import entities, store
from tif.sources import Source
from tif.spans import DECIDED, AnnotationSet, Example, Provenance, SavedSet, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a run. `reused`, `new`, `kept` and `failed` add up to the examples of the set."""

    path: Path
    """The set's parquet file."""
    set: SavedSet
    """The saved set, with its version."""
    reused: int
    """Finished by an earlier run."""
    new: int
    """Finished by this run."""
    kept: int
    """Not annotated, because a person has reviewed them."""
    failed: int
    """Without an annotation; `error` has the reason."""
    dropped: int
    """Records of the previous version that are neither in this dataset nor in the new version."""
    policy: entities.Applied | None = None
    """The decisions of the entities policy."""

    @property
    def line(self) -> str:
        """`360 reused · 38 new · 2 failed`."""
        parts = [f"{self.reused} reused", f"{self.new} new", f"{self.failed} failed"]
        return " · ".join([*parts, f"{self.kept} kept as people left them"] if self.kept else parts)

    @property
    def version(self) -> Version:
        """The version that was saved."""
        return self.set.version

    def check(self, hint: str = "The others are saved. Run the same command with --retry-failed.") -> Self:
        """Return this report if no example failed.

        Raises:
            PartialError: naming the first failure.
        """
        failed = [example for example in self.set if example.status == "failed"]
        if not failed:
            return self
        raise PartialError(
            f"{len(failed)} of {len(self.set)} examples failed",
            why=f"the first is {failed[0].id}: {(failed[0].error or 'no reason given')[:160]}",
            hint=hint,
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `--json` prints."""
        policy = {} if self.policy is None else {"entities_policy": self.policy.to_json()}
        return {
            "set": str(self.path),
            "version": self.version.number,
            "digest": self.version.digest,
            "reused": self.reused,
            "new": self.new,
            "kept": self.kept,
            "failed": self.failed,
            "counts": self.set.counts(),
            "method": dict(self.set.provenance.method),
            **policy,
        }


def run(
    source: Source,
    annotator: Annotator,
    out: str | Path,
    *,
    retry_failed: bool = False,
    renew_failed: bool = False,
    fresh: bool = False,
    force: bool = False,
    policy: EntitiesPolicy | None = None,
    message: str = "",
    author: str = "",
) -> Report:
    """Annotate a dataset and save it as the next version of `out`.

    Each finished example goes into the journal of the annotator's settings at once. After a crash, the same call
    annotates only the missing examples. After success, it annotates none. Examples that a person accepted, corrected or
    rejected in an existing `out` are kept, if id, prompt and text are the same.

    Args:
        source: the samples.
        annotator: see `tif.annotate.base.Annotator`.
        out: the set's parquet file.
        retry_failed: annotate only the failed examples of an existing set.
        renew_failed: annotate all unfinished examples, and those that failed under these settings.
        fresh: discard the finished examples of earlier runs with these settings.
        force: also overwrite people's decisions.
        policy: what to do with each entity type. The set before the policy is a version of its own.
        message: the version's message.
        author: the version's author.

    Raises:
        UsageError: if a person's decisions would be lost and `force` is not given, or `out` is not a .parquet file.
        StoreError: if another run is annotating this set, or `out` is not an annotation set.
    """
    out = Path(out)
    if out.suffix != ".parquet":
        raise UsageError(f"{out} does not end in .parquet", where="--out")
    existing = store.load(out) if store.editable_head(out) else None
    if retry_failed and policy is None and existing is not None and entities.policy_of(existing) is not None:
        raise UsageError(
            f"{out} has an entities policy",
            where="--retry-failed",
            why="the new examples would have no policy",
            hint="Give the same --entities-policy.",
        )
    kept = {} if force else _kept(existing, source, annotator, out)
    samples = source.examples
    if retry_failed and existing is not None:
        failed = {(e.id, e.prompt, e.text) for e in existing if e.status == "failed"}
        samples = tuple(e for e in samples if (e.id, e.prompt, e.text) in failed)
    method = {key: value for key, value in annotator.describe().items() if key not in OBSERVED}
    with AnnotationJournal(store.folder(out), method) as journal:
        if fresh:
            journal.clear()
        done = journal.read(samples)
        if retry_failed or renew_failed:
            done = {id_: example for id_, example in done.items() if example.status != "failed"}
        todo = [example for example in samples if example.id not in done and example.id not in kept]
        with progress("annotating", len(samples), done=len(samples) - len(todo)) as advance:
            for example in _checked(annotator, todo) if todo else ():
                journal.add(example)
                done[example.id] = example
                advance()
    # People may have changed the set while the annotator ran, so their decisions are read again at the last moment.
    existing = store.load(out) if out.exists() else None
    if not force:
        # What was kept before was not annotated, so it is kept in any case.
        left = {e.id: e for e in existing or () if e.id in kept}
        kept = left | _kept(existing, source, annotator, out)
    if retry_failed and existing is not None:
        result = entities.before_policy(out, existing).replaced(
            done[e.id] for e in existing if e.id in done and e.id not in kept
        )
        provenance = Provenance(existing.provenance.dataset, _method(existing.provenance.method, annotator.describe()))
    else:
        result = AnnotationSet(tuple(kept.get(e.id) or done[e.id] for e in source.examples))
        provenance = Provenance(source.dataset, annotator.describe())
    base = existing.version if existing is not None else None
    result, applied = AnnotationSet(result.examples, provenance, base), None
    if policy is None:
        if existing is not None and entities.policy_of(existing) is not None:
            warn(f"{out} had an entities policy, and the new version has none: `tif spans apply-policy` applies one")
        saved = store.save(result, out, message=message, author=author)
    else:
        saved, applied = entities.save(result, policy, out, existing, message=message, author=author)
    failed_ids = {example.id for example in saved if example.status == "failed"}
    new = {example.id for example in todo} - failed_ids - set(kept)
    return Report(
        path=out,
        set=saved,
        reused=len(saved) - len(failed_ids | new | set(kept)),
        new=len(new),
        kept=len(kept),
        failed=len(failed_ids),
        dropped=len({e.id for e in existing or ()} - {e.id for e in saved}),
        policy=applied,
    )


def _kept(existing: SavedSet | None, source: Source, annotator: Annotator, out: Path) -> dict[str, Example]:
    """Return the existing examples that a person has reviewed, by id.

    `manual` may overwrite what an earlier `manual` run accepted: people correct their JSONL and run it again. What a
    person accepted on the page since is kept.

    Raises:
        UsageError: if the dataset lacks a reviewed example or has another text for it, so that it would be lost.
    """
    decided = [example for example in existing or () if example.status in DECIDED]
    if annotator.name == "manual":
        renewed = _accepted_by_manual(existing, out)
        decided = [e for e in decided if e.id not in renewed]
    given = {example.id: example for example in source.examples}
    for example in decided:
        sample = given.get(example.id)
        if sample is None or (sample.prompt, sample.text) != (example.prompt, example.text):
            change = "has no such record" if sample is None else "has another text for it"
            raise UsageError(
                f"this would overwrite {example.id!r}, which a person {example.status}",
                why=f"the dataset {change}",
                hint="Choose another --out, or --force to overwrite.",
            )
    return {example.id: example for example in decided}


def _accepted_by_manual(existing: SavedSet | None, out: Path) -> dict[str, Example]:
    """Return the examples that are accepted just as the last `manual` run wrote them, by id."""
    if existing is None or existing.provenance.method.get("name") != "manual":
        return {}
    # The versions that people made since repeat the method of the run.
    entries = reversed(store.history(out).entries)
    since = list(takewhile(lambda entry: entry[1].method == existing.provenance.method, entries))
    try:
        written = store.load(f"{out}@{since[-1][0].number}").by_id()
    except (StoreError, IndexError) as error:
        warn(f"{out}: the last manual run cannot be read, so every accepted record is kept ({error})")
        return {}
    return {
        e.id: e
        for e in existing
        if e.status == "accepted" and written.get(e.id) == e and all(span.source == "manual" for span in e.spans)
    }


def _checked(annotator: Annotator, todo: list[Example]) -> Iterable[Example]:
    """Yield the annotator's examples. Check that each comes exactly once, with its prompt and text unchanged."""
    waiting = {example.id: example for example in todo}
    for example in annotator.annotate(todo):
        given = waiting.pop(example.id, None)
        if given is None or (given.prompt, given.text) != (example.prompt, example.text):
            fault = "twice, or without receiving it" if given is None else "with another text"
            raise InputError(f"annotator {annotator.name!r} returned {example.id!r} {fault}")
        yield example
    if waiting:
        raise InputError(
            f"annotator {annotator.name!r} returned nothing for {len(waiting)} examples",
            why=f"the first is {next(iter(waiting))!r}",
        )


def _method(before: Mapping[str, object], current: Mapping[str, object]) -> dict[str, object]:
    """Return the method of a set after some examples were annotated again, perhaps by another method."""
    same = all(before.get(key) == value for key, value in current.items() if key not in OBSERVED)
    return dict(current) if same else {**current, "others_by": dict(before)}


__all__ = ["Report", "run"]
