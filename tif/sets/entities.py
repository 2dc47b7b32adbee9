"""Apply an entities policy to an annotation set, so that another policy can be applied later without annotating anew.

Applying a policy saves two versions if the set has none yet: the spans as the annotator gave them, then those that the
policy leaves. The second names the first in its provenance, under `entities_policy`. The next policy starts from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tif.console import warn
from tif.entities.policy import SOURCE, Decision, EntitiesPolicy
from tif.entities.policy_file import read_policy
from tif.errors import StoreError
from tif.sets import store
from tif.spans import DECIDED, AnnotationSet, Example, Provenance, SavedSet, tidy

KEY: Final = "entities_policy"
"""The policy's key in the provenance: `file`, `sha256`, and `of`, the digest of the version before the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A set after a policy."""

    set: AnnotationSet
    counts: Mapping[tuple[Decision, str], int]
    """Spans of each decision and label."""
    decided: int
    """Records that stay as people left them."""

    @property
    def reviews(self) -> int:
        """Number of records that wait for a person's decision."""
        return sum(example.status == "review" for example in self.set)

    @property
    def line(self) -> str:
        """The decisions in one line, such as `12 PERSON kept · 3 EMAIL below threshold · 4 records to review`."""
        words: dict[Decision, str] = {"unlearn": "to unlearn", "keep": "kept", "review": "to review"}
        ordered = sorted(self.counts.items(), key=lambda item: (item[0][0] != "unlearn", item[0]))
        parts = [f"{count} {label} {words.get(decision, decision)}" for (decision, label), count in ordered]
        parts += [f"{self.reviews} records wait for review"] if self.reviews else []
        parts += [f"{self.decided} records stay as people left them"] if self.decided else []
        return " · ".join(parts) or "no span"

    def to_json(self) -> dict[str, object]:
        """Return the counts as plain JSON values: label, then decision."""
        labels: dict[str, dict[str, int]] = {}
        for (decision, label), count in sorted(self.counts.items(), key=lambda item: (item[0][1], item[0][0])):
            labels.setdefault(label, {})[decision] = count
        return {"labels": labels, "review": self.reviews, "decided": self.decided}


def applied(policy: EntitiesPolicy, annotations: AnnotationSet) -> Applied:
    """Return a set with the spans that a policy leaves. Records that a person decided about stay.

    Raises:
        UsageError: for a type that the set has under another name.
    """
    for name in policy.check(annotations.labels):
        warn(f"{policy.file}, types.{name}: no span has this label, so this rule has no effect")
    counts: Counter[tuple[Decision, str]] = Counter()
    examples: list[Example] = []
    for example in annotations:
        done = policy.apply(example)
        counts.update(done.counts)
        examples.append(done.example)
    decided = sum(example.status in DECIDED for example in annotations)
    return Applied(set=annotations.with_examples(examples), counts=counts, decided=decided)


def apply_policy(
    ref: str | Path, policy: str | Path | EntitiesPolicy, *, message: str = "", author: str = ""
) -> tuple[SavedSet, Applied]:
    """Apply a policy to a saved set and save the result, without annotating anew.

    The policy sees every span of the annotator, also those that an earlier policy left out.

    Args:
        ref: the set; the head, without a version.
        policy: the policy, or its file.
        message: reason for the change, for the log.
        author: name of the person, for the log.

    Raises:
        InputError, UsageError: for a policy that cannot be used.
        StoreError: for a set that cannot be read or changed.
    """
    if not isinstance(policy, EntitiesPolicy):
        policy = read_policy(policy)
    path, version = store.resolve(ref)
    if version is not None:
        raise StoreError(
            "names an old version",
            where=str(ref),
            hint=f"Apply the policy to the head: {path}. Or restore {ref} first.",
        )
    store.editable_head(path)
    head = store.load(path)
    return save(before_policy(path, head), policy, path, head, message=message, author=author)


def save(
    unfiltered: AnnotationSet,
    policy: EntitiesPolicy,
    path: Path,
    head: SavedSet | None,
    *,
    message: str = "",
    author: str = "",
) -> tuple[SavedSet, Applied]:
    """Save a set's spans before the policy, unless a version has them, and then those that the policy leaves.

    Args:
        unfiltered: the set with every span of its annotator.
        policy: the policy.
        path: the set's file.
        head: the head; None if there is none.
        message: reason for the change, for the log.
        author: name of the person, for the log.
    """
    method = {key: value for key, value in unfiltered.provenance.method.items() if key != KEY}
    dataset = unfiltered.provenance.dataset
    result = applied(policy, unfiltered)
    record = {"file": policy.file, "sha256": policy.sha256, "of": unfiltered.digest}
    provenance = Provenance(dataset, {**method, KEY: record})
    if head is not None and head.digest == result.set.digest and head.provenance.method.get(KEY) == record:
        return head, result
    base = head.version if head is not None else None
    if not any(version.digest == unfiltered.digest for version in (store.versions(path) if head is not None else ())):
        plain = AnnotationSet(unfiltered.examples, Provenance(dataset, method), base)
        base = store.save(plain, path, message="before the entities policy", author=author).version
    saved = store.save(
        AnnotationSet(result.set.examples, provenance, base),
        path,
        message=message or f"entities policy {policy.file}",
        author=author,
        provenance_counts=True,
    )
    return saved, result


def policy_of(annotations: AnnotationSet) -> Mapping[str, object] | None:
    """Return what the provenance says about the set's policy; None if it has none."""
    record = annotations.provenance.method.get(KEY)
    return record if isinstance(record, Mapping) else None


def before_policy(path: Path, head: SavedSet) -> AnnotationSet:
    """Return a set with every span of its annotator: what an earlier policy left out is back.

    Spans that came in since, and records that a person has decided about, are those of the head.
    """
    record = policy_of(head)
    if record is None:
        return head
    try:
        before = store.load(f"{path}@{record.get('of')}").by_id()
    except StoreError as error:
        warn(f"{error}. The policy sees only the spans that {record.get('file')} left in the set")
        return head
    return head.with_examples(_restored(example, before.get(example.id)) for example in head)


def _restored(example: Example, before: Example | None) -> Example:
    if before is None or example.status in DECIDED or before.text != example.text:
        return example
    since = [span for span in example.spans if span.key not in before.keys and span.source != SOURCE]
    since = [span for span in since if not any(span.label == s.label and span.overlaps(s) for s in before.spans)]
    if not since:
        return replace(before, prompt=example.prompt)
    return replace(before, spans=tidy(before.text, [*before.spans, *since]))


__all__ = ["KEY", "Applied", "applied", "apply_policy", "before_policy", "policy_of", "save"]
