"""The note of a conflict holds all that the other sides marked, and can be read back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from tif.sets import compare
from tif.sets.conflict import Other, note, others
from tif.spans import AnnotationSet, Example, Span

TEXT = "Noor, 'de Wit', moved to Aalst; she (then 30) mends: 0-4 'Noor' UW, nets."


def judged(example):
    return example.keys, example.status


@given(st.lists(examples("e/0", ("UW", "NAME", "a (b): c", "x, 0-1 'y'", "no spans")), min_size=1, max_size=3))
def test_a_note_is_read_back_as_it_was_written(sides):
    # The sides of a conflict are versions of one text.
    text = max((side.text for side in sides), key=len)
    versions = [Example("e/0", "Who?", text).with_spans(side.spans, status="corrected") for side in sides]
    written = [Other(f"set {n}", version) for n, version in enumerate(versions, start=2)]
    disputed = replace(versions[0], status="conflict", error=note(written))
    read = others(disputed)
    assert [(other.name, judged(other.example)) for other in read] == [(o.name, judged(o.example)) for o in written]


@pytest.mark.parametrize(
    "error",
    [
        None,
        "",
        "no quote could be placed",
        "theirs (corrected): ",
        "theirs (corrected): 0-4 'Nora'",
        "theirs (corrected): 4-0 ''",
        "theirs (corrected): 0-4 'Noor', ",
        "theirs (corrected): 0-4 'Noor' and more",
        "theirs (corrected): 0-4 'Noor', 2-6 \"or, '\"",
        "theirs (wrong): 0-4 'Noor'",
        "theirs (corrected): 0-999999999 'Noor'",
    ],
)
def test_a_note_of_another_form_has_no_sides(error):
    assert others(Example("e/0", "", TEXT, (), "conflict", error)) == ()
    settled = Example("e/0", "", TEXT, (), "corrected", "theirs (corrected): 0-4 'Noor'")
    assert others(settled) == ()


def test_a_second_conflict_keeps_the_first_ones_other_side():
    base = AnnotationSet((Example("e/0", "", TEXT, (Span(0, 4),)),))
    ours, second, third = (
        AnnotationSet((replace(base.examples[0], spans=(Span(0, end),), status="corrected"),)) for end in (13, 14, 30)
    )
    once = compare.merge(base, ours, second).merged
    twice = compare.merge(base, once, third).merged
    assert [[s.end for s in other.example.spans] for other in others(twice.examples[0])] == [[14], [30]]
    again = compare.merge(base, twice, third).merged
    assert len(others(again.examples[0])) == 2
