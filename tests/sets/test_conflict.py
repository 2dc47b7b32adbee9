"""The note of a conflict holds all that the other sides marked, and can be read back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples, spans_in
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


def person(*spans, status="corrected"):
    return AnnotationSet((Example("e/0", "", TEXT, tuple(Span(*each) for each in spans), status),))


BASE = person((0, 4), status="auto")
ENDS = {"ours": 13, "second": 14, "third": 30}
OURS, SECOND, THIRD = (person((0, end)) for end in ENDS.values())


def ends_of(merged):
    """The end of the kept span, and those of the other sides."""
    (one,) = merged
    assert one.status == "conflict"
    return one.spans[0].end, sorted(other.example.spans[0].end for other in others(one))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # (what ours is merged from, what theirs is merged from); both began at BASE
        ((OURS, SECOND), (OURS, THIRD)),
        ((OURS, SECOND), (THIRD,)),
        ((OURS,), (SECOND, THIRD)),
        ((OURS, SECOND, THIRD), (OURS,)),
        ((OURS, SECOND), (OURS, SECOND, THIRD)),
        ((OURS, SECOND, THIRD), (OURS, SECOND)),
    ],
)
def test_no_side_of_a_third_person_is_dropped(left, right):
    def merged(sides):
        first, *rest = sides
        for side in rest:
            first = compare.merge(BASE, first, side).merged
        return first

    assert ends_of(compare.merge(BASE, merged(left), merged(right)).merged) == (13, [14, 30])


def test_a_third_side_that_came_after_the_base_is_not_dropped():
    base = compare.merge(BASE, OURS, SECOND).merged
    theirs = compare.merge(BASE, base, THIRD).merged
    # Ours left the conflict as it was.
    assert ends_of(compare.merge(base, base, theirs).merged) == (13, [14, 30])
    # Ours settled what it knew of; the third side is new to it.
    settled = base.replaced([replace(base.examples[0], spans=(Span(0, 12),), status="corrected", error=None)])
    for ours, other in ((settled, theirs), (theirs, settled)):
        outcome = compare.merge(base, ours, other)
        assert outcome.conflicts == ("e/0",)
        assert 30 in ends_of(outcome.merged)[1]
    assert ends_of(compare.merge(base, settled, theirs).merged) == (12, [30])
    # Without a new side, the settled record stays settled.
    assert compare.merge(base, settled, base).merged.examples == settled.examples
    assert compare.merge(base, base, settled).merged.examples == settled.examples


def test_the_lines_of_a_conflict_name_every_side():
    outcome = compare.merge(BASE, compare.merge(BASE, OURS, SECOND).merged, THIRD)
    lines = list(compare.conflict_lines(outcome.disputed))
    assert [line.split("0-")[1].split()[0] for line in lines[1:]] == ["13", "14", "30"]
    assert "beside theirs: corrected" in lines[2]


def test_a_note_in_a_persons_own_words_survives_a_second_conflict():
    base = BASE.replaced([replace(BASE.examples[0], status="conflict", error="ask Oda; she knows (corrected): no")])
    ours = base.replaced([replace(base.examples[0], spans=(Span(0, 13),))])
    once = compare.merge(base, ours, SECOND).merged
    assert once.examples[0].error.endswith("; note: ask Oda; she knows (corrected): no")
    assert ends_of(once) == (13, [14])
    twice = compare.merge(base, once, THIRD).merged
    assert ends_of(twice) == (13, [14, 30])
    assert twice.examples[0].error.count("note: ask Oda") == 1


@given(st.data())
def test_every_change_of_three_people_is_in_the_result_or_in_its_note(data):
    base = data.draw(examples("e/0", ("UW", "NAME")))
    changed = st.builds(
        lambda spans, status: base.with_spans(spans, status=status),
        spans_in(base.text, ("UW", "NAME")),
        st.sampled_from(["corrected", "rejected", "accepted"]),
    )
    people = [AnnotationSet((data.draw(changed),)) for _ in range(3)]
    start = AnnotationSet((replace(base, status="auto", error=None),))
    first = compare.merge(start, people[0], people[1]).merged
    second = compare.merge(start, people[0], people[2]).merged
    (one,) = data.draw(
        st.sampled_from(
            [
                compare.merge(start, first, people[2]),
                compare.merge(start, people[2], first),
                compare.merge(start, first, second),
                compare.merge(start, second, first),
            ]
        )
    ).merged
    told = {key for side in (one, *(o.example for o in others(one))) for key in side.keys}
    marked = {(at, label) for start_, end, label in told for at in range(start_, end)}
    for person_ in people:
        new = person_.examples[0].keys - start.examples[0].keys
        assert {(at, label) for start_, end, label in new for at in range(start_, end)} <= marked
        if one.status == "conflict" and judged(person_.examples[0])[1] == "rejected":
            assert "rejected" in {one.status, *(o.example.status for o in others(one))}
