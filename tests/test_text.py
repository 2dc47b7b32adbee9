"""Words in any script: no cut goes through a character and its marks, and whoever cuts a text cuts it alike."""

import json
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.strategies import texts
from tif.annotate.align import Quote, align
from tif.annotate.chunks import chunks
from tif.annotate.models.word_spans import word_bounds
from tif.edit import view
from tif.edit.edits import Op, apply, pieces_of
from tif.sets import store
from tif.sets.check import check
from tif.sets.formats import prodigy, spacy_docs, tpo
from tif.spans import AnnotationSet, Example, Span
from tif.text import (
    UNSPACED,
    clusters,
    divides,
    divides_cluster,
    mentions,
    pieces,
    sentence_ends,
    space_ends,
    trimmed,
    words,
)

CAFE = unicodedata.normalize("NFD", "café")
SEOUL = unicodedata.normalize("NFD", "서울")

# Each line: a text, and its words joined by |. A cluster without a letter is no word.
HOSTILE = {
    "Chinese": ("我住在北京市中心。", "我|住|在|北|京|市|中|心"),
    "Japanese": ("東京タワーで会う、1990年", "東|京|タ|ワ|ー|で|会|う|1990|年"),
    "Korean": ("서울에서 살았다.", "서|울|에|서|살|았|다"),
    "Hangul jamo": (f"{SEOUL}에 산다", f"{SEOUL[:2]}|{SEOUL[2:]}|에|산|다"),
    "Thai": ("กำแพงปี ๒๕๔๐", "กำ|แ|พ|ง|ปี|๒๕๔๐"),
    "Lao": ("ນ້ຳ ໂຂງ", "ນ້ຳ|ໂ|ຂ|ງ"),
    "Khmer": ("ភ្នំពេញ។", "ភ្នំ|ពេ|ញ"),
    "Myanmar": ("မြန်မာ။", "မြ|န်|မာ"),
    "Devanagari": ("यह क्षत्रिय है।", "यह|क्षत्रिय|है"),
    "Arabic with marks": ("كَتَبَ مُحَمَّدٌ، هنا", "كَتَبَ|مُحَمَّدٌ|هنا"),
    "Arabic number sign": ("في \u0600١٢ \u0600 هنا", "في|\u0600١٢|هنا"),
    "Persian ZWNJ": ("او می\u200cخواهم گفت", "او|می\u200cخواهم|گفت"),
    "Hebrew": ("שָׁלוֹם עולם", "שָׁלוֹם|עולם"),
    "combining marks": (f"le {CAFE}s o\u0302\u0323i", f"le|{CAFE}s|o\u0302\u0323i"),
    "mark without a letter": ("a \u0301b", "a|b"),
    "emoji ZWJ": ("crew 👩‍🚀👩‍👩‍👧 left", "crew|left"),
    "emoji modifiers": ("ok 👍🏽❤️🏳️‍🌈 1️⃣ yes", "ok|1️⃣|yes"),
    "flags": ("to 🇩🇪🇫🇷🇮🇹 by", "to|by"),
    "flag of tags": ("in 🏴󠁧󠁢󠁥󠁮󠁧󠁿 now", "in|now"),
    "CRLF": ("one\r\ntwo\r\n\r\nthree", "one|two|three"),
    "soft hyphen": ("a soft\u00adware\u00ad firm", "a|soft\u00adware|firm"),
    "zero-width space": ("one\u200btwo", "one|two"),
    "bidirectional marks": ("\u202bשלום\u202c (\u200eabc\u200e)", "שלום|abc"),
    "underscores": ("_a_ mara_lind __", "_|a|_|mara_lind|__"),
    "apostrophe letter": ("Hawaiʼi m² ﬁnal", "Hawaiʼi|m²|ﬁnal"),
    "astral letters": ("𝒳𝒴 𠀀𠀁", "𝒳𝒴|𠀀|𠀁"),
}


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


