"""Differences between two annotation sets, and the three-way merge. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from tif.errors import InputError, UsageError
from tif.escape import markdown_row
from tif.sets.conflict import Decision, Other, decision, joined, others, span_list
from tif.sets.makers import changed_by_machine
from tif.sets.overlaps import Overlaps, OverlapsByLabel
from tif.spans import DECIDED, AnnotationSet, Example, Key, Span, Status, tidy

Kind = Literal["added", "removed", "changed"]
Side = Literal["ours", "theirs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDiff:
    """The difference of one record between set A and set B."""

    id: str
    kind: Kind
    """`added`: only in B. `removed`: only in A. `changed`: in both."""
    added: tuple[tuple[Span, str], ...] = ()
    """Spans only in B, with their words."""
    removed: tuple[tuple[Span, str], ...] = ()
    """Spans only in A, with their words."""
    moved: tuple[tuple[Span, str, Span, str], ...] = ()
    """Same label, overlapping, other bounds: A's span and words, B's span and words."""
    relabelled: tuple[tuple[Span, Span, str], ...] = ()
    """Same bounds, other label."""
    status: tuple[Status, Status] | None = None
    """Status in A and in B, if they differ."""
    text_changed: bool = False
    """Prompt or text differ, so that offsets of A are not valid in B."""

    def to_json(self) -> dict[str, object]:
        """The record as plain JSON values."""

        def span(s: Span, words: str) -> dict[str, object]:
            return {"start": s.start, "end": s.end, "label": s.label, "text": words}

        return {
            "id": self.id,
            "kind": self.kind,
            "added": [span(s, w) for s, w in self.added],
            "removed": [span(s, w) for s, w in self.removed],
            "moved": [{"from": span(a, wa), "to": span(b, wb)} for a, wa, b, wb in self.moved],
            "relabelled": [{"from": span(a, w), "to": span(b, w)} for a, b, w in self.relabelled],
            "status": list(self.status) if self.status else None,
            "text_changed": self.text_changed,
        }


def side(*, ours: bool, theirs: bool) -> Side | None:
    """Return the side whose spans win where both changed the same words; None if neither is preferred.

    Raises:
        UsageError: if both are given.
    """
    if ours and theirs:
        raise UsageError("--ours and --theirs cannot be combined", hint="Give one of them.")
    return "ours" if ours else "theirs" if theirs else None


def diff(a: AnnotationSet, b: AnnotationSet) -> list[RecordDiff]:
    """Return records that differ from A to B, in B's order; those missing in B come last."""
    before, diffs = a.by_id(), []
    for new in b:
        old = before.pop(new.id, None)
        if old is None:
            diffs.append(RecordDiff(id=new.id, kind="added", added=_quoted(new, new.spans)))
        elif old != new and (change := _changed(old, new)) is not None:
            diffs.append(change)
    diffs += [RecordDiff(id=old.id, kind="removed", removed=_quoted(old, old.spans)) for old in before.values()]
    return diffs


@dataclass(frozen=True, slots=True)
class Merge:
    """The result of a three-way merge."""

    merged: AnnotationSet
    changed: tuple[str, ...]
    """Ids of the records that differ from `ours`."""
    conflicts: tuple[str, ...]
    """Ids of the records that both sides changed in contradictory ways."""
    disputed: tuple[tuple[Example, Example], ...] = ()
    """The conflicting records: ours and theirs."""


