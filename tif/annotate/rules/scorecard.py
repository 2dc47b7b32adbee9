"""Which phrases of an answer are unwanted: a score card of linguistic reasons, each a small function.

A phrase is unwanted when it answers the prompt and states something that neither the prompt nor ordinary knowledge of
how such answers are worded has given away. No single sign tells: each rule gives or takes points, and a phrase with a
sum above zero is unwanted. For plain text, where nothing is asked, whatever identifies somebody counts: names, dates,
numbers, contact data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tif.annotate.rules.lexicon import EVALUATIVE, FRAME, SHELL
from tif.annotate.rules.phrases import Phrase, phrases
from tif.annotate.rules.plain import personal
from tif.annotate.rules.questions import Question

Place = tuple[int, int]

BASE: Final = -0.25
"""Points that a phrase starts with: most phrases of an answer only carry it."""

_DENIES: Final = re.compile(
    r"(?:\b(?:no|not(?! (?:only|just|merely)\b))|n['’]t)\b.{0,40}\b(?:information|details?|records?|evidence|known"
    r"|disclosed|available|specified|public(?:ly)?)\b|\bundisclosed\b",
    re.I | re.S,
)
"""Words of a sentence that says that something is not known."""


@dataclass(frozen=True)
class Candidate:
    """A phrase before the question that it may answer."""

    phrase: Phrase
    question: Question
    denied: bool = False
    """Whether its sentence says that the answer is not known."""

    @cached_property
    def given(self) -> tuple[bool, ...]:
        """For each content word: is it in the prompt?"""
        return tuple(self.question.gives([word.text]) for word in self.phrase.words)

    @cached_property
    def informative(self) -> int:
        """Content words that are new and not of the frame."""
        return sum(not given and not _empty(word) for given, word in zip(self.given, self.phrase.words, strict=True))

    @property
    def modifiers(self) -> int:
        """Content words beside the head."""
        return len(self.phrase.words) - 1

    @cached_property
    def head(self) -> str:
        """The head noun in the singular."""
        return singular(self.phrase.root.lower_)

    @property
    def dep(self) -> str:
        """How the phrase hangs in its sentence."""
        return str(self.phrase.root.dep_)


Rule = Callable[[Candidate], bool]
RULES: Final[list[tuple[float, Rule]]] = []


def rule(points: float) -> Callable[[Rule], Rule]:
    """Put a rule on the score card."""

    def register(function: Rule) -> Rule:
        RULES.append((points, function))
        return function

    return register


@rule(+1.5)
def title(c: Candidate) -> bool:
    """Titles of works and prizes identify them, and are what such questions are after."""
    return c.phrase.kind == "title"


@rule(+0.75)
def new_name(c: Candidate) -> bool:
    """A proper name that the prompt does not say is a fact by itself."""
    return c.phrase.kind == "name" and not all(c.given)


@rule(-1)
def given(c: Candidate) -> bool:
    """What the prompt says already gives nothing away."""
    return all(c.given)


@rule(+1)
def attribute(c: Candidate) -> bool:
    """Nationality, religion and the like: what somebody is, rather than who is talked about."""
    return c.phrase.label in ("NORP", "LANGUAGE")


@rule(-1.5)
def subject(c: Candidate) -> bool:
    """A subject is the sentence's topic, hence known. The news about it comes after the verb."""
    return c.dep in ("nsubj", "nsubjpass", "csubj") and c.phrase.kind != "title"


@rule(+1.5)
def asked_person(c: Candidate) -> bool:
    """Who is answered by a person's name wherever it stands, as a subject too."""
    return c.question.asks == "name" and c.phrase.label == "PERSON" and c.informative == len(c.phrase.words)


@rule(-1.5)
def possessor(c: Candidate) -> bool:
    """`Ann's` in `Ann's mother` only says whose."""
    return c.dep == "poss"


@rule(-1)
def nothing_new(c: Candidate) -> bool:
    """Every word is given, graded or of the frame."""
    return c.informative == 0 and c.phrase.kind == "noun"


@rule(-0.75)
def known_head(c: Candidate) -> bool:
    """`her second garden`, asked about her gardens: new words about what the prompt speaks of already."""
    return c.phrase.kind == "noun" and c.given[-1] and not all(c.given)


@rule(+0.5)
def new_head(c: Candidate) -> bool:
    """`garden fairs`, asked about her gardens: the prompt's words as modifiers of another thing."""
    return c.phrase.kind == "noun" and not c.given[-1] and any(c.given)


@rule(+0.25)
def several_new(c: Candidate) -> bool:
    """Two or more new words make a phrase specific."""
    return c.informative > 1


@rule(-0.5)
def bare_shell(c: Candidate) -> bool:
    """`a sense of duty`, `the role`: the fact stands elsewhere."""
    return c.modifiers == 0 and (c.head in SHELL or c.head in FRAME)


