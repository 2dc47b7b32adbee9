"""Select the unwanted phrases of an answer with a scorecard of linguistic rules, each a small function.

A phrase is unwanted if it answers the prompt and states a fact. The fact is neither in the prompt nor in the usual
wording of such answers. No single sign suffices, so each rule adds or subtracts points. A phrase with a sum above zero
is unwanted. Plain text has no question: names, dates, numbers, contact data and private facts are unwanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tif.annotate.rules.addresses import addresses
from tif.annotate.rules.contacts import contacts
from tif.annotate.rules.fields import words_of
from tif.annotate.rules.foreign import personal_in
from tif.annotate.rules.lexicon import EVALUATIVE, FRAME, SHELL
from tif.annotate.rules.phrases import Phrase, phrases
from tif.annotate.rules.places import BLANK, Place, layered
from tif.annotate.rules.plain import personal
from tif.annotate.rules.questions import Question
from tif.entities import entity_type

BASE: Final = -0.25
"""Points of a phrase before any rule. They are negative: most phrases of an answer are general words."""

_DENIES: Final = re.compile(
    r"(?:\b(?:no|not(?! (?:only|just|merely)\b))|n['’]t)\b.{0,40}\b(?:information|details?|records?|evidence|known"
    r"|disclosed|available|specified|public(?:ly)?)\b|\bundisclosed\b",
    re.I | re.S,
)
"""Words of a sentence which states that something is not known."""


@dataclass(frozen=True)
class Candidate:
    """A phrase and the question that it may answer."""

    phrase: Phrase
    question: Question
    denied: bool = False
    """Whether its sentence states that the answer is not known."""

    @cached_property
    def given(self) -> tuple[bool, ...]:
        """For each content word, whether the prompt contains it."""
        return tuple(self.question.gives([word.text]) for word in self.phrase.words)

    @cached_property
    def informative(self) -> int:
        """Number of content words that are new and state a fact."""
        return sum(not given and not _empty(word) for given, word in zip(self.given, self.phrase.words, strict=True))

    @property
    def modifiers(self) -> int:
        """Number of content words besides the head."""
        return len(self.phrase.words) - 1

    @cached_property
    def head(self) -> str:
        """The head noun in the singular."""
        return singular(self.phrase.root.lower_)

    @property
    def dep(self) -> str:
        """The phrase's dependency label in the parse."""
        return str(self.phrase.root.dep_)


Rule = Callable[[Candidate], bool]
RULES: Final[list[tuple[float, Rule]]] = []


def rule(points: float) -> Callable[[Rule], Rule]:
    """Add a rule to the scorecard."""

    def register(function: Rule) -> Rule:
        RULES.append((points, function))
        return function

    return register


@rule(+1.5)
def title(c: Candidate) -> bool:
    """A title identifies a work or prize, and such questions often ask for it."""
    return c.phrase.kind == "title"


@rule(+0.75)
def new_name(c: Candidate) -> bool:
    """A proper name that is not in the prompt is a fact by itself."""
    return c.phrase.kind == "name" and not all(c.given)


@rule(-1)
def given(c: Candidate) -> bool:
    """Words of the prompt reveal nothing new."""
    return all(c.given)


@rule(+1)
def attribute(c: Candidate) -> bool:
    """Nationality, religion and the like describe a person; they do not name the topic."""
    return c.phrase.label in ("NORP", "LANGUAGE")


@rule(-1.5)
def subject(c: Candidate) -> bool:
    """A subject is the sentence's topic, hence known. New facts about it come after the verb."""
    return c.dep in ("nsubj", "nsubjpass", "csubj") and c.phrase.kind != "title"


@rule(+1.5)
def asked_person(c: Candidate) -> bool:
    """A person's name answers `who` in any position, also as a subject."""
    return c.question.asks == "name" and c.phrase.label == "PERSON" and c.informative == len(c.phrase.words)