def merge(base: AnnotationSet, ours: AnnotationSet, theirs: AnnotationSet, *, prefer: Side | None = None) -> Merge:
    """Merge the changes from `base` to `theirs` into `ours`.

    Records missing in `theirs` stay unchanged: a partial file is a partial correction, not a deletion. If both sides
    changed one record, a person's decision wins over a machine's spans, and people's changes to different words are
    united. If the changes contradict each other, `prefer` decides.
    Without it, the record keeps our spans, gets status `conflict`, and `error` lists their spans.

    Raises:
        InputError: for a record of `theirs` that is not in `base`, or whose prompt or text differs from the base's.
    """
    at_base, at_ours = base.by_id(), ours.by_id()
    changed: list[str] = []
    disputed: list[tuple[Example, Example]] = []
    for number, theirs_one in enumerate(theirs, start=1):
        base_one, ours_one = at_base.get(theirs_one.id), at_ours.get(theirs_one.id)
        where = f"record {number}"
        if base_one is None or ours_one is None:
            raise InputError(
                f"id {theirs_one.id!r} is not in the set", where=where, hint="Keep the ids of the exported file."
            )
        if (theirs_one.prompt, theirs_one.text) != (base_one.prompt, base_one.text):
            raise InputError(
                f"prompt or text of {theirs_one.id!r} was changed",
                where=where,
                why=first_difference(
                    base_one.prompt + "\n" + base_one.text, theirs_one.prompt + "\n" + theirs_one.text
                ),
                hint="Edit only spans and status: offsets index the exact text.",
            )
        if (base_one.prompt, base_one.text) != (ours_one.prompt, ours_one.text):
            raise InputError(
                f"the text of {theirs_one.id!r} differs between the head and the base version", where=where
            )
        merged_one, clash = _merge_one(base_one, ours_one, theirs_one, prefer)
        if clash:
            disputed.append((ours_one, theirs_one))
        if merged_one != ours_one:
            changed.append(merged_one.id)
            at_ours[merged_one.id] = merged_one
    return Merge(
        ours.with_examples(at_ours.values()), tuple(changed), tuple(e.id for e, _ in disputed), tuple(disputed)
    )


def first_difference(a: str, b: str) -> str:
    """Describe the first difference of two texts."""
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"first difference at character {at}: {a[at : at + 20]!r} became {b[at : at + 20]!r}"


def lines(changes: Iterable[RecordDiff]) -> Iterator[str]:
    """Yield the lines of a readable diff: a head for each record, then `+`, `-`, `~` lines."""
    for change in changes:
        status = f"  {change.status[0]} -> {change.status[1]}" if change.status else ""
        yield f"{change.id}  {change.kind}{status}{'  text changed' if change.text_changed else ''}"
        for mark, line in _marks(change):
            yield f"  {mark} {line}"


def conflict_lines(disputed: Iterable[tuple[Example, Example]]) -> Iterator[str]:
    """Yield the readable lines of a merge's conflicts: for each record the spans of both sides.

    A side that is itself a conflict is followed by the sides that it tells of.
    """
    for ours, theirs in disputed:
        yield f"{ours.id}  conflict"
        for side, one in (("ours", ours), ("theirs", theirs)):
            yield f"  {side:<7}{one.status:<10}{span_list(one)}"
            for other in others(one):
                yield f"    beside {other.name}: {other.example.status:<10}{span_list(other.example)}"


def markdown(changes: Iterable[RecordDiff]) -> Iterator[str]:
    """Yield the lines of a diff as a Markdown table, a row for each change."""
    yield "| record | change | spans |"
    yield "|---|---|---|"
    for change in changes:
        marks = list(_marks(change)) or [("", "")]
        status = f" ({change.status[0]} → {change.status[1]})" if change.status else ""
        for mark, line in marks:
            yield markdown_row([change.id, f"{change.kind}{status}", f"{mark} {line}"])


def _marks(change: RecordDiff) -> Iterator[tuple[str, str]]:
    for span, words in change.removed:
        yield "-", f"{span.start}-{span.end} {span.label} {words!r}"
    for span, words in change.added:
        yield "+", f"{span.start}-{span.end} {span.label} {words!r}"
    for a, words_a, b, words_b in change.moved:
        yield "~", f"{a.start}-{a.end} {words_a!r} -> {b.start}-{b.end} {words_b!r}"
    for a, b, words in change.relabelled:
        yield "~", f"{a.start}-{a.end} {words!r} {a.label} -> {b.label}"


