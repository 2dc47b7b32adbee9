"""Mark what a GLiNER model finds: entities of any types, which a user names in words.

GLiNER leaves out the end of a text that is longer than the model's window. So long texts are read here in overlapping
windows. Nothing is sent anywhere and nothing is downloaded.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from tif.annotate.models.windows import context_of, control_tokens
from tif.annotate.recognisers.gliner_model import load, version
from tif.annotate.recognisers.options import GlinerOptions
from tif.annotate.recognisers.word_windows import Room, WordWindow, chosen, word_windows
from tif.entities import ENTITY_TYPES, label_of
from tif.errors import UsageError
from tif.spans import Example, Span, tidy

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "PERSON": ("person",),
    "USERNAME": ("username",),
    "EMAIL": ("email address",),
    "PHONE": ("phone number",),
    "ADDRESS": ("address",),
    "LOCATION": ("location",),
    "DATE_OF_BIRTH": ("date of birth",),
    "DATE": ("date",),
    "AGE": ("age",),
    "ORG": ("organization",),
    "GOV_ID": ("social security number", "passport number", "national id number", "driver license"),
    "ACCOUNT": ("credit card number", "bank account number"),
    "RECORD_ID": ("medical record number", "customer id"),
    "NETWORK": ("ip address", "url"),
    "SECRET": ("password",),
    "DEMOGRAPHIC": ("nationality",),
    "OCCUPATION": ("occupation",),
    "HEALTH": ("medical condition",),
    "AMOUNT": ("monetary amount",),
}
"""The words for each canonical type: a GLiNER model reads words, not names such as GOV_ID. Together no more than the 25
types that models learned to read at a time."""

_LEAST: Final = 16
"""Tokens of a text that a window needs beside the entity types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A window of a text."""

    text: str
    start: int
    """Where it starts in its text, in code points."""
    window: WordWindow
    words: tuple[tuple[int, int], ...]
    """Start and end of all words of the text."""


class GlinerAnnotator:
    """Marks the entities that a GLiNER model finds in the text. It does not read the prompt.

    Raises:
        MissingError: if GLiNER or the model is not on this machine.
        InputError: for a folder without a usable model.
        UsageError: for entity types that fill the model's context, or a window that it cannot read.
    """

    name = "gliner"

    def __init__(self, options: GlinerOptions) -> None:
        self._options = options
        self._types = _asked(options.entities)
        self._loaded = load(options.model)
        self._model = self._loaded.model
        self._finite = True
        self._model.model.register_forward_hook(self._check)
        self._split = self._model.data_processor.words_splitter
        self._room = self._measured_room()

    def _measured_room(self) -> Room:
        config, tokenizer = self._model.config, self._loaded.tokenizer
        words = int(config.max_len)
        if self._options.window is not None:
            if self._options.window > words:
                raise UsageError(f"{self._options.window} words are more than the model's {words}", where="--window")
            words = self._options.window
        context = context_of(self._model.model.token_rep_layer.bert_layer.model, tokenizer)
        tokens = None
        if context is not None:
            # A word longer than this loses its end, and GLiNER knows a word by its first token.
            tokenizer.model_max_length = context
            tokens = context - sum(map(len, control_tokens(tokenizer)))
            if self._loaded.reads_types:
                tokens -= sum(self._tokens([w for type_ in self._types for w in (config.ent_token, type_)]))
                tokens -= sum(self._tokens([config.sep_token]))
            if tokens < _LEAST:
                raise UsageError(
                    f"{len(self._types)} entity types leave no room for a text",
                    where="--entities",
                    why=f"the model reads {context} tokens at a time",
                    hint="Name fewer types.",
                )
        return Room(words=words, tokens=tokens, overlap=self._options.overlap)

    def _tokens(self, words: Sequence[str]) -> list[int]:
        """Return how many tokens each word has."""
        counts = [0] * len(words)
        if words:
            encoding = self._loaded.tokenizer(
                list(words), is_split_into_words=True, add_special_tokens=False, verbose=False
            )
            for word in encoding.word_ids():
                if word is not None:
                    counts[word] += 1
        return counts

    def _check(self, _module: Any, _inputs: Any, output: Any) -> None:
        """Note whether all scores are numbers: GLiNER would drop the others without a word."""
        import torch

        logits = output[0]
        self._finite = not torch.is_tensor(logits) or not bool(logits.isnan().any())

    def describe(self) -> dict[str, object]:
        """Return the method's provenance: everything that changes the outcome."""
        return {
            "name": self.name,
            "version": 1,
            "model": self._options.model,
            "model_digest": self._loaded.digest,
            "tokenizer_digest": self._loaded.tokenizer_digest,
            "entities": list(self._types),
            "threshold": self._options.threshold,
            "window": self._room.words,
            "window_tokens": self._room.tokens,
            "overlap": self._room.overlap,
            "libraries": {"gliner": version()},
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in order. An example that the model cannot read fails."""
        waiting = iter(examples)
        while batch := list(islice(waiting, self._options.batch_size)):
            parts = [list(self._parts(example.text)) for example in batch]
            results = self._read([part for each in parts for part in each])
            for example, each in zip(batch, parts, strict=True):
                yield self._annotated(example, each, results)

    def _parts(self, text: str) -> Iterator[_Part]:
        if not text.strip():
            return
        split = list(self._split(text))
        words = tuple((int(start), int(end)) for _, start, end in split)
        tokens = self._tokens([word for word, _, _ in split])
        readable = _readable(text, [place for place, count in zip(words, tokens, strict=True) if not count])
        for window in word_windows(tokens, self._room):
            start, end = words[window.first][0], words[window.end - 1][1]
            yield _Part(text=readable[start:end], start=start, window=window, words=words)

    def _read(self, parts: Sequence[_Part]) -> dict[int, list[dict[str, Any]] | Exception]:
        """Return GLiNER's results of each window, or its error, by the window's identity."""
        results: dict[int, list[dict[str, Any]] | Exception] = {}
        # Windows of similar length share a batch, so that it has little padding.
        ordered = sorted(parts, key=lambda part: -len(part.text))
        for at in range(0, len(ordered), self._options.batch_size):
            batch = ordered[at : at + self._options.batch_size]
            for part, result in zip(batch, self._inferred([part.text for part in batch]), strict=True):
                results[id(part)] = result
        return results

    def _inferred(self, texts: Sequence[str]) -> Sequence[list[dict[str, Any]] | Exception]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", message=".*truncated")
                self._finite = True
                results: list[list[dict[str, Any]] | Exception] = self._model.inference(
                    list(texts), list(self._types), threshold=self._options.threshold, batch_size=len(texts)
                )
            if not self._finite:
                raise ValueError("scores that are not numbers")
        except Exception as error:  # torch, transformers and GLiNER raise nearly anything
            # One bad text fails its batch. Read each text alone, so that only the bad one fails.
            return [error] if len(texts) == 1 else [one for text in texts for one in self._inferred([text])]
        return results

    def _annotated(
        self, example: Example, parts: Sequence[_Part], results: dict[int, list[dict[str, Any]] | Exception]
    ) -> Example:
        spans: list[tuple[bool, Span]] = []
        source = f"{self.name}:{self._options.model}"
        for part in parts:
            result = results[id(part)]
            if isinstance(result, Exception):
                error = " ".join(f"{self._options.model}: {type(result).__name__}: {result}".split())[:300]
                return example.with_spans((), status="failed", error=error)
            for entity in result:
                start, end = part.start + entity["start"], part.start + entity["end"]
                # The shape of a batch changes the last bits of a score. Four decimals hide that.
                span = Span(start, end, label_of(entity["label"], "gliner"), source, round(float(entity["score"]), 4))
                first = bisect_right(part.words, start, key=lambda word: word[0]) - 1
                last = bisect_left(part.words, end, key=lambda word: word[1])
                spans.append((part.window.owns(first, last), span))
        return example.with_spans(tidy(example.text, chosen(spans)), status="auto")


def _readable(text: str, unread: Sequence[tuple[int, int]]) -> str:
    """Return a text of the same length with other characters in the place of words that have no token.

    GLiNER counts only words with tokens. So after a zero-width joiner, it would mark the words before the right ones.
    """
    characters = list(text)
    for start, end in unread:
        characters[start:end] = ("x" if text[start].isalnum() else ".") * (end - start)
    return "".join(characters)


def _asked(entities: Sequence[str] | None) -> tuple[str, ...]:
    """Return the words that the model is to look for.

    Raises:
        UsageError: for a canonical type without words.
    """
    asked: list[str] = []
    for entity in WORDS if entities is None else entities:
        if entity in WORDS:
            asked += WORDS[entity]
        elif entity in ENTITY_TYPES:
            raise UsageError(
                f"no words for the type {entity}",
                where="--entities",
                hint='Name what to look for, such as "court case".',
            )
        else:
            asked.append(entity)
    return tuple(dict.fromkeys(asked))


__all__ = ["WORDS", "GlinerAnnotator"]
