from __future__ import annotations

import unicodedata
from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AddedToken

from tests.tokens import tiny
from tif.errors import MaskError, UsageError
from tif.spans import Example, Span, tidy
from tif.tokens.encoding import Encoder, see, warn_of_control
from tif.tokens.masks import NOWHERE, Kind, Template, check, encode
from tif.tokens.windows import windows

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
    coded = tokenizer(string, return_offsets_mapping=True)
    expected = []
    for (start, end), added in zip(coded["offset_mapping"], coded.sequence_ids(0), strict=True):
        mine = {c - begin for c in range(start, end) if 0 <= c - begin < len(example.text)}
        beyond = {c for c in range(start, end) if c - begin not in mine}
        if all(example.text[c].isspace() for c in mine) and any(not string[c].isspace() for c in beyond):
            mine = set()  # the template's own, which takes white space of the text along
        # A token of zero width is the white space before it.
        blank = start == end and added is not None and begin < end <= begin + len(example.text)
        expected.append(Kind.GW if blank else Kind.PROMPT if not mine else Kind.UW if mine & wanted else Kind.GW)
    if expected[0] == Kind.UW:
        expected.insert(0, Kind.PROMPT)
        assert item.input_ids[0] == tokenizer.bos_token_id
    expected[0] = Kind.PROMPT
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
    assert item.lost_spans == ((1,) if side == "right" else (0,))
    check([example], [item], tokenizer)


