"""Edits of one example as pure functions: `apply(example, op)`.

An op names pieces by index: the example's words, cut at the edges of its spans. A browser counts UTF-16 units and
Python counts code points; indices mean the same in both.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Final

from tif.errors import InputError
from tif.sets.conflict import others
from tif.spans import CONFIRMED, REVIEWED, UW, Example, Span, Status, tidy
from tif.text import Range, clusters, mentions, pieces, separates

SPAN_OPS: Final = ("toggle", "mark", "unmark", "remove", "label", "edge", "mentions")
"""Ops that name pieces."""
SIDE_OPS: Final = ("theirs", "both")
"""Ops that settle a conflict: take another side of it, or unite its spans with ours."""
OPS: Final = (*SPAN_OPS, *SIDE_OPS, "accept", "reject", "undo", "redo", "flag", "unflag", "skip")

_KEYS: Final = frozenset({"op", "first", "last", "label", "of", "side", "by", "unit", "other"})


@dataclass(frozen=True, slots=True)
class Op:
    """One edit by a person.

    Raises:
        InputError: for an unknown kind, indices that are not integers, an unknown side or unit.
    """

    kind: str
    first: int = 0
    """First piece."""
    last: int = 0
    """Last piece, inclusive."""
    _: KW_ONLY
    label: str = UW
    """Label of new spans."""
    of: str = ""
    """Label of the span that is changed, where spans of several labels overlap; "" for any."""
    side: str = "end"
    """Which edge moves: `start` or `end`."""
    by: int = 1
    """1 moves the edge towards the end of the text, -1 towards its start."""
    unit: str = "word"
    """How far the edge moves: to the next `word`, past punctuation, or a `char`, which is a grapheme cluster."""
    other: int = 0
    """Which other side of a conflict, in the order of its note."""

    def __post_init__(self) -> None:
        if self.kind not in OPS:
            raise InputError(f"unknown op {str(self.kind)[:40]!r}", hint=f"Known: {', '.join(OPS)}.")
        for name in ("first", "last", "other"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise InputError(f"{name} is not an index", where="op")
        if self.first > self.last:
            raise InputError("first is after last", where="op")
        if not isinstance(self.label, str) or not self.label or self.label != self.label.strip():
            raise InputError("label is empty, padded or not text", where="op")
        if not isinstance(self.of, str):
            raise InputError("of is not text", where="op")
        if self.side not in ("start", "end") or self.unit not in ("word", "char") or self.by not in (1, -1):
            raise InputError("an edge op needs side (start, end), unit (word, char) and by (1, -1)", where="op")

    @classmethod
    def parse(cls, row: object) -> Op:
        """Read an op from a JSON object.

        Raises:
            InputError: if the value is not an op.
        """
        if not isinstance(row, Mapping) or not isinstance(row.get("op"), str):
            raise InputError("an op must be an object with the field `op`")
        if unknown := row.keys() - _KEYS:
            raise InputError(f"unknown field {sorted(unknown)[0][:40]!r}", where="op")
        return cls(row["op"], **{name: value for name, value in row.items() if name != "op"})


def pieces_of(example: Example) -> tuple[Range, ...]:
    """Return the pieces that ops on this example name."""
    return word_pieces(example.text, example.edges)


def word_pieces(text: str, cuts: Iterable[int] = ()) -> tuple[Range, ...]:
    """Cut a text into pieces for the page: one click selects all of `O'Neill` or `3,000.5`."""
    return pieces(text, cuts, inside_words="'’", inside_numbers=".,")


def apply(example: Example, op: Op, base: Example, author: str) -> Example:
    """Return the example after an op; the same example if the op changes nothing.

    Args:
        example: the example that the person saw.
        op: any but `undo`, `redo`, `flag`, `unflag` and `skip`, which change more than the example.
        base: the example in the corrected version.
        author: name of the person: the source of every span that the op makes or changes.

    Raises:
        InputError: for pieces or another side that the example does not have.
    """
    if op.kind in SIDE_OPS:
        return _settled(example, op, author)
    if op.kind == "reject":
        return replace(example, status="rejected", error=None)
    if op.kind == "accept":
        status: Status = "corrected"
        if example.keys == base.keys:
            status = base.status if base.status in CONFIRMED else "accepted"
        return replace(example, status=status, error=None)
    cut = pieces_of(example)
    if op.last >= len(cut):
        raise InputError(f"no piece {op.last} among {len(cut)}", where=f"record {example.id!r}")
    start, end = cut[op.first][0], cut[op.last][1]
    spans = list(example.spans)
    match op.kind:
        case "toggle" if _covers(spans, cut[op.first : op.last + 1], op.label):
            spans = list(_erased(spans, start, end, op.label, author))
        case "toggle" | "mark":
            spans = _added(spans, [(start, end)], op.label, author)
        case "unmark":
            spans = list(_erased(spans, start, end, op.label, author))
        case "remove":
            spans = [s for s in spans if not (_touches(s, start, end) and op.of in ("", s.label))]
        case "label":
            spans = _labelled(spans, start, end, op, author)
        case "edge":
            spans = _moved(example.text, spans, start, end, op, author)
        case "mentions":
            inside = _at(spans, start, end, op.of or op.label) if op.first == op.last else None
            quote, label = (example.quote(inside), inside.label) if inside else (example.text[start:end], op.label)
            spans = _mentioned(example.text, spans, quote, label, author)
        case _:
            raise InputError(f"{op.kind} does not change spans")
    after = tidy(example.text, spans)
    if {span.key for span in after} == example.keys:
        return example
    return replace(example, spans=after, status="corrected" if example.status == "accepted" else example.status)


def _settled(example: Example, op: Op, author: str) -> Example:
    """Return a record with a conflict as another side left it, or with the spans of both."""
    sides = others(example)
    if op.other >= len(sides):
        raise InputError("the conflict has no such side", where=f"record {example.id!r}")
    other = sides[op.other].example
    taken = [s if s in example.spans else replace(s, source=author, score=None) for s in other.spans]
    if op.kind == "both":
        spans = list(example.spans)
        for label in {span.label for span in taken}:
            spans = _added(spans, _own(taken, label), label, author)
        return replace(example, spans=tidy(example.text, spans), status="corrected", error=None)
    status = other.status if other.status in REVIEWED else "corrected"
    return replace(example, spans=tuple(taken), status=status, error=None)


def _own(spans: Iterable[Span], label: str) -> list[Range]:
    """Return the ranges of a label's spans in the text's order."""
    return sorted((s.start, s.end) for s in spans if s.label == label)


def _reaching(ranges: Sequence[Range], start: int) -> int:
    """Return the index of the first of some sorted ranges without overlaps that ends after `start`."""
    return bisect_right(ranges, start, key=lambda r: r[1])


def _covers(spans: Iterable[Span], cut: Iterable[Range], label: str) -> bool:
    own = _own(spans, label)
    return all(
        (at := _reaching(own, start)) < len(own) and own[at][0] <= start and end <= own[at][1] for start, end in cut
    )


def _touches(span: Span, start: int, end: int) -> bool:
    return span.start < end and start < span.end


def _at(spans: Iterable[Span], start: int, end: int, label: str) -> Span | None:
    """Return the span at a range: one with `label`, else any."""
    here = [s for s in spans if _touches(s, start, end)]
    return next((s for s in here if s.label == label), here[0] if here else None)


def _added(spans: Iterable[Span], ranges: Iterable[Range], label: str, author: str) -> list[Span]:
    """Return the spans with more of one label, each united with the spans of its label that it touches."""
    old = {(s.start, s.end): s for s in spans if s.label == label}
    united: list[Range] = []
    for start, end in sorted(old.keys() | set(ranges)):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    rest = [s for s in spans if s.label != label]
    return [*rest, *(old.get(range_) or Span(*range_, label, author) for range_ in united)]


def _erased(spans: Iterable[Span], start: int, end: int, label: str, author: str) -> Iterator[Span]:
    for span in spans:
        if span.label != label or not _touches(span, start, end):
            yield span
            continue
        if span.start < start:
            yield Span(span.start, start, label, author)
        if end < span.end:
            yield Span(end, span.end, label, author)


def _labelled(spans: list[Span], start: int, end: int, op: Op, author: str) -> list[Span]:
    here = [s for s in spans if _touches(s, start, end) and op.of in ("", s.label)]
    if not here:
        return _added(spans, [(start, end)], op.label, author)
    # Spans that already have the label stay, and are united with the others that they touch.
    changed = {s.key for s in here if s.label != op.label}
    rest = [s for s in spans if s.key not in changed]
    return _added(rest, ((first, last) for first, last, _ in changed), op.label, author)


def _mentioned(text: str, spans: list[Span], quote: str, label: str, author: str) -> list[Span]:
    own = _own(spans, label)
    places = ((at, at + len(quote)) for at in mentions(text, quote))
    free = [(a, b) for a, b in places if (near := _reaching(own, a)) == len(own) or own[near][0] >= b]
    return _added(spans, free, label, author)


def _moved(text: str, spans: list[Span], start: int, end: int, op: Op, author: str) -> list[Span]:
    span = _at(spans, start, end, op.of or op.label)
    if span is None:
        return spans
    units = clusters(text) if op.unit == "char" else [r for r in word_pieces(text) if not separates(text[slice(*r)])]
    edge = span.start if op.side == "start" else span.end
    places = [unit[0 if op.side == "start" else 1] for unit in units]
    if op.by > 0:
        to = min((p for p in places if p > edge), default=edge)
    else:
        to = max((p for p in places if p < edge), default=edge)
    new = (to, span.end) if op.side == "start" else (span.start, to)
    if new[0] >= new[1]:
        return spans
    return _added([s for s in spans if s != span], [new], span.label, author)


__all__ = ["OPS", "SIDE_OPS", "SPAN_OPS", "Op", "apply", "pieces_of", "word_pieces"]
