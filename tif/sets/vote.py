"""Merge several annotations of the same samples into one, by vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tif.entities import label_of
from tif.errors import UsageError
from tif.sets import store
from tif.sets.conflict import Other, note, others
from tif.sets.vote_options import VoteScore
from tif.spans import DECIDED, UW, AnnotationSet, Example, Key, Provenance, SavedSet, Span, tidy


def vote(sets: Sequence[AnnotationSet], need: int, score: VoteScore = "votes") -> tuple[Example, ...]:
    """Keep each character that at least `need` of the sets mark, whatever the label.

    Neighbouring characters form a span. Its label is the type with most votes for its characters, compared by the
    canonical type. `UW` says nothing about the type, so it wins only alone. A span's source is
    `vote:NEED/SETS of SOURCES`, with the sources of the spans that it is made of. A person's decision wins without a
    vote; two people who disagree give `status="conflict"`. A set in which an example failed has no vote on it. An
    example with fewer than `need` voting sets fails.

    Args:
        sets: at least two annotations of the same samples.
        need: number of votes that a character needs, 1 (union) to `len(sets)` (intersection).
        score: `votes`: the mean share of sets that mark its characters; `confidence`: the highest score that a set
            gives to one of its characters, None if no set gives a score.

    Raises:
        UsageError: if the sets' samples differ, or `need` is out of range.
    """
    if len(sets) < 2:
        raise UsageError("a vote needs at least two sets")
    if not 1 <= need <= len(sets):
        raise UsageError(
            f"{need} votes are not possible with {len(sets)} sets", where="--vote", hint=f"Give 1 to {len(sets)}."
        )
    texts = [{e.id: (e.prompt, e.text) for e in one} for one in sets]
    for number, other in enumerate(texts[1:], start=2):
        for id_ in texts[0].keys() | other.keys():
            if texts[0].get(id_) != other.get(id_):
                why = f"record {id_!r} is missing in one of them, or has another text"
                raise UsageError(f"sets 1 and {number} annotate different samples", why=why)
    by_id = [one.by_id() for one in sets]
    return tuple(_voted([one[example.id] for one in by_id], need, score) for example in sets[0])


def _voted(versions: list[Example], need: int, score: VoteScore) -> Example:
    decided = [e for e in versions if e.status in DECIDED]
    if decided:
        first = decided[0]
        sides = {_judged(other.example): other for other in others(first)}
        for number, one in enumerate(versions, start=1):
            if one.status in DECIDED:
                for side in (Other(f"set {number}", one), *(() if one is first else others(one))):
                    sides.setdefault(_judged(side.example), Other(f"set {number}", side.example))
        if not sides.keys() - {_judged(first)}:
            return first
        # The record keeps the spans of the first set, but not its rejection.
        if first.status != "rejected":
            sides.pop(_judged(first), None)
        return replace(first, status="conflict", error=note(sides.values()))
    voters = [e for e in versions if e.status != "failed"]
    if len(voters) < need:
        why = f"{len(voters)} of {len(versions)} sets have an annotation, {need} votes are needed"
        return versions[0].with_spans((), status="failed", error=why)
    text = versions[0].text
    spans: list[Span] = []
    marks = Counter(at for e in voters for at in {at for s in e.spans for at in range(s.start, s.end)})
    marking: dict[int, list[Span]] = {}
    for span in (span for e in voters for span in e.spans):
        for at in range(span.start, span.end):
            marking.setdefault(at, []).append(span)
    kept = sorted(at for at, votes in marks.items() if votes >= need)
    for _, run in groupby(enumerate(kept), key=lambda pair: pair[1] - pair[0]):
        offsets = [at for _, at in run]
        members = [span for at in offsets for span in marking[at]]
        sources = ", ".join(sorted({span.source for span in members if span.source}))
        source = f"vote:{need}/{len(versions)}" + (f" of {sources}" if sources else "")
        if score == "votes":
            value: float | None = sum(marks[at] for at in offsets) / (len(offsets) * len(versions))
        else:
            value = max((span.score for span in members if span.score is not None), default=None)
        label = _elected(span.label for span in members)
        spans.append(Span(offsets[0], offsets[-1] + 1, label, source, value))
    return Example(versions[0].id, versions[0].prompt, text, tidy(text, spans))


def _elected(labels: Iterable[str]) -> str:
    """Return the label with most votes. Names of one canonical type vote together; the first of them is returned."""
    names: dict[str, str] = {}
    votes: Counter[str] = Counter()
    for label in labels:
        if label != UW:
            type_ = label_of(label)
            votes[type_] += 1
            names.setdefault(type_, label)
    return names[votes.most_common(1)[0][0]] if votes else UW


def _judged(example: Example) -> tuple[frozenset[Key], bool]:
    """Return what a person decided about a record: the spans, and whether it is rejected."""
    return example.keys, example.status == "rejected"


def merge_votes(
    sets: Sequence[str],
    need: int,
    out: Path,
    *,
    score: VoteScore = "votes",
    message: str = "",
    author: str = "",
    data_dir: str | Path | None = None,
) -> SavedSet:
    """Vote over saved sets, and save the result as the next version of `out`.

    Raises:
        UsageError: as `vote`; or if `out` contains a person's decisions that none of the sets has.
        StoreError: if `out` lacks its texts.
    """
    head = store.load(out) if store.editable_head(out) else None
    loaded = [store.load(ref, data_dir=data_dir) for ref in sets]
    examples = vote(loaded, need, score)
    result = {e.id: e for e in examples}
    if head is not None and any(e.status in DECIDED and result.get(e.id) != e for e in head):
        raise UsageError(
            f"{out} contains people's decisions that this vote would overwrite", hint="Choose another --into."
        )
    members = [
        {"set": ref, "digest": one.version.digest, "method": dict(one.provenance.method)}
        for ref, one in zip(sets, loaded, strict=True)
    ]
    method = {"name": "vote", "version": 2, "need": need, "score": score, "of": members}
    provenance = Provenance(loaded[0].provenance.dataset, method)
    voted = AnnotationSet(examples, provenance, head.version if head else None)
    return store.save(voted, out, message=message or f"vote {need} of {len(sets)}", author=author)


__all__ = ["merge_votes", "vote"]
