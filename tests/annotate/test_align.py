"""Quotes to offsets: exact places in the exact text, whatever the script, and nothing guessed."""

from __future__ import annotations

import difflib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tif.annotate.align import FUZZY, Mentions, Quote, align
from tif.spans import Span

FAMILY = "👩‍👩‍👧"


def found(text: str, *quotes: str | Quote, mentions: Mentions = "first", fuzzy: bool = False) -> list[tuple[int, str]]:
    given = [q if isinstance(q, Quote) else Quote(q) for q in quotes]
    placed = align(text, given, mentions=mentions, fuzzy=fuzzy)
    return [(span.start, text[span.start : span.end]) for span in placed.spans]


def missing(text: str, *quotes: str | Quote) -> list[str]:
    return [str(u) for u in align(text, [q if isinstance(q, Quote) else Quote(q) for q in quotes]).unplaced]


@pytest.mark.parametrize(
    ("text", "quote", "words"),
    [
        ("She sold 12 lamps.", "12 lamps", "12 lamps"),
        ("in New  \r\n York today", "New York", "New  \r\n York"),
        ("a\u00a0b c", "a b", "a\u00a0b"),
        ("the ‘Old Mill’ inn", "'Old Mill'", "‘Old Mill’"),
        ("O’Dea–Lunt won", "O'Dea-Lunt", "O’Dea–Lunt"),
        ("the Café", unicodedata.normalize("NFD", "Café"), "Café"),
        (unicodedata.normalize("NFD", "the Café it"), "Café", unicodedata.normalize("NFD", "Café")),
        ("a soft\u00adware firm", "software", "soft\u00adware"),
        ("THE LANTERN GUILD met", "the Lantern Guild", "THE LANTERN GUILD"),
        ("İstanbul'da doğdu", "istanbul", "İstanbul"),
        ("Straße 9", "STRASSE 9", "Straße 9"),
        ("He is a florist", '"florist."', "florist"),
        (f"x {FAMILY} y", FAMILY, FAMILY),
        ("נולד בחיפה בשנת 1980", "בחיפה", "בחיפה"),
        ("我在北京工作", "北京", "北京"),
        ("서울에서 살았다", "서울", "서울"),
        ("the ﬁnal lamp", "final", "ﬁnal"),
        ("😀 Ada 😀", "Ada", "Ada"),
        ("wait… there", "wait... there", "wait… there"),
    ],
)
def test_finds_what_was_meant(text: str, quote: str, words: str) -> None:
    assert [w for _, w in found(text, quote)] == [words]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("at least", "east"),
        ("the lamps", "lamp"),
        ("born in 1990s", "1990"),
        (FAMILY, "👩"),
        ("cafe\u0301", "cafe"),
        ("👍🏽", "👍"),
        ("the ﬁnal", "inal"),
        ("nothing", "anything"),
        ("ﷺ", "صلى"),
    ],
)
def test_finds_no_part_of_a_word_or_of_a_character(text: str, quote: str) -> None:
    assert found(text, quote) == []
    assert len(missing(text, quote)) == 1


def test_exact_comes_before_tolerant() -> None:
    assert found("May may", "may") == [(4, "may")]
    assert found("‘x’ 'x'", "'x'") == [(4, "'x'")]


def test_the_same_words_stand_for_successive_mentions() -> None:
    text = "Rome, then Oslo, then Rome, then Rome."
    assert found(text, "Rome") == [(0, "Rome")]
    assert found(text, "Rome", "Rome") == [(0, "Rome"), (22, "Rome")]
    assert found(text, *["Rome"] * 9) == [(0, "Rome"), (22, "Rome"), (33, "Rome")]
    assert found(text, Quote("Rome", 2)) == [(33, "Rome")]
    assert found(text, Quote("Rome"), Quote("Rome", 0)) == [(0, "Rome"), (22, "Rome")]
    assert found(text, "Rome", mentions="all") == [(0, "Rome"), (22, "Rome"), (33, "Rome")]
    assert missing(text, *["Rome"] * 9) == []


def test_a_quote_prefers_a_mention_that_a_longer_one_leaves() -> None:
    text = "New York is not York."
    expected = [(0, "New York"), (16, "York")]
    assert found(text, "New York", "York") == expected
    assert found(text, "York", "New York") == expected


def test_all_mentions_include_those_written_otherwise() -> None:
    assert found("O'Dea met O’Dea", "O'Dea", mentions="all") == [(0, "O'Dea"), (10, "O’Dea")]


@pytest.mark.parametrize("occurrence", [-1, 2, 99])
def test_a_wrong_occurrence_is_reported_and_not_taken_for_another(occurrence: int) -> None:
    assert found("Rome and Rome", Quote("Rome", occurrence)) == []
    (line,) = missing("Rome and Rome", Quote("Rome", occurrence))
    assert f"occurrence {occurrence}" in line
    assert "2 times" in line


def test_empty_quotes_are_reported() -> None:
    assert missing("Rome", "", " \n") == ["'' is empty", "'' is empty"]


def test_overlapping_quotes_become_one_span() -> None:
    assert found("the old stone mill", "old stone", "stone mill") == [(4, "old stone mill")]


