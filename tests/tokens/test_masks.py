from __future__ import annotations

import unicodedata
from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.tokens import tiny
from tif.errors import MaskError, UsageError
from tif.spans import Example, Span, tidy
from tif.tokens.masks import NOWHERE, Kind, Template, check, encode

tokenizer_of = cache(lambda name: tiny.FAMILIES[name]())
alphabet = st.sampled_from(
    list("abc XYZ 019 .,'-\n\t") + ["é", "e\u0301", "\r\n", "שלום", "🏔️", "👩‍👩‍👧", "中", "\u200d"]
)
texts = st.lists(alphabet, min_size=1, max_size=30).map("".join).filter(str.strip)


@st.composite
def marked(draw: st.DrawFn) -> Example:
    text = draw(texts)
    edges = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(edges, edges), max_size=4))
    label = st.sampled_from(["UW", "NAME"])
    spans = tidy(text, [Span(min(p), max(p), draw(label)) for p in pairs if p[0] != p[1]])
    return Example("x", draw(st.sampled_from(["", "Who is abc?"])), text, spans)


@pytest.mark.parametrize("family", tiny.FAMILIES)
@given(
    example=marked(),
    spec=st.sampled_from(["qa", "text", "[{prompt}] {text}!"]),
    labels=st.sampled_from([None, ("UW",), ("UW", "NAME"), ("OTHER",)]),
)
def test_masks_are_those_of_a_check_character_by_character(
    family: str, example: Example, spec: str, labels: tuple[str, ...] | None
) -> None:
    tokenizer = tokenizer_of(family)
    template = Template.of(tokenizer, spec)
    item = encode(example, tokenizer, template, labels=labels)

    string = template.render(example, tokenizer).string
    begin = string.rindex(example.text) if spec != "[{prompt}] {text}!" else len(string) - len(example.text) - 1
    if not example.prompt or spec == "text":
        begin = 0
    spans = [s for s in example.spans if labels is None or s.label in labels]
    wanted = {c for s in spans for c in range(s.start, s.end) if not example.text[c].isspace()}
    offsets = tokenizer(string, return_offsets_mapping=True)["offset_mapping"]
    expected = []
    for t, (start, end) in enumerate(offsets):
        mine = {c - begin for c in range(start, end) if 0 <= c - begin < len(example.text)}
        kind = Kind.PROMPT if not mine or t == 0 else Kind.UW if mine & wanted else Kind.GW
        expected.append(kind)
    last = max((t for t, k in enumerate(expected) if k != Kind.PROMPT), default=None)
    if last is not None:
        assert list(item.kinds) == [*expected[: last + 1], Kind.GW]


def _parted(text: str, at: int) -> bool:
    """Whether a span that begins or ends here parts a letter from its accent."""
    return at < len(text) and unicodedata.combining(text[at]) > 0


@pytest.mark.parametrize("family", tiny.FAMILIES)
@given(example=marked(), spec=st.sampled_from(["qa", "text"]))
def test_the_check_finds_each_span_that_lost_its_tokens(family: str, example: Example, spec: str) -> None:
    tokenizer = tokenizer_of(family)
    item = encode(example, tokenizer, Template.of(tokenizer, spec))
    kept = [span for index, span in enumerate(example.spans) if index not in item.lost_spans]
    # Where accents are composed, half a letter has no token of its own: the test below.
    assume(family != "metaspace" or not any(_parted(example.text, at) for s in kept for at in (s.start, s.end)))
    if not all(any(s < span.end and span.start < e for s, e in item.offsets) for span in kept):
        # A tokenizer that strips accents has nothing for a mark that stands alone.
        assert family == "wordpiece"
        with pytest.raises(MaskError, match="covers no token"):
            check([example], [item], tokenizer)
        return
    check([example], [item], tokenizer)
    for index, span in enumerate(example.spans):
        if index in item.lost_spans:
            continue
        touching = [
            k == Kind.UW and s < span.end and span.start < e for k, (s, e) in zip(item.kinds, item.offsets, strict=True)
        ]
        assert any(touching)
        kinds = tuple(Kind.GW if hit else kind for hit, kind in zip(touching, item.kinds, strict=True))
        # A token shared with the span before is that one's too, and it is missed there first.
        with pytest.raises(MaskError, match=r"spans\[\d+\]"):
            check([example], [type(item)(item.id, item.input_ids, kinds, item.offsets, item.lost_spans)], tokenizer)


def test_overlapping_spans_of_two_labels_mark_a_token_once() -> None:
    tokenizer = tokenizer_of("wordpiece")
    text = "Helga Brandl plays"
    both = Example("x", "Who?", text, (Span(0, 5, "NAME"), Span(0, 12), Span(6, 12, "NAME")))
    alone = Example("x", "Who?", text, (Span(0, 12),))
    template = Template.of(tokenizer)
    item = encode(both, tokenizer, template)
    assert item == encode(alone, tokenizer, template)
    check([both], [item], tokenizer)
    names = encode(both, tokenizer, template, labels=("NAME",))
    assert names.kinds == item.kinds
    check([both], [names], tokenizer, labels=("NAME",))
    assert not encode(both, tokenizer, template, labels=("DATE",)).count(Kind.UW)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_span_is_there_in_tokens(family: str) -> None:
    tokenizer = tokenizer_of(family)
    people = tiny.examples()
    items = [encode(e, tokenizer, Template.of(tokenizer)) for e in people]
    check(people, items, tokenizer)
    assert all(item.count(Kind.UW) for item in items)


def test_a_mask_moved_by_one_is_caught() -> None:
    tokenizer = tokenizer_of("byte-level")
    person = tiny.examples()[0]
    item = encode(person, tokenizer, Template.of(tokenizer))
    moved = type(item)(item.id, item.input_ids, (Kind.PROMPT, *item.kinds[:-1]), item.offsets)
    with pytest.raises(MaskError, match=r"people/0.*spans\[0\]"):
        check([person], [moved], tokenizer)


