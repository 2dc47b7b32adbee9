"""Mark what Microsoft's Presidio recognises: names by a spaCy pipeline, and numbers and addresses by its patterns.

Presidio returns overlapping results, each with a score. Here, the most certain result keeps its words. Nothing is sent
anywhere and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from itertools import islice
from typing import Any, Final

from tif.annotate.recognisers.options import PresidioOptions
from tif.annotate.recognisers.overlaps import without_overlaps
from tif.annotate.recognisers.presidio_engine import build, listening
from tif.console import warn
from tif.entities import ENTITY_TYPES, label_of
from tif.errors import UsageError
from tif.spans import Example, Span

_TIMED_OUT: Final = "timed out"
"""In the warning of a pattern that was given up, so that its matches are missing."""


class PresidioAnnotator:
    """Marks the entities that Presidio recognises in the text. It does not read the prompt.

    Raises:
        MissingError: if Presidio, spaCy or the pipeline is not installed.
        InputError: for a config that cannot be read, or that Presidio refuses.
        UsageError: for an entity type that no recogniser has, or a config that needs a server or a download.
    """

    name = "presidio"

    def __init__(self, options: PresidioOptions | None = None) -> None:
        self._options = options = options or PresidioOptions()
        self._warned: set[str] = set()
        self._engine = build(options)
        self._warn(self._engine.warnings)
        self._analyzer = self._engine.analyzer
        known = sorted(self._analyzer.get_supported_entities(self._engine.language))
        self._entities = _chosen(options.entities, known)

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: everything that changes the outcome."""
        meta = self._engine.pipeline.meta
        recognizers = self._analyzer.registry.get_recognizers(language=self._engine.language, all_fields=True)
        return {
            "name": self.name,
            "version": 1,
            "model": f"{meta['lang']}_{meta['name']}",
            "model_version": meta["version"],
            "language": self._engine.language,
            "config": self._engine.config,
            "recognizers": sorted({recognizer.name for recognizer in recognizers}),
            "entities": sorted(self._entities) if self._entities is not None else None,
            "threshold": self._options.threshold,
            "libraries": {name: metadata.version(name) for name in ("presidio-analyzer", "phonenumbers", "tldextract")},
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example with its spans, in order. One that Presidio cannot process comes back as failed."""
        waiting = iter(examples)
        while batch := list(islice(waiting, self._options.batch_size)):
            for example, artifacts in zip(batch, self._parsed([e.text for e in batch]), strict=True):
                yield self._annotated(example, artifacts)

    def _parsed(self, texts: Sequence[str]) -> Sequence[Any]:
        """Return Presidio's view of each text as its pipeline parsed it, or the error of a text."""
        nlp, language = self._analyzer.nlp_engine, self._engine.language
        with listening() as log:
            try:
                parsed = [artifacts for _, artifacts in nlp.process_batch(texts, language, batch_size=len(texts))]
            except Exception as error:  # components of a pipeline raise errors of any type
                # One bad text fails its batch. Process each text alone, so that only the bad one fails.
                parsed = [error] if len(texts) == 1 else [one for text in texts for one in self._parsed([text])]
        self._warn(log.messages)
        return parsed

    def _annotated(self, example: Example, artifacts: Any) -> Example:
        if isinstance(artifacts, Exception):
            return _failed(example, f"{type(artifacts).__name__}: {artifacts}")
        with listening() as log:
            try:
                results = self._analyzer.analyze(
                    example.text,
                    self._engine.language,
                    entities=self._entities,
                    score_threshold=self._options.threshold,
                    nlp_artifacts=artifacts,
                )
                spans = without_overlaps(example.text, map(_span, results))
            except Exception as error:  # a recogniser of the user's own can raise anything
                return _failed(example, f"{type(error).__name__}: {error}")
        if missing := [message for message in log.messages if _TIMED_OUT in message]:
            return _failed(example, missing[0])
        self._warn(log.messages)
        return example.with_spans(spans, status="auto")

    def _warn(self, messages: Iterable[str]) -> None:
        """Repeat a warning of Presidio once."""
        for message in dict.fromkeys(messages):
            if message not in self._warned:
                self._warned.add(message)
                warn(f"Presidio: {message}")


def _span(result: Any) -> Span:
    recognizer = (result.recognition_metadata or {}).get("recognizer_name", "")
    source = f"presidio:{recognizer}" if recognizer else "presidio"
    return Span(result.start, result.end, label_of(result.entity_type, "presidio"), source, round(result.score, 4))


def _failed(example: Example, error: str) -> Example:
    return example.with_spans((), status="failed", error=" ".join(error.split())[:300])


def _chosen(entities: Sequence[str] | None, known: Sequence[str]) -> list[str] | None:
    """Return Presidio's types that `--entities` names, by their own names or by their canonical ones.

    Raises:
        UsageError: for a name that fits none.
    """
    if entities is None:
        return None
    labels = {name: label_of(name, "presidio") for name in known}
    for entity in entities:
        if entity not in labels and entity not in labels.values():
            names = sorted({*labels, *(label for label in labels.values() if label in ENTITY_TYPES)})
            raise UsageError(
                f"these recognisers have no entity type {entity!r}",
                where="--entities",
                hint=f"Known: {', '.join(names)}.",
            )
    return [name for name, label in labels.items() if name in entities or label in entities]


__all__ = ["PresidioAnnotator"]
