"""Learn from what people corrected: a small classifier over spaCy's analysis, trained anew in seconds at each run.

It begins from the rules of `ner`, whose decision is one of a word's features, and learns where people decide otherwise.
Nothing is stored but the corrected set: the same set gives the same classifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tif import store
from tif.annotate.ner import DEFAULT_MODEL, NerAnnotator, load_pipeline
from tif.annotate.word_spans import joined
from tif.errors import UsageError
from tif.spans import Example

DECIDED = frozenset({"accepted", "corrected"})
"""Statuses of the examples that it learns from."""


class LearnedAnnotator:
    """Word by word: would the people who corrected `learn_from` mark it?

    Args:
        learn_from: an annotation set; its accepted and corrected examples are learned from.
        spacy_model: the pipeline that analyses the text.

    Raises:
        UsageError: if nobody has corrected anything in the set, or nothing or everything is marked.
        MissingError: if the pipeline is not installed.
        StoreError: if the set cannot be read.
    """

    name = "learned"

    def __init__(self, learn_from: str | Path, *, spacy_model: str = DEFAULT_MODEL) -> None:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        teacher = store.load(learn_from)
        self._digest = teacher.digest
        decided = [example for example in teacher if example.status in DECIDED]
        self._learned_from = len(decided)
        self._nlp = load_pipeline(spacy_model)
        self._rules = NerAnnotator(spacy_model)
        features: list[dict[str, Any]] = []
        marked: list[bool] = []
        for example, doc, seen in self._analysed(decided):
            features += seen
            marked += [any(s.start < t.idx + len(t) and t.idx < s.end for s in example.spans) for t in _words(doc)]
        if len(set(marked)) < 2:
            raise UsageError(
                f"{len(decided)} corrected examples leave nothing to learn",
                where="--from",
                why="there must be marked and unmarked words",
                hint="Accept or correct some examples first: tif spans edit.",
            )
        self._model = make_pipeline(DictVectorizer(), LogisticRegression(C=0.3, max_iter=1000))
        self._model.fit(features, marked)

    def describe(self) -> dict[str, Any]:
        """The method's provenance: what was learned from, and with which rules."""
        return {
            "name": self.name,
            "version": 1,
            "from": self._digest,
            "examples": self._learned_from,
            "rules": self._rules.describe(),
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Every example, in order."""
        for example, doc, features in self._analysed(examples):
            words = _words(doc)
            chances = self._model.predict_proba(features)[:, 1].tolist() if words else []
            chosen = [((t.idx, t.idx + len(t)), p) for t, p in zip(words, chances, strict=True) if p > 0.5]
            yield example.with_spans(joined(example.text, chosen, source="learned"), status="auto")

    def _analysed(self, examples: Iterable[Example]) -> Iterator[tuple[Example, Any, list[dict[str, Any]]]]:
        """Each example with its parse and the features of its words."""
        for example in examples:
            (ruled,) = self._rules.annotate([example.with_spans((), status="auto")])
            doc = self._nlp(example.text)
            yield example, doc, _features(doc, self._nlp(example.prompt), ruled)


def _words(doc: Any) -> list[Any]:
    return [token for token in doc if not token.is_space and not token.is_punct]


def _features(doc: Any, prompt: Any, ruled: Example) -> list[dict[str, Any]]:
    """What is known of each word: its form, its place in the sentence, the question, and what the rules say."""
    asked = {t.lower_ for t in prompt} | {t.lemma_.lower() for t in prompt}
    kind = next((t.lower_ for t in prompt if t.tag_ in ("WDT", "WP", "WP$", "WRB")), "none")
    words = _words(doc)
    by_rule = [any(s.start < t.idx + len(t) and t.idx < s.end for s in ruled.spans) for t in words]
    given = [t.lower_ in asked or t.lemma_.lower() in asked for t in words]
    found = []
    for at, token in enumerate(words):
        row: dict[str, Any] = {
            "bias": 1.0,
            "rule": by_rule[at],
            "given": given[at],
            f"pos={token.pos_}": 1.0,
            f"dep={token.dep_}": 1.0,
            f"ent={token.ent_type_ or '-'}": 1.0,
            f"kind={kind},pos={token.pos_}": 1.0,
            f"pos={token.pos_},given={given[at]},rule={by_rule[at]}": 1.0,
            f"head={token.head.pos_}": 1.0,
            f"head_lemma={token.head.lemma_.lower()}": 0.5,
            f"lemma={token.lemma_.lower()}": 0.5,
            "title": token.is_title,
            "stop": token.is_stop,
            "number": token.like_num,
            "later": token.i / max(1, len(doc)),
        }
        for step in (-1, 1):
            inside = 0 <= at + step < len(words)
            row[f"{step:+d}:pos={words[at + step].pos_ if inside else 'edge'}"] = 1.0
            row[f"{step:+d}:rule"] = inside and by_rule[at + step]
            row[f"{step:+d}:given"] = inside and given[at + step]
        found.append(row)
    return found


__all__ = ["DECIDED", "LearnedAnnotator"]
