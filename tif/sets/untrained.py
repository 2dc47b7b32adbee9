"""Count the spans that training will not unlearn, and say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tif.spans import STATUSES, UNTRAINED, Example, Status

SpanCounts = Mapping[tuple[str, Status], int]
"""Numbers of spans by their label and the status of their record."""

_RECORDS: Final[Mapping[Status, str]] = {
    "rejected": "in rejected records",
    "review": "in records that wait for review",
    "conflict": "in records with a conflict",
    "failed": "in failed records",
}


def span_counts(examples: Iterable[Example]) -> Counter[tuple[str, Status]]:
    """Return how many spans of each label are in records of each status."""
    return Counter((span.label, example.status) for example in examples for span in example.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrained:
    """The spans of a set that training leaves out. Made by `untrained`."""

    spans: int
    """All spans, trained or not."""
    labels: Mapping[str, int]
    """Spans of labels that are not trained, by label. A span is counted here or in `statuses`, never in both."""
    statuses: Mapping[Status, int]
    """Other spans in records that training leaves out, by the record's status."""

    @property
    def count(self) -> int:
        """The number of spans that training leaves out."""
        return sum(self.labels.values()) + sum(self.statuses.values())

    @property
    def line(self) -> str:
        """The number and the reasons in one line; "" if every span is trained."""
        if not self.count:
            return ""
        reasons = [f"{count} {label} (not in --labels)" for label, count in self.labels.items()]
        reasons += [f"{count} {_RECORDS[status]}" for status, count in self.statuses.items()]
        return f"{self.count} of {self.spans} spans will not be trained: {', '.join(reasons)}"

    def to_json(self) -> dict[str, object]:
        """Return the numbers as plain JSON values."""
        return {
            "spans": self.spans,
            "untrained": self.count,
            "labels": dict(self.labels),
            "statuses": dict(self.statuses),
            "line": self.line,
        }


def untrained(counts: SpanCounts, labels: Collection[str] | None = None) -> Untrained:
    """Return which of the counted spans training will leave out.

    Args:
        counts: from `span_counts`.
        labels: labels that are trained, as in `tif train --labels`; None for every label.
    """
    by_label: Counter[str] = Counter()
    by_status: Counter[Status] = Counter()
    for (label, status), count in counts.items():
        if labels is not None and label not in labels:
            by_label[label] += count
        elif status in UNTRAINED:
            by_status[status] += count
    return Untrained(
        spans=sum(counts.values()),
        labels={label: by_label[label] for label in sorted(by_label) if by_label[label]},
        statuses={status: by_status[status] for status in STATUSES if by_status[status]},
    )


__all__ = ["SpanCounts", "Untrained", "span_counts", "untrained"]
