"""Check a stored set: errors that make it unusable, and warnings that deserve a second look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from tif.errors import InputError, StoreError, TifError
from tif.sets import companions, metadata, store
from tif.sets.makers import is_by_program
from tif.sets.overlaps import OverlapsByLabel
from tif.sets.untrained import SpanCounts, span_counts, untrained
from tif.sets.verify import verify_set
from tif.spans import Example, Span, Status
from tif.text import all_mentions, divides, words

LONG_SHARE = 0.8
"""A span over more than this share of a text is reported: it leaves hardly any general words."""

_SHORTEST_MENTION = 3
"""Shorter words occur by chance."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem."""

    level: Literal["error", "warning"]
    """`error`: the set cannot be used as it is. `warning`: it can, but deserves a look."""
    kind: str
    """Short and stable, for counting and grep."""
    where: str
    what: str

    @property
    def line(self) -> str:
        """The finding for a person."""
        return ": ".join(part for part in (self.level, self.kind, self.where, self.what) if part)


def count(findings: Sequence[Finding]) -> tuple[int, int]:
    """Return the number of errors and the number of warnings."""
    errors = sum(finding.level == "error" for finding in findings)
    return errors, len(findings) - errors


def to_json(findings: Sequence[Finding]) -> dict[str, object]:
    """Return findings as plain JSON values."""
    errors, warnings = count(findings)
    return {"errors": errors, "warnings": warnings, "findings": [asdict(finding) for finding in findings]}


def check(
    ref: str | Path, *, labels: Collection[str] | None = None, data_dir: str | Path | None = None
) -> list[Finding]:
    """Return all findings in the set that `ref` names: errors first, then warnings, each in the set's order.

    Args:
        ref: the set.
        labels: labels that will be trained; each other label is a finding. None for every label.
        data_dir: for a set without texts: folder with local copies of benchmark files.

    Raises:
        TifError: for a set without texts whose data set is not available.
    """
    errors: list[Finding] = []
    warnings: list[Finding] = []
    seen: dict[str, int] = {}
    counts: Counter[tuple[str, Status]] = Counter()
    path, version = store.resolve(ref)
    stale = version is None and companions.is_stale(path)
    try:
        for number, row in enumerate(store.read_rows(ref, data_dir=data_dir), start=1):
            errors += [Finding("error", "invalid", ", ".join(e.where), _shown(e)) for e in row.errors]
            id_ = repr(row.id)
            if id_ in seen:
                errors.append(Finding("error", "id-twice", f"record {id_}", f"row {number} repeats row {seen[id_]}"))
            seen.setdefault(id_, number)
            if row.example is not None:
                warnings += _look_at(row.example)
                counts += span_counts([row.example])
        if not errors:
            store.load(ref, data_dir=data_dir)
    except StoreError as error:
        errors.append(Finding("error", "unreadable", ", ".join(error.where), _shown(error)))
    if not errors and version is None:
        errors += _damaged(ref, data_dir)
        warnings += _accepted_by_nobody(path, data_dir)
    if stale and not companions.is_stale(path):
        renewed = "did not match the set, as after a failed save, and was written again"
        warnings.append(Finding("warning", "stale-sidecar", str(metadata.sidecar(path)), renewed))
    return [*errors, *warnings, *_left_out(counts, labels)]


def _damaged(ref: str | Path, data_dir: str | Path | None) -> Iterator[Finding]:
    """Yield the versions that cannot be restored any more, and what else is not as tif saved it."""
    for check in verify_set(ref, data_dir=data_dir):
        if check.state in ("differs", "missing"):
            yield Finding("error", "damaged", check.name, check.detail)


def _accepted_by_nobody(path: Path, data_dir: str | Path | None) -> Iterator[Finding]:
    """Yield one finding for the records that the first version has as accepted, with nothing but a program's spans.

    A record that a person accepted in tif is not accepted in the first version, unless that came from another set.
    """
    try:
        head, first = (store.load(f"{path}{version}", data_dir=data_dir).by_id() for version in ("", "@1"))
    except TifError:  # an older version that is missing or damaged is a finding of its own
        return
    records = [
        example
        for id_, example in first.items()
        if example.status == "accepted" and example.spans and all(map(is_by_program, example.spans))
        if id_ in head and (head[id_].status, head[id_].keys) == ("accepted", example.keys)
    ]
    if records:
        sources = ", ".join(sorted({span.source for example in records for span in example.spans}))
        ids = ", ".join(repr(example.id) for example in records[:3]) + (", ..." if len(records) > 3 else "")
        yield Finding(
            "warning",
            "accepted-unseen",
            f"{len(records)} records ({ids})",
            f"were accepted when the set was made, and only {sources} marked them. If nobody looked at them, export "
            'the set, change their status to "auto", and import the file',
        )


def _left_out(counts: SpanCounts, labels: Collection[str] | None) -> Iterator[Finding]:
    for label, count in untrained(counts, labels).labels.items():
        yield Finding("warning", "not-trained", f"label {label!r}", f"{_spans(count)} will not be trained")
    for label in sorted({*(labels or ())} - {label for label, _ in counts}):
        yield Finding("warning", "no-such-label", f"label {label!r}", "no span has it")


def _spans(count: int) -> str:
    return "1 span" if count == 1 else f"{count} spans"


def _look_at(example: Example) -> Iterator[Finding]:
    where = f"record {example.id!r}"
    if example.status == "failed":
        yield Finding("warning", "failed", where, example.error or "no reason given")
    elif example.status == "conflict":
        yield Finding("warning", "conflict", where, example.error or "two people disagree")
    elif example.status == "review":
        yield Finding("warning", "review", where, example.error or "a person must decide")
    elif not example.spans:
        yield Finding("warning", "no-spans", where, "nothing is marked as unwanted")
    elif example.error:
        yield Finding("warning", "noted", where, example.error)
    text, missed = example.text, _unmarked(example)
    longest, several_words = LONG_SHARE * len(text.strip()), len(list(islice(words(text), 4))) > 3
    for span in example.spans:
        quote = example.quote(span)
        if divides(text, span.start) or divides(text, span.end):
            yield Finding("warning", "cuts-word", where, f"{quote!r} ({span.start}-{span.end}) cuts a word")
        if not any(c.isalnum() for c in quote):
            yield Finding("warning", "no-word", where, f"{quote!r} ({span.start}-{span.end}) has no letter or digit")
        if span.end - span.start > longest and several_words:
            yield Finding("warning", "nearly-all", where, f"{span.start}-{span.end} marks nearly all of the text")
        for at in missed.get(span, ()):
            yield Finding("warning", "unmarked-mention", where, f"{quote!r} is not marked at {at}")


def _unmarked(example: Example) -> dict[Span, list[int]]:
    """Return offsets where a span's words occur outside every span of its label: often a missed mention.

    Each phrase is reported once, for its first span.
    """
    first: dict[tuple[str, str], Span] = {}
    for span in example.spans:
        if len(quote := example.quote(span)) >= _SHORTEST_MENTION:
            first.setdefault((span.label, quote), span)
    places = all_mentions(example.text, {quote for _, quote in first})
    marked = OverlapsByLabel(example.spans)
    return {
        span: [at for at in places[quote] if not marked.of(Span(at, at + len(quote), label))]
        for (label, quote), span in first.items()
    }


def _shown(error: TifError) -> str:
    return str(InputError(error.what, why=error.why, hint=error.hint))


__all__ = ["LONG_SHARE", "Finding", "check", "count", "to_json"]