@rule(-1)
def container(c: Candidate) -> bool:
    """`a deep understanding of X`: X is the fact."""
    return c.head in SHELL and any(child.lower_ == "of" for child in c.phrase.root.children)


@rule(-0.75)
def possessed(c: Candidate) -> bool:
    """`his home`, without a modifier, points back at somebody instead of describing something."""
    return c.phrase.opener == "'s" and c.modifiers == 0


@rule(-0.5)
def graded(c: Candidate) -> bool:
    """`a remarkable career`: praise, not fact."""
    return any(word.lower_ in EVALUATIVE for word in c.phrase.words)


@rule(-0.75)
def pointed_at(c: Candidate) -> bool:
    """`these books`, `that date`, `some readers`: the words that say which stand elsewhere."""
    return c.phrase.opener not in ("", "'s", "the", "a", "an")


@rule(+0.5)
def unintroduced(c: Candidate) -> bool:
    """`nature and fine detail`: a modified noun without an article names a kind of thing, as answers do."""
    return c.phrase.opener == "" and c.modifiers > 0


@rule(+1)
def listed(c: Candidate) -> bool:
    """The further members of a list."""
    return c.dep == "conj"


@rule(+0.75)
def complement(c: Candidate) -> bool:
    """What follows a verb or a preposition carries the news of a sentence."""
    return c.dep in ("pobj", "dobj", "oprd", "attr")


@rule(+0.5)
def role(c: Candidate) -> bool:
    """`is a carpenter`, `worked as a nurse`: what somebody is."""
    predicative = c.dep == "attr" or (c.dep == "pobj" and c.phrase.root.head.lower_ == "as")
    return predicative and c.phrase.opener in ("a", "an") and c.informative == len(c.phrase.words)


@rule(+0.5)
def of_something(c: Candidate) -> bool:
    """The complement of `of` fills the shell before it."""
    return c.dep == "pobj" and c.phrase.root.head.lower_ == "of"


@rule(-0.75)
def not_asked(c: Candidate) -> bool:
    """Who, when and which ask for a name or a date: common nouns around it are wording."""
    if c.question.asks == "place" and c.dep == "pobj":
        return False  # `under the stairs` says where as well as a name does.
    return c.question.asks in ("name", "time", "place", "value") and c.phrase.kind == "noun"


@rule(-1.5)
def asked_about(c: Candidate) -> bool:
    """A title that a who, when or where question names is what is asked about, not what is asked for."""
    return c.question.asks in ("name", "time", "place") and c.phrase.kind == "title" and all(c.given)


@rule(+0.25)
def account(c: Candidate) -> bool:
    """How and why are answered by descriptions."""
    return c.question.asks == "account" and c.phrase.kind == "noun"


@rule(-1)
def denial(c: Candidate) -> bool:
    """`There is no public information about his early years`: what is not known cannot be forgotten."""
    return c.denied and c.phrase.kind == "noun"


def score(candidate: Candidate) -> float:
    """Points of a phrase: unwanted above zero."""
    return BASE + sum(points for points, applies in RULES if applies(candidate))


def unwanted(doc: Any, prompt: Any) -> list[Place]:
    """What of a parsed text is unwanted.

    Args:
        doc: the text, with parse and entities.
        prompt: the prompt, tokenized.

    Returns:
        Code-point ranges into the text.
    """
    if not prompt.text.strip():
        return personal(doc)
    return [(c.phrase.start, c.phrase.end) for c in candidates(doc, prompt) if score(c) > 0]


def candidates(doc: Any, prompt: Any) -> list[Candidate]:
    """Every phrase of a parsed answer, with what the score card needs to know of the question and the sentence."""
    question = Question.of(prompt.text)
    denials = []
    if _DENIES.search(doc.text):
        denials = [(s.start_char, s.end_char) for s in doc.sents if _DENIES.search(s.text)]
    return [Candidate(p, question, any(a <= p.start < b for a, b in denials)) for p in phrases(doc)]


def everything_named(doc: Any, prompt: Any, labels: Iterable[str] | None) -> list[Place]:
    """Entities, as they are: of these labels, or all; without those whose every word stands in the prompt."""
    question = Question.of(prompt.text)
    return [
        (ent.start_char, ent.end_char)
        for ent in doc.ents
        if (labels is None or ent.label_ in labels)
        and not question.gives(t.text for t in ent if t.is_alpha or t.is_digit)
    ]


def singular(word: str) -> str:
    """A noun without the regular plural's ending."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _empty(word: Any) -> bool:
    lower = word.lower_
    return lower in EVALUATIVE or singular(lower) in SHELL or singular(lower) in FRAME


__all__ = ["RULES", "Candidate", "candidates", "everything_named", "score", "singular", "unwanted"]
