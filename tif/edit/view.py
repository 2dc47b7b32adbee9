"""The data of the page as plain JSON values: pieces of text and indices into them, never offsets."""

from __future__ import annotations

from tif.edit.desk import QUEUES, Desk
from tif.edit.edits import pieces_of
from tif.edit.session import Card
from tif.spans import UW, Example


def record(desk: Desk, card: Card) -> dict[str, object]:
    """Return one record with everything that the page shows."""
    base = desk.session.at_base[card.example.id]
    gone = [base.quote(s) for s in base.spans if s.key not in card.example.keys]
    return {
        "rev": card.rev,
        "flagged": card.flagged,
        "skipped": card.skipped,
        "undo": len(card.past),
        "redo": len(card.future),
        "gone": gone,
        "struck": struck(card.example, base),
        "progress": progress(desk),
        **content(card.example),
    }


def content(example: Example) -> dict[str, object]:
    """Return one example. `pieces` alternate between the gap before a piece (white space or "") and the piece."""
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


def struck(example: Example, base: Example) -> dict[str, list[str]]:
    """Return the text that only the base version marks, for striking through in place.

    Returns:
        The text by index into `content`'s `pieces` (white space counts), cut into parts, every other one struck:
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


def progress(desk: Desk) -> dict[str, int]:
    """Return the progress of the review."""
    return {"reviewed": desk.session.reviewed, "total": len(desk.session.base), "unsaved": desk.session.changed()}


def start(desk: Desk, queue: str, labels: tuple[str, ...], tokenizer: str | None) -> dict[str, object]:
    """Return the first data of the page: set, author, labels, tokenizer, and a queue's ids."""
    used = sorted({s.label for e in desk.session.base for s in e.spans} | set(labels))
    version = desk.session.base.version
    return {
        "set": desk.path.name,
        "version": version.number,
        "author": desk.author,
        "labels": [UW, *(label for label in used if label != UW)][:9],
        "sources": sorted({s.source for e in desk.session.base for s in e.spans}),
        "tokenizer": tokenizer,
        "queues": list(QUEUES),
        "queue": queue,
        "ids": desk.ids(queue),
        "progress": progress(desk),
    }


__all__ = ["content", "progress", "record", "start", "struck"]
