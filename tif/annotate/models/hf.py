"""Mark what a token-classification model of transformers finds: names, e-mail addresses, any types that it knows.

transformers' own pipeline cuts entities in BIOES tags and leaves out the end of a long text. So the tags are decoded
here (`tags.py`), and long texts are read in overlapping windows (`windows.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from tif.annotate.models.options import HfOptions
from tif.annotate.models.tags import TagSet, decode
from tif.annotate.models.windows import LONGEST, Window, context_of, control_tokens, merged, windows
from tif.entities import ENTITY_TYPES, label_of
from tif.errors import InputError, UsageError
from tif.spans import Example, Span, tidy

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


class HfAnnotator:
    """Marks the entities that a token-classification model finds in the text. It does not read the prompt.

    Raises:
        MissingError: if the model does not exist.
        InputError: if it is not a token-classification model, or its tokenizer gives no offsets.
        UsageError: for an entity type that the model does not know, or a window that it cannot read.
    """

    name = "hf"

    def __init__(self, options: HfOptions) -> None:
        from tif.tokens.limits import Limits
        from tif.tokens.models import load_token_classifier, load_tokenizer, model_digest, prompting_digest

        self._options = options
        self._model = load_token_classifier(options.model)
        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(options.model)
        self._tags = _tags(options.model, self._model.config.id2label)
        self._types = _chosen(options.entities, self._tags.types)
        self._before, self._after = control_tokens(self._tokenizer)
        self._window = self._checked_window(context_of(self._model, self._tokenizer))
        self._room = self._window - len(self._before) - len(self._after)
        self._overlap = min(options.overlap, self._room // 2)
        self._limits = Limits.of(self._model)
        self._digest = model_digest(self._model)
        self._tokenizer_digest = prompting_digest(options.model, self._tokenizer)

    def _checked_window(self, context: int | None) -> int:
        window, least = self._options.window, len(self._before) + len(self._after) + 2
        if window is not None and context is not None and window > context:
            raise UsageError(f"{window} tokens are more than the model's {context}", where="--window")
        window = min(LONGEST, context or LONGEST) if window is None else window
        if window < least:
            raise UsageError(f"a window of {window} tokens is too short", where="--window", why=f"it needs {least}")
        return window

    def describe(self) -> dict[str, object]:
        """Return the method's provenance."""
        return {
            "name": self.name,
            "version": 1,
            "model": self._options.model,
            "model_digest": self._digest,
            "tokenizer_digest": self._tokenizer_digest,
            "tags": self._tags.scheme,
            "entities": sorted(self._types) if self._options.entities else None,
            "window": self._window,
            "overlap": self._overlap,
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in order. An example that the model cannot read fails."""
        waiting = iter(examples)
        while batch := list(islice(waiting, self._options.batch_size)):
            yield from self._annotated(batch)

    def _annotated(self, examples: Sequence[Example]) -> Iterator[Example]:
        encodings = [
            self._tokenizer(e.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            for e in examples
        ]
        ids = [list(encoding["input_ids"]) for encoding in encodings]
        # Only the largest token may be a fault: windows take care of the length.
        faults = [self._limits.fault([max(tokens, default=0)]) for tokens in ids]
        logits = self._logits([[] if fault else tokens for tokens, fault in zip(ids, faults, strict=True)])
        for number, example in enumerate(examples):
            fault = faults[number]
            scores = logits.get(number)
            if fault is not None:
                yield example.with_spans((), status="failed", error=". ".join(fault))
            elif scores is None:
                yield example.with_spans((), status="auto")
            elif not bool(scores.isfinite().all()):
                error = f"{self._options.model} gives scores that are not numbers for this text"
                yield example.with_spans((), status="failed", error=error)
            else:
                offsets = [(int(a), int(b)) for a, b in encodings[number]["offset_mapping"]]
                yield example.with_spans(self._spans(example.text, offsets, scores), status="auto")

    def _spans(self, text: str, offsets: Sequence[tuple[int, int]], logits: Tensor) -> tuple[Span, ...]:
        source = f"{self.name}:{self._options.model}"
        entities = decode(text, offsets, logits.double().log_softmax(-1).numpy(), self._tags)
        return tidy(
            text,
            [
                # The shape of a batch changes the last bits of a score. Four decimals hide that.
                Span(entity.start, entity.end, label_of(entity.type, "hf"), source, round(entity.score, 4))
                for entity in entities
                if entity.type in self._types
            ],
        )

    def _logits(self, ids: Sequence[Sequence[int]]) -> dict[int, Tensor]:
        """Return the logits of each text that has tokens, by its number."""
        waiting = [
            window
            for number, tokens in enumerate(ids)
            if tokens
            for window in windows(number, len(tokens), self._room, self._overlap)
        ]
        # Windows of similar length share a batch, so that it has little padding.
        waiting.sort(key=lambda window: window.first - window.end)
        masked = "attention_mask" in self._tokenizer.model_input_names
        read: defaultdict[int, list[tuple[Window, Tensor]]] = defaultdict(list)
        size = self._options.batch_size if masked else 1
        for begin in range(0, len(waiting), size):
            batch = waiting[begin : begin + size]
            rows = [[*self._before, *ids[w.text][w.first : w.end], *self._after] for w in batch]
            for window, logits in zip(batch, self._forward(rows, masked=masked), strict=True):
                length = window.end - window.first
                read[window.text].append((window, logits[len(self._before) : len(self._before) + length]))
        return {number: merged(len(ids[number]), len(self._tags.tags), parts) for number, parts in read.items()}

    def _forward(self, rows: Sequence[Sequence[int]], *, masked: bool) -> Tensor:
        """Return the logits of rows of tokens, [rows, tokens, tags]."""
        import torch

        longest = max(map(len, rows))
        padding = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            output = self._model(input_ids=ids, attention_mask=mask) if masked else self._model(input_ids=ids)
        logits: Tensor = output.logits.float()
        return logits


def _tags(model: str, id2label: dict[int, str]) -> TagSet:
    names = [str(id2label[number]) for number in sorted(id2label)]
    tags = TagSet.of(names)
    if not any(tag.place == "outside" for tag in tags.tags):
        raise InputError(
            "no tag of this model means `no entity`",
            where=(model, "config.json", "id2label"),
            why=f"its tags are {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}",
            hint="Name that tag O in config.json.",
        )
    return tags


def _chosen(entities: Sequence[str] | None, types: Sequence[str]) -> frozenset[str]:
    """Return the model's types that `--entities` names, by their own names or by their canonical ones.

    Raises:
        UsageError: for a name that fits none.
    """
    labels = {type_: label_of(type_, "hf") for type_ in types}
    if entities is None:
        return frozenset(types)
    for entity in entities:
        if entity not in labels and entity not in labels.values():
            known = sorted({*labels, *(label for label in labels.values() if label in ENTITY_TYPES)})
            raise UsageError(
                f"this model has no entity type {entity!r}", where="--entities", hint=f"Known: {', '.join(known)}."
            )
    return frozenset(type_ for type_, label in labels.items() if type_ in entities or label in entities)


__all__ = ["HfAnnotator"]
