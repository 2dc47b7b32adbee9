"""Overlapping results of a recogniser: the most certain keeps its words, and no word is lost."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tif.annotate.recognisers.overlaps import without_overlaps
from tif.spans import Example, Span

TEXT = "Write to ann.lee@example.org, Ann."


def span(words, label, score):
    start = TEXT.index(words)
    return Span(start, start + len(words), label, f"r:{label}", score)


def marked(spans):
    return [(TEXT[s.start : s.end], s.label, s.score) for s in spans]


def test_a_certain_result_swallows_a_vague_one_inside():
    spans = without_overlaps(
        TEXT,
        [span("example.org", "NETWORK", 0.5), span("ann.lee@example.org", "EMAIL", 1.0), span("Ann", "PERSON", 0.8)],
    )
    assert marked(spans) == [("ann.lee@example.org", "EMAIL", 1.0), ("Ann", "PERSON", 0.8)]


def test_the_rest_of_a_vague_result_keeps_its_own_score():
    spans = without_overlaps(TEXT, [span("to ann.lee", "OTHER", 0.1), span("ann.lee@example.org", "EMAIL", 0.9)])
    assert marked(spans) == [("to", "OTHER", 0.1), ("ann.lee@example.org", "EMAIL", 0.9)]


def test_of_equal_scores_the_longer_wins_and_one_label_is_one_span():
    same = [span("ann.lee", "PERSON", 0.5), span("ann.lee@example.org", "EMAIL", 0.5)]
    assert marked(without_overlaps(TEXT, same)) == [("ann.lee@example.org", "EMAIL", 0.5)]
    halves = [span("ann.lee@example", "EMAIL", 0.3), span("lee@example.org", "EMAIL", 0.7)]
    assert marked(without_overlaps(TEXT, halves)) == [("ann.lee@example.org", "EMAIL", 0.7)]


RESULT = st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("ABC"), st.sampled_from([0.1, 0.5, 1.0]))


@settings(max_examples=200, deadline=None)
@given(results=st.lists(RESULT, max_size=8), text=st.text(alphabet="ab 1.-", min_size=1, max_size=40))
def test_every_letter_and_digit_stays_marked_and_nothing_overlaps(results, text):
    spans = [Span(a, min(a + n, len(text)), label, "", score) for a, n, label, score in results if a < len(text)]
    kept = without_overlaps(text, spans)
    Example("a/1", "", text, kept)
    assert all(a.end <= b.start for a, b in pairwise(kept))
    places = {at for s in spans for at in range(s.start, s.end) if text[at].isalnum()}
    assert {at for s in kept for at in range(s.start, s.end) if text[at].isalnum()} == places