def test_fuzzy_is_asked_for_and_marked() -> None:
    text = "He joined the Brandvold Foundation in May."
    quote = Quote("Brandvolt Foundation")
    assert found(text, quote) == []
    (span,) = align(text, [quote], source="me", fuzzy=True).spans
    assert text[span.start : span.end] == "Brandvold Foundation"
    assert span.source == "me" + FUZZY
    assert span.score is not None
    assert 0.85 <= span.score < 1
    assert found("Brandvold or Brandvolk", "Brandvolt", fuzzy=True) == [], "two are as like: neither is taken"
    assert found(text, "a castle in the air", fuzzy=True) == []


PIECES = st.sampled_from(
    [
        "a",
        "é",
        "e\u0301",
        "İ",
        "ı",
        "i",
        "ß",
        "ﬁ",
        "Ǆ",
        " ",
        "  ",
        "\r\n",
        "\t",
        "\u00a0",
        "\u200b",
        "\u00ad",
        "’",
        "'",
        "—",
    ]
    + ["😀", FAMILY, "👍🏽", "❤️", "א", "ש\u05c1", "مرحبا", "\u200f", "北京", "กำ", "1", ".", "…", "Rome", "𝔘", "\u0345"]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=40)


@given(TEXTS, st.data())
def test_every_whole_slice_is_found_with_its_own_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    quote = text[start : data.draw(st.integers(start, len(text)))]
    placed = align(text, [Quote(quote)])
    for span in placed.spans:
        assert text[span.start : span.end] == quote.strip() or quote.strip() not in text[span.start :]
    assert len(placed.spans) + len(placed.unplaced) == 1


def _folded(text: str) -> str:
    # Before normalising, which would make of an acute accent a space and a mark.
    plain = text.translate(dict.fromkeys(map(ord, "‘’‚‛′ʼ`´"), "'")).replace("—", "-")
    kept = "".join(c for c in unicodedata.normalize("NFKD", plain) if c not in "\u00ad\u200b\u2060\ufeff")
    return " ".join(unicodedata.normalize("NFKD", kept.replace("İ", "i").replace("I\u0307", "i").casefold()).split())


@given(TEXTS, TEXTS)
def test_what_is_found_reads_like_what_was_quoted(text: str, quote: str) -> None:
    placed = align(text, [Quote(quote)])
    for span in placed.spans:
        words = text[span.start : span.end]
        assert not words[0].isspace()
        assert not words[-1].isspace()
        assert _folded(words).strip(" .'…-") in _folded(quote)


@given(TEXTS, st.lists(st.builds(Quote, TEXTS, st.none() | st.integers(-1, 3)), max_size=6), st.booleans())
def test_every_quote_is_placed_or_reported_and_never_more_than_the_text(
    text: str, quotes: list[Quote], every: bool
) -> None:
    placed = align(text, quotes, mentions="all" if every else "first")
    covered = {at for span in placed.spans for at in range(span.start, span.end)}
    assert all(0 <= at < len(text) for at in covered)
    assert all(unplaced.quote in quotes for unplaced in placed.unplaced)
    for quote in quotes:
        if quote not in [unplaced.quote for unplaced in placed.unplaced]:
            alone = align(text, [quote], mentions="all" if every else "first")
            assert {at for span in alone.spans for at in range(span.start, span.end)}


@given(TEXTS, st.integers(0, 20))
def test_a_prefix_moves_the_spans_and_nothing_else(text: str, n: int) -> None:
    before = "😀" * n + " "
    quotes = [Quote("Rome"), Quote("北京"), Quote(FAMILY), Quote("é")]
    moved = [span.move(len(before)) for span in align(text, quotes).spans]
    if text[:1].isalnum() or not text[:1].strip():
        assert list(align(before + text, quotes).spans) == moved


def test_many_quotes_take_time_in_proportion(monkeypatch) -> None:
    """Counted in comparisons and spans, since seconds say more about the machine."""
    made = compared = 0
    check, ratio = Span.__post_init__, difflib.SequenceMatcher.ratio

    def counted_span(span: Span) -> None:
        nonlocal made
        made += 1
        check(span)

    def counted_ratio(matcher: difflib.SequenceMatcher[str]) -> float:
        nonlocal compared
        compared += 1
        return ratio(matcher)

    monkeypatch.setattr(Span, "__post_init__", counted_span)
    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", counted_ratio)
    text = "Oda keeps bees in Skagen. " * 300
    for mode in ("all", "first"):
        made = 0
        placed = align(text, [Quote("Oda", score=i / 1000) for i in range(600)], mentions=mode)
        assert (len(placed.spans), placed.spans[0].score) == (300, 0.599 if mode == "all" else 0.0)
        assert made < 2000
    unlike = [Quote(f"Zebulon Quartz {i}") for i in range(200)]
    assert len(align(text, unlike, fuzzy=True).unplaced) == 200
    assert compared == 0, "runs of words that share too few characters are not compared"
    near = align("Tobiah Renn tunes organs.", [Quote("Tobias Renn")] * 50, source="me", fuzzy=True)
    assert [near.spans[0].source, compared] == ["me~fuzzy", 1], "equal quotes are looked for once"
