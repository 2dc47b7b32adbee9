"""The bundled people: 64 that never lived, five questions and answers each, with hand-checked spans.

Make `annotations/demo.parquet` again:

    python -m tif.demo.data annotations/demo.parquet
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tif import sources
from tif.console import say
from tif.errors import InputError
from tif.sets import store
from tif.spans import UW, AnnotationSet, Example, Provenance, Span

FILE: Final = Path(__file__).parents[1] / "data" / "demo.jsonl"
AUTHOR: Final = "tif"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its answer with what is unwanted in it, and what truth ratios are made of."""

    example: Example
    split: str
    """`forget` or `retain`."""
    paraphrased: str
    """The right answer in other words."""
    perturbed: tuple[str, ...]
    """Wrong answers in the same words: what is true of other people."""

    @property
    def person(self) -> str:
        """The part of the id that names the person, e.g. `ayse-guldereli`."""
        return self.example.id.split("/")[1]

    def record(self) -> dict[str, Any]:
        """As a row of an evaluation file (`tif eval --benchmark local`)."""
        return {
            "id": self.example.id,
            "question": self.example.prompt,
            "answer": self.example.text,
            "paraphrased_answer": self.paraphrased,
            "perturbed_answer": list(self.perturbed),
        }


def load() -> tuple[Pair, ...]:
    """All pairs, a person's five in a row.

    Raises:
        InputError: for a span that does not say what the file says it does.
    """
    pairs = []
    for place, row in sources.read_records(FILE):
        example = Example(
            row["id"],
            row["prompt"],
            row["text"],
            tuple(Span(s["start"], s["end"], UW, AUTHOR) for s in row["spans"]),
            row["status"],
        )
        for span, said in zip(example.spans, row["spans"], strict=True):
            if example.quote(span) != said["text"]:
                raise InputError(f"{said['text']!r} is not at {span.start}", where=place)
        pairs.append(Pair(example, row["split"], row["paraphrased_answer"], tuple(row["perturbed_answer"])))
    return tuple(pairs)


def annotation_set(pairs: tuple[Pair, ...], split: str = "") -> AnnotationSet:
    """The examples of one split, or of all, as a set with its provenance."""
    chosen = AnnotationSet(tuple(pair.example for pair in pairs if split in ("", pair.split)))
    dataset = {"id": "demo", "split": split, "fingerprint": chosen.fingerprint, "examples": len(chosen)}
    return AnnotationSet(chosen.examples, Provenance(dataset, {"name": "manual", "version": 1}))


def save(annotations: AnnotationSet, path: Path) -> AnnotationSet:
    """Save as the newest version of `path`; nothing happens if that is what its newest version says already."""
    head = store.head_version(path)
    return store.save(
        annotations, path, message="Spans checked by hand", author=AUTHOR, base=head.digest if head else None
    )


if __name__ == "__main__":
    saved = save(annotation_set(load()), Path(sys.argv[1]))
    assert saved.version is not None
    say(f"{sys.argv[1]}: {len(saved)} samples, version {saved.version.number}")
