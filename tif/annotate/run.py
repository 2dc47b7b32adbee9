"""Run an annotator over a dataset into a versioned set: resumable, and never over a person's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tif.annotate.base import OBSERVED, Annotator
from tif.annotate.journal import Journal
from tif.console import progress
from tif.errors import InputError, PartialError, UsageError
from tif.sets import store
from tif.sources import Source
from tif.spans import DECIDED, AnnotationSet, Example, Provenance


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. The four counts add up to the examples of the set."""

    set: AnnotationSet
    """As saved, with its version."""
    reused: int
    """Finished by an earlier run."""
    new: int
    """Finished by this run."""
    kept: int
    """Not touched because a person had decided about them."""
    failed: int
    """Without an annotation; `error` says why."""
    dropped: int
    """Records of the version before that this dataset does not hold, and the new version neither."""

    @property
    def line(self) -> str:
        """`360 reused · 38 new · 2 failed`."""
        parts = [f"{self.reused} reused", f"{self.new} new", f"{self.failed} failed"]
        return " · ".join([*parts, f"{self.kept} kept as people left them"] if self.kept else parts)

    def check(self, hint: str = "") -> None:
        """Raise a `PartialError` that names the first failures, if there are any."""
        if not self.failed:
            return
        failed = [example for example in self.set if example.status == "failed"]
        first = failed[0]
        raise PartialError(
            f"{self.failed} of {len(self.set)} examples failed",
            why=f"the first is {first.id}: {(first.error or 'no reason given')[:160]}",
            hint=hint or "The others are saved. --retry-failed tries these again.",
        )


def annotate(
    source: Source,
    annotator: Annotator,
    out: str | Path,
    *,
    retry_failed: bool = False,
    fresh: bool = False,
    force: bool = False,
    message: str = "",
    author: str = "",
) -> AnnotationSet:
    """`run`, for callers who want the set and nothing else.

    Raises:
        PartialError: after saving, if some examples failed.
    """
    report = run(
        source, annotator, out, retry_failed=retry_failed, fresh=fresh, force=force, message=message, author=author
    )
    report.check()
    return report.set


def run(
    source: Source,
    annotator: Annotator,
    out: str | Path,
    *,
    retry_failed: bool = False,
    renew_failed: bool = False,
    fresh: bool = False,
    force: bool = False,
    message: str = "",
    author: str = "",
) -> Report:
    """Annotate a dataset and save it as the next version of `out`.

    Every finished example is journalled at once under the annotator's settings, so the same call after a crash does
    only what is missing; the same call after success does nothing. What a person accepted, corrected or rejected in an
    existing `out` is kept, as long as id, prompt and text are the same.

    Args:
        source: the samples.
        annotator: see `tif.annotate.base.Annotator`.
        out: the set's parquet file.
        retry_failed: do again those examples that failed, and no others of an existing set.
        renew_failed: do again what failed under these settings, with all else that the dataset holds.
        fresh: forget what earlier runs with these settings finished.
        force: overwrite people's decisions too.
        message: the version's message.
        author: the version's author.

    Returns:
        What was done, with the saved set.

    Raises:
        UsageError: if a person's decisions would be lost, and not `force`.
        StoreError: if another run is at work on the set, or `out` is no annotation set.
    """
    out = Path(out)
    if out.suffix != ".parquet":
        raise UsageError(f"{out} does not end in .parquet", where="--out")
    existing = store.load(out) if out.exists() else None
    kept = {} if force else _kept(existing, source, annotator)
    samples = source.examples
    if retry_failed and existing is not None:
        failed = {(e.id, e.prompt, e.text) for e in existing if e.status == "failed"}
        samples = tuple(e for e in samples if (e.id, e.prompt, e.text) in failed)
    method = {key: value for key, value in annotator.describe().items() if key not in OBSERVED}
    with Journal(store.folder(out), method) as journal:
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
    # People may have worked on the set while the annotator ran: their decisions are read again, at the last moment.
    existing = store.load(out) if out.exists() else None
    kept = {} if force else _kept(existing, source, annotator)
    if retry_failed and existing is not None:
        result = existing.replaced(done[e.id] for e in existing if e.id in done and e.id not in kept)
        provenance = Provenance(existing.provenance.dataset, _method(existing.provenance.method, annotator.describe()))
    else:
        result = AnnotationSet(tuple(kept.get(e.id) or done[e.id] for e in source.examples))
        provenance = Provenance(source.provenance(), annotator.describe())
    version = existing.version if existing is not None else None
    saved = store.save(AnnotationSet(result.examples, provenance, version), out, message=message, author=author)
    failed_ids = {example.id for example in saved if example.status == "failed"}
    new = {example.id for example in todo} - failed_ids - set(kept)
    return Report(
        saved,
        reused=len(saved) - len(failed_ids | new | set(kept)),
        new=len(new),
        kept=len(kept),
        failed=len(failed_ids),
        dropped=len({e.id for e in existing or ()} - {e.id for e in saved}),
    )


def _kept(existing: AnnotationSet | None, source: Source, annotator: Annotator) -> dict[str, Example]:
    """Existing examples that a person decided about, by id.

    What an earlier `manual` run put there is its own to renew: people mend their JSONL and run it again.

    Raises:
        UsageError: if the dataset lacks one of them, or has another text for it, so that it would be lost.
    """
    decided = [example for example in existing or () if example.status in DECIDED]
    if annotator.name == "manual":
        decided = [e for e in decided if e.status != "accepted" or any(s.source != "manual" for s in e.spans)]
    given = {example.id: example for example in source.examples}
    for example in decided:
        now = given.get(example.id)
        if now is None or (now.prompt, now.text) != (example.prompt, example.text):
            what = "has no such record" if now is None else "has another text for it"
            raise UsageError(
                f"this would overwrite {example.id!r}, which a person {example.status}",
                why=f"the dataset {what}",
                hint="Choose another --out, or --force to overwrite.",
            )
    return {example.id: example for example in decided}


def _checked(annotator: Annotator, todo: list[Example]) -> Iterable[Example]:
    """What the annotator yields, held to its promise: each example once, its prompt and text untouched."""
    waiting = {example.id: example for example in todo}
    for example in annotator.annotate(todo):
        given = waiting.pop(example.id, None)
        if given is None or (given.prompt, given.text) != (example.prompt, example.text):
            what = "twice, or unasked" if given is None else "with another text"
            raise InputError(f"annotator {annotator.name!r} returned {example.id!r} {what}")
        yield example
    if waiting:
        raise InputError(
            f"annotator {annotator.name!r} returned nothing for {len(waiting)} examples",
            why=f"the first is {next(iter(waiting))!r}",
        )


def _method(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The method of a set of which some examples were done again, perhaps in another way."""
    same = all(before.get(key) == value for key, value in now.items() if key not in OBSERVED)
    return dict(now) if same else {**now, "others_by": dict(before)}


__all__ = ["Report", "annotate", "run"]
