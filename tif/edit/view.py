"""The data of the page as plain JSON values: pieces of text and indices into them, never offsets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tif.edit.desk import QUEUES, Desk
from tif.edit.edits import pieces_of
from tif.edit.session import Card
from tif.sets.conflict import others
from tif.sets.untrained import untrained
from tif.spans import UNTRAINED, UW, Example


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the page shows of a set under correction."""

    desk: Desk
    labels: tuple[str, ...] = ()
    """Labels to offer besides those of the set, in the order of their keys."""
    trained: Collection[str] | None = None
    """Labels that training will forget; None for every label."""
    tokenizer: str | None = None

    def start(self, queue: str) -> dict[str, object]:
        """Return the first data of the page: set, author, labels, tokenizer, and a queue's ids."""
        session = self.desk.session
        used = sorted({label for label, _ in session.spans})
        labels = list(dict.fromkeys([UW, *self.labels, *(self.trained or ()), *used]))
        return {
            "set": self.desk.path.name,
            "version": session.base.version.number,
            "author": self.desk.author,
            "labels": labels,
            "trained": [self.trained is None or label in self.trained for label in labels],
            "tokenizer": self.tokenizer,
            "queues": list(QUEUES),
            "queue": queue,
            "ids": self.desk.ids(queue),
            "progress": self.progress(),
        }

    def record(self, card: Card) -> dict[str, object]:
        """Return one record with everything that the page shows."""
        example, base = card.example, self.desk.session.at_base[card.example.id]
        keys = example.keys
        return {
            "rev": card.rev,
            "flagged": card.flagged,
            "skipped": card.skipped,
            "undo": len(card.past),
            "redo": len(card.future),
            "gone": [base.quote(s) for s in base.spans if s.key not in keys],
            "struck": struck(example, base),
            "sides": [{"name": other.name, **self.content(other.example)} for other in others(example)],
            "progress": self.progress(),
            **self.content(example),
        }

    def content(self, example: Example) -> dict[str, object]:
        """Return one example, cut into pieces, with its spans."""
        cut = pieces_of(example)
        first = {start: index for index, (start, _) in enumerate(cut)}
        last = {end: index for index, (_, end) in enumerate(cut)}
        pieces, rest = with_gaps(example)
        spans = [
            {
                "first": first[s.start],
                "last": last[s.end],
                "label": s.label,
                "source": s.source,
                "score": s.score,
                "look": self.desk.looks.of(s.source),
                "trained": self.trained is None or s.label in self.trained,
            }
            for s in example.spans
        ]
        return {
            "id": example.id,
            "prompt": example.prompt,
            "pieces": pieces,
            "rest": rest,
            "spans": spans,
            "status": example.status,
            "trained": example.status not in UNTRAINED,
            "error": example.error,
        }

    def progress(self) -> dict[str, object]:
        """Return the progress of the review, and the spans of the set that training leaves out."""
        session = self.desk.session
        return {
            "reviewed": session.reviewed,
            "total": len(session.base),
            "unsaved": session.changed(),
            "untrained": untrained(session.spans, self.trained).line,
        }


def with_gaps(example: Example) -> tuple[list[str], str]:
    """Return the gap before each piece (white space or "") and the piece, in turn; and the text after the last one."""
    pieces: list[str] = []
    at = 0
    for start, end in pieces_of(example):
        pieces += [example.text[at:start], example.text[start:end]]
        at = end
    return pieces, example.text[at:]


def struck(example: Example, base: Example) -> dict[str, list[str]]:
    """Return the text that only the base version marks, for striking through in place.

    Returns:
        The text by index into the pieces of `with_gaps` (gaps count), cut into parts, every other one struck:
        `["Ska", "gen"]` strikes the end of a word, `["", "Skagen"]` all of it.
    """
    gone = _covered(base) - _covered(example)
    parts: dict[str, list[str]] = {}
    if not gone:
        return parts
    at = 0
    for index, (start, end) in enumerate(pieces_of(example)):
        if gone.intersection(range(start, end)):
            parts[str(2 * index + 1)] = _alternating(example.text, start, end, gone)
        # White space is struck only between two struck words.
        if at < start and start - 1 in gone and start in gone and at - 1 in gone:
            parts[str(2 * index)] = ["", example.text[at:start]]
        at = end
    return parts


def _covered(example: Example) -> set[int]:
    return {i for span in example.spans for i in range(span.start, span.end)}


def _alternating(text: str, start: int, end: int, chosen: set[int]) -> list[str]:
    parts, inside = [""], False
    for i in range(start, end):
        if (i in chosen) != inside:
            inside = not inside
            parts.append("")
        parts[-1] += text[i]
    return parts


__all__ = ["View", "struck", "with_gaps"]