@pytest.mark.parametrize("name", HOSTILE)
def test_words_of_hostile_texts(name):
    text, expected = HOSTILE[name]
    assert "|".join(text[a:b] for a, b in words(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("क्षत्रिय", ["क्ष", "त्रि", "य"]),
        ("👩‍👩‍👧🇩🇪🇫🇷👍🏽", ["👩‍👩‍👧", "🇩🇪", "🇫🇷", "👍🏽"]),
        ("កម្ពុជា က္က", ["ក", "ម្ពុ", "ជា", "က္က"]),
        (SEOUL, [SEOUL[:2], SEOUL[2:]]),
        ("กำ ນ້ຳ", ["กำ", "ນ້ຳ"]),
        ("a \u0301\r\n\u0600 b", ["a", "\u0301", "\u0600", "b"]),
        ("\x1c\x1dx\x1f", ["x"]),
    ],
)
def test_clusters_are_what_readers_see_as_one_character(text, expected):
    assert [text[a:b] for a, b in clusters(text)] == expected


@given(st.text(st.sampled_from("ab1_ -'’.,é\u0301\u093f\u200d\u200cक🎹א\r\n"), max_size=12))
@example("a\u0301b")
def test_words_are_whole_and_disjoint(text):
    found = list(words(text, inside_words="'-"))
    for start, end in found:
        assert 0 <= start < end <= len(text)
        assert end == len(text) or not (unicodedata.category(text[end])[0] == "M" or text[end] in "\u200c\u200d")
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


def test_punctuation_is_inside_words_and_numbers_only_where_asked():
    text = "O'Neill paid 3,000.5, the 1990s' co-op"

    def cut(**inside):
        return [text[a:b] for a, b in pieces(text, **inside)]

    assert cut(inside_words="'", inside_numbers=".,") == (
        ["O'Neill", "paid", "3,000.5", ",", "the", "1990s", "'", "co", "-", "op"]
    )
    assert cut(inside_words="-]^\\")[-1] == "co-op", "a bracket, a caret or a backslash is a character like others"
    assert cut()[:3] == ["O", "'", "Neill"]
    assert [*pieces("北'京", inside_words="'")] == [(0, 1), (1, 2), (2, 3)], "unspaced letters are joined by nothing"


@given(texts, st.sets(st.integers(0, 40)))
def test_pieces_cover_all_but_white_space_and_end_where_words_and_clusters_do(text, cuts):
    for inside in ({}, {"inside_words": "'’-", "inside_numbers": ".,"}):
        found = pieces(text, **inside)
        assert [i for a, b in found for i in range(a, b)] == [i for i, c in enumerate(text) if not c.isspace()]
        assert not any(divides(text, edge) for piece in found for edge in piece)
        assert set(words(text, **inside)) <= set(found)
        finer = pieces(text, cuts, **inside)
        assert {edge for p in finer for edge in p} - {edge for p in found for edge in p} <= cuts
    assert {edge for p in pieces(text) for edge in p} == {
        at for unit in clusters(text) for at in unit if not divides(text, at)
    }


@given(texts)
def test_divides_agrees_with_pieces_and_clusters_at_every_place(text):
    within = {i for a, b in pieces(text) for i in range(a + 1, b)}
    within_cluster = {i for a, b in clusters(text) for i in range(a + 1, b)}
    line_ends = {i for i in range(1, len(text)) if text[i - 1 : i + 1] == "\r\n"}
    assert {i for i in range(-1, len(text) + 2) if divides(text, i)} == within | line_ends
    assert {i for i in range(-1, len(text) + 2) if divides_cluster(text, i)} == within_cluster | line_ends
    assert within_cluster <= within


@given(texts, texts)
def test_white_space_keeps_what_stands_beside_it_apart(one, other):
    one, other = one.rstrip(), other.lstrip()
    moved = len(one) + 1
    assert clusters(f"{one} {other}") == clusters(one) + tuple((a + moved, b + moved) for a, b in clusters(other))
    assert pieces(f"{one} {other}") == pieces(one) + tuple((a + moved, b + moved) for a, b in pieces(other))


def test_no_letter_of_a_spaced_script_counts_as_unspaced():
    spaced = "abcxyzéßʼˈªºⅫ①²αωабвאבגعربफअকগகԱაሀᎠ𝒳Ａ１"
    assert list(words(spaced)) == [(0, len(spaced))]
    assert len(UNSPACED) == len(set(UNSPACED))


