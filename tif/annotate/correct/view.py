"""What the page is told, as plain JSON values: pieces of text and indices into them, never offsets."""

from __future__ import annotations

from typing import Any

from tif.annotate.correct.desk import QUEUES, Desk
from tif.annotate.correct.edits import bounds, pieces_of
from tif.annotate.correct.session import Card
from tif.spans import UW, Example


def record(desk: Desk, card: Card) -> dict[str, Any]:
    """One record with all that its page shows."""
    base = desk.session.at_base[card.example.id]
    gone = [base.quote(s) for s in base.spans if (s.start, s.end, s.label) not in bounds(card.example)]
    return {
        "rev": card.rev,
        "flagged": card.flagged,
        "skipped": card.skipped,
        "undo": len(card.past),
        "redo": len(card.future),
        "gone": gone,
        "progress": progress(desk),
        **content(card.example),
    }


def content(example: Example) -> dict[str, Any]:
    """One example: `pieces` alternate between what lies before a piece (white space or "") and the piece itself."""
    cut = pieces_of(example)
    pieces, at = [], 0
    starts, ends = {}, {}
    for index, (start, end) in enumerate(cut):
        pieces += [example.text[at:start], example.text[start:end]]
        starts[start], ends[end] = index, index
        at = end
    spans = [
        {"first": starts[s.start], "last": ends[s.end], "label": s.label, "source": s.source, "score": s.score}
        for s in example.spans
    ]
    return {
        "id": example.id,
        "prompt": example.prompt,
        "pieces": pieces,
        "rest": example.text[at:],
        "spans": spans,
        "status": example.status,
        "error": example.error,
    }


def progress(desk: Desk) -> dict[str, int]:
    """How far the review has come."""
    return {"reviewed": desk.session.reviewed, "total": len(desk.session.base), "unsaved": desk.session.changed()}


def start(desk: Desk, queue: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """What the page asks for first: who corrects what, with which labels, and a queue's ids."""
    used = sorted({s.label for e in desk.session.base for s in e.spans} | set(labels))
    version = desk.session.base.version
    assert version is not None
    return {
        "set": desk.path.name,
        "version": version.number,
        "author": desk.author,
        "labels": [UW, *(label for label in used if label != UW)][:9],
        "sources": sorted({s.source for e in desk.session.base for s in e.spans}),
        "queues": list(QUEUES),
        "queue": queue,
        "ids": desk.ids(queue),
        "progress": progress(desk),
    }


__all__ = ["content", "progress", "record", "start"]
