"""Find the unwanted words of plain text, which has no question: identifying and private facts about people.

Entities, other proper names, numbers and contact data identify a person. Conditions, treatments, offences, habits and
occupations are private. The words that introduce them reveal them.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tif.annotate.rules.addresses import addresses
from tif.annotate.rules.contacts import codes, contacts
from tif.annotate.rules.forms import around, forms, letterheads
from tif.annotate.rules.jobs import before_names, is_job, job
from tif.annotate.rules.lexicon import words
from tif.annotate.rules.names import entities, trimmed
from tif.annotate.rules.phrases import Phrase, phrases
from tif.annotate.rules.places import Place, layered

_INTRODUCING: Final = words(
    """abuse accuse admit allergic allergy arrest attack biopsy charge convict deny develop diagnose diagnosis die
    divorce fever for have history infect operation positive prescribe present report reveal sentence show smoke start
    stop suffer surgery symptom take test treat treatment undergo with work"""
)
"""Stems of the words that introduce a condition, a treatment, an offence or a habit."""

_LIGHT_PREPOSITIONS: Final = frozenset({"of", "to", "with", "for", "on", "from", "as"})

_ROLES: Final = ("attr", "appos", "pobj", "oprd")


def personal(doc: Any) -> list[Place]:
    """Return the unwanted places of a parsed plain text, without overlaps."""
    text = doc.text
    named = list(entities(doc))
    towns = [(place.start, place.end) for place in named if place.label in ("LOCATION", "ORG", "PERSON")]
    known = contacts(text)
    postal = addresses(text, towns)
    described: list[Place] = []
    for phrase in phrases(doc):
        described += before_names(phrase)
        if is_job(phrase):
            described.append(job(phrase))
        elif (label := _label(phrase)) is not None:
            described += trimmed(text, phrase.start, phrase.end, label)
    places = layered(text, postal, known, *around(named, forms(text)), codes(text), described)
    lines = list(letterheads(text, places))
    return layered(text, [line for line in lines if line.label == "OCCUPATION"], places, lines)


def _label(phrase: Phrase) -> str | None:
    """Return the type of an unwanted phrase; None for a general one."""
    if _occupation(phrase):
        return "OCCUPATION"
    if _private(phrase):
        return "HEALTH"
    return "OTHER" if _named(phrase) else None


def _named(phrase: Phrase) -> bool:
    """Return whether a phrase is a quoted title, or a proper name that the entity recogniser missed."""
    if phrase.kind == "title":
        return not _speech(phrase)
    return phrase.label == "" and phrase.root.pos_ == "PROPN" and not _command(phrase)


def _speech(phrase: Phrase) -> bool:
    """Return whether quoted words are a sentence that somebody says: a pronoun is the subject of a verb in it."""
    return any(word.tag_ in ("PRP", "EX", "WP") and word.dep_ in ("nsubj", "nsubjpass") for word in phrase.inside)


def _command(phrase: Phrase) -> bool:
    """Return whether a word with a capital is only the verb that begins a sentence: `Decode before use.`"""
    root = phrase.root
    return bool(len(phrase.words) == 1 and root.is_sent_start and root.dep_ == "ROOT" and root.n_rights > 1)


def _occupation(phrase: Phrase) -> bool:
    """Return whether an indefinite noun phrase describes a person: `Ann Bo, a retired baker`; `works as a nurse`."""
    root = phrase.root
    if phrase.kind != "noun" or phrase.opener not in ("a", "an") or root.dep_ not in _ROLES:
        return False
    if root.dep_ == "pobj":
        return bool(root.head.lower_ == "as")
    other = root.head if root.dep_ == "appos" else next(iter(_subjects(root.head)), None)
    return other is not None and (other.ent_type_ == "PERSON" or other.tag_ == "PRP")


def _private(phrase: Phrase) -> bool:
    """Return whether a phrase is private: `has epilepsy`, `convicted of theft`, and further members of a list."""
    token = phrase.root
    while token.dep_ == "conj":
        token = token.head
    if phrase.kind != "noun" or phrase.opener not in ("", "a", "an") or token.dep_ not in ("dobj", "pobj", "attr"):
        return False
    head = token.head
    if token.dep_ == "pobj":
        if head.lower_ not in _LIGHT_PREPOSITIONS:
            return False
        head = head.head
    return _base(head.lower_) in _INTRODUCING


def _subjects(verb: Any) -> list[Any]:
    return [child for child in verb.children if child.dep_ in ("nsubj", "nsubjpass")]


_IRREGULAR: Final = {"has": "have", "had": "have", "took": "take", "taken": "take", "underwent": "undergo"}


def _base(word: str) -> str:
    """Return a verb or noun without inflection, as far as `_INTRODUCING` needs it: `diagnosed` -> `diagnose`."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending, instead in (("", ""), ("s", ""), ("ies", "y"), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e")):
        if word.endswith(ending) and word[: len(word) - len(ending)] + instead in _INTRODUCING:
            return word[: len(word) - len(ending)] + instead
    # `stopped`, `admitted`: the consonant is doubled before the ending.
    return re.sub(r"(.)\1(ed|ing)$", r"\1", word)


__all__ = ["personal"]
