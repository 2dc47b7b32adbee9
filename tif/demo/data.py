"""The bundled people: 64 invented people, four or five questions and answers each, with hand-checked spans.

Make `annotations/demo.parquet` again:

    python -m tif.demo.data annotations/demo.parquet
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from tif.console import say
from tif.errors import InputError
from tif.readers import Row, read_records
from tif.sets import store
from tif.sets.formats.records import in_order, list_field, need_text, span_of, status_field
from tif.spans import AnnotationSet, Dataset, Example, Provenance, SavedSet

FILE: Final = Path(__file__).parents[1] / "data" / "demo.jsonl"
AUTHOR: Final = "tif"


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its annotated answer, and the other answers that truth ratios need."""

    example: Example
    split: str
    """`forget` or `retain`."""
    paraphrased: str
    """The right answer in other words."""
    perturbed: tuple[str, ...]
    """Wrong answers of the same wording: facts about other people."""

    @property
    def person(self) -> str:
        """The part of the id that names the person, e.g. `ayse-guldereli`."""
        return self.example.id.split("/")[1]

    def record(self) -> dict[str, JsonValue]:
        """Return the pair as a row of an evaluation file (`tif eval --benchmark local`)."""
        return {
            "id": self.example.id,
            "question": self.example.prompt,
            "answer": self.example.text,
            "subject": self.person,
            "paraphrased_answer": self.paraphrased,
            "perturbed_answer": list(self.perturbed),
        }


def load() -> tuple[Pair, ...]:
    """Return all pairs; the five of a person are adjacent.

    Raises:
        InputError: for a span that does not mark the words that the file says.
    """
    pairs = []
    for place, row in read_records(FILE):
        try:
            pairs.append(_pair(row))
        except InputError as error:
            raise error.within(place) from None
    return tuple(pairs)


def _pair(row: Row) -> Pair:
    text = need_text(row, "text")
    spans = [span_of(span, text, f"spans[{i}]", source=AUTHOR) for i, span in enumerate(list_field(row, "spans"))]
    example = Example(
        need_text(row, "id"), need_text(row, "prompt"), text, in_order(spans), status_field(row) or "auto"
    )
    perturbed = tuple(str(answer) for answer in list_field(row, "perturbed_answer"))
    return Pair(example, need_text(row, "split"), need_text(row, "paraphrased_answer"), perturbed)


def base_people(pairs: Sequence[Pair]) -> frozenset[str]:
    """Return the people that the base model knows: the first half of the retain people, and none of the forget set."""
    people = list(dict.fromkeys(pair.person for pair in pairs if pair.split == "retain"))
    return frozenset(people[: len(people) // 2])


def annotation_set(pairs: tuple[Pair, ...], split: str = "") -> AnnotationSet:
    """Return the examples of one split, or of all, as a set with its provenance."""
    chosen = AnnotationSet(tuple(pair.example for pair in pairs if split in ("", pair.split)))
    dataset = Dataset(id="demo", split=split, fingerprint=chosen.fingerprint, examples=len(chosen))
    return AnnotationSet(chosen.examples, Provenance(dataset, {"name": "manual", "version": 1}))


def save(annotations: AnnotationSet, path: Path) -> SavedSet:
    """Save as the newest version of `path`, unless the newest version has the same content."""
    head = store.head_version(path)
    return store.save(
        annotations, path, message="Spans checked by hand", author=AUTHOR, base=head.digest if head else None
    )


if __name__ == "__main__":
    saved = save(annotation_set(load()), Path(sys.argv[1]))
    say(f"{sys.argv[1]}: {len(saved)} samples, version {saved.version.number}")
