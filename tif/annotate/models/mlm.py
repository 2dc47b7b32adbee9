"""The paper's discriminative identifier: words that a masked language model guesses are general, all others unwanted.

Zhou et al., "Not All Tokens Are Meant to Be Forgotten" (arXiv 2506.03142): the model reads the question and the answer,
with one word of the answer masked at a time. The word is general if the model's first guess is that word. The authors
compare words with their punctuation, so a word with punctuation never matches. This code leaves punctuation out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tif.annotate.models.options import MlmOptions
from tif.annotate.models.word_spans import joined, word_bounds
from tif.errors import InputError
from tif.spans import Example

if TYPE_CHECKING:
    from torch import Tensor


class MlmAnnotator:
    """Marks the words that a masked language model does not guess from the question and the rest of the answer.

    Raises:
        MissingError: if the model does not exist.
        InputError: if it is not a masked language model.
    """

    name = "mlm"

    def __init__(self, options: MlmOptions | None = None) -> None:
        from transformers import AutoModelForMaskedLM

        from tif.tokens.models import load_tokenizer, model_digest

        self._options = options = options or MlmOptions()
        self._tokenizer = load_tokenizer(options.model)
        if self._tokenizer.mask_token_id is None:
            raise InputError(
                "this model's tokenizer has no mask token",
                where=options.model,
                hint="Give --model a masked language model, such as distilroberta-base.",
            )
        try:
            self._model = AutoModelForMaskedLM.from_pretrained(options.model, use_safetensors=True).eval()
        except (OSError, ValueError) as error:
            raise InputError("is not a masked language model", where=options.model, why=str(error)[:160]) from None
        self._longest = self._model.config.max_position_embeddings - 2
        self._stride = min(64, self._longest // 4)
        self._digest = model_digest(self._model)

    def describe(self) -> dict[str, object]:
        """Return the method's provenance."""
        return {
            "name": self.name,
            "version": 1,
            "model": self._options.model,
            "model_digest": self._digest,
            "threshold": self._options.threshold,
        }

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example, in order. A long text has overlapping windows; each word uses that with most context."""
        for example in examples:
            yield self._annotated(example)

    def _annotated(self, example: Example) -> Example:
        words = word_bounds(example.text)
        if not words:
            return example.with_spans((), status="auto")
        # Only the text is shortened. The tokenizer raises an error if that is not enough.
        prompt = len(self._tokenizer(example.prompt, add_special_tokens=False, verbose=False)["input_ids"])
        room = self._longest - self._tokenizer.num_special_tokens_to_add(pair=True) - prompt
        if room < 1:
            error = f"the prompt has {prompt} tokens and leaves no room for the text: the model takes {self._longest}"
            return example.with_spans((), status="failed", error=error)
        windows = self._tokenizer(
            example.prompt,
            example.text,
            truncation="only_second",
            max_length=self._longest,
            stride=self._stride if self._stride < room else room // 2,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        homes = [self._home(word, windows) for word in words]
        if None in homes:
            lost = words[homes.index(None)]
            error = f"{example.text[lost[0] : lost[1]]!r} and the prompt are too long for one window"
            return example.with_spans((), status="failed", error=error)
        known = self._guessed(windows, [home for home in homes if home is not None])
        unwanted = [(word, 1.0 - p) for word, (right, p) in zip(words, known, strict=True) if not right]
        return example.with_spans(joined(example.text, unwanted, source=f"mlm:{self._options.model}"), status="auto")

    def _home(self, word: tuple[int, int], windows: Any) -> tuple[int, list[int]] | None:
        """Return the window in which the word is furthest from an edge, and its tokens there."""
        home = None
        best = -1
        for number in range(len(windows["input_ids"])):
            of_text = [i for i, part in enumerate(windows.sequence_ids(number)) if part == 1]
            offsets = windows["offset_mapping"][number]
            tokens = [i for i in of_text if offsets[i][0] < word[1] and word[0] < offsets[i][1]]
            complete = tokens and offsets[tokens[0]][0] <= word[0] and word[1] <= offsets[tokens[-1]][1]
            margin = min(tokens[0] - of_text[0], of_text[-1] - tokens[-1]) if tokens else -1
            if complete and margin > best:
                best, home = margin, (number, tokens)
        return home

    def _guessed(self, windows: Any, homes: list[tuple[int, list[int]]]) -> list[tuple[bool, float]]:
        """Return for each word whether all its tokens are the first guess, and its least likely token's probability."""
        import torch

        answers: list[tuple[bool, float]] = []
        for begin in range(0, len(homes), self._options.batch_size):
            batch = homes[begin : begin + self._options.batch_size]
            rows = [list(windows["input_ids"][number]) for number, _ in batch]
            for row, (_, tokens) in zip(rows, batch, strict=True):
                for token in tokens:
                    row[token] = self._tokenizer.mask_token_id
            padded = self._tokenizer.pad({"input_ids": rows}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**padded).logits
            for at, (number, tokens) in enumerate(batch):
                target = torch.tensor([windows["input_ids"][number][t] for t in tokens])
                answers.append(self._judged(logits[at, tokens].float(), target))
        return answers

    def _judged(self, logits: Tensor, target: Tensor) -> tuple[bool, float]:
        """Judge one word. logits [k, V], target [k]. Case is ignored, as in the paper's TOFU runs."""
        p, best = logits.softmax(-1).max(-1)
        same = all(
            self._tokenizer.decode([int(a)]).strip().casefold() == self._tokenizer.decode([int(b)]).strip().casefold()
            for a, b in zip(best, target, strict=True)
        )
        sure = float(p.min())
        own = float(logits.softmax(-1).gather(-1, target[:, None]).min())
        return same and sure >= self._options.threshold, own


__all__ = ["MlmAnnotator"]
