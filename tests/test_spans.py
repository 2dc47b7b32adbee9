import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples, spans_in, texts
from tif.errors import InputError
from tif.spans import AnnotationSet, Example, Span, tidy


@pytest.mark.parametrize(
    ("start", "end"), [(-1, 2), (2, 2), (3, 1), (0, 0), (True, 2), (0.0, 2), ("0", 2), (None, 2), (0, 1.5)]
)
def test_span_refuses_bounds_that_bound_nothing(start, end):
    with pytest.raises(InputError):
        Span(start, end)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), "1", True])
def test_span_refuses_a_score_outside_0_to_1(score):
    with pytest.raises(InputError, match="score"):
        Span(0, 1, score=score)


@pytest.mark.parametrize("label", ["", " UW", "UW ", 3, None])
def test_span_refuses_what_is_no_label(label):
    with pytest.raises(InputError, match="label"):
        Span(0, 1, label)


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ((Span(0, 99),), "beyond"),
        ((Span(0, 4),), "white space"),
        ((Span(3, 5),), "white space"),
        ((Span(4, 7), Span(0, 3)), "sorted"),
        ((Span(0, 3), Span(2, 3)), "overlaps"),
    ],
)
def test_example_refuses_spans_that_break_an_invariant(spans, why):
    with pytest.raises(InputError, match=why):
        Example("a", "", "Her sister", spans)


def test_example_lets_labels_overlap_each_other():
    assert len(Example("a", "", "Her sister", (Span(0, 3), Span(0, 3, "UW:PERSON"))).spans) == 2


@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb"])
def test_example_refuses_lone_surrogates(bad):
    with pytest.raises(InputError, match="surrogate"):
        Example("a", "", bad)


def test_set_refuses_an_id_twice():
    with pytest.raises(InputError, match="twice"):
        AnnotationSet((Example("a", "", "x"), Example("a", "", "y")))


@given(texts, st.data())
def test_tidy_makes_what_example_accepts_and_keeps_every_marked_letter(text, data):
    raw = [
        Span(a, a + n)
        for a, n in data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(1, 9)), max_size=6))
    ]
    tidied = Example("a", "", text, tidy(text, raw)).spans
    marked = {i for s in raw for i in range(s.start, min(s.end, len(text)))}
    kept = {i for s in tidied for i in range(s.start, s.end)}
    assert {i for i in marked if not text[i].isspace()} == {i for i in kept if not text[i].isspace()}
    assert kept <= marked


@given(texts.flatmap(lambda t: st.tuples(st.just(t), spans_in(t))))
def test_tidy_changes_nothing_twice(pair):
    text, spans = pair
    assert tidy(text, spans) == spans


@given(examples())
def test_digest_depends_on_everything_a_person_can_change(example):
    from dataclasses import replace

    base = AnnotationSet((example,)).digest
    assert base == AnnotationSet((replace(example),)).digest
    assert base != AnnotationSet((replace(example, id="other"),)).digest
    assert base != AnnotationSet((replace(example, prompt=example.prompt + "?"),)).digest
    assert base != AnnotationSet((replace(example, status="rejected"),)).digest
    if example.spans:
        assert base != AnnotationSet((replace(example, spans=()),)).digest


def test_error_is_one_line_whatever_it_quotes():
    line = str(InputError("a\nb", where=("f.jsonl\n", "line 3"), why="x\n\ny", hint="do\nthis"))
    assert "\n" not in line
    assert line == "f.jsonl , line 3: a b (x y). do this".replace("f.jsonl ,", "f.jsonl ,")
