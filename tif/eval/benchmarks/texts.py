"""Raw texts without a template: a model continues them, scores them, and is attacked by membership inference on them.

MUSE and LUME use it. The model is loaded only for parts that are not in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tif.console import warn
from tif.eval import processes
from tif.eval.benchmarks.tofu import ExampleRow
from tif.eval.completions import cached_completions
from tif.eval.measure import privacy
from tif.eval.measure.score import Scored, score
from tif.eval.parts import PartsCache
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding
from tif.tokens.generate import end_ids, text_ids
from tif.tokens.limits import Limits

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WINDOW: Final = 2048
"""Membership inference reads this many tokens of a text."""


@dataclass(frozen=True, slots=True)
class Inference:
    """Membership inference attacks that need more than scores: a base model, or a backward pass per text."""

    base: Callable[[], PreTrainedModel] | None = None
    """Returns the base model. It has the same tokenizer and never saw the texts."""
    digest: str = ""
    """Digest of the base model."""
    gradnorm: bool = False
    """Whether to compute the gradient norm."""

    def norms(
        self,
        load: Callable[[], PreTrainedModel],
        encoder: Encoder,
        examples: Sequence[Example],
        name: str,
        cache: PartsCache,
    ) -> list[float]:
        """Return the gradient norm of each text, from the cache or by a backward pass each.

        Args:
            load: loads the evaluated model.
            encoder: encodes the texts.
            examples: the texts.
            name: the part's name in the cache.
            cache: the evaluation's parts cache.
        """

        def work(share: Sequence[Example]) -> list[float]:
            values = []
            with processes.shown(f"gradients of {name.replace('_', ' ')}", len(share)) as advance:
                for example in share:
                    loaded = load()
                    values.append(privacy.gradnorm(loaded, within(encoder, loaded), example))
                    advance()
            return values

        key = tokens(encoder, examples)
        norms = cache.values(f"{name}.gradnorm", key, lambda: {"gradnorm": processes.split(examples, work)})
        return norms["gradnorm"]


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model that is loaded only for parts that are not in the cache."""

    load: Callable[[], PreTrainedModel]
    tokenizer: PreTrainedTokenizerBase
    cache: PartsCache

    def completions(self, name: str, prompts: Sequence[str], tokens: int, stop: tuple[str, ...]) -> list[str]:
        """Return the greedy continuation of each text."""
        coded, ends = [text_ids(prompt, self.tokenizer) for prompt in prompts], end_ids(self.tokenizer)
        return cached_completions(
            self.load, self.tokenizer, coded, name=f"{name}.completions", doing=f"completing {name}",
            tokens=tokens, ends=ends, stop=stop, cache=self.cache,
        )  # fmt: skip

    def scores(self, name: str, encoder: Encoder, examples: Sequence[Example], *, digest: str = "") -> list[Scored]:
        """Return the scores of texts in their order. `digest` is that of a model other than the evaluated one."""

        def work(share: Sequence[Example]) -> list[Scored]:
            loaded = self.load()
            fitting = within(encoder, loaded)
            longest = fitting.encoding.max_length
            if fitting is not encoder and any(len(encoder.encode(example)) > (longest or 0) for example in share):
                warn(f"{name}: the model has {longest} positions, so it reads the first {longest} tokens of a text")
            with processes.shown(f"scoring {name}", len(share)) as advance:
                return score(loaded, fitting, share, advance=advance)

        key = [*tokens(encoder, examples), digest]
        by_id = self.cache.scores(f"{name}.scores", key, lambda: processes.split(examples, work))
        return [by_id[example.id] for example in examples]

    def membership(self, name: str, texts: Mapping[str, str], inference: Inference) -> list[ExampleRow]:
        """Return the value of every attack for each text, one row per text.

        Args:
            name: the part's name, for the cache.
            texts: the texts by id.
            inference: the attacks that need more than scores.
        """
        examples = [Example(id_, "", text) for id_, text in texts.items()]
        encoder = Encoder.of(self.tokenizer, Encoding(supervise_eos=False, max_length=WINDOW))
        scores = self.scores(name, encoder, examples)
        columns = privacy.attacks(scores, list(texts.values()))
        if inference.base is not None:
            other = replace(self, load=inference.base)
            base = other.scores(f"{name}.reference", encoder, examples, digest=inference.digest)
            columns["reference"] = [privacy.reference(a, b) for a, b in zip(scores, base, strict=True)]
        if inference.gradnorm:
            columns["gradnorm"] = inference.norms(self.load, encoder, examples, name, self.cache)
        return [{"id": e.id} | {name: values[i] for name, values in columns.items()} for i, e in enumerate(examples)]


def within(encoder: Encoder, model: PreTrainedModel) -> Encoder:
    """Return an encoder whose texts end at the last position that the model has."""
    positions, longest = Limits.of(model).positions, encoder.encoding.max_length
    if positions is None or (longest is not None and longest <= positions):
        return encoder
    return replace(encoder, encoding=encoder.encoding.but(max_length=positions))


def tokens(encoder: Encoder, examples: Sequence[Example]) -> list[object]:
    """Return what a score depends on: each text's tokens, and which of them are scored."""
    return [[item.id, item.input_ids, item.kinds, item.offsets] for item in map(encoder.encode, examples)]


__all__ = ["WINDOW", "Inference", "TextModel", "tokens", "within"]
