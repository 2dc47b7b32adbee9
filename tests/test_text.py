"""Words in any script: no cut goes through a character and its marks."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tif.annotate.models.word_spans import word_bounds
from tif.text import continues, divides, words

CAFE = unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (unicodedata.normalize("NFD", "René et Zoë"), ["Rene\u0301", "et", "Zoe\u0308"]),
        ("राम करी गया", ["राम", "करी", "गया"]),
        ("مُحَمَّد هنا", ["مُحَمَّد", "هنا"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("O'Neill-Brandt, 3.5", ["O'Neill-Brandt", "3", "5"]),
        ("👩\u200d🚀 x_1", ["x_1"]),
        ("- ' a-", ["a"]),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert [text[a:b] for a, b in word_bounds(text)] == expected


@given(st.text(st.sampled_from("ab1_ -'’.,é\u0301\u093f\u200d\u200cक🎹א\r\n"), max_size=12))
@example("a\u0301b")
def test_words_are_whole_and_disjoint(text):
    found = list(words(text, "'-"))
    for start, end in found:
        assert 0 <= start < end <= len(text)
        assert end == len(text) or not continues(text[end])
        assert text[start].isalnum() or text[start] == "_"
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    covered = {i for a, b in found for i in range(a, b)}
    assert {i for i, c in enumerate(text) if c.isalnum() or c == "_"} <= covered


def test_a_cut_in_a_word_or_a_character_is_told():
    assert divides("abc", 1)
    assert divides(CAFE, 4), "between e and its accent"
    assert divides("करी", 2)
    assert divides("a\u0301b", 2), "the letter that the accent stands on goes on"
    assert not divides("a b", 1)
    assert not divides("_a_", 1)
    assert not divides("abc", 0)
    assert not divides("abc", 3)