def test_mentions_are_the_quote_by_itself():
    assert list(mentions("Oda met Odalys; Oda’s oda, Oda", "Oda")) == [0, 16, 27]
    assert list(mentions("北京市，北京", "北京")) == [0, 4]
    assert list(mentions("🇩🇪🇫🇷 🇪🇫", "🇪🇫")) == [5]
    assert list(mentions("aaa", "")) == []


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("It cost 3.5 francs. Why? “So.” Yes…\nNo", ["It cost 3.5 francs. ", "Why? ", "“So.” ", "Yes…\n"]),
        ("他说：「好。」我住在北京！真的", ["他说：「好。」", "我住在北京！"]),
        ("यह है। वह है॥ अब", ["यह है। ", "वह है॥ "]),
        ("هل هذا؟ نعم۔ لا", ["هل هذا؟ ", "نعم۔ "]),
        ("ភ្នំពេញ។ភ្នំ", ["ភ្នំពេញ។"]),
        ("one\r\n\r\ntwo", ["one\r\n\r\n"]),
    ],
)
def test_sentences_end_in_many_scripts(text, ends):
    places = [0, *sentence_ends(text, 0, len(text))]
    assert [text[a:b] for a, b in pairwise(places)] == ends


@given(texts)
def test_sentences_and_spaces_end_between_words(text):
    for ends in (sentence_ends, space_ends):
        places = ends(text, 0, len(text))
        assert all(0 < at < len(text) and not divides(text, at) for at in places)
        assert places == sorted(set(places))
    assert all(text[at - 1].isspace() for at in space_ends(text, 0, len(text)))


@given(texts, st.integers(0, 9), st.integers(0, 9))
def test_trimmed_is_strip(text, start, length):
    end = min(start + length, len(text))
    start = min(start, end)
    low, high = trimmed(text, start, end)
    assert start <= low <= high <= end
    assert text[low:high] == text[start:end].strip()


# --- five users of these rules, each asked by what it does -----------------------------------------------------------


def ranges_between(text):
    """For each place inside a run without white space: the range from there to the run's end, and to its start."""
    runs = []
    for at, char in enumerate(text):
        if not char.isspace():
            runs = [*runs[:-1], (runs[-1][0], at + 1)] if runs and runs[-1][1] == at else [*runs, (at, at + 1)]
    return {at: ((start, at), (at, end)) for start, end in runs for at in range(start + 1, end)}


def aligned(text):
    """The places where `align` lets a quote begin and end."""

    def accepted(start, end):
        quote = text[start:end]
        placed = [align(text, [Quote(quote, number)]).spans for number in range(text.count(quote))]
        return any((s.start, s.end) == (start, end) for spans in placed for s in spans)

    return {at for at, sides in ranges_between(text).items() if all(accepted(*side) for side in sides)}


def quoted_once(text):
    """The places whose quotes stand nowhere before, not even overlapping themselves."""
    return {at for at, sides in ranges_between(text).items() if all(text.find(text[a:b]) == a for a, b in sides)}


def checked(text, folder):
    """The places where `check` lets a span begin and end: one record a span."""
    examples = [
        Example(f"{at}/{n}", "", text, (Span(*side),))
        for at, sides in ranges_between(text).items()
        for n, side in enumerate(sides)
    ]
    path = folder / "checked.parquet"
    store.save(AnnotationSet(tuple(examples)), path)
    cut = {int(f.where.split("'")[1].split("/")[0]) for f in check(path) if f.kind == "cuts-word"}
    return ranges_between(text).keys() - cut


def inner(text, ranges):
    """The edges of ranges that lie between two characters neither of which is white space."""
    return {edge for r in ranges for edge in r} & ranges_between(text).keys()


def shown(text):
    """The places where the page ends a word and begins the next one."""
    drawn, _ = view.with_gaps(Example("a", "", text))
    ends = [sum(map(len, drawn[:n])) for n in range(len(drawn) + 1)]
    return inner(text, zip(ends[1::2], ends[2::2], strict=True))


