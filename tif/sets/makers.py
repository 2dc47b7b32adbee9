"""Tell spans of a machine from those of a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tif.spans import DECIDED, Example, Span

BY_HAND: Final = ("", "manual")
"""Sources of spans that name nobody."""

PROGRAMS: Final = frozenset(
    ("comprehend", "flair", "gliner", "learned", "llm", "mlm", "ner", "presidio", "spacy", "stanza", "surprisal", "tpo")
)
"""Sources that are no person's name. A source with a colon, such as `vote:2/3`, is none either."""


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
    """Return whether a machine changed the spans: nobody decided about the record, and a program signed a new span.

    A source alone is no sign in a saved set: people's edits have their names, also before they accept a record.
    """
    new = [span for span in one.spans if span.key not in base.keys]
    return one.status not in DECIDED and any(map(is_by_program, new))


def is_by_program(span: Span) -> bool:
    """Return whether a span has a score, or the source of a program: people give neither."""
    source = span.source
    return span.score is not None or ":" in source or source.lower() in PROGRAMS


def annotator_of(source: str) -> str:
    """Return the annotator of a source, without the part of it that marked the span.

    `presidio:EmailRecognizer` is of the annotator `presidio`, and `vote:1/2 of hf:a, ner:b` of the vote.
    """
    name, _, _ = source.partition(":")
    return name if name == "presidio" else source.partition(" of ")[0] if name == "vote" else source


__all__ = ["annotator_of", "changed_by_machine", "is_by_program", "signed_by_machine"]
