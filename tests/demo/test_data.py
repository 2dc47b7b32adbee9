"""The bundled people: what ships as parquet says the same as what ships in the package, and both are sound."""

from collections import Counter
from pathlib import Path

import pytest

from tif.demo import data
from tif.sets import store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pairs():
    return data.load()


def test_there_are_enough_people_and_some_are_to_be_forgotten(pairs):
    questions = Counter(pair.person for pair in pairs)
    assert len(questions) >= 60
    assert set(questions.values()) <= {4, 5}
    forgotten = {pair.person for pair in pairs if pair.split == "forget"}
    kept = {pair.person for pair in pairs if pair.split == "retain"}
    assert len(forgotten) == 8
    assert not forgotten & kept


def test_the_shipped_set_is_the_bundled_file(pairs):
    shipped = store.load(ROOT / "annotations" / "demo.parquet")
    assert shipped.digest == data.annotation_set(pairs).digest
    assert shipped.version.author == "tif"
    assert {example.status for example in shipped} == {"accepted"}


def test_every_answer_has_a_span_and_something_outside_it(pairs):
    for pair in pairs:
        example = pair.example
        assert example.spans, example.id
        marked = sum(span.end - span.start for span in example.spans)
        assert marked < len(example.text.replace(" ", "")), example.id


def test_the_question_gives_away_nothing_that_is_marked(pairs):
    for pair in pairs:
        for span in pair.example.spans:
            assert pair.example.quote(span).lower() not in pair.example.prompt.lower(), pair.example.id


def test_spans_leave_articles_quotes_and_full_stops_outside(pairs):
    for pair in pairs:
        # A title keeps its article: "The Salt Calendar" is its name.
        for span in pair.example.spans:
            words = pair.example.quote(span)
            assert not words.startswith(("a ", "an ", "the ")), pair.example.id
            assert words[0] not in "“'", pair.example.id
            assert words[-1] not in "”.,;:", pair.example.id


def test_texts_are_as_varied_as_they_claim(pairs):
    assert len({pair.example.prompt for pair in pairs}) == len(pairs)
    bare = Counter()
    for pair in pairs:
        text = pair.example.text
        for span in reversed(pair.example.spans):
            text = text[: span.start] + "_" + text[span.end :]
        bare[" ".join(word for word in text.split() if word[0].islower() or word == "_")] += 1
    assert len(bare) >= 80
    assert bare.most_common(1)[0][1] <= 16
    assert any(ord(c) > 0xFFFF for pair in pairs for c in pair.example.text)
    assert any("一" <= c <= "鿿" for pair in pairs for c in pair.example.text)


def test_wrong_answers_are_wrong_and_right_ones_say_the_same(pairs):
    for pair in pairs:
        example = pair.example
        assert len(set(pair.perturbed)) == 3
        assert example.text not in pair.perturbed
        quotes = [example.quote(span) for span in example.spans]
        assert all(any(quote not in wrong for quote in quotes) for wrong in pair.perturbed), example.id
        assert pair.paraphrased != example.text
        assert all(quote in pair.paraphrased for quote in quotes), example.id


def test_saving_the_same_again_makes_no_new_version(pairs, tmp_path):
    path = tmp_path / "demo.parquet"
    first = data.save(data.annotation_set(pairs), path)
    again = data.save(data.annotation_set(pairs), path)
    assert first.version.number == again.version.number == 1
    assert [version.number for version in store.versions(path)] == [1]
