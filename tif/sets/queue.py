"""The order in which to review examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tif.sets.makers import annotator_of
from tif.sets.score import measure, paired
from tif.spans import REVIEWED, AnnotationSet, Example, Span


@dataclass(frozen=True, slots=True)
class Queued:
    """An example that waits for review."""

    example: Example
    disagreement: float
    """1 minus the mean character F1 of all pairs of sources; 0 with only one source."""
    lowest: float | None
    """The lowest score of its spans; None if no span has one."""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "id": self.example.id,
            "disagreement": self.disagreement,
            "score": self.lowest,
            "status": self.example.status,
            "spans": len(self.example.spans),
        }


def queue(sets: Sequence[AnnotationSet]) -> list[Queued]:
    """Return the first set's unreviewed examples: most disagreement first, then lowest score.

    With several sets, each set is a source. With one set, the sources are those of its spans. Among equals, examples
    that failed, conflict or have a note in `error` come first.
    """
    others = [{theirs.id: ours for ours, theirs in paired(other, sets[0])[0]} for other in sets[1:]]
    waiting = []
    for example in sets[0]:
        if example.status in REVIEWED:
            continue
        if others:
            votes = [example.spans, *(other[example.id].spans for other in others if example.id in other)]
        else:
            by_source: dict[str, list[Span]] = {}
            for span in example.spans:
                by_source.setdefault(annotator_of(span.source), []).append(span)
            votes = [tuple(by_source[source]) for source in sorted(by_source)]
        scores = [span.score for span in example.spans if span.score is not None]
        waiting.append(Queued(example, _disagreement(example.text, votes), min(scores, default=None)))
    return sorted(
        waiting,
        key=lambda q: (
            -q.disagreement,
            q.example.status == "auto" and not q.example.error,
            1.0 if q.lowest is None else q.lowest,
        ),
    )


def _disagreement(text: str, votes: Sequence[Sequence[Span]]) -> float:
    f1 = [measure(text, a, b).char.f1 for a, b in combinations(votes, 2)]
    return 1.0 - sum(f1) / len(f1) if f1 else 0.0


__all__ = ["Queued", "queue"]
