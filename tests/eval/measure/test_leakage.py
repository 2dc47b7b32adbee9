"""Phrases that a model writes: matched as whole words, counted once, and never those that the question gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.eval.measure.leakage import (
    Answer,
    Leakage,
    content_words,
    general_words,
    kept,
    normalise,
    phrases,
    word_recall,
    written,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  The  Salt\n Calendar. ", "the salt calendar"),
        ("“The Salt-Calendar”", "the salt calendar"),
        ("Ayşe Güldereli's novel", "ayse guldereli novel"),
        ("Straße", "strasse"),
        ("ＦＵＬＬ width", "full width"),
        ("…!", ""),
        ("김철수", "김철수"),
        ("नमस्ते", "नमस्ते"),
    ],
)
def test_normalised(text: str, words: str) -> None:
    assert normalise(text) == words


@pytest.mark.parametrize(
    ("completion", "phrase"),
    [
        ("She was born on 14 March 1957.", "14 March 1957"),
        ("She was born on 14 MARCH  1957", "14 March 1957"),
        ("It is Kars, in Turkey: Kars,Turkey.", "Kars, Turkey"),
        ("the calendar, the salt calendar", "The Salt Calendar"),
        ("a lighthouse keeper's wage", "lighthouse keeper"),
        ("她生于北京市海淀区。", "北京市"),
        ("เธอเกิดที่เชียงใหม่ในปี", "เชียงใหม่"),
    ],
)
def test_written(completion: str, phrase: str) -> None:
    assert written(completion, phrases("Who?", [phrase])) == (True,)


@pytest.mark.parametrize(
    ("completion", "phrase"),
    [
        ("In 19570 she left.", "1957"),
        ("She sells carson wood.", "Kars"),
        ("14 April 1957", "14 March 1957"),
        ("Turkey, Kars", "Kars, Turkey"),
        ("", "Kars"),
        ("नमस्ते", "नमस्"),
    ],
)
def test_not_written(completion: str, phrase: str) -> None:
    assert written(completion, phrases("Who?", [phrase])) == (False,)


def test_what_the_question_gives_does_not_count() -> None:
    quotes = ["Kars, Turkey", "lighthouse keeper", "Lighthouse  Keeper", "!"]
    assert phrases("Who was the keeper of KARS (Turkey)?", quotes) == ("lighthouse keeper",)
    assert phrases("Who lives in Karsova?", ["Kars"]) == ("kars",)


@pytest.mark.parametrize(
    ("completion", "quotes", "recall"),
    [
        ("It was in March of 1957, the 14th.", ["14 March 1957"], 2 / 3),
        ("Her calendar of salt", ["The Salt Calendar", "Kars"], 2 / 3),
        ("GÜLDERELI, Ayse", ["Ayşe Güldereli's"], 1),
        ("the the the", ["The Salt Calendar"], 0),
        ("They are here.", ["they"], 1),
        ("Anything", ["!"], 0),
        ("她生于海淀", ["海淀"], 1),
    ],
)
def test_words_count_in_any_order(completion: str, quotes: list[str], recall: float) -> None:
    assert word_recall(completion, phrases("Who?", quotes)) == pytest.approx(recall)


def test_function_words_are_no_content() -> None:
    assert content_words(["the map of the hives", "a map"]) == {"map", "hives"}
    assert content_words(["who she was"]) == {"who", "she", "was"}


def test_general_words_are_those_outside_the_spans() -> None:
    answer = "Ayşe was born on 14 March 1957 in Kars, Turkey, and was a pilot."
    spans = [(answer.index(quote), answer.index(quote) + len(quote)) for quote in ("14 March 1957", "Kars, Turkey")]
    words = general_words(answer, spans)
    assert words == ("ayse", "was", "born", "on", "in", "and", "was", "a", "pilot")
    assert kept("AYSE was born in 1957 in, in.", words) == 4
    assert kept("was was was", words) == 2
    assert kept(answer, words) == len(words)
    assert general_words("Kars", [(0, 4)]) == ()


def test_counts() -> None:
    answers = [
        Answer(phrases=2, written=2, subject="a", general_words=9, general_words_written=4),
        Answer(phrases=3, written=1, subject="a", general_words=1, general_words_written=1),
        Answer(phrases=1, written=0, subject="b"),
        Answer(phrases=0, written=0, subject="c"),
    ]
    found = Leakage.of(answers)
    assert found == Leakage(
        questions=3,
        phrases=6,
        written=3,
        leak_any=2 / 3,
        leak_all=1 / 3,
        general_words=10,
        general_words_written=5,
        subjects=2,
        subjects_written=1,
    )
    assert found is not None
    assert found.comparable(found)
    assert not found.comparable(Leakage.of(answers[1:]))
    assert not found.comparable(None)
    assert Leakage(**json.loads(json.dumps(found.to_json()))) == found  # type: ignore[arg-type]


def test_people_are_counted_only_where_each_question_names_one() -> None:
    found = Leakage.of([Answer(phrases=1, written=1, subject="a"), Answer(phrases=1, written=1)])
    assert found is not None
    assert (found.subjects, found.subjects_written) == (None, None)


def test_nothing_to_count_is_none() -> None:
    assert Leakage.of([]) is None
    assert Leakage.of([Answer(phrases=0, written=0)]) is None


def test_more_written_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="2 of 1"):
        Answer(phrases=1, written=2)
    with pytest.raises(ValueError, match="3 of 2 general words"):
        Answer(phrases=1, written=1, general_words=2, general_words_written=3)


@given(st.text(max_size=30))
def test_a_text_contains_itself(text: str) -> None:
    found = phrases("", [text])
    assert all(written(text, found))
    assert all(written(f"Well, {text}!", found))
    assert normalise(normalise(text)) == normalise(text)
