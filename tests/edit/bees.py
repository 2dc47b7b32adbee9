"""A set about bees and organs, and how to look at its samples."""

from tif.sets import store
from tif.spans import AnnotationSet, Example

TEXTS = (
    "Oda Lindqvist keeps bees in Skagen.",
    "Tobiah Renn tunes organs 🎹 in Tartu.",
    "נועה גרה בחיפה.",
    "Nothing here.",
)


def new_set(path):
    made = AnnotationSet(tuple(Example(f"e/{i}", "Who?", text) for i, text in enumerate(TEXTS)))
    return store.save(made, path, message="made")


def letters(example):
    """Every marked character, with its label."""
    return {(at, span.label) for span in example.spans for at in range(span.start, span.end)}


def quotes(example):
    return [example.quote(s) for s in example.spans]
