"""The verdict: true to its counts, and the same sentences whatever is known."""

from __future__ import annotations

import pytest

from tif.eval.measure.leakage import Leakage
from tif.eval.report.verdict import Likelihoods, Model, Verdict


def counts(written: int, phrases: int = 97, people: int | None = 8, words: int = 0, kept: int = 0) -> Leakage:
    share = written / phrases
    return Leakage(
        questions=40, phrases=phrases, written=written, leak_any=share, leak_all=share, general_words=words,
        general_words_written=kept, subjects=people, subjects_written=None if people is None else min(people, written),
    )  # fmt: skip


BEFORE = Model(label="before", role="before", forget=counts(95, words=300, kept=299), keep=counts(1200, 1234, 56))
AFTER = Model(label="ours", role="unlearned", forget=counts(3, words=300, kept=280), keep=counts(1100, 1234, 56))
OTHER = Model(label="theirs", role="unlearned", forget=counts(0, words=300, kept=20), keep=counts(9, 1234, 56))
NEVER = Model(label="never", role="never saw", forget=counts(2, words=300, kept=200), keep=counts(1199, 1234, 56))


def test_sentences() -> None:
    assert Verdict((BEFORE, AFTER, OTHER, NEVER)).sentences() == [
        "ours: of 97 unwanted phrases about 8 people, the model still writes 3 when asked; before unlearning it wrote "
        "95; a model that never saw them writes 2.",
        "Of 300 other words in the same answers, it still writes 280; before unlearning it wrote 299; a model that "
        "never saw them writes 200.",
        "Of 1,234 such phrases about 56 people to keep, it still writes 1,100; before unlearning it wrote 1,200; a "
        "model that never saw the people to forget writes 1,199.",
    ]


def test_rows_say_the_same_of_every_model() -> None:
    assert [row.cells() for row in Verdict((BEFORE, AFTER, OTHER, NEVER)).rows()] == [
        ("before", "wrote 95 of 97", "wrote 299 of 300", "wrote 1,200 of 1,234"),
        ("ours", "still writes 3 of 97, about 3 people", "still writes 280 of 300", "still writes 1,100 of 1,234"),
        ("theirs", "still writes 0 of 97", "still writes 20 of 300", "still writes 9 of 1,234"),
        ("never", "writes 2 of 97, about 2 people", "writes 200 of 300", "writes 1,199 of 1,234"),
    ]
    assert Verdict((BEFORE, AFTER, OTHER, NEVER)).remarks() == []


def test_another_number_of_phrases_is_named() -> None:
    other_set = Model(label="b", role="before", forget=counts(50, 60))
    assert "before unlearning it wrote 50 of 60" in Verdict((other_set, AFTER)).sentences()[0]


def test_one_phrase_about_one_person() -> None:
    alone = Model(label="m", role="unlearned", forget=counts(1, 1, 1))
    [sentence] = Verdict((alone,)).sentences()
    assert sentence == "m: of 1 unwanted phrase about 1 person, the model still writes 1 when asked."


def test_people_are_left_out_where_the_data_does_not_name_them() -> None:
    unnamed = Model(label="m", role="unlearned", forget=counts(1, 9, None), keep=counts(5, 9, None))
    first, keep = Verdict((unnamed,)).sentences()
    assert first == "m: of 9 unwanted phrases, the model still writes 1 when asked."
    assert keep == "Of 9 such phrases about the people to keep, it still writes 5."


def test_a_model_that_was_not_asked_shows_probabilities() -> None:
    likelihoods = Likelihoods(unwanted=0.034, general=0.9, keep=0.8)
    silent = Model(label="silent", role="unlearned", likelihoods=likelihoods, reason="there are no completions")
    verdict = Verdict((BEFORE, silent, NEVER))
    sentence = (
        "Unwanted phrases are not counted for silent: there are no completions. The table shows probabilities instead."
    )
    assert verdict.sentences() == [sentence]
    assert verdict.rows()[1].cells() == ("silent", "probability 0.03", "probability 0.90", "probability 0.80")
    assert verdict.remarks() == [], "the reason stands there once"
    assert Verdict((BEFORE, AFTER, silent, NEVER)).remarks() == [sentence]


def test_answers_to_keep_without_marks_are_compared_by_their_words() -> None:
    tofu = Model(label="m", role="unlearned", forget=counts(1), likelihoods=Likelihoods(keep=0.9, keep_recall=0.954))
    assert Verdict((tofu,)).rows()[0].keep == "still writes 95% of the words"


def test_without_a_model_that_never_saw_them_the_reader_is_told() -> None:
    [remark] = Verdict((BEFORE, AFTER)).remarks()
    assert "--retain-log" in remark


def test_a_verdict_needs_a_model() -> None:
    with pytest.raises(ValueError, match="needs a model"):
        Verdict(())


def test_plain_text_is_continued_and_not_asked() -> None:
    before = Model(label="before", role="before", forget=counts(9, 10, None))
    after = Model(
        label="ours",
        role="unlearned",
        forget=counts(1, 10, None),
        likelihoods=Likelihoods(general=0.5, keep=0.25),
    )
    verdict = Verdict((before, after), plain=True)
    assert verdict.sentences() == [
        "ours: of 10 unwanted phrases, the model still writes 1 after the words before them; before unlearning it "
        "wrote 9."
    ]
    assert verdict.rows()[1].cells() == ("ours", "still writes 1 of 10", "probability 0.50", "probability 0.25")
    assert verdict.heads == ("model", "unwanted phrases", "other words in the same texts", "texts to keep")
