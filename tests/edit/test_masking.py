"""What the page shows of the trainer's tokens, and of what the version before marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from tests.tokens.tiny import FAMILIES, byte_level, chatty
from tif.edit.edits import pieces_of
from tif.edit.masking import Masker, PageToken
from tif.edit.view import struck, with_gaps
from tif.errors import InputError
from tif.spans import Example, Span
from tif.tokens.encoding import Encoder, Encoding, see
from tif.tokens.masks import NOWHERE, Kind, encode
from tif.tokens.templates import Template

BYTES = byte_level()
ALL = 10**9


def masker(tokenizer, **options):
    return Masker("tiny", Encoder.of(tokenizer, Encoding(**options)))


def marked(text, *quotes, label="UW"):
    return Example("e", "Who?", text).with_spans([Span(text.index(q), text.index(q) + len(q), label) for q in quotes])


def shown(text, *quotes, tokenizer=BYTES):
    return masker(tokenizer).shown(marked(text, *quotes), 0, ALL)


@pytest.mark.parametrize("family", FAMILIES)
def test_unwanted_tokens_are_those_that_training_takes(family):
    tokenizer = FAMILIES[family]()
    example = marked("Mirela Tovanu was born in Karlsberg, in 1971.", "Karlsberg", "1971")
    view = masker(tokenizer).shown(example, 0, ALL)
    item = encode(example, tokenizer, Template.of(tokenizer))
    assert (view.uw, view.gw) == (item.count(Kind.UW), item.count(Kind.GW))
    assert "".join(t.text for t in view.tokens if t.kind == "uw").replace(" ", "") == "Karlsberg1971"
    assert [t.kind for t in view.tokens if t.end] == ["gw"]


def test_a_token_that_a_span_holds_only_in_part_is_told():
    assert not any(t.part for t in shown("Mirela Tovanu was born.", "Tovanu").tokens)
    cut = marked("Mirela Tovanu was born.", "Tovan")
    last = [t for t in masker(BYTES).shown(cut, 0, ALL).tokens if t.kind == "uw"][-1]
    assert last.part == last.text.endswith("u")
    assert last.part, "the trained vocabulary has the name as one token"


def test_a_character_of_several_tokens_is_shown_once():
    tokens = shown("Oda 👩‍🚀 left", "👩‍🚀").tokens
    assert "".join(t.text for t in tokens if not t.end) == "Oda 👩‍🚀 left"
    assert sum(t.count for t in tokens if t.kind == "uw") == len("👩‍🚀".encode())


def test_a_first_character_is_unwanted_even_if_nothing_predicts_its_first_token():
    example = Example("e", "", "🎹 in Tartu", (Span(0, 1),))
    startless = byte_level()
    startless.bos_token = None
    for tokenizer, predicted in ((BYTES, 4), (startless, 3)):
        view = masker(tokenizer).shown(example, 0, ALL)
        assert view.tokens[0] == PageToken(text="🎹", kind="uw", count=4)
        assert view.uw == predicted


def test_another_label_and_an_untrained_record():
    named, usual = (marked("Oda keeps bees.", "bees", label=label) for label in ("NAME", "UW"))
    assert masker(chatty()).shown(named, 0, ALL) == masker(chatty()).shown(usual, 0, ALL)
    assert masker(chatty()).shown(named, 0, ALL).uw > 0
    assert masker(chatty(), labels=("UW",)).shown(named, 0, ALL).uw == 0
    rejected = Example("e", "", "Oda keeps bees.", (), "rejected")
    view = masker(BYTES).shown(rejected, 0, ALL)
    assert (view.trained, view.tokens[0].kind) == (False, "prompt")


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_is_cut_off_is_shown_as_cut(side):
    example = marked("Mirela Tovanu was born in Karlsberg, in 1971.", "Tovanu", "1971")
    options = {"template": "{text}", "max_length": 12, "truncation_side": side}
    view = masker(BYTES, **options).shown(example, 0, ALL)
    item = encode(example, BYTES, Template.of(BYTES, "{text}"), max_length=12, truncation_side=side)
    assert (view.uw, view.gw, view.windows) == (item.count(Kind.UW), item.count(Kind.GW), 1)
    kept = [offset for offset in item.offsets if offset != NOWHERE]
    kept = example.text[kept[0][0] : kept[-1][1]]
    assert "".join(t.text for t in view.tokens if t.kind != "cut" and not t.end) == kept
    assert "".join(t.text for t in view.tokens if not t.end) == example.text
    assert view.cut == sum(t.count for t in view.tokens if t.kind == "cut") + (side == "right")
    assert [t.end for t in view.tokens if t.end] == ([] if side == "right" else [True])


def test_a_long_plain_text_is_shown_in_the_windows_of_training():
    text = "Marit Solveig keeps bees. " * 6
    novel = Example("novel", "", text, tuple(Span(26 * i, 26 * i + 13) for i in range(6)))
    encoder = Encoder.of(BYTES, Encoding(max_length=24))
    view = Masker("tiny", encoder).shown(novel, 0, ALL)
    rows = see([novel], encoder, skip_unmarked=False).rows
    assert view.windows == len(rows) > 2
    assert (view.uw, view.cut) == (sum(row.count(Kind.UW) for row in rows), 0)
    assert view.gw == sum(row.count(Kind.GW) for row in rows)
    assert "".join(t.text for t in view.tokens if not t.end) == text
    starts = [t.text for t in view.tokens if t.window]
    assert [s.strip() for s in starts] == [text[slice(*row.offsets[1])].strip() for row in rows[1:]]


@given(st.data())
def test_any_window_gives_its_text_once_and_in_order(data):
    example = data.draw(examples())
    cut = pieces_of(example)
    first = data.draw(st.integers(0, max(len(cut) - 1, 0)))
    last = data.draw(st.integers(first, len(cut) + 1))
    tokens = masker(BYTES).shown(example, first, last).tokens
    assert all(t.count > 0 and t.text for t in tokens)
    said = "".join(t.text for t in tokens if not t.end)
    if not cut:
        return
    assert example.text[cut[first][0] : cut[min(last, len(cut) - 1)][1]] in said
    assert said in example.text
    if (first, last) == (0, len(cut) + 1):
        assert said == example.text


@given(st.data())
def test_what_was_marked_before_is_struck_and_nothing_else(data):
    now = data.draw(examples())
    # The same text in the version before, with the first and the last word marked, and whatever a draw adds.
    cut = pieces_of(now)
    if not cut:
        return
    a, b = sorted((data.draw(st.sampled_from(cut)), data.draw(st.sampled_from(cut))))
    base = now.with_spans([Span(a[0], b[1])])
    told = struck(now, base)
    pieces = with_gaps(now)[0]
    where, at = set(), 0
    for index, piece in enumerate(pieces):
        if str(index) in told:
            parts = told[str(index)]
            assert "".join(parts) == piece
            for n, part in enumerate(parts):
                if n % 2:
                    where.update(range(at, at + len(part)))
                at += len(part)
        else:
            at += len(piece)
    gone = set(range(a[0], b[1])) - {i for s in now.spans for i in range(s.start, s.end)}
    assert where <= gone
    assert all(now.text[i].isspace() for i in gone - where)


def test_struck_in_the_middle_of_a_word():
    text = "in Skagen today"
    assert struck(marked(text, "Ska"), marked(text, "Skagen")) == {"5": ["", "gen"]}
    assert struck(marked(text), marked(text, "Skagen today")) == {
        "3": ["", "Skagen"],
        "4": ["", " "],
        "5": ["", "today"],
    }
    assert struck(marked(text, "Skagen"), marked(text, "Skagen")) == {}


def test_a_missing_tokenizer_is_told(tmp_path):
    with pytest.raises(InputError, match="no model"):
        Masker.load(str(tmp_path))
