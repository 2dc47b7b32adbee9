"""Trim the entities of a pipeline to what identifies somebody, and give them canonical types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tif.annotate.rules.fields import frames, says_nothing, words_of
from tif.annotate.rules.identifiers import identifier
from tif.annotate.rules.languages import LANGUAGES
from tif.annotate.rules.places import Place
from tif.entities import entity_type

_VAGUE: Final = frozenset({"ORDINAL"})
"""Labels whose entities (`first`, `third`) mostly count and identify nobody."""

_TIMES: Final = ("DATE", "TIME")
_POSSESSORS: Final = ("PERSON", "PER", "GPE")

_BREAK: Final = re.compile(r"[\n\t|]\s*+|[ ][-–—][ ]|\]\(")
_DEFINITE: Final = re.compile(
    "|".join(rf"\b(?:{each.months}|{each.weekdays})\b" for each in LANGUAGES.values()) + r"|\d", re.I
)
"""A day, a month or a number: without one, a time such as `the next morning` fits any year."""

_AGE: Final = re.compile(r"\d[ -]?(?:years?[- ]old|y/?o\b|ans\b|jahre\b|años\b)|\baged?\b", re.I)
_BORN: Final = re.compile(r"\b(?:born|birth\w*|dob|née?|naissance|geboren|geburts\w*|nacid[oa]|nacimiento)\b", re.I)
_WITHIN: Final = 40


def entities(doc: Any) -> Iterator[Place]:
    """Yield the entities of a parsed text, without articles, field names and line breaks. Vague times are left out."""
    text = doc.text
    for ent in doc.ents:
        if ent.label_ in _VAGUE or (ent.label_ in _TIMES and not _definite(ent)):
            continue
        begin, finish = (
            _grown(doc, ent) if entity_type(ent.label_, "spacy") in ("PERSON", "ORG") else (ent.start, ent.end)
        )
        start, last = doc[begin].idx, doc[finish - 1].idx + len(doc[finish - 1])
        yield from trimmed(text, start, last, ent.label_, language=doc.lang_)


def _definite(ent: Any) -> bool:
    """Return whether a time has a day, a month or a number: `the next morning` fits any year."""
    return bool(_DEFINITE.search(ent.text)) or any(t.pos_ == "NUM" and t.lower_ != "one" for t in ent)


def _grown(doc: Any, ent: Any) -> tuple[int, int]:
    """Return the tokens of a name with the proper nouns that touch it: the recogniser may find half a name."""
    begin, finish = ent.start, ent.end
    while begin > 0 and ent.start - begin < 3 and _continues(doc[begin - 1], doc[begin]):
        begin -= 1
    while finish < len(doc) and finish - ent.end < 3 and _continues(doc[finish], doc[finish - 1]):
        finish += 1
    return begin, finish


def _continues(token: Any, neighbour: Any) -> bool:
    """Return whether a token belongs to the name that a neighbour is part of."""
    left, right = (token, neighbour) if token.i < neighbour.i else (neighbour, token)
    return bool(
        token.pos_ == "PROPN"
        and token.ent_iob_ in ("O", "")
        and token.shape_[:1] == "X"
        and token.is_alpha
        and left.whitespace_ == " "
        and ((left.dep_ == "compound" and left.head.i > left.i) or right.dep_ in ("flat", "flat:name"))
        and not frames(token.text)
    )


def trimmed(text: str, start: int, end: int, label: str, *, language: str = "en") -> Iterator[Place]:
    """Yield the parts of a name between line breaks and dashes, without the words that frame it.

    Args:
        text: the text around the name.
        start: first code point.
        end: one past the last code point.
        label: the pipeline's label of the name, or a canonical type.
        language: the text's language.
    """
    for stop in (*(match.span() for match in _BREAK.finditer(text, start, end)), None):
        yield from _part(text, start, end if stop is None else stop[0], label, language)
        if stop is not None:
            start = stop[1]


def _part(text: str, start: int, end: int, label: str, language: str) -> Iterator[Place]:
    pieces = words_of(text, start, end)
    person = entity_type(label, "spacy") == "PERSON"
    if not pieces or says_nothing(text[pieces[0][0] : pieces[-1][1]]):
        return
    while frames(text[slice(*pieces[0])]):
        pieces.pop(0)
    # A surname may be a field's name.
    while frames(text[slice(*pieces[-1])]) and not (person and len(pieces) == 2):
        pieces.pop()
    first, last = pieces[0][0], pieces[-1][1]
    if label in _POSSESSORS and text[last - 2 : last] in ("'s", "’s") and last - first > 3:
        last -= 2
    else:
        last = _with_sign(text, last, end)
    yield Place(first, last, _type(text, first, last, label, language))


def _with_sign(text: str, last: int, end: int) -> int:
    """Return the end of an entity with the sign after its last word: `Inc.`, `5%`, `C++`."""
    while last < end and text[last] in ".%+#)":
        last += 1
    return last


def _type(text: str, start: int, end: int, label: str, language: str) -> str:
    written = text[start:end]
    if label in (*_TIMES, "CARDINAL") and _AGE.search(written):
        return "AGE"
    if label in _TIMES:
        return time_type(text, start)
    if any(map(str.isdigit, written)) and " " not in written:
        return identifier(text, start, end, language=language)
    return entity_type(label, "spacy") or "OTHER"


def time_type(text: str, start: int) -> str:
    """Return the type of a date or time: that of a birth if the words before it speak of one."""
    return "DATE_OF_BIRTH" if _BORN.search(text[max(0, start - _WITHIN) : start]) else "DATE"


__all__ = ["entities", "time_type", "trimmed"]
