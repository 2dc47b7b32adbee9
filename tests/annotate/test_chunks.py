"""Pieces of long texts: they cover everything, fit the size, and do not cut characters."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.annotate.chunks import chunks

PIECES = ["Word ", "It cost 3.5 francs. ", "Why? ", "\r\n", "\n\n", "👩‍👩‍👧", "e\u0301", "北京。", "x" * 9, "…"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)


@given(TEXTS, st.integers(16, 90), st.integers(0, 8))
def test_pieces_cover_the_text_fit_and_go_forward(text: str, size: int, overlap: int) -> None:
    ranges = chunks(text, size, overlap)
    assert {at for start, end in ranges for at in range(start, end)} == set(range(len(text)))
    assert all(0 < end - start <= size for start, end in ranges)
    for (_, end), (start, after) in pairwise(ranges):
        assert end - overlap <= start <= end < after


def test_a_short_text_is_one_piece() -> None:
    assert chunks("One. Two.", 100, 10) == [(0, 9)]
    assert chunks("", 100, 10) == []


def test_pieces_end_where_sentences_end_and_repeat_a_whole_one() -> None:
    text = "".join(f"Sentence number {n} cost 3.5 francs. " for n in range(20))
    ranges = chunks(text, 200, 50)
    assert len(ranges) > 4
    assert all(text[:end].rstrip().endswith("francs.") for _, end in ranges)
    assert all(text[start:].startswith("Sentence") for start, _ in ranges)
    assert all(start < end for (_, end), (start, _) in pairwise(ranges))


def test_characters_are_not_cut_where_there_is_nothing_else() -> None:
    text = "e\u0301" * 100
    assert all(text[end - 1] == "\u0301" for _, end in chunks(text, 17, 0))
    family = "👩‍👩‍👧" * 40
    assert all(end % 5 == 0 for _, end in chunks(family, 16, 0))


def test_an_overlap_as_long_as_the_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        chunks("x", 20, 11)
