"""Cutting texts for a hand, and what a hand does to one example."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples, texts
from tif.edit import edits
from tif.edit.edits import SPAN_OPS, Op, apply, pieces_of, word_pieces
from tif.errors import InputError
from tif.spans import Example, Span
from tif.text import clusters


def cut(text, how=word_pieces):
    return [text[start:end] for start, end in how(text)]


def test_words_keep_together_what_a_reader_takes_as_one():
    assert cut("Nia O'Dell paid 3,000.5 kr, well-known.") == (
        ["Nia", "O'Dell", "paid", "3,000.5", "kr", ",", "well", "-", "known", "."]
    )
    assert cut("'tis a1_b 'x'") == ["'", "tis", "a1_b", "'", "x", "'"]
    assert cut("👩‍🚀🇩🇪🇫🇷 👍🏽 é") == ["👩‍🚀", "🇩🇪", "🇫🇷", "👍🏽", "é"]
    assert cut("漢字 हिन्दी שלום עולם") == ["漢", "字", "हिन्दी", "שלום", "עולם"]


@given(texts)
def test_cutting_loses_nothing_but_white_space(text):
    for how in (clusters, word_pieces):
        found = how(text)
        assert all(a[1] <= b[0] for a, b in pairwise(found))
        covered = {i for start, end in found for i in range(start, end)}
        assert covered == {i for i, char in enumerate(text) if not char.isspace()}
    edges = {edge for unit in clusters(text) for edge in unit}
    assert all(start in edges and end in edges for start, end in word_pieces(text))


@given(examples(labels=("UW", "NAME")))
def test_every_span_is_a_run_of_whole_pieces(example):
    found = pieces_of(example)
    starts, ends = {p[0] for p in found}, {p[1] for p in found}
    assert all(s.start in starts and s.end in ends for s in example.spans)
    assert {i for p in found for i in range(*p)} == {i for p in word_pieces(example.text) for i in range(*p)}
    assert pieces_of(example.with_spans(())) == word_pieces(example.text)


def example(text, *quotes, label="UW"):
    spans = tuple(Span(text.index(q), text.index(q) + len(q), label, "ner:x", 0.5) for q in quotes)
    return Example("e/1", "Who?", text, spans)


def quotes(e, label="UW"):
    return [e.quote(s) for s in e.spans if s.label == label]


def do(e, kind, first=0, last=None, base=None, **more):
    return apply(e, Op(kind, first, first if last is None else last, **more), base or e, "mara")


TEXT = "Oda Lindqvist keeps bees in Skagen, and Oda keeps hens."


def test_toggle_marks_a_word_and_takes_it_away_again():
    once = do(example(TEXT), "toggle", 3)
    assert quotes(once) == ["bees"]
    assert once.spans[0] == Span(20, 24, "UW", "mara")
    assert quotes(do(once, "toggle", 3)) == []


def test_toggle_inside_a_span_leaves_the_rest_of_it():
    assert quotes(do(example(TEXT, "keeps bees in Skagen"), "toggle", 4)) == ["keeps bees", "Skagen"]


def test_mark_takes_in_what_it_touches_and_says_who():
    after = do(example(TEXT, "Lindqvist"), "mark", 0, 1)
    assert after.spans == (Span(0, 13, "UW", "mara"),)


def test_a_mark_that_is_there_already_changes_nothing_not_even_its_source():
    before = example(TEXT, "Skagen")
    assert do(before, "mark", 5) is before


def test_remove_takes_whole_spans_of_any_label():
    assert do(example(TEXT, "Oda Lindqvist", "Skagen", label="NAME"), "remove", 0).spans == (
        Span(28, 34, "NAME", "ner:x", 0.5),
    )


def test_label_renames_what_is_there_and_marks_where_nothing_is():
    named = do(example(TEXT, "Oda Lindqvist"), "label", 1, label="NAME")
    assert (quotes(named, "NAME"), quotes(named)) == (["Oda Lindqvist"], [])
    assert quotes(do(named, "label", 3, label="BEE"), "BEE") == ["bees"]


@pytest.mark.parametrize(
    ("side", "by", "unit", "then"),
    [
        ("end", 1, "word", "keeps bees in"),
        ("end", -1, "word", "keeps"),
        ("start", -1, "word", "Lindqvist keeps bees"),
        ("start", 1, "word", "bees"),
        ("end", 1, "char", "keeps bees i"),
        ("end", -1, "char", "keeps bee"),
        ("start", -1, "char", "t keeps bees"),
        ("start", 1, "char", "eeps bees"),
    ],
)
def test_edges_move_by_words_and_by_characters(side, by, unit, then):
    assert quotes(do(example(TEXT, "keeps bees"), "edge", 2, side=side, by=by, unit=unit)) == [then]


CITY = "From Lyon, France (then 7% of it)."


@pytest.mark.parametrize(
    ("quote", "side", "by", "then"),
    [
        ("Lyon", "end", 1, "Lyon, France"),
        ("Lyon,", "end", -1, "Lyon"),
        ("France", "end", 1, "France (then"),
        ("France", "start", -1, "Lyon, France"),
        ("(then", "start", 1, "then"),
        ("then", "start", -1, "France (then"),
        ("then 7", "end", 1, "then 7%"),
        ("it", "end", 1, "it"),
        ("it).", "end", -1, "it"),
    ],
)
def test_punctuation_is_no_word_to_an_edge(quote, side, by, then):
    before = example(CITY, quote)
    at = next(i for i, (start, _) in enumerate(pieces_of(before)) if start == before.spans[0].start)
    assert quotes(do(before, "edge", at, side=side, by=by)) == [then]


def test_an_edge_by_character_takes_punctuation():
    assert quotes(do(example(CITY, "Lyon"), "edge", 1, unit="char")) == ["Lyon,"]


def test_an_op_changes_the_span_that_is_meant_where_several_overlap():
    outer, inner = Span(0, 13, "UW", "ner:x"), Span(4, 13, "NAME", "ner:x")
    before = Example("e/1", "Who?", TEXT, (outer, inner))
    assert do(before, "remove", 1, of="NAME").spans == (outer,)
    assert do(before, "remove", 1, of="UW").spans == (inner,)
    assert do(before, "remove", 1).spans == ()
    assert quotes(do(before, "edge", 1, of="NAME", by=1), "NAME") == ["Lindqvist keeps"]
    assert quotes(do(before, "edge", 1, of="UW", by=1)) == ["Oda Lindqvist keeps"]
    renamed = do(before, "label", 1, of="NAME", label="WHO")
    assert [(s.label, renamed.quote(s)) for s in renamed.spans] == [("UW", "Oda Lindqvist"), ("WHO", "Lindqvist")]
    assert quotes(do(before, "label", 1, of="NAME", label="UW")) == ["Oda Lindqvist"]


DISPUTED = Example(
    "e/1", "Who?", TEXT, (Span(0, 13, "UW", "ivo"),), "conflict",
    "theirs (corrected): 4-24 'Lindqvist keeps bees', 28-34 NAME 'Skagen'; set 3 (rejected): no spans",
)  # fmt: skip


def test_a_conflict_is_settled_by_taking_a_side_or_both():
    theirs = do(DISPUTED, "theirs")
    assert [(s.key, s.source) for s in theirs.spans] == [((4, 24, "UW"), "mara"), ((28, 34, "NAME"), "mara")]
    assert (theirs.status, theirs.error) == ("corrected", None)
    third = do(DISPUTED, "theirs", other=1)
    assert (third.spans, third.status) == ((), "rejected")
    both = do(DISPUTED, "both")
    assert [s.key for s in both.spans] == [(0, 24, "UW"), (28, 34, "NAME")]
    assert (both.status, both.error) == ("corrected", None)
    kept = do(do(DISPUTED, "toggle", 3), "accept", base=DISPUTED)
    assert (quotes(kept), kept.status, kept.error) == (["Oda Lindqvist", "bees"], "corrected", None)
    for gone in (do(DISPUTED, "theirs"), example(TEXT)):
        with pytest.raises(InputError, match="no such side"):
            do(gone, "theirs")
    with pytest.raises(InputError, match="no such side"):
        do(DISPUTED, "both", other=2)


def test_ops_on_thousands_of_spans_take_time_in_proportion(monkeypatch):
    """Counted in spans that are looked at, since seconds say more about the machine."""
    looked = 0
    touches, make = edits._touches, Span.__post_init__

    def counted(*args):
        nonlocal looked
        looked += 1
        return (touches if len(args) == 3 else make)(*args)

    monkeypatch.setattr(edits, "_touches", counted)
    monkeypatch.setattr(Span, "__post_init__", counted)
    costs = {}
    for size in (200, 800):
        text = "Oda keeps bees. " * size
        many = Example("e/1", "", text, tuple(Span(16 * i + 4, 16 * i + 9) for i in range(size)))
        last = len(pieces_of(many)) - 1
        for kind, more in (
            ("mentions", {"first": 0, "last": 0}),
            ("toggle", {"first": 0, "last": last}),
            ("toggle", {"first": 1, "last": 1}),
            ("label", {"first": 0, "last": last, "label": "VERB"}),
            ("edge", {"first": 1, "last": 1}),
        ):
            looked = 0
            after = apply(many, Op(kind, **more), many, "mara")
            assert after.keys != many.keys
            costs[kind, more["last"] > 1, size] = looked
    for kind, wide, size in costs:
        if size == 200:
            assert costs[kind, wide, 800] <= 5 * costs[kind, wide, 200] + 50, (kind, costs)


def test_an_edge_never_cuts_an_emoji_and_never_empties_a_span():
    crew = example("crew 👩‍🚀👍🏽 left", "👩‍🚀👍🏽")
    alone = do(crew, "edge", 1, side="end", by=-1, unit="char")
    assert quotes(alone) == ["👩‍🚀"]
    assert do(alone, "edge", 1, side="end", by=-1, unit="char") is alone


def test_mentions_marks_the_same_words_elsewhere_but_not_inside_others():
    text = "Oda met Odalys. Oda and ODA left; ‘Oda’ stayed."
    after = do(example(text), "mentions", 0)
    assert [s.start for s in after.spans] == [0, 16, 35]
    assert quotes(do(example(text, "met Odalys"), "mentions", 1)) == ["met Odalys"]


def test_accept_says_accepted_or_corrected_against_the_base():
    base = example(TEXT, "Skagen")
    assert do(base, "accept").status == "accepted"
    assert do(do(base, "toggle", 3), "accept", base=base).status == "corrected"
    there_and_back = do(do(base, "toggle", 3), "toggle", 3)
    assert do(there_and_back, "accept", base=base).status == "accepted"
    assert do(base, "reject").status == "rejected"


def test_correcting_what_was_accepted_makes_it_corrected():
    accepted = do(example(TEXT), "accept")
    assert do(accepted, "toggle", 3, base=accepted).status == "corrected"


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"op": 1},
        {"op": "eval"},
        {"op": "toggle", "first": True},
        {"op": "toggle", "first": -1},
        {"op": "toggle", "first": 1.0, "last": 2},
        {"op": "toggle", "first": 3, "last": 1},
        {"op": "toggle", "start": 3},
        {"op": "label", "label": " "},
        {"op": "label", "label": 5},
        {"op": "edge", "side": "left"},
        {"op": "edge", "by": 2},
        {"op": "remove", "of": 1},
        {"op": "theirs", "other": -1},
        {"op": "theirs", "other": "0"},
    ],
)
def test_what_is_no_op_is_refused(row):
    with pytest.raises(InputError):
        Op.parse(row)


def test_pieces_beyond_the_text_are_refused():
    with pytest.raises(InputError, match="no piece 12 among 12"):
        do(example(TEXT), "toggle", 12)


@given(st.data())
def test_ops_touch_their_pieces_and_their_label_alone(data):
    before = data.draw(examples(labels=("UW", "NAME")))
    found = pieces_of(before)
    if not found:
        return
    first = data.draw(st.integers(0, len(found) - 1))
    last = data.draw(st.integers(first, len(found) - 1))
    kind = data.draw(st.sampled_from(SPAN_OPS))
    op = Op(
        kind,
        first,
        last,
        label=data.draw(st.sampled_from(["UW", "NAME"])),
        side=data.draw(st.sampled_from(["start", "end"])),
        by=data.draw(st.sampled_from([1, -1])),
        unit=data.draw(st.sampled_from(["word", "char"])),
    )
    after = apply(before, op, before, "mara")
    inside = {i for p in found[first : last + 1] for i in range(*p)}

    def covered(e, label):
        return {i for s in e.spans if s.label == label for i in range(s.start, s.end) if not e.text[i].isspace()}

    old, new = covered(before, op.label), covered(after, op.label)
    other = "NAME" if op.label == "UW" else "UW"
    if kind == "mark":
        assert new == old | inside
    elif kind == "unmark":
        assert new == old - inside
    elif kind == "toggle":
        assert new == (old - inside if inside <= old else old | inside)
    elif kind == "remove":
        assert not inside & (new | covered(after, other))
    elif kind == "label":
        assert not inside & covered(after, other) or inside & new
    if kind in ("mark", "unmark", "toggle"):
        assert covered(after, other) == covered(before, other)
    assert all(s in before.spans or (s.source, s.score) == ("mara", None) for s in after.spans)
