"""`prodigy`: JSONL tasks. Offsets are code points, `end` is exclusive, but **`token_end` is inclusive**.

The status becomes `answer`: `accept` for accepted and corrected, `reject` for rejected. A task without `answer` is not
reviewed yet. On reading, tasks with the answer `ignore` are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets.formats.offsets import OffsetUnit
from tif.sets.formats.records import (
    Record,
    Skipped,
    an_object,
    base_of,
    id_field,
    in_order,
    list_field,
    need_list,
    need_text,
    object_field,
    parsed,
    proven_unit,
    span_of,
    stated_unit,
    status_field,
    text_field,
)
from tif.spans import CONFIRMED, UNDECIDED, AnnotationSet, Example, Span, Status
from tif.text import pieces

OPTIONS: Final = ("offset_unit",)

_ANSWERS: Final[dict[Status, str]] = dict.fromkeys(CONFIRMED, "accept") | {"rejected": "reject"}


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one task per line, with tokens cut at span bounds, as `ner.manual` requires."""
    base = base_of(annotations)
    for example in annotations:
        task = _task(example, base)
        if example.status in _ANSWERS:
            task["answer"] = _ANSWERS[example.status]
        yield json.dumps(task, ensure_ascii=False)


def _task(example: Example, base: str | None) -> dict[str, object]:
    tokens = pieces(example.text, example.edges)
    first = {start: i for i, (start, _) in enumerate(tokens)}
    last = {end: i for i, (_, end) in enumerate(tokens)}
    return {
        "text": example.text,
        "tokens": [
            {"text": example.text[s:e], "start": s, "end": e, "id": i, "ws": example.text[e : e + 1].isspace()}
            for i, (s, e) in enumerate(tokens)
        ],
        "spans": [
            {
                "start": s.start,
                "end": s.end,
                "token_start": first[s.start],
                "token_end": last[s.end],
                "label": s.label,
                "text": example.quote(s),
                "source": s.source,
                "score": s.score,
            }
            for s in example.spans
        ],
        "meta": {
            "id": example.id,
            "prompt": example.prompt,
            "status": example.status,
            "error": example.error,
            "base": base,
            "offset_unit": "codepoint",
        },
    }


def read(path: Path, offset_unit: OffsetUnit | None = None, encoding: str | None = None) -> Iterator[Record | Skipped]:
    """Yield records of answered and unanswered tasks. An unanswered task is not a person's decision.

    Args:
        path: the file.
        offset_unit: the unit of the offsets; None for code points.
        encoding: the file's encoding, if it is not UTF-8.
    """
    yield from parsed(read_records(path, encoding=encoding), lambda where, row: _record(where, row, offset_unit))


def _record(where: str, row: Row, unit: OffsetUnit | None) -> Record | Skipped:
    text = need_text(row, "text")
    if "offset_unit" in row and "answer" not in row:
        raise InputError("is a record of tif's own JSONL", where="offset_unit", hint="Use --format tif.")
    answer = text_field(row, "answer")
    if answer not in (None, "accept", "reject", "ignore"):
        raise InputError(f"unknown answer {answer!r}", where="answer", hint="Known: accept, reject, ignore.")
    if answer == "ignore":
        return Skipped(where=where, why="its answer is ignore")
    meta = object_field(row, "meta")
    in_points = unit is None or unit == "codepoint"
    tokens = [_token(t, text, f"tokens[{i}]") for i, t in enumerate(list_field(row, "tokens")) if in_points]
    # Prodigy leaves `spans` out if a person answers a task for marking words and marks none.
    marks_words = answer is not None and "tokens" in row
    values = list_field(row, "spans") if marks_words and "spans" not in row else need_list(row, "spans")
    spans = [_span(span, text, tokens, f"spans[{i}]", unit) for i, span in enumerate(values)]
    status = status_field(meta)
    if answer is not None and (status is None or _ANSWERS.get(status) != answer):
        status = "accepted" if answer == "accept" else "rejected"
    error = text_field(meta, "error") if status is None or status in UNDECIDED else None
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(meta),
        prompt=text_field(meta, "prompt"),
        status=status,
        error=error,
        base=text_field(meta, "base"),
        maker="machine" if answer is None else "person",
        unit=stated_unit(meta, "offset_unit") or proven_unit(values),
    )


def _token(value: object, text: str, where: str) -> tuple[int, int]:
    token = an_object(value, where)
    start, end = token.get("start"), token.get("end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise InputError(f"start {start!r} and end {end!r} contain no text", where=where)
    return start, end


def _span(value: object, text: str, tokens: list[tuple[int, int]], where: str, unit: OffsetUnit | None) -> Span:
    span = an_object(value, where)
    start, end = span.get("start"), span.get("end")
    first, last = span.get("token_start"), span.get("token_end")
    if tokens and first is not None and last is not None:
        begin = tokens[_index(first, tokens, (where, "token_start"))][0]
        stop = tokens[_index(last, tokens, (where, "token_end"))][1]
        start, end = begin if start is None else start, stop if end is None else end
        if (start, end) != (begin, stop):
            why = f"tokens {first} to {last} are characters {begin} to {stop}; token_end is inclusive"
            raise InputError(f"start {start!r} and end {end!r} do not match its tokens", where=where, why=why)
    return span_of(span, text, where, source="prodigy", start=start, end=end, unit=unit)


def _index(value: object, tokens: list[tuple[int, int]], where: tuple[str, str]) -> int:
    if type(value) is not int or not 0 <= value < len(tokens):
        raise InputError(f"{value!r} is not a token index", where=where, why=f"there are {len(tokens)} tokens")
    return value
