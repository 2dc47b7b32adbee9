from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import sets, spans_in
from tif.errors import InputError
from tif.sets import compare
from tif.spans import AnnotationSet, Example, Span

TEXT = "Her father was a florist in Gent."
FLORIST, GENT, FATHER, IN_GENT = Span(17, 24), Span(28, 32), Span(4, 10), Span(25, 32)


def one(*spans, status="auto", text=TEXT):
    return AnnotationSet((Example("a", "Who?", text, spans, status),))


def test_diff_tells_added_removed_moved_relabelled_and_status():
    a = one(FATHER, FLORIST, GENT)
    b = one(replace(FLORIST, label="UW:JOB"), IN_GENT, status="corrected")
    (change,) = compare.diff(a, b)
    assert change.removed == ((FATHER, "father"),)
    assert change.added == ()
    assert change.moved == ((GENT, "Gent", IN_GENT, "in Gent"),)
    assert change.relabelled == ((FLORIST, replace(FLORIST, label="UW:JOB"), "florist"),)
    assert change.status == ("auto", "corrected")
    assert list(compare.lines([change])) == [
        "a  changed  auto -> corrected",
        "  - 4-10 UW 'father'",
        "  ~ 28-32 'Gent' -> 25-32 'in Gent'",
        "  ~ 17-24 'florist' UW -> UW:JOB",
    ]


def test_diff_ignores_who_said_it():
    assert compare.diff(one(FLORIST), one(replace(FLORIST, source="ada", score=0.5))) == []


def test_diff_tells_records_that_only_one_side_has():
    b = AnnotationSet((Example("b", "", TEXT, (GENT,)),))
    added, removed = compare.diff(one(FLORIST), b)
    assert (added.kind, added.id, removed.kind, removed.id) == ("added", "b", "removed", "a")


def test_markdown_survives_pipes_and_newlines():
    text = "a|b\nc d"
    rows = list(compare.markdown(compare.diff(one(text=text), one(Span(0, 5), text=text))))
    assert len(rows) == 3
    assert rows[2] == "| a | changed | + 0-5 UW 'a\\|b\\nc' |"


@given(sets(), st.data())
def test_diff_counts_each_change_once(base, data):
    new = AnnotationSet(tuple(replace(e, spans=data.draw(spans_in(e.text))) for e in base))
    for change in compare.diff(base, new):
        old, now = base.by_id()[change.id], new.by_id()[change.id]
        gone = {(s.start, s.end) for s in old.spans} - {(s.start, s.end) for s in now.spans}
        come = {(s.start, s.end) for s in now.spans} - {(s.start, s.end) for s in old.spans}
        told_gone = [(s.start, s.end) for s, _ in change.removed] + [(a.start, a.end) for a, _, _, _ in change.moved]
        told_come = [(s.start, s.end) for s, _ in change.added] + [(b.start, b.end) for _, _, b, _ in change.moved]
        assert sorted(told_gone) == sorted(gone)
        assert sorted(told_come) == sorted(come)


def test_merge_takes_what_only_theirs_changed_and_keeps_what_only_ours_changed():
    base = one(FLORIST)
    assert compare.merge(base, base, one(FLORIST, GENT)).merged.examples[0].spans == (FLORIST, GENT)
    kept = compare.merge(base, one(GENT), base)
    assert kept.merged.examples[0].spans == (GENT,)
    assert kept.changed == ()


def test_merge_unites_changes_to_different_words():
    outcome = compare.merge(one(FLORIST), one(FATHER, FLORIST), one(FLORIST, GENT, status="corrected"))
    (merged,) = outcome.merged
    assert merged.spans == (FATHER, FLORIST, GENT)
    assert merged.status == "corrected"
    assert outcome.conflicts == ()


