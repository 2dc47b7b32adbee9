"""Adapt the rules of `ner` to people's corrections. Training takes seconds.

Each word starts with the log-odds that the rules' scorecard gives to its phrase. A penalised logistic regression
changes them. Its features are the rules that apply, the word's form and its place in the sentence. If cross-validation
over the corrected examples shows no gain, the rules stay unchanged. Only the corrected set is stored: the same set
gives the same classifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import log
from typing import Any, Final

from tif.annotate.models.word_spans import joined
from tif.annotate.rules.learned_fit import Table, learn
from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import LearnedOptions, NerOptions
from tif.annotate.rules.places import BLANK
from tif.annotate.rules.questions import Question
from tif.annotate.rules.scorecard import RULES, by_form, candidates, score, unwanted
from tif.errors import UsageError
from tif.sets import store
from tif.spans import CONFIRMED, Example

OFFSET: Final = log(0.4 / 0.6)
"""Log-odds above which a word is marked. The best threshold for F1 is half the best F1 (Lipton et al. 2014)."""

_SCALE: Final = 1.5
"""Log-odds of a point on the scorecard."""

_STEP: Final = 0.125
"""Half of the scorecard's smallest step: a sum of 0 is not marked."""

_OUTSIDE: Final = -4.0
"""Log-odds of a word outside every phrase. The rules never mark such a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word, its prior log-odds and its features."""

    start: int
    end: int
    phrase: int
    """Start of the word's phrase; -1 outside every phrase."""
    prior: float
    """Log-odds by the rules, minus OFFSET."""
    features: dict[str, float]


class LearnedAnnotator:
    """Marks the words that the people who corrected the set `learn_from` would mark.

    Raises:
        UsageError: if the set has no corrected example, or its corrected examples mark no word or every word.
        MissingError: if the pipeline is not installed.
        StoreError: if the set cannot be read.
    """

    name = "learned"

    def __init__(self, options: LearnedOptions) -> None:
        import numpy as np
        from sklearn.feature_extraction import DictVectorizer

        teacher = store.load(options.learn_from)
        self._digest = teacher.digest
        decided = [example for example in teacher if example.status in CONFIRMED]
        self._learned_from = len(decided)
        self._rules = NerAnnotator(NerOptions(spacy_model=options.spacy_model))
        words: list[Word] = []
        marked: list[bool] = []
        weight: list[int] = []
        number: list[int] = []
        for example, parsed in self._rules.parsed(decided):
            if isinstance(parsed, str):
                continue
            at = number[-1] + 1 if number else 0
            for word in _words(*parsed):
                words.append(word)
                marked.append(any(s.start < word.end and word.start < s.end for s in example.spans))
                weight.append(sum(map(str.isalnum, example.text[word.start : word.end])))
                number.append(at)
        if len(set(marked)) < 2:
            raise UsageError(
                f"{len(decided)} corrected examples leave nothing to learn",
                where="--from",
                why="they must contain marked and unmarked words",
                hint="Accept or correct examples first: tif spans edit.",
            )
        self._vectorizer = DictVectorizer()
        x = self._vectorizer.fit_transform(word.features for word in words).tocsr()
        table = Table(
            x=x,
            prior=np.array([word.prior for word in words]),
            weight=np.array(weight),
            marked=np.array(marked),
            example=np.array(number),
        )
        self._weights = learn(table, OFFSET)

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: the corrected set, the rules, and whether learning brought a gain."""
        return {
            "name": self.name,
            "version": 2,
            "from": self._digest,
            "examples": self._learned_from,
            "gain": self._weights is not None,
            "rules": self._rules.describe(),
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in order. An example that the pipeline cannot process comes back as failed."""
        for example, parsed in self._rules.parsed(examples):
            if isinstance(parsed, str):
                yield example.with_spans((), status="failed", error=parsed)
                continue
            words = _words(*parsed)
            odds = [word.prior for word in words]
            if self._weights is not None and words:
                odds = (odds + self._vectorizer.transform(w.features for w in words) @ self._weights).tolist()
            yield example.with_spans(joined(example.text, _chosen(words, odds), source="learned"), status="auto")


def _chosen(words: list[Word], odds: list[float]) -> Iterator[tuple[tuple[int, int], float]]:
    """Yield places with the mean probability of their words. Marked neighbours in one phrase form one place."""
    from scipy.special import expit

    def together(pair: tuple[int, tuple[Word, float]]) -> tuple[bool, int]:
        number, (word, above) = pair
        return above > 0, word.phrase if word.phrase >= 0 else -2 - number

    for (marked, _), run in groupby(enumerate(zip(words, odds, strict=True)), key=together):
        if marked:
            inside = [pair for _, pair in run]
            chance = sum(float(expit(OFFSET + above)) for _, above in inside) / len(inside)
            yield (inside[0][0].start, inside[-1][0].end), chance


def _words(doc: Any, prompt: Any) -> list[Word]:
    """Return the words of a parsed text, each with the rules' points and its features."""
    question = Question.of(prompt.text)
    # By token: start of its phrase, points above the rules' threshold, features of the phrase.
    inside: dict[int, tuple[int, float, dict[str, float]]] = {}
    if prompt.text.strip() and doc.lang_ == "en":
        for c in candidates(doc, prompt):
            root = c.phrase.root
            features = {f"in={c.phrase.kind}": 1.0, f"dep={c.dep}": 1.0, f"head={root.head.lower_}": 1.0}
            features |= {f"asks={question.asks},in={c.phrase.kind}": 1.0, f"opener={c.phrase.opener}": 1.0}
            features |= {f"rule={applies.__name__}": 1.0 for _, applies in RULES if applies(c)}
            for token in doc.char_span(c.phrase.start, c.phrase.end, alignment_mode="expand"):
                inside[token.i] = (c.phrase.start, score(c) - _STEP, features)
        for start, end, label in by_form(doc, question):
            for token in doc.char_span(start, end, alignment_mode="expand") if label != BLANK else ():
                inside[token.i] = (start, 1.0, {"in=personal": 1.0})
    else:
        for start, end, _ in unwanted(doc, prompt, language=doc.lang_):
            for token in doc.char_span(start, end, alignment_mode="expand"):
                inside[token.i] = (start, 1.0, {"in=personal": 1.0})
    words = []
    for token in doc:
        if not any(map(str.isalnum, token.text)):
            continue
        phrase, points, shared = inside.get(
            token.i, (-1, _OUTSIDE / _SCALE, {"in=none": 1.0, f"dep={token.dep_}": 1.0})
        )
        own = {"always": 1.0, f"pos={token.pos_}": 1.0, f"ent={token.ent_type_ or '-'}": 1.0}
        own |= {f"lemma={token.lower_}": 1.0, "given": float(question.gives([token.text]))}
        end = token.idx + len(token)
        words.append(Word(start=token.idx, end=end, phrase=phrase, prior=_SCALE * points, features=shared | own))
    return words


__all__ = ["LearnedAnnotator"]