def test_chat_ends_with_its_own_token_and_has_no_second_bos() -> None:
    tokenizer = tiny.chatty()
    person = tiny.examples()[0]
    item = encode(person, tokenizer, Template.of(tokenizer))
    text = tokenizer.decode(item.input_ids)
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith(f"{person.text}<|im_end|>")
    assert item.kinds[-1] == Kind.GW
    assert tokenizer.decode(item.input_ids[-1]) == "<|im_end|>"
    without = encode(person, tokenizer, Template.of(tokenizer), supervise_eos=False)
    assert without.input_ids == item.input_ids[:-1]


def test_chat_finds_the_answer_though_the_prompt_says_it_too() -> None:
    tokenizer = tiny.chatty()
    example = Example("x", "Say ANSWER: Karlsberg", "Karlsberg", (Span(0, 9),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    uw = [i for i, k in zip(item.input_ids, item.kinds, strict=True) if k == Kind.UW]
    assert tokenizer.decode(uw) == "Karlsberg"
    assert min(t for t, k in enumerate(item.kinds) if k == Kind.UW) > len(item) // 2


def test_a_chat_template_that_strips_moves_the_spans_along() -> None:
    tokenizer = tiny.chatty()
    tokenizer.chat_template = tiny.CHATML.replace("m['content']", "m['content'] | trim")
    example = Example("x", "Where?", "  In Karlsberg. ", (Span(5, 14),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    check([example], [item], tokenizer)
    uw = [o for o, k in zip(item.offsets, item.kinds, strict=True) if k == Kind.UW]
    assert (uw[0][0], uw[-1][1]) in {(4, 14), (5, 14)}


def test_a_chat_template_that_rewrites_is_refused() -> None:
    tokenizer = tiny.chatty()
    tokenizer.chat_template = tiny.CHATML.replace("m['content']", "m['content'] | upper")
    with pytest.raises(MaskError, match="rewrites"):
        encode(tiny.examples()[0], tokenizer, Template.of(tokenizer))


def test_punctuation_is_what_the_setting_says() -> None:
    tokenizer = tokenizer_of("wordpiece")
    person = tiny.examples()[0]
    gw, uw = (encode(person, tokenizer, Template.of(tokenizer), punctuation=p) for p in ("gw", "uw"))
    changed = [person.text[s:e] for (s, e), a, b in zip(gw.offsets, gw.kinds, uw.kinds, strict=True) if a != b]
    assert changed == [",", "."]


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_truncation_takes_is_counted(side: str) -> None:
    tokenizer = tokenizer_of("byte-level")
    text = "Karlsberg was long the home of old maps and of Helga Brandl"
    example = Example("x", "", text, (Span(0, 9), Span(47, 59)))
    item = encode(example, tokenizer, Template.of(tokenizer), max_length=12, truncation_side=side)
    assert len(item) == 12
    # On the right the second span is cut off, and the first touches a token that nothing predicts.
    assert item.lost_spans == ((0, 1) if side == "right" else (0,))
    check([example], [item], tokenizer)


def test_a_plain_text_is_supervised_but_for_a_first_token_that_nothing_predicts() -> None:
    example = Example("x", "", "Helga Brandl plays", (Span(0, 12),))
    bare = encode(example, tokenizer_of("byte-level"), Template.of(tokenizer_of("byte-level")))
    assert bare.kinds[0] == Kind.PROMPT
    assert bare.lost_spans == (0,)
    with_bos = encode(example, tokenizer_of("metaspace"), Template.of(tokenizer_of("metaspace")))
    assert with_bos.offsets[0] == NOWHERE
    assert with_bos.lost_spans == ()
    assert Kind.PROMPT not in with_bos.kinds[1:]


def test_emoji_marks_every_token_that_shares_it() -> None:
    tokenizer = tokenizer_of("byte-level")
    example = Example("x", "Where?", "In 🏔️ there", (Span(3, 5),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    marked = [i for i, k in zip(item.input_ids, item.kinds, strict=True) if k == Kind.UW]
    assert tokenizer.decode(marked).strip() == "🏔️"


@pytest.mark.parametrize("spec", ["chat", "{text} {text}", "{prompt}", "{other} {text}", "{text", "nonsense"])
def test_templates_that_are_none(spec: str) -> None:
    with pytest.raises(UsageError):
        Template.of(tokenizer_of("byte-level"), spec)


@pytest.mark.parametrize("end", [7, 8])
def test_an_accent_without_its_letter_is_told_where_accents_are_composed(end: int) -> None:
    tokenizer = tokenizer_of("metaspace")
    example = Example("x", "", "aaaaae\u0301a", (Span(6, end),))
    with pytest.raises(MaskError, match=r"record 'x'.*spans\[0\]"):
        check([example], [encode(example, tokenizer, Template.of(tokenizer, "qa"))], tokenizer)


@given(example=marked())
def test_a_position_predicts_the_token_after_it(example: Example) -> None:
    tokenizer = tokenizer_of("byte-level")
    item = encode(example, tokenizer, Template.of(tokenizer, "qa"))
    supervised = [kind != Kind.PROMPT for kind in item.kinds]
    assert item.predicting == tuple(supervised[t + 1] if t + 1 < len(item) else False for t in range(len(item)))
    text = item.text_only()
    kept = [kind for kind, offset in zip(item.kinds, item.offsets, strict=True) if offset != NOWHERE]
    assert [kind for kind in text.kinds if kind != Kind.PROMPT] == [kind for kind in kept if kind != Kind.PROMPT]