def test_merge_of_a_settled_conflict_drops_its_note():
    disputed = replace(one(FLORIST).examples[0], status="conflict", error="theirs (auto): no spans")
    base, ours, theirs = (
        AnnotationSet((example,))
        for example in (
            disputed,
            replace(disputed, spans=(FATHER, FLORIST)),
            replace(disputed, spans=(FLORIST, GENT), status="corrected", error=None),
        )
    )
    (merged,) = compare.merge(base, ours, theirs).merged
    assert (merged.spans, merged.status, merged.error) == ((FATHER, FLORIST, GENT), "corrected", None)


@pytest.mark.parametrize(("prefer", "spans"), [("ours", (GENT,)), ("theirs", (IN_GENT,))])
def test_merge_decides_a_conflict_when_told(prefer, spans):
    outcome = compare.merge(one(), one(GENT), one(IN_GENT), prefer=prefer)
    assert outcome.conflicts == ("a",)
    assert outcome.merged.examples[0].spans == spans


def test_merge_leaves_a_conflict_with_theirs_told():
    (merged,) = compare.merge(one(), one(GENT), one(IN_GENT)).merged
    assert (merged.status, merged.spans) == ("conflict", (GENT,))
    assert "25-32 'in Gent'" in merged.error


@pytest.mark.parametrize("prefer", [None, "ours", "theirs"])
def test_a_conflict_is_told_with_what_either_side_says(prefer):
    job = replace(FLORIST, label="UW:JOB")
    outcome = compare.merge(one(), one(job, GENT), one(IN_GENT, status="corrected"), prefer=prefer)
    assert list(compare.conflict_lines(outcome.disputed)) == [
        "a  conflict",
        "  ours   auto      17-24 UW:JOB 'florist', 28-32 'Gent'",
        "  theirs corrected 25-32 'in Gent'",
    ]


def test_merge_refuses_a_changed_text_and_says_where():
    with pytest.raises(InputError, match=r"was changed .*character"):
        compare.merge(one(), one(), one(text=TEXT.replace("florist", "baker")))


def test_merge_refuses_an_unknown_id():
    with pytest.raises(InputError, match="not in the set"):
        compare.merge(one(), one(), AnnotationSet((Example("b", "", TEXT),)))


@given(sets(), st.data())
def test_merge_of_one_sided_change_is_that_change(base, data):
    new = AnnotationSet(tuple(replace(e, spans=data.draw(spans_in(e.text))) for e in base))
    assert compare.diff(compare.merge(base, base, new).merged, new) == []
    assert compare.merge(base, new, base).merged.examples == new.examples
    assert compare.merge(base, new, new).conflicts == ()


SENTENCE = "In 2022 it was the Silver Needle."
SHORT, LONG = Span(19, 25), Span(19, 32)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (((), "auto"), ((LONG,), "auto")),
        (((LONG,), "auto"), ((), "auto")),
        (((Span(19, 25, "NAME"),), "auto"), ((Span(19, 25, "PRIZE"),), "auto")),
        (((Span(19, 25, "NAME"),), "auto"), ((LONG,), "auto")),
        (((LONG,), "auto"), ((SHORT,), "rejected")),
        (((SHORT,), "rejected"), ((), "auto")),
    ],
)
@pytest.mark.parametrize("status", ["auto", "corrected"])
def test_what_excludes_each_other_is_a_conflict(ours, theirs, status):
    def one(spans, said="auto"):
        return AnnotationSet((Example("x", "q", SENTENCE, spans, said if said == "rejected" else status),))

    outcome = compare.merge(one((SHORT,)), one(*ours), one(*theirs))
    assert outcome.conflicts == ("x",)
    assert outcome.merged.examples[0].status == "conflict"


def test_the_same_change_on_both_sides_is_no_conflict():
    def one(*spans):
        return AnnotationSet((Example("x", "q", SENTENCE, spans),))

    assert compare.merge(one(SHORT), one(LONG), one(LONG)).conflicts == ()
    assert compare.merge(one(SHORT), one(), one()).conflicts == ()
    other = compare.merge(one(SHORT), one(), one(Span(3, 7), SHORT))
    assert (other.conflicts, other.merged.examples[0].spans) == ((), (Span(3, 7),))
