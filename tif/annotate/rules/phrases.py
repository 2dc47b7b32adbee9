"""Find the phrases that could be unwanted: quoted titles, names and noun phrases, without articles and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["title", "name", "noun"]
"""`title`: between quotation marks. `name`: an entity, or a phrase around one. `noun`: any other noun phrase."""

_DOUBLE = r'["“„](?P<double>[^"“”„\n]{1,150})["”“]'
# An apostrophe inside a word, or after a plural's s, does not close: 'The Millers' Daughter'.
_SINGLE = r"(?<!\w)['‘](?P<single>[^\W_](?:[^'‘’\n]|['’](?=\w)|(?<=s)['’](?= )){0,150})['’](?!\w)"
_QUOTED = re.compile(f"{_DOUBLE}|{_SINGLE}")
_EDGE = " ,.;:!?"

_CONTENT: Final = frozenset({"NOUN", "PROPN", "ADJ", "NUM", "VERB", "X", "SYM"})
_TRIMMED: Final = frozenset({"DET", "PRON", "CCONJ", "SCONJ", "ADP", "PUNCT", "ADV", "PART", "SPACE", "INTJ"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A phrase that could be unwanted. Tokens are spaCy's."""

    start: int
    """First code point, after determiners and possessors."""
    end: int
    """One past the last code point."""
    kind: Kind
    root: Any
    """The phrase's head in the parse."""
    words: tuple[Any, ...]
    """Content tokens."""
    opener: str = ""
    """The word before the phrase: an article or demonstrative in lower case, `'s` for any possessor, else ""."""
    label: str = ""
    """The entity's label, for a name."""
    inside: tuple[Any, ...] = ()
    """Every token of a title."""


def phrases(doc: Any) -> list[Phrase]:
    """Return every phrase of a parsed text that could be unwanted, in order and without overlaps."""
    titles = _titles(doc)
    taken = [False] * len(doc)
    for title in titles:
        for token in title.words:
            taken[token.i] = True
    result = [*titles]
    # spaCy makes a new object of each token and each entity at each access.
    chunks = [list(chunk) for chunk in doc.noun_chunks]
    ents = [(ent.label_, list(ent)) for ent in doc.ents]
    chunk_of = {token.i: index for index, chunk in enumerate(chunks) for token in chunk}
    labels = {token.i: label for label, tokens in ents for token in tokens}
    # `4 March 1961` and `the University of Oslo` are several chunks and one name.
    for label, tokens in ents:
        if len({chunk_of.get(token.i, -1) for token in tokens}) > 1:
            result += _of_entity(label, tokens, taken)
    for chunk in chunks:
        result += _of_chunk(chunk, taken, labels)
    for label, tokens in ents:
        result += _of_entity(label, tokens, taken)
    return sorted(result, key=lambda phrase: phrase.start)


def _titles(doc: Any) -> list[Phrase]:
    """Return quoted passages that begin with a capital or digit: titles of works, names of prizes, quoted speech."""
    titles = []
    text = doc.text  # spaCy joins the text at each access
    for match in _QUOTED.finditer(text):
        start, end = match.span("double" if match["double"] is not None else "single")
        while start < end and text[start] in _EDGE:
            start += 1
        while end > start and text[end - 1] in _EDGE:
            end -= 1
        if start == end or not (text[start].isupper() or text[start].isdigit()):
            continue
        span = doc.char_span(start, end, alignment_mode="expand")
        words = tuple(token for token in span if not token.is_punct)
        if words:
            titles.append(
                Phrase(start=start, end=end, kind="title", root=_root(words), words=words, inside=tuple(span))
            )
    return titles


def _of_chunk(chunk: list[Any], taken: list[bool], labels: dict[int, str]) -> Iterator[Phrase]:
    """Yield the phrases of a noun chunk. A possessor is a phrase of its own: `Ann's | younger brother`."""
    piece: list[Any] = []
    opener = ""
    for token in chunk:
        if taken[token.i]:
            continue
        if token.tag_ == "POS":
            yield from _trimmed(piece, opener, taken, labels)
            piece, opener = [], "'s"
        else:
            piece.append(token)
    yield from _trimmed(piece, opener, taken, labels)


def _trimmed(piece: list[Any], opener: str, taken: list[bool], labels: dict[int, str]) -> Iterator[Phrase]:
    while piece and piece[0].pos_ in _TRIMMED and not (piece[0].i in labels and piece[0].pos_ not in ("DET", "PRON")):
        first = piece.pop(0)
        if first.pos_ in ("DET", "PRON"):
            opener = "'s" if first.tag_ == "PRP$" else opener or first.lower_
    while piece and piece[-1].pos_ in ("PUNCT", "SPACE", "PART"):
        piece.pop()
    words = tuple(token for token in piece if token.pos_ in _CONTENT)
    if not words:
        return
    for token in piece:
        taken[token.i] = True
    root = next((token for token in reversed(words) if token.pos_ in ("NOUN", "PROPN")), words[-1])
    label = next((labels[token.i] for token in reversed(piece) if token.i in labels), "")
    yield Phrase(
        start=piece[0].idx,
        end=piece[-1].idx + len(piece[-1]),
        kind="name" if label or root.pos_ == "PROPN" else "noun",
        root=root,
        words=words,
        opener=opener,
        label=label,
    )


def _of_entity(label: str, tokens: list[Any], taken: list[bool]) -> Iterator[Phrase]:
    """Yield an entity without the tokens of earlier phrases: dates, amounts, adjectives of nationality in a list."""
    rest = [token for token in tokens if not taken[token.i]]
    while rest and rest[0].pos_ in ("DET", "ADP", "PUNCT", "PART"):
        rest.pop(0)
    words = tuple(token for token in rest if token.pos_ in _CONTENT)
    if words:
        for token in rest:
            taken[token.i] = True
        start, end = rest[0].idx, rest[-1].idx + len(rest[-1])
        yield Phrase(start=start, end=end, kind="name", root=_root(words), words=words, label=label)


def _root(words: tuple[Any, ...]) -> Any:
    """Return the first word whose head is outside. `Span.root` is equal, but checks the complete text at each call."""
    inside = {word.i for word in words}
    return next((word for word in words if word.head.i not in inside or word.head.i == word.i), words[-1])


__all__ = ["Kind", "Phrase", "phrases"]
