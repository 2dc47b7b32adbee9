"""Measures of span quality against published values and tables worked by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tif.errors import InputError
from tif.sets import store
from tif.sets.agreement import agreement, cohen_kappa, krippendorff_alpha
from tif.sets.queue import queue
from tif.sets.score import Counts, score
from tif.spans import AnnotationSet, Example, Span

N = None


def annotated(*rows):
    """A set of (id, text with [[..]] around spans) rows."""
    examples = []
    for id_, marked in rows:
        text, spans = "", []
        for part in marked.split("[["):
            inside, closed, rest = part.partition("]]")
            if closed:
                spans.append(Span(len(text), len(text) + len(inside)))
            text += inside + rest
        examples.append(Example(id_, "", text, tuple(spans)))
    return AnnotationSet(tuple(examples))


# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": the worked examples of sections A, B and C.
@pytest.mark.parametrize(
    ("coders", "published"),
    [
        (([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (
            (
                [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
                [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
                [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
                [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
            ),
            0.743,
        ),
    ],
)
def test_alpha_is_as_published(coders, published):
    assert krippendorff_alpha(zip(*coders, strict=True)) == pytest.approx(published, abs=5e-4)


def test_alpha_is_undefined_without_variation_or_pairs():
    assert krippendorff_alpha([(1, 1), (1, 1)]) is None
    assert krippendorff_alpha([(1, N), (N, 0)]) is None


def test_kappa_worked_by_hand():
    # Both yes 20, only A 5, only B 10, both no 15 of 50: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    table = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    assert cohen_kappa(*zip(*table, strict=True)) == pytest.approx(0.4)
    assert cohen_kappa([1, 1], [1, 1]) is None
    assert cohen_kappa([], []) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_kappa_is_sklearns(pairs):
    a, b = zip(*pairs, strict=True)
    if len(set(a) | set(b)) > 1:
        assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))


def test_score_worked_by_hand():
    gold = annotated(("1", "born in [[Oslo]] as [[Ann]] Bo"), ("2", "[[nine]] winters"), ("3", "no"))
    ours = annotated(("1", "born in [[Oslo]] as [[Ann Bo]]"), ("2", "nine [[winters]]"), ("3", "no"))
    result = score(ours, gold)
    # Oslo 4 and Ann 3 found; Bo 2 and winters 7 too many; nine 4 missed.
    assert result.total.char == Counts(7, 16, 7, 11)
    assert result.total.char.precision == pytest.approx(7 / 16)
    assert result.total.char.recall == pytest.approx(7 / 11)
    assert result.total.char.f1 == pytest.approx(2 * 7 / (16 + 11))
    assert result.total.span_exact == Counts(1, 3, 1, 3)
    assert result.total.span_partial == Counts(2, 3, 2, 3)
    assert [e.id for e in result.worst(5)] == ["2", "1"]
    assert result.worst(1)[0].missed == ("nine",)
    assert result.worst(1)[0].spurious == ("winters",)


def test_only_letters_and_digits_weigh():
    result = score(annotated(("1", '[["The Salt Ladder"]]')), annotated(("1", '"[[The Salt Ladder]]"')))
    assert result.total.char.f1 == 1.0
    assert result.total.span_exact.f1 == 0.0
    assert result.total.span_partial.f1 == 1.0


def test_labels_are_told_apart_per_label_and_by_spans_but_not_by_characters():
    def one(label):
        return AnnotationSet((Example("1", "", "Oslo", (Span(0, 4, label),)),))

    assert score(one("CITY"), one("UW")).total.span_exact.f1 == 1.0  # UW is no other type: it is none
    result = score(one("CITY"), one("DATE"))
    assert result.total.char.f1 == 1.0
    assert result.total.span_partial.f1 == 0.0
    assert set(result.labels) == {"CITY", "DATE"}
    assert result.labels["DATE"].char == Counts(0, 0, 0, 4)


def test_agreement_compares_types_by_their_canonical_name_and_uw_by_places():
    def one(label):
        return AnnotationSet((Example("1", "", "in Oslo", (Span(3, 7, label),)),))

    for a, b, f1 in (("GPE", "LOCATION", 1.0), ("GPE", "UW", 1.0), ("GPE", "PERSON", 0.0)):
        (pair,) = agreement([one(a), one(b)]).pairs
        assert (pair.measures.char.f1, pair.measures.span_exact.f1) == (1.0, f1)


def test_nothing_to_find_and_nothing_found_is_right():
    assert score(annotated(("1", "no")), annotated(("1", "no"))).total.char.f1 == 1.0
    assert score(annotated(("1", "no")), annotated(("1", "[[no]]"))).total.char.f1 == 0.0


def test_examples_are_matched_by_text_where_ids_differ():
    result = score(annotated(("x/1", "to [[Oslo]]")), annotated(("y/7", "to [[Oslo]]"), ("y/8", "elsewhere")))
    assert result.total.char.f1 == 1.0
    assert result.missing == ("y/8",)
    with pytest.raises(InputError, match="no example in common"):
        score(annotated(("1", "a")), annotated(("1", "b")))


def test_agreement_of_three():
    a = annotated(("1", "[[one]] two three four"), ("2", "[[x]] y"))
    b = annotated(("1", "[[one]] two three four"))
    c = annotated(("1", "one [[two]] three four"), ("2", "x y"))
    result = agreement([a, b, c])
    assert (result.examples, result.tokens) == (1, 4)
    assert [p.kappa for p in result.pairs] == pytest.approx([1.0, -1 / 3, -1 / 3])
    assert [p.measures.char.f1 for p in result.pairs] == [1.0, 0.0, 0.0]
    units = [(1, 1, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]
    assert result.alpha == krippendorff_alpha(units)
    # Two units with 2 + 2 unequal ordered pairs over m - 1 = 2; 3 ones and 9 zeros: 1 - 11 * 4 / (144 - 90).
    assert result.alpha == pytest.approx(1 - 11 * 4 / 54)


def test_queue_puts_disagreement_first_then_low_scores():
    ours = AnnotationSet(
        (
            Example("sure", "", "Oslo", (Span(0, 4, score=0.9),)),
            Example("unsure", "", "Rome", (Span(0, 4, score=0.2),)),
            Example("disputed", "", "Kyiv", (Span(0, 4, score=0.9),)),
            Example("done", "", "Bern", status="accepted"),
        )
    )
    other = AnnotationSet(
        (
            Example("sure", "", "Oslo", (Span(0, 4),)),
            Example("unsure", "", "Rome", (Span(0, 4),)),
            Example("disputed", "", "Kyiv"),
        )
    )
    waiting = queue([ours, other])
    assert [q.example.id for q in waiting] == ["disputed", "unsure", "sure"]
    assert [q.disagreement for q in waiting] == [1.0, 0.0, 0.0]


def test_queue_of_one_set_compares_the_sources_of_its_spans():
    one = AnnotationSet(
        (
            Example("same", "", "to Oslo", (Span(3, 7, "UW", "a"), Span(3, 7, "X", "b"))),
            Example("apart", "", "to Oslo", (Span(0, 2, "UW", "a"), Span(3, 7, "UW", "b"))),
        )
    )
    assert [q.example.id for q in queue([one])] == ["apart", "same"]


@pytest.mark.parametrize("sources", [("presidio:A", "presidio:B"), ("vote:1/2 of a", "vote:1/2 of a, b")])
def test_queue_takes_the_parts_of_one_annotator_as_one(sources):
    spans = tuple(Span(*place, "UW", source) for place, source in zip([(0, 2), (3, 7)], sources, strict=True))
    assert [q.disagreement for q in queue([AnnotationSet((Example("a", "", "to Oslo", spans),))])] == [0.0]


def test_queue_puts_what_a_note_speaks_of_before_what_is_merely_unsure():
    noted = Example("noted", "", "Oslo", error="'Bergen' is not in the text")
    unsure = Example("unsure", "", "Rome", (Span(0, 4, score=0.1),))
    assert [q.example.id for q in queue([AnnotationSet((unsure, noted))])] == ["noted", "unsure"]


def test_the_commands(cli, tmp_path):
    ours, gold = tmp_path / "ours.parquet", tmp_path / "gold.jsonl"
    store.save(annotated(("1", "in [[Oslo]]"), ("2", "[[in]] Rome")), ours)
    rows = [
        {"id": "1", "prompt": "", "text": "in Oslo", "spans": [{"start": 3, "end": 7, "label": "UW", "text": "Oslo"}]},
        {"id": "2", "prompt": "", "text": "in Rome", "spans": [{"start": 3, "end": 7, "label": "UW", "text": "Rome"}]},
    ]
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("spans", "score", ours, "--gold", gold, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert told["examples"] == 2
    assert told["char"] == pytest.approx({"precision": 4 / 6, "recall": 4 / 8, "f1": 8 / 14, "f2": 10 / 19})
    assert told["span_exact"]["f1"] == told["span_partial"]["f1"] == 0.5
    # Every example by itself, the worst first.
    assert [row["id"] for row in told["by_example"]] == ["2", "1"]
    assert (told["by_example"][0]["missed"], told["by_example"][0]["spurious"]) == (["Rome"], ["in"])
    assert told["by_example"][1]["char"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "f2": 1.0}
    assert "missed: Rome" in cli("spans", "score", ours, "--gold", gold).out
    told = json.loads(cli("spans", "agree", ours, gold, "--json").out)
    assert told["tokens"] == 4
    # One of two tokens each side says yes to is shared: p_o = 0.5, p_e = 0.5.
    assert told["pairs"][0]["kappa"] == pytest.approx(0.0)
    told = json.loads(cli("spans", "queue", ours, gold, "--json").out)
    assert [row["id"] for row in told] == ["2", "1"]
    assert cli("spans", "agree", ours).code == 2


def test_overlaps_in_a_file_are_united(cli, tmp_path):
    gold = tmp_path / "gold.jsonl"
    spans = [{"start": 0, "end": 4, "label": "UW"}, {"start": 0, "end": 7, "label": "UW"}]
    gold.write_text(json.dumps({"id": "1", "prompt": "", "text": "Nine Winters", "spans": spans}) + "\n")
    done = cli("spans", "score", gold, "--gold", gold, "--json")
    assert json.loads(done.out)["span_exact"]["f1"] == 1.0
