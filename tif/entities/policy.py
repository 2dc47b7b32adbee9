"""The entities policy: for each type, whether its words are unlearned, kept, or shown to a person first.

    default = "unlearn"             # of every type without a rule: unlearn, keep or review

    [types]
    PERSON = "keep"                 # often the key of a question, so the model should still know it

    [types.EMAIL]
    action = "unlearn"
    threshold = 0.4                 # spans with a lower score are left out; spans without a score stay
    allow = ["info@example.org"]    # these words are never marked
    allow_patterns = ['.*@example\\.org']
    deny = ["ann.lee@example.com"]  # these words are always marked

A type is canonical (`tif.entities`), `UW`, or any label of the set. A policy is data: it knows no files but its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Final, Literal, get_args

from tif.entities import ENTITY_TYPES, entity_type
from tif.errors import UsageError
from tif.spans import DECIDED, UW, Example, Span, tidy
from tif.text import mentions

Action = Literal["unlearn", "keep", "review"]
"""`unlearn`: the span stays and is trained. `keep`: the span is left out, so its words stay in the model. `review`: the
span stays, and its record waits for a person's decision; until then training leaves the record out."""

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

Decision = Literal["unlearn", "keep", "review", "allowed", "below threshold", "added"]
"""Why a span is in the set or left out. `added`: a deny list marks it."""

_ASKS: Final = "to review: "
"""Beginning of the note of a record that waits for a person."""

SOURCE: Final = "policy"
"""Source of the spans that a deny list adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of one type, complete: the default has filled what the file leaves out."""

    action: Action = "unlearn"
    threshold: float = 0.0
    """Spans with a lower score are left out. Spans without a score stay."""
    allow: frozenset[str] = frozenset()
    """Words that are never marked. They must equal the span's words, case included."""
    allow_patterns: tuple[re.Pattern[str], ...] = ()
    """The same as regular expressions. They must match all words of the span."""
    deny: frozenset[str] = frozenset()
    """Words that are always marked: every mention in a text, between word bounds, case included."""
    deny_patterns: tuple[re.Pattern[str], ...] = ()
    """The same as regular expressions. Each match is marked."""

    def allows(self, words: str) -> bool:
        """Whether the allow list spares these words."""
        return words in self.allow or any(pattern.fullmatch(words) for pattern in self.allow_patterns)

    def denied(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the ranges of a text that the deny list marks."""
        for words in sorted(self.deny):
            yield from ((start, start + len(words)) for start in mentions(text, words))
        for pattern in self.deny_patterns:
            yield from (match.span() for match in pattern.finditer(text) if match.end() > match.start())


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An example after the policy, and how many spans each decision concerns, by decision and label."""

    example: Example
    counts: Mapping[tuple[Decision, str], int]


@dataclass(frozen=True, kw_only=True)
class EntitiesPolicy:
    """The rules of all types. `tif.entities.policy_file` reads one from a file."""

    default: Rule = field(default_factory=Rule)
    types: Mapping[str, Rule] = field(default_factory=dict)
    """Rules by type: a canonical type, `UW`, or a label of the set."""
    file: str = ""
    """Name of the file, without its folder."""
    sha256: str = ""
    """SHA-256 of the file's bytes."""

    def rule(self, label: str) -> Rule:
        """Return the rule of a label: the label's own, else that of its canonical type, else the default."""
        type_ = entity_type(label)
        return self.types.get(label) or self._folded.get(label.casefold()) or self.types.get(type_ or "", self.default)

    @cached_property
    def _folded(self) -> dict[str, Rule]:
        return {name.casefold(): rule for name, rule in self.types.items()}

    def check(self, labels: Collection[str]) -> list[str]:
        """Return the types of this policy that no span has. A type under another name than the set's is refused.

        Raises:
            UsageError: for `ORGANIZATION` where the set says `ORG`.
        """
        folded = {label.casefold() for label in labels}
        absent = [name for name in self.types if name.casefold() not in folded]
        for name in absent:
            type_ = entity_type(name)
            if type_ is not None and name != type_ and type_ in labels:
                raise UsageError(
                    f"no span has the type {name}",
                    where=(self.file, f"types.{name}"),
                    why=f"this set calls it {type_}",
                    hint=f"Write {type_}. Types here: {', '.join(sorted(labels))}.",
                )
        return [name for name in absent if name not in ENTITY_TYPES and name != UW]

    def apply(self, example: Example) -> Decided:
        """Return an example with the spans that the policy leaves. What a person has decided stays as it is.

        An earlier review that nobody did yet is decided again.
        """
        if example.status in DECIDED or example.status == "failed":
            return Decided(example=example, counts={})
        counts: Counter[tuple[Decision, str]] = Counter()
        kept: list[Span] = []
        review: list[Span] = []
        for span in (span for span in example.spans if span.source != SOURCE):
            decision = self._decision(span, example.quote(span))
            counts[decision, span.label] += 1
            if decision in ("unlearn", "review"):
                kept.append(span)
            if decision == "review":
                review.append(span)
        for label, rule in ((UW, self.default), *self.types.items()):
            for start, end in rule.denied(example.text):
                span = Span(start, end, label, SOURCE)
                if any(s.label == label and s.start <= start and end <= s.end for s in kept):
                    continue
                counts["added", label] += 1
                kept.append(span)
                if rule.action == "review":
                    review.append(span)
        notes = [] if (example.error or _ASKS).startswith(_ASKS) else [example.error or ""]
        if review:
            listed = ", ".join(f"{s.label} {example.quote(s)!r}" for s in sorted(review, key=attrgetter("key"))[:5])
            notes.insert(0, f"{_ASKS}{listed}{' ...' if len(review) > 5 else ''}")
        done = replace(
            example,
            spans=tidy(example.text, kept),
            status="review" if review else "auto",
            error="; ".join(notes) or None,
        )
        return Decided(example=done, counts=counts)

    def _decision(self, span: Span, words: str) -> Decision:
        rule = self.rule(span.label)
        if rule.allows(words):
            return "allowed"
        if span.score is not None and span.score < rule.threshold:
            return "below threshold"
        return rule.action


__all__ = ["ACTIONS", "SOURCE", "Action", "Decided", "Decision", "EntitiesPolicy", "Rule"]
