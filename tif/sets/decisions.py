"""Whose decision an imported record is. Only a person's decision overrides others; a machine's spans stay `auto`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tif.sets.formats.records import Maker, Record
from tif.sets.makers import changed_by_machine, signed_by_machine
from tif.spans import DECIDED, Example


def maker_of(records: Sequence[Record], old: Sequence[Example]) -> Maker:
    """Return who made the spans of a file whose format does not tell it.

    One new span of a machine is enough: a record where a recogniser marks nothing looks like a person's.
    """
    for record, example in zip(records, old, strict=True):
        new = (span for span in record.spans if span.key not in example.keys)
        if record.maker is None and signed_by_machine(new, example.spans):
            return "machine"
    return "person"


def imported(record: Record, old: Example, new: Example, *, maker: Maker, author: str = "") -> Example:
    """Return the record with the status that its change deserves.

    Args:
        record: the record as read from the file.
        old: the exported example.
        new: the record as an example.
        maker: who made the new spans.
        author: name of the person, for the source of new spans.
    """
    before = old.keys
    decided = record.status in DECIDED and record.status != old.status
    if maker == "machine" and not decided:
        if new.keys == before:
            return old if old.status in DECIDED else new
        return replace(new, status="auto", error=None)
    added = [span for span in new.spans if span.key not in before]
    if not added and len(new.spans) == len(old.spans):
        return new
    named = tuple(replace(s, source=author, score=None) if author and s in added else s for s in new.spans)
    status = "corrected" if new.status in (old.status, "auto") else new.status
    return replace(new, spans=named, status=status, error=None)


def overruled(base: Example, ours: Example, theirs: Example) -> bool:
    """Return whether a machine changed spans in `theirs` that a person decided on in the base or in `ours`."""
    if theirs.status in DECIDED or theirs.keys == base.keys:
        return False
    return base.status in DECIDED or (ours.status in DECIDED and changed_by_machine(base, theirs))


__all__ = ["imported", "maker_of", "overruled"]