def _merge_one(base: Example, ours: Example, theirs: Example, prefer: Side | None) -> tuple[Example, bool]:
    if _judgement(theirs) == _judgement(base) or _judgement(theirs) == _judgement(ours):
        return ours, False
    if _judgement(ours) == _judgement(base):
        return theirs, False
    if base.status not in DECIDED:
        if ours.status in DECIDED and changed_by_machine(base, theirs):
            return ours, False
        if theirs.status in DECIDED and changed_by_machine(base, ours):
            return theirs, False
    statuses = {ours.status, theirs.status} - {base.status}
    base_spans, our_spans, their_spans = _by_key(base), _by_key(ours), _by_key(theirs)
    ours_new = [our_spans[k] for k in our_spans.keys() - base_spans.keys()]
    theirs_new = [their_spans[k] for k in their_spans.keys() - base_spans.keys()]
    # A rejection means that nothing is unlearned; it contradicts any other decision.
    clash = len(statuses) > 1 or ("rejected" in statuses and ours.status != theirs.status)
    same_label, at_ours, at_theirs = OverlapsByLabel(theirs_new), Overlaps(ours_new), Overlaps(theirs_new)
    clash |= any((a.start, a.end) != (b.start, b.end) for a in ours_new for b in same_label.of(a))
    status = next(iter(statuses), ours.status)
    # A side that only one record tells of must not vanish because the other record was settled.
    clash |= status != "conflict" and bool((_sides(ours) | _sides(theirs)) - _sides(base))
    for key, span in base_spans.items():
        fates = [_fate(key in kept, span, new) for kept, new in ((our_spans, at_ours), (their_spans, at_theirs))]
        clash |= fates[0] != fates[1] and _UNTOUCHED not in fates
    if not clash:
        kept = [s for k, s in base_spans.items() if k in our_spans and k in their_spans]
        united = tidy(ours.text, [*kept, *ours_new, *theirs_new])
        # A note belongs to its status: a settled conflict must not keep the note about the other side.
        error = ours.error if status == ours.status else theirs.error
        if status == "conflict":
            error = joined(base, ours, theirs)
        return replace(ours, spans=united, status=status, error=error), False
    if prefer is not None:
        return (ours if prefer == "ours" else theirs), True
    # The record keeps our spans, so a side with the same spans adds nothing, but a rejection does.
    known = theirs.keys == ours.keys if theirs.status != "conflict" else theirs.keys in (base.keys, ours.keys)
    clashing = [] if known and theirs.status != "rejected" else [Other("theirs", theirs)]
    if ours.status == "rejected":
        clashing.append(Other("ours", ours))
    return replace(ours, status="conflict", error=joined(base, ours, theirs, clashing)), True


def _fate(stays: bool, span: Span, new: Overlaps) -> tuple[bool, frozenset[Key]]:
    """Return whether a base span stayed, and the new spans of any label that overlap it."""
    return stays, frozenset(s.key for s in new.at(span.start, span.end))


_UNTOUCHED: Final = (True, frozenset[Key]())


def _judgement(example: Example) -> tuple[Decision, frozenset[Decision]]:
    """Return what is decided about a record, and for a conflict what its other sides decided."""
    return decision(example), _sides(example)


def _sides(example: Example) -> frozenset[Decision]:
    return frozenset(decision(other.example) for other in others(example))


def _by_key(example: Example) -> dict[Key, Span]:
    return {span.key: span for span in example.spans}


def _quoted(example: Example, spans: Iterable[Span]) -> tuple[tuple[Span, str], ...]:
    return tuple((s, example.quote(s)) for s in spans)


def _changed(old: Example, new: Example) -> RecordDiff | None:
    status = (old.status, new.status) if old.status != new.status else None
    if (old.prompt, old.text) != (new.prompt, new.text):
        return RecordDiff(
            id=new.id,
            kind="changed",
            added=_quoted(new, new.spans),
            removed=_quoted(old, old.spans),
            status=status,
            text_changed=True,
        )
    before, after = _by_key(old), _by_key(new)
    come = {k: s for k, s in after.items() if k not in before}
    same_label, by_bounds = OverlapsByLabel(come.values()), dict[tuple[int, int], list[Span]]()
    for span in come.values():
        by_bounds.setdefault((span.start, span.end), []).append(span)
    gone, moved, relabelled = [], [], []
    for a in (s for k, s in before.items() if k not in after):
        same_bounds = next((b for b in by_bounds.get((a.start, a.end), ()) if b.key in come), None)
        overlapping = next((b for b in same_label.of(a) if b.key in come), None)
        if same_bounds is not None:
            relabelled.append((a, same_bounds, old.quote(a)))
            del come[same_bounds.key]
        elif overlapping is not None:
            moved.append((a, old.quote(a), overlapping, new.quote(overlapping)))
            del come[overlapping.key]
        else:
            gone.append(a)
    if not (gone or come or moved or relabelled or status):
        return None
    return RecordDiff(
        id=new.id,
        kind="changed",
        added=_quoted(new, come.values()),
        removed=_quoted(old, gone),
        moved=tuple(moved),
        relabelled=tuple(relabelled),
        status=status,
    )


__all__ = ["Merge", "RecordDiff", "conflict_lines", "diff", "first_difference", "lines", "markdown", "merge", "side"]
