"""Find the unwanted words of plain text, which has no question: identifying and private facts about people.

Entities, other proper names, numbers and contact data identify a person. Conditions, treatments, offences, habits and
occupations are private. The words that introduce them reveal them.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tif.annotate.rules.lexicon import words
from tif.annotate.rules.phrases import Phrase, phrases

Place = tuple[int, int]

_CONTACT: Final = re.compile(
    # E-mail addresses. From inside a run of their characters, a search looks at 64 only, the most before an @.
    r"(?:(?<![\w.+-])[\w.+-]++|[\w.+-]{1,64})@[\w-]+(?:\.[\w-]+)+"
    r"|https?://[^\s<>\"')\]]*[^\s<>\"')\].,;:!?]"
    r"|\+?\d[\d()/. -]{6,}\d"  # telephone and account numbers, dates in digits
    # Codes, times, measurements: one word with a digit in it.
    r"|\b(?=\w*\d|\w*+-\w*\d)(?:[A-Za-z]+-)*[A-Z0-9][\w:/.,-]*\w"
    r"|\b\d\b"
)

_VAGUE: Final = frozenset({"ORDINAL"})
"""Labels whose entities (`first`, `third`) mostly count and identify nobody."""

_INTRODUCING: Final = words(
    """abuse accuse admit allergic allergy arrest attack biopsy charge convict deny develop diagnose diagnosis die
    divorce fever for have history infect operation positive prescribe present report reveal sentence show smoke start
    stop suffer surgery symptom take test treat treatment undergo with work"""
)
"""Stems of the words that introduce a condition, a treatment, an offence or a habit."""

_LIGHT_PREPOSITIONS: Final = frozenset({"of", "to", "with", "for", "on", "from", "as"})

_ROLES: Final = ("attr", "appos", "pobj", "oprd")


def personal(doc: Any) -> list[Place]:
    """Return the unwanted ranges of a parsed plain text, in code points. They may overlap."""
    places = [(e.start_char, e.end_char) for e in doc.ents if e.label_ not in _VAGUE]
    places += [match.span() for match in _CONTACT.finditer(doc.text)]
    places += [(p.start, p.end) for p in phrases(doc) if _named(p) or _occupation(p) or _private(p)]
    return places


def _named(phrase: Phrase) -> bool:
    """Return whether a phrase is a quoted title, or a proper name that the entity recogniser missed."""
    return phrase.kind == "title" or (phrase.label == "" and phrase.root.pos_ == "PROPN")


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
