"""The note of a record with a conflict: what each other side marked, as a line that `others` reads back.

    theirs (corrected): 28-34 'Skagen', 40-44 NAME 'Mara'
    set 2 (accepted): 0-3 'Oda'; set 3 (rejected): no spans
    theirs (corrected): 28-34 'Skagen'; note: ask Oda

A text that no side wrote comes last, after `note:`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tif.errors import InputError
from tif.spans import STATUSES, UW, Example, Key, Span, Status

_NONE: Final = "no spans"
_REST: Final = "note: "
_HEAD = re.compile(rf"([^;()]+) \(({'|'.join(STATUSES)})\): ")
_RANGE = re.compile(r"(\d{1,9})-(\d{1,9}) ")


@dataclass(frozen=True, slots=True)
class Other:
    """Another side of a conflict: who, and the record as they left it."""

    name: str
    example: Example


Decision = tuple[frozenset[Key], Status]
"""What a side decided: spans and status, without source and score."""


def decision(example: Example) -> Decision:
    """Return what a side decided about a record."""
    return example.keys, example.status


def note(sides: Iterable[Other], rest: Iterable[str] = ()) -> str:
    """Return the note that tells what the other sides marked, and then other texts."""
    told = [f"{side.name} ({side.example.status}): {span_list(side.example)}" for side in sides]
    return "; ".join([*told, *(f"{_REST}{text.removeprefix(_REST)}" for text in dict.fromkeys(rest))])


def joined(base: Example, ours: Example, theirs: Example, clashing: Iterable[Other] = ()) -> str | None:
    """Return the note of a merged conflict, with every side that one of the two records tells of; None if none does.

    A side that the base tells of counts only if `ours` still tells of it: otherwise a person has settled it.

    Args:
        base: the record that both come from.
        ours: the record whose spans are kept.
        theirs: the merged record.
        clashing: sides that contradict `ours`.
    """
    settled = {decision(other.example) for other in others(base)} | {decision(ours)}
    sides = {decision(other.example): other for other in others(ours)}
    for other in (*clashing, *(o for o in others(theirs) if decision(o.example) not in settled)):
        sides.setdefault(decision(other.example), other)
    texts = [text for text in (_rest(ours), _rest(theirs)) if text and (text == _rest(ours) or text != _rest(base))]
    return note(sides.values(), texts) or None


def _rest(example: Example) -> str:
    """Return the part of a conflict's note that tells of no side."""
    if example.status != "conflict" or not example.error:
        return ""
    sides = others(example)
    return example.error[len(note(sides)) :].removeprefix("; ").removeprefix(_REST) if sides else example.error


def span_list(example: Example) -> str:
    """Return the spans of an example in one line: offsets, label unless UW, words."""
    spans = (f"{s.start}-{s.end}{'' if s.label == UW else f' {s.label}'} {example.quote(s)!r}" for s in example.spans)
    return ", ".join(spans) or _NONE


def others(example: Example) -> tuple[Other, ...]:
    """Return the other sides of a record with a conflict, read from its note; none if the note has another form."""
    if example.status != "conflict" or not example.error:
        return ()
    text, at, found = example.error, 0, []
    while head := _HEAD.match(text, at):
        read = _spans(example, text, head.end(), source=head[1])
        if read is None:
            return ()
        spans, at = read
        try:
            side = replace(example, spans=spans, status=head[2], error=None)  # type: ignore[arg-type]  # of STATUSES
        except InputError:
            return ()
        found.append(Other(head[1], side))
        if at == len(text):
            return tuple(found)
        if not text.startswith("; ", at):
            return ()
        at += 2
        if text.startswith(_REST, at):
            return tuple(found)
    return ()


def _spans(example: Example, text: str, at: int, source: str) -> tuple[tuple[Span, ...], int] | None:
    """Read a list of spans at a place of the note. Return them and where it ends; None if the form is another."""
    if text.startswith(_NONE, at):
        return (), at + len(_NONE)
    known = {span.key: span for span in example.spans}
    spans: list[Span] = []
    while match := _RANGE.match(text, at):
        start, end = int(match[1]), int(match[2])
        words = repr(example.text[start:end])
        # The quoted words follow the range, or follow it after a label.
        quoted = match.end() if text.startswith(words, match.end()) else text.find(f" {words}", match.end()) + 1
        label = text[match.end() : quoted - 1] if quoted > match.end() else UW
        if quoted < match.end() or not start < end or label != label.strip() or not label:
            return None
        spans.append(known.get((start, end, label)) or Span(start, end, label, source))
        at = quoted + len(words)
        if not text.startswith(", ", at):
            return tuple(spans), at
        at += 2
    return None


__all__ = ["Decision", "Other", "decision", "joined", "note", "others", "span_list"]