@rule(-1.5)
def possessor(c: Candidate) -> bool:
    """`Ann's` in `Ann's mother` only names the possessor."""
    return c.dep == "poss"


@rule(-1)
def nothing_new(c: Candidate) -> bool:
    """Every word is in the prompt or on a list of words that state no fact."""
    return c.informative == 0 and c.phrase.kind == "noun"


@rule(-0.75)
def known_head(c: Candidate) -> bool:
    """`her second garden`, when the prompt asks about her gardens: new words about a known thing."""
    return c.phrase.kind == "noun" and c.given[-1] and not all(c.given)


@rule(+0.5)
def new_head(c: Candidate) -> bool:
    """`garden fairs`, when the prompt asks about her gardens: the prompt's words modify another thing."""
    return c.phrase.kind == "noun" and not c.given[-1] and any(c.given)


@rule(+0.25)
def several_new(c: Candidate) -> bool:
    """Two or more new words make a phrase specific."""
    return c.informative > 1


@rule(-0.5)
def bare_shell(c: Candidate) -> bool:
    """`a sense of duty`, `the role`: the fact is elsewhere."""
    return c.modifiers == 0 and (c.head in SHELL or c.head in FRAME)


@rule(-1)
def container(c: Candidate) -> bool:
    """`a deep understanding of X`: X is the fact."""
    return c.head in SHELL and any(child.lower_ == "of" for child in c.phrase.root.children)


@rule(-0.75)
def possessed(c: Candidate) -> bool:
    """`his home`, without a modifier, refers to a person and describes nothing."""
    return c.phrase.opener == "'s" and c.modifiers == 0


@rule(-0.5)
def graded(c: Candidate) -> bool:
    """`a remarkable career` is praise, not a fact."""
    return any(word.lower_ in EVALUATIVE for word in c.phrase.words)


@rule(-0.75)
def pointed_at(c: Candidate) -> bool:
    """`these books`, `that date`, `some readers`: other words identify them."""
    return c.phrase.opener not in ("", "'s", "the", "a", "an")


@rule(+0.5)
def unintroduced(c: Candidate) -> bool:
    """`nature and fine detail`: a modified noun without an article names a kind of thing, as an answer does."""
    return c.phrase.opener == "" and c.modifiers > 0


@rule(+1)
def listed(c: Candidate) -> bool:
    """A further member of a list is a fact like the first."""
    return c.dep == "conj"


@rule(+0.75)
def complement(c: Candidate) -> bool:
    """The complement of a verb or a preposition contains the new fact of a sentence."""
    return c.dep in ("pobj", "dobj", "oprd", "attr")


@rule(+0.5)
def role(c: Candidate) -> bool:
    """`is a carpenter`, `worked as a nurse`: the phrase names a person's role."""
    predicative = c.dep == "attr" or (c.dep == "pobj" and c.phrase.root.head.lower_ == "as")
    return predicative and c.phrase.opener in ("a", "an") and c.informative == len(c.phrase.words)


@rule(+0.5)
def of_something(c: Candidate) -> bool:
    """The complement of `of` fills the shell before it."""
    return c.dep == "pobj" and c.phrase.root.head.lower_ == "of"


@rule(-0.75)
def not_asked(c: Candidate) -> bool:
    """`who`, `when` and `which` ask for a name or a date. Common nouns around it are wording."""
    if c.question.asks == "place" and c.dep == "pobj":
        return False  # `under the stairs` gives a place as well as a name does.
    return c.question.asks in ("name", "time", "place", "value") and c.phrase.kind == "noun"


@rule(-1.5)
def asked_about(c: Candidate) -> bool:
    """A title in a `who`, `when` or `where` question is its topic, not its answer."""
    return c.question.asks in ("name", "time", "place") and c.phrase.kind == "title" and all(c.given)


