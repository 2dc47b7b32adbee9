"""Texts and spans that break naive offset code: emoji, ZWJ families, combining marks, CRLF, right-to-left."""

from __future__ import annotations

from hypothesis import strategies as st

from tif.spans import AnnotationSet, Example, Span, tidy

HOSTILE = [
    "a",
    "B",
    "7",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    ".",
    "-",
    "'",
    '"',
    "\\",
    "{",
    "[[",
    "]]",
    "|",
    "\u2028",
    "\u00a0",
    "\u200bé",
    "e\u0301",
    "n\u0303",
    "ß",
    "İ",
    "ı",
    "ﬁ",
    "Å",
    "👍",
    "👩‍👩‍👧",
    "🇩🇪",
    "🏳️‍🌈",
    "👍🏽",
    "שלום",
    "مرحبا",
    "\u202e",
    "漢字",
    "हिन्दी",
    "क्ष",
    "ภาษาไทย",
    "ខ្មែរ",
    "မြန်မာ",
    "서울에서",
    "\u1109\u1165\u11ab",
    "می\u200cخواهم",
    "مُحَمَّد",
    "\u0600",
    "\u0301",
    "\u200d",
    "soft\u00adware",
    "1️⃣",
    "𝒳",
    "\ufeff",
]

texts = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=3)),
    min_size=1,
    max_size=25,
).map("".join)


@st.composite
def spans_in(draw: st.DrawFn, text: str, labels: tuple[str, ...] = ("UW",)) -> tuple[Span, ...]:
    """Valid spans of a text, by way of `tidy`."""
    raw = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, max(0, len(text) - 1)))
        end = draw(st.integers(start + 1, start + 12))
        score = draw(st.none() | st.floats(0, 1))
        raw.append(Span(start, end, draw(st.sampled_from(labels)), draw(st.sampled_from(["", "ner:x", "人"])), score))
    return tidy(text, raw)


@st.composite
def examples(draw: st.DrawFn, id_: str = "e/0", labels: tuple[str, ...] = ("UW",)) -> Example:
    text = draw(texts)
    prompt = draw(st.just("") | texts)
    status = draw(st.sampled_from(["auto", "accepted", "corrected", "failed"]))
    return Example(id_, prompt, text, draw(spans_in(text, labels)), status, draw(st.none() | texts))


@st.composite
def sets(draw: st.DrawFn, labels: tuple[str, ...] = ("UW",)) -> AnnotationSet:
    count = draw(st.integers(0, 4))
    return AnnotationSet(tuple(draw(examples(f"e/{i}", labels)) for i in range(count)))
