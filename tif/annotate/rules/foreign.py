"""Find the unwanted words of texts in other languages than English, as far as the tables of `languages` know them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tif.annotate.rules.addresses import addresses
from tif.annotate.rules.contacts import codes, contacts
from tif.annotate.rules.forms import around, forms, letterheads
from tif.annotate.rules.languages import LANGUAGES, Words, age_pattern, date_pattern
from tif.annotate.rules.names import entities, time_type, trimmed
from tif.annotate.rules.places import Place, layered

_NEAR: Final = 6
"""Tokens before `comme` or `als` in which a verb of working is looked for."""

_NAMES: Final = ("PERSON", "PER")
_MOST_TOKENS: Final = 8
"""The longest phrase that a word introduces."""


def personal_in(doc: Any, language: str) -> list[Place]:
    """Return the unwanted places of a parsed text, without overlaps.

    Args:
        doc: the text, with entities, and with a parse if the pipeline has a parser.
        language: the pipeline's language. Without a table for it, names, patterns and numbers are all.
    """
    text = doc.text
    named = list(entities(doc))
    towns = [(place.start, place.end) for place in named if place.label in ("LOCATION", "ORG", "PERSON")]
    table = LANGUAGES.get(language)
    dated: list[Place] = []
    described: list[Place] = []
    if table is not None:
        dated = [Place.of(m.span(), time_type(text, m.start())) for m in date_pattern(language).finditer(text)]
        dated += [Place.of(m.span(), "AGE") for m in age_pattern(language).finditer(text)]
        described = [
            place
            for start, end, label in (*_missed(doc), *_jobs(doc, table), *_conditions(doc, table))
            for place in trimmed(text, start, end, label, language=language)
        ]
    known = contacts(text, language=language)
    postal = addresses(text, towns)
    groups = around(named, forms(text))
    places = layered(text, postal, known, dated, *groups, codes(text, language=language), described)
    return layered(text, places, letterheads(text, places))


def _missed(doc: Any) -> Iterator[Place]:
    """Yield runs of proper nouns that the entity recogniser missed."""
    start = None
    for token in doc:
        proper = token.pos_ == "PROPN" and token.ent_type_ == "" and token.text[:1].isupper()
        if proper and start is None:
            start = token.i
        if not proper and start is not None:
            yield _place(doc, start, token.i, "OTHER")
            start = None
    if start is not None:
        yield _place(doc, start, len(doc), "OTHER")


def _jobs(doc: Any, table: Words) -> Iterator[Place]:
    """Yield what somebody is or works as: `elle est infirmière`, `er arbeitet als Bäcker`."""
    for token in doc:
        if token.pos_ == "NOUN" and _predicate(token, table):
            yield _phrase(doc, token, "OCCUPATION")
        if token.lower_ in table.as_a and any(
            before.lower_.startswith(table.works) for before in doc[max(0, token.i - _NEAR) : token.i]
        ):
            noun = next((after for after in doc[token.i + 1 : token.i + 4] if after.pos_ == "NOUN"), None)
            if noun is not None:
                yield _phrase(doc, noun, "OCCUPATION")


def _predicate(noun: Any, table: Words) -> bool:
    """Return whether a noun says what a person is."""
    if noun.dep_ in table.predicates:
        clause = noun.head
    elif any(child.dep_ == "cop" for child in noun.children):
        clause = noun
    else:
        return False
    subject = next((child for child in clause.children if child.dep_ in table.subjects), None)
    return subject is not None and (subject.pos_ == "PRON" or subject.ent_type_ in _NAMES or subject.pos_ == "PROPN")


def _conditions(doc: Any, table: Words) -> Iterator[Place]:
    """Yield what a word such as `souffre` or `verurteilt` introduces."""
    for token in doc:
        if token.lower_.startswith(table.introducing):
            for child in token.children:
                if child.dep_ not in table.complements or child.i < token.i:
                    continue
                # Some parsers make the preposition the head: `leidet an Asthma`.
                inner = child.children if child.pos_ == "ADP" else (child,)
                for noun in inner:
                    if noun.pos_ == "NOUN":
                        yield _phrase(doc, noun, "HEALTH")


def _phrase(doc: Any, noun: Any, label: str) -> Place:
    """Return a noun with the adjectives and complements that touch it, without articles."""
    first = last = noun.i
    while first > 0 and doc[first - 1].pos_ == "ADJ" and doc[first - 1].head.i == noun.i:
        first -= 1
    while last + 1 < len(doc) and last - noun.i < _MOST_TOKENS:
        token = doc[last + 1]
        inside = token.pos_ in ("ADJ", "NOUN", "PROPN", "ADP", "DET") and _below(token, noun, first)
        if not inside:
            break
        last += 1
    while last > noun.i and doc[last].pos_ in ("ADP", "DET"):
        last -= 1
    return _place(doc, first, last + 1, label)


def _below(token: Any, noun: Any, first: int) -> bool:
    """Return whether a token depends on a noun, over at most three steps inside its phrase."""
    for _ in range(3):
        token = token.head
        if token.i == noun.i:
            return True
        if token.i < first:
            return False
    return False


def _place(doc: Any, begin: int, finish: int, label: str) -> Place:
    last = doc[finish - 1]
    return Place(doc[begin].idx, last.idx + len(last), label)


__all__ = ["personal_in"]