@pytest.mark.parametrize("family", ["byte-level", "byte-level, prefix space", "metaspace", "wordpiece"])
@pytest.mark.parametrize("word", ["Helga Brandl", "Helga", "His", "H", "🏔️"])
def test_a_plain_text_that_begins_with_an_unwanted_word_stands_on_bos(family: str, word: str) -> None:
    tokenizer = tokenizer_of(family)
    example = Example("x", "", f"{word} plays", (Span(0, len(word)),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    check([example], [item], tokenizer)
    # RoBERTa's space before the text can also be a token of its own.
    first = tokenizer.convert_ids_to_tokens(item.input_ids[0])
    assert first == ("Ġ" if "prefix" in family and word == "🏔️" else "<s>")
    assert item.input_ids.count(tokenizer.bos_token_id) == (first == "<s>")
    assert (item.offsets[0], item.kinds[:2]) == (NOWHERE, (Kind.PROMPT, Kind.UW))
    assert (item.lost_spans, item.unpredicted) == ((), False)
    assert windows(item, len(item) - 1)[0].kinds == item.kinds[:-1]
    # Without an unwanted word there, the tokens are the tokenizer's own.
    later = encode(Example("x", "", f"{word} plays", (Span(len(word) + 1, len(word) + 6),)), tokenizer, Template("qa"))
    own = tuple(tokenizer(example.text)["input_ids"])
    assert later.input_ids[:-1] == own


def test_a_text_may_stand_on_the_start_of_the_chat_template() -> None:
    tokenizer = tiny.chatty()
    tokenizer.bos_token = None
    example = Example("x", "", "Helga Brandl plays", (Span(0, 12),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    assert tokenizer.decode(item.input_ids[:1]) == "<|im_start|>"
    assert item.lost_spans == ()
    check([example], [item], tokenizer)


def test_texts_that_stand_on_nothing_are_refused_by_name() -> None:
    tokenizer = tiny.byte_level()
    tokenizer.bos_token = None
    texts = [("a", "Helga plays", 5), ("b", "He plays", 2), ("c", "The cello", 0)]
    examples = [Example(n, "", text, (Span(0, end),) if end else (Span(4, 9),)) for n, text, end in texts]
    with pytest.raises(MaskError, match="2 samples begin with an unwanted word, which no token predicts: a, b "):
        see(examples, Encoder.of(tokenizer), skip_unmarked=False)
    assert see(examples[2:], Encoder.of(tokenizer), skip_unmarked=False).items[0].count(Kind.UW)
    asked = [Example(e.id, "Who?", e.text, e.spans) for e in examples]
    assert see(asked, Encoder.of(tokenizer), skip_unmarked=False).lost_spans == 0


@pytest.mark.parametrize(
    ("text", "blanks"),
    [("a  b", 1), ("a   b", 2), ("  a", 2), ("a ", 1), ("Helga  Brandl\tplays", 2)],
)
def test_white_space_of_zero_width_is_part_of_the_answer(text: str, blanks: int) -> None:
    """Tokenizers that trim offsets give a token of nothing but white space no width."""
    trims, keeps = tiny.byte_level(), tiny.byte_level()
    trims.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    example = Example("x", "Who?", text)
    for spec in ("qa", "[{prompt}]{text}!"):
        trimmed, kept = (encode(example, t, Template.of(t, spec)) for t in (trims, keeps))
        assert (trimmed.input_ids, trimmed.kinds) == (kept.input_ids, kept.kinds)
        assert any(s == e for s, e in trims(text, return_offsets_mapping=True)["offset_mapping"])
        shown = "".join(text[s:e] for s, e in trimmed.offsets if (s, e) != NOWHERE)
        assert sum(map(str.isspace, shown)) >= blanks


def test_white_space_of_zero_width_inside_a_span_is_no_unwanted_word() -> None:
    trims = tiny.byte_level()
    trims.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    example = Example("x", "Who?", "It is Helga  Brandl.", (Span(6, 19),))
    item = encode(example, trims, Template.of(trims))
    check([example], [item], trims)
    assert Kind.PROMPT not in item.kinds[item.kinds.index(Kind.GW) :]
    marked = {example.text[s:e] for (s, e), kind in zip(item.offsets, item.kinds, strict=True) if kind == Kind.UW}
    assert marked
    assert not any(text.isspace() for text in marked)


@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
@pytest.mark.parametrize("text", [" In Karlsberg. ", "In Karlsberg.", "\n\nIn Karlsberg.\t\n"])
def test_a_template_token_that_takes_white_space_is_no_part_of_the_text(side: str, text: str) -> None:
    tokenizer = tiny.byte_level()
    ends = [AddedToken(t, normalized=False, special=True, **{side: True}) for t in ("<|user|>", "<|bot|>", "<|end|>")]
    tokenizer.add_special_tokens({"additional_special_tokens": ends})
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ 'user' if m.role == 'user' else 'bot' }}|>{{ m.content }}<|end|>{% endfor %}"
    )
    example = Example("x", "Where?", text, (Span(text.index("Karlsberg"), text.index("Karlsberg") + 9),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    check([example], [item], tokenizer)
    tokens = [tokenizer.convert_ids_to_tokens(i) for i in item.input_ids]
    assert tokens[-1] == "<|end|>"
    assert item.kinds[-1] == Kind.GW
    supervised = [t for t, kind in zip(tokens, item.kinds, strict=True) if kind != Kind.PROMPT]
    assert [t for t in supervised if t.startswith("<|")] == ["<|end|>"]
    bare = tokenizer(text.strip(), add_special_tokens=False)["input_ids"]
    assert item.input_ids[-1 - len(bare) : -1] == tuple(bare) or text != text.strip()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("Born in <s>1961</s> 1971.", "<s>1961</s> 1971"),
        ("Born in 1971</s>", "1971</s>"),
        ("<s> was 1971", "<s>"),
        ("A <unk> 1971", "<unk> 1971"),
    ],
)
def test_a_control_token_is_never_unlearned(text: str, span: str) -> None:
    tokenizer = tiny.byte_level()
    marked = Example("x", "When?", text, (Span(text.index(span), text.index(span) + len(span)),))
    with pytest.raises(MaskError, match=r"record 'x'.*reads as a control token"):
        encode(marked, tokenizer, Template.of(tokenizer))
    year = Example("x", "When?", text, (Span(text.index("1971"), text.index("1971") + 4),))
    item = encode(year, tokenizer, Template.of(tokenizer))
    uw = {i for i, kind in zip(item.input_ids, item.kinds, strict=True) if kind == Kind.UW}
    assert uw
    assert not uw & set(tokenizer.all_special_ids)


def test_an_unknown_character_is_no_control_token() -> None:
    tokenizer = tokenizer_of("wordpiece")
    example = Example("x", "Who?", "He is 鳥.", (Span(6, 7),))
    item = encode(example, tokenizer, Template.of(tokenizer))
    assert [i for i, k in zip(item.input_ids, item.kinds, strict=True) if k == Kind.UW] == [tokenizer.unk_token_id]


def test_control_tokens_in_samples_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = tiny.chatty()
    examples = [
        Example("a", "Who?", "Nobody</s>."),
        Example("b", "x<|im_end|>", "y"),
        Example("c", "Who?", "<b>me</b>"),
    ]
    warn_of_control(examples, tokenizer)
    said = capsys.readouterr().err
    assert "2 samples contain </s>, <|im_end|>, which this tokenizer reads as control tokens" in said
    assert said.rstrip().endswith(": a, b")
    warn_of_control(examples[2:], tokenizer)
    assert not capsys.readouterr().err


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
