"""The nouns of annotation: `Span`, `Example`, `AnnotationSet`, and `SavedSet` once it has a version.

Offsets are Unicode code points into the exact `Example.text`, 0-based, half-open: as in Python slices.
Text is never normalised, so that offsets stay valid as long as the text's hash does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, Literal, TypeGuard, get_args

from tif.errors import InputError, short
from tif.text import trimmed

UW: Final = "UW"
"""The label of unwanted words, the default everywhere."""

Status = Literal["auto", "review", "accepted", "corrected", "rejected", "conflict", "failed"]
"""`auto`: by a machine, unreviewed. `review`: by a machine, and an entities policy asks a person to decide. `accepted`,
`corrected`: a person confirmed or changed the spans. `rejected`: a person decided against unlearning the sample.
`conflict`: two people disagree. `failed`: the annotator failed, and `error` gives the reason."""

Key = tuple[int, int, str]
"""Start, end and label: two spans with the same key count as the same."""

STATUSES: Final[tuple[Status, ...]] = get_args(Status)

REVIEWED: Final[tuple[Status, ...]] = ("accepted", "corrected", "rejected")
"""One person decided about the sample."""

DECIDED: Final[tuple[Status, ...]] = (*REVIEWED, "conflict")
"""At least one person decided. A machine never overwrites these."""

UNRESOLVED: Final[tuple[Status, ...]] = ("failed", "conflict", "review")
"""The sample has no spans to train on yet."""

UNDECIDED: Final[tuple[Status, ...]] = ("auto", *UNRESOLVED)
"""No decision yet: a person still has to review the sample."""

CONFIRMED: Final[tuple[Status, ...]] = ("accepted", "corrected")
"""A person confirmed the spans."""

UNTRAINED: Final[tuple[Status, ...]] = ("rejected", *UNRESOLVED)
"""Training leaves out these samples."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled range of an example's text.

    Raises:
        InputError: for offsets that are not integers with 0 <= start < end, an empty label, a score outside 0..1.
    """

    start: int
    """First code point."""
    end: int
    """One past the last code point."""
    label: str = UW
    source: str = ""
    """Who marked it: an annotator such as `ner:en_core_web_sm`, or a reviewer's name."""
    score: float | None = None
    """The source's confidence, 0..1, if it gives one."""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if type(value) is not int:
                raise InputError(f"{name} is {short(value)}, not a whole number", where=name)
        if not 0 <= self.start < self.end:
            raise InputError(
                f"start {self.start} and end {self.end} contain no text",
                why="0 <= start < end must hold",
                where="start",
            )
        for name in ("label", "source"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise InputError(f"{name} is {short(value)}, not text", where=name)
            _encodable(value, name)
        if not self.label or self.label != self.label.strip():
            raise InputError(
                f"{short(self.label)} is not a valid label",
                why="it is empty or padded with white space",
                where="label",
            )
        if self.score is not None:
            if type(self.score) not in (int, float) or not 0.0 <= self.score <= 1.0:
                raise InputError(f"score {short(self.score)} is not between 0 and 1", where="score")
            object.__setattr__(self, "score", float(self.score) + 0.0)

    @property
    def key(self) -> Key:
        """Start, end and label, without source and score. Spans are sorted by it."""
        return (self.start, self.end, self.label)

    def overlaps(self, other: Span) -> bool:
        """Whether the two spans share at least one code point."""
        return self.start < other.end and other.start < self.end

    def move(self, by: int) -> Span:
        """Return the span moved right by `by` code points."""
        return replace(self, start=self.start + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Example:
    """One sample of a forget set, with its spans.

    Raises:
        InputError: unless spans are sorted, inside the text, trimmed of outer white space, and free of overlaps
            within a label. `tidy` makes them so.
    """

    id: str
    """Stable across runs, e.g. `tofu/forget10/0007`."""
    prompt: str
    """The question; "" for plain text."""
    text: str
    """The answer or document, indexed by `spans`."""
    spans: tuple[Span, ...] = ()
    status: Status = "auto"
    error: str | None = None
    """The reason for `failed`, or a note, e.g. quotes that an annotator could not place."""

    def __post_init__(self) -> None:
        for name in ("id", "prompt", "text"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise InputError(f"{name} is {short(value)}, not text", where=name)
            _encodable(value, name)
        here = f"record {self.id!r}"
        if not self.id or self.id != self.id.strip() or "\n" in self.id:
            raise InputError(
                f"{short(self.id)} is not a valid id", why="it is empty, padded or contains a line break", where="id"
            )
        if not is_status(self.status):
            raise InputError(
                f"unknown status {short(self.status)}", where=(here, "status"), hint=f"Known: {', '.join(STATUSES)}."
            )
        if self.error is not None:
            if not isinstance(self.error, str):
                raise InputError(f"error is {short(self.error)}, not text", where=(here, "error"))
            _encodable(self.error, "error")
        object.__setattr__(self, "spans", tuple(self.spans))
        last: dict[str, Span] = {}
        for index, span in enumerate(self.spans):
            where = (here, f"spans[{index}]")
            if span.end > len(self.text):
                raise InputError(f"end {span.end} is beyond the text's {len(self.text)} characters", where=where)
            if self.text[span.start].isspace() or self.text[span.end - 1].isspace():
                raise InputError(f"{short(self.quote(span))} begins or ends with white space", where=where)
            if index and span.key < self.spans[index - 1].key:
                raise InputError("spans are not sorted by start", where=where)
            before = last.get(span.label)
            if before is not None and before.overlaps(span):
                raise InputError(
                    f"{short(self.quote(span))} overlaps {short(self.quote(before))}",
                    where=where,
                    why=f"both are {span.label}",
                )
            last[span.label] = span

    def quote(self, span: Span) -> str:
        """The words that a span marks."""
        return self.text[span.start : span.end]

    @property
    def keys(self) -> frozenset[Key]:
        """The keys of all spans."""
        return frozenset(span.key for span in self.spans)

    def unwanted(self, labels: Collection[str] | None = None) -> tuple[Span, ...]:
        """Return the spans to forget: those with these labels, or all if `labels` is None."""
        return of_labels(self.spans, labels)

    def with_spans(self, spans: Iterable[Span], *, status: Status | None = None, error: str | None = None) -> Example:
        """Return the sample with other spans, which are tidied first."""
        return replace(self, spans=tidy(self.text, spans), status=status or self.status, error=error)

    @property
    def edges(self) -> frozenset[int]:
        """Every offset where a span begins or ends."""
        return frozenset(edge for span in self.spans for edge in (span.start, span.end))

    @property
    def text_sha256(self) -> str:
        """SHA-256 of the text's UTF-8. The offsets are valid for this text only."""
        return sha256(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The samples that a set annotates."""

    id: str = ""
    """`locuslab/TOFU`, a hub id, or a file's name."""
    split: str = ""
    """`forget10`; "" where there is none."""
    fingerprint: str = ""
    """SHA-256 over ids, prompts and texts."""
    examples: int = 0


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a set's samples and spans come from. It never contains a key or a password."""

    dataset: Dataset = field(default_factory=Dataset)
    method: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: `name`, `parameters`, `model`, `prompt_sha256`, `usage`, if the annotator has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A saved version of a set. Only the store makes it."""

    number: int
    digest: str
    """Digest of the content: `AnnotationSet.digest`."""
    parent: str | None
    """Digest of the previous version."""
    created: str
    message: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class AnnotationSet:
    """Examples with unique ids, and where they come from.

    Raises:
        InputError: for an id that occurs twice.
    """

    examples: tuple[Example, ...]
    provenance: Provenance = field(default_factory=Provenance)
    base: Version | None = None
    """The saved version that this set was made from; None for a new set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "examples", tuple(self.examples))
        if len({example.id for example in self.examples}) == len(self.examples):
            return
        seen: dict[str, int] = {}
        for index, example in enumerate(self.examples):
            if example.id in seen:
                raise InputError(
                    f"id {example.id!r} occurs twice",
                    where=f"record {index + 1}",
                    why=f"first in record {seen[example.id] + 1}",
                )
            seen[example.id] = index

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def by_id(self) -> dict[str, Example]:
        """Examples by id, in order."""
        return {example.id: example for example in self.examples}

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that a span has, sorted."""
        return tuple(sorted({span.label for example in self.examples for span in example.spans}))

    def of_labels(self, labels: Collection[str] | None) -> AnnotationSet:
        """Return the set with only the spans of these labels; the set itself if `labels` is None."""
        if labels is None:
            return self
        return self.with_examples(replace(e, spans=of_labels(e.spans, labels)) for e in self.examples)

    def with_examples(self, examples: Iterable[Example]) -> AnnotationSet:
        """Return an unsaved set with other examples and the same provenance and base."""
        return AnnotationSet(tuple(examples), self.provenance, self.base)

    def replaced(self, changed: Iterable[Example]) -> AnnotationSet:
        """Return the set with each example of `changed` in the place of the one with its id.

        Raises:
            InputError: for an id that is not in the set.
        """
        new = self.by_id()
        for example in changed:
            if example.id not in new:
                raise InputError(f"no record {example.id!r} in this set")
            new[example.id] = example
        return self.with_examples(new.values())

    @property
    def digest(self) -> str:
        """SHA-256 over the logical content, independent of the file format and of provenance."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(canonical(example))
            digest.update(b"\n")
        return digest.hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, prompts and texts: the same for every annotation of the same samples."""
        return fingerprint((e.id, e.prompt, e.text) for e in self.examples)

    def counts(self) -> dict[str, int]:
        """Examples, spans, examples without a span, and examples of each status that occurs."""
        counts = {
            "examples": len(self.examples),
            "spans": sum(len(e.spans) for e in self.examples),
            "without_spans": sum(not e.spans for e in self.examples),
        }
        for status in STATUSES:
            if n := sum(e.status == status for e in self.examples):
                counts[status] = n
        return counts


@dataclass(frozen=True, slots=True)
class SavedSet(AnnotationSet):
    """A saved set. Only the store makes it, when it loads or saves a set."""

    version: Version = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", self.version)
        # Not super(): a dataclass with slots is created twice, and super() refers to the first class.
        AnnotationSet.__post_init__(self)


def is_status(value: object) -> TypeGuard[Status]:
    """Whether a value is one of the statuses."""
    return value in STATUSES


def tidy(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans as `Example` requires: clamped to the text, trimmed, sorted, overlaps within a label united.

    A span of only white space is dropped. A union keeps the source of the span that starts first and the
    highest score.
    """
    kept: list[Span] = []
    for span in spans:
        start, end = trimmed(text, span.start, min(span.end, len(text)))
        if start < end:
            kept.append(replace(span, start=start, end=end))
    by_label: dict[str, list[Span]] = {}
    for span in sorted(kept, key=attrgetter("key")):
        by_label.setdefault(span.label, []).append(span)
    return tuple(sorted((s for same in by_label.values() for s in united(same)), key=attrgetter("key")))


def united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return sorted spans without overlaps. Overlapping spans become one, even with different labels.

    A union keeps the label and the source of the span that starts first, and the highest score.
    """
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].overlaps(span):
            scores = [s for s in (joined[-1].score, span.score) if s is not None]
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, span.end), score=max(scores, default=None))
        else:
            joined.append(span)
    return tuple(joined)


def of_labels(spans: Iterable[Span], labels: Collection[str] | None) -> tuple[Span, ...]:
    """Return the spans with one of these labels, in order; all if `labels` is None."""
    return tuple(span for span in spans if labels is None or span.label in labels)


def canonical(example: Example) -> bytes:
    """Return one example as the JSON that digests are computed over."""
    spans = [[s.start, s.end, s.label, s.source, s.score] for s in example.spans]
    row = [example.id, example.prompt, example.text, spans, example.status, example.error]
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def fingerprint(rows: Iterable[tuple[str, str, str]]) -> str:
    """SHA-256 over (id, prompt, text) rows, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def now() -> str:
    """Return the time as records have it, `2026-01-31T12:00:00+00:00`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _encodable(value: str, name: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} contains a lone surrogate at {error.start}", where=name, why="not valid Unicode"
        ) from None


__all__ = [
    "CONFIRMED",
    "DECIDED",
    "REVIEWED",
    "STATUSES",
    "UNDECIDED",
    "UNRESOLVED",
    "UNTRAINED",
    "UW",
    "AnnotationSet",
    "Dataset",
    "Example",
    "Key",
    "Provenance",
    "SavedSet",
    "Span",
    "Status",
    "Version",
    "canonical",
    "fingerprint",
    "is_status",
    "now",
    "of_labels",
    "sha256",
    "tidy",
    "united",
]