def moved(text):
    """The places that an edge of a span stops at on the page, when a key moves it character by character."""
    first, last = pieces(text)[0], pieces(text)[-1]
    record = Example("a", "", text, (Span(first[0], last[1]),))
    places = set()
    while True:
        here = len(pieces_of(record)) - 1
        step = Op("edge", first=here, last=here, side="start", by=1, unit="char")
        after = apply(record, step, record, "mara")
        if after is record:
            return places
        record = after
        places.add(record.spans[0].start)


def exported(text):
    """The places where the tokens of each exported format begin and end."""
    annotations = AnnotationSet((Example("a", "", text),))
    [task] = map(json.loads, prodigy.write(annotations))
    [document] = map(json.loads, spacy_docs.write(annotations))
    [row] = map(json.loads, tpo.write(annotations))
    tokens = (task["tokens"], document["tokens"], map(json.loads, row["common_words"]))
    return [inner(text, [(t["start"], t["end"]) for t in one]) for one in tokens]


def chunked(text):
    """The places where chunks end within each run without white space: the run slides past the limit of a chunk."""
    places = set()
    at = 0
    for run in text.split():
        at = text.index(run, at)
        size = max(16, 2 * len(run))
        for before in range(1, len(run)):
            padding = size - before
            padded = "\u200b" * padding + run + "-" * 2 * size
            places |= {
                at + edge - padding for r in chunks(padded, size, 8) for edge in r if 0 < edge - padding < len(run)
            }
        at += len(run)
    return places


@pytest.mark.parametrize("name", HOSTILE)
def test_align_check_the_page_formats_and_chunks_agree_on_words_and_clusters(name, tmp_path):
    text, _ = HOSTILE[name]
    between = ranges_between(text).keys()
    bounds = {at for at in between if not divides(text, at)}
    assert aligned(text) == bounds
    assert checked(text, tmp_path) == bounds
    assert shown(text) == bounds
    assert exported(text) == [bounds] * 3
    assert chunked(text) == bounds
    assert moved(text) & between == inner(text, clusters(text))
    assert bounds <= inner(text, clusters(text))


@settings(max_examples=50, deadline=None)
@given(texts.map(lambda text: text.translate(dict.fromkeys(map(ord, "'’.,"), "-"))))
def test_users_agree_on_any_text(tmp_path_factory, text):
    bounds = {at for at in ranges_between(text) if not divides(text, at)}
    assert checked(text, tmp_path_factory.mktemp("set")) == bounds
    assert shown(text) == bounds
    assert exported(text) == [bounds] * 3
    assert aligned(text) & quoted_once(text) == bounds & quoted_once(text)
    assert chunked(text) <= bounds


@pytest.mark.parametrize(
    ("text", "quote", "accepted"),
    [
        ("我住在北京市中心。", "北京市", True),
        ("我住在北京市中心。", "北京", True),
        ("यह क्षत्रिय है।", "क्", False),
        ("यह क्ष है।", "क्ष", True),
        ("서울에서 살았다.", "서울", True),
        ("กำแพง", "ก", False),
        ("crew 👩‍🚀 left", "👩", False),
        ("to 🇩🇪🇫🇷 by", "🇪🇫", False),
        ("او می\u200cخواهم گفت", "خواهم", False),
        ("a soft\u00adware firm", "soft", False),
        ("mara_lind wrote", "mara", False),
        ("Oda’s hens", "Oda", True),
        ("_Hamlet_ is read", "Hamlet", True),
    ],
)
def test_what_align_accepts_check_does_not_call_cut_and_the_page_can_mark(text, quote, accepted, tmp_path):
    start = text.index(quote)
    span = Span(start, start + len(quote))
    placed = align(text, [Quote(quote)]).spans
    assert [(s.start, s.end) for s in placed] == ([(span.start, span.end)] if accepted else [])
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("a", "", text, (span,)),)), path)
    assert ("cuts-word" not in [f.kind for f in check(path)]) == accepted
    assert (list(mentions(text, quote)) == [start]) == accepted
