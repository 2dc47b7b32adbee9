"""Tell spans of a machine from those of a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tif.spans import DECIDED, Example, Span

BY_HAND: Final = ("", "manual")
"""Sources of spans that name nobody."""


def signed_by_machine(spans: Iterable[Span], copied: Iterable[Span] = ()) -> bool:
    """Return whether a span has a score, or names a source, that none of the copied spans has.

    People who write or edit a file give neither. Whoever corrects spans in tif leaves a status, which decides.
    """
    known = {(span.source, span.score) for span in copied}
    return any(
        (span.source, span.score) not in known and (span.score is not None or span.source not in BY_HAND)
        for span in spans
    )


def changed_by_machine(base: Example, one: Example) -> bool:
    """Return whether a machine changed the spans: nobody decided about the record, and its new spans are signed."""
    new = (span for span in one.spans if span.key not in base.keys)
    return one.status not in DECIDED and signed_by_machine(new)


__all__ = ["changed_by_machine", "signed_by_machine"]