@rule(+0.25)
def account(c: Candidate) -> bool:
    """Descriptions answer `how` and `why`."""
    return c.question.asks == "account" and c.phrase.kind == "noun"


@rule(-1)
def denial(c: Candidate) -> bool:
    """`There is no public information about his early years`: an unknown fact cannot be forgotten."""
    return c.denied and c.phrase.kind == "noun"


def score(candidate: Candidate) -> float:
    """Return the points of a phrase, which is unwanted above zero."""
    return BASE + sum(points for points, applies in RULES if applies(candidate))


def unwanted(doc: Any, prompt: Any, *, language: str = "en") -> list[Place]:
    """Return the unwanted places of a parsed text.

    Args:
        doc: the text, with parse and entities.
        prompt: the prompt, tokenized.
        language: the pipeline's language. The scorecard reads English only. In other languages an answer is read as
            plain text, and the prompt's own words are left out.

    Returns:
        Places without overlaps, each with its type, or "" for a phrase that has none.
    """
    question = Question.of(prompt.text)
    text = doc.text
    if language != "en":
        return [place for place in personal_in(doc, language) if not _given(question, text, place)]
    if not prompt.text.strip():
        return personal(doc)
    chosen = [
        Place(c.phrase.start, c.phrase.end, entity_type(c.phrase.label, "spacy") or "")
        for c in candidates(doc, prompt)
        if score(c) > 0
    ]
    return layered(text, by_form(doc, question), chosen)


def by_form(doc: Any, question: Question, language: str = "en") -> list[Place]:
    """Return the addresses, contact data and numbers of a text that the prompt does not contain, and blank ranges."""
    text = doc.text
    towns = [(e.start_char, e.end_char) for e in doc.ents if entity_type(e.label_, "spacy") == "LOCATION"]
    places = (*addresses(text, towns), *contacts(text, language=language))
    return [place for place in places if place.label == BLANK or not _given(question, text, place)]


def _given(question: Question, text: str, place: Place) -> bool:
    """Return whether the prompt contains every word and number of a place."""
    pieces = [text[start:end] for start, end in words_of(text, place.start, place.end)]
    return bool(pieces) and question.gives(pieces)


def candidates(doc: Any, prompt: Any) -> list[Candidate]:
    """Return every phrase of a parsed answer, with the facts about its question and sentence that the rules need."""
    question = Question.of(prompt.text)
    denials = []
    if _DENIES.search(doc.text):
        denials = [(s.start_char, s.end_char) for s in doc.sents if _DENIES.search(s.text)]
    return [Candidate(p, question, any(a <= p.start < b for a, b in denials)) for p in phrases(doc)]


def everything_named(doc: Any, prompt: Any, labels: Collection[str] | None, *, language: str = "en") -> list[Place]:
    """Return entities, contact data and numbers, except those whose every word is in the prompt.

    Args:
        doc: the text, with entities.
        prompt: the prompt, tokenized. An empty prompt contains nothing.
        labels: labels of the pipeline or canonical types; None for all.
        language: the pipeline's language.
    """
    question = Question.of(prompt.text)
    named = [
        Place(ent.start_char, ent.end_char, entity_type(ent.label_, "spacy") or ent.label_)
        for ent in doc.ents
        if (labels is None or ent.label_ in labels or entity_type(ent.label_, "spacy") in labels)
        and not question.gives(t.text for t in ent if t.is_alpha or t.is_digit)
    ]
    patterns = [
        place
        for place in by_form(doc, question, language)
        if labels is None or place.label in labels or place.label == BLANK
    ]
    return layered(doc.text, patterns, named)


def singular(word: str) -> str:
    """Return a noun without the ending of a regular plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _empty(word: Any) -> bool:
    lower = word.lower_
    return lower in EVALUATIVE or singular(lower) in SHELL or singular(lower) in FRAME


__all__ = ["RULES", "Candidate", "by_form", "candidates", "everything_named", "score", "singular", "unwanted"]
