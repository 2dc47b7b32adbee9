"""The models that an evaluation loads, each at its first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache as once
from typing import TYPE_CHECKING

from tif.errors import InputError
from tif.eval import processes
from tif.eval.benchmarks.texts import Inference
from tif.eval.options import EvaluateOptions
from tif.tokens.models import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def loader(options: EvaluateOptions, spec: str) -> Callable[[], PreTrainedModel]:
    """Return a function that loads the model at its first call."""

    @once
    def load() -> PreTrainedModel:
        device = processes.device(options.device)
        return load_model(spec, dtype=options.dtype).to(device)

    return load


def inference_of(
    options: EvaluateOptions, tokenizer: PreTrainedTokenizerBase, digest_of: Callable[[str], str]
) -> Inference:
    """Return the attacks of membership inference that need a base model or gradients, as far as the options ask.

    Args:
        options: the options of the evaluation.
        tokenizer: of the evaluated model.
        digest_of: returns a model's digest.

    Raises:
        InputError: if the base model has another tokenizer.
    """
    if options.base_model is None:
        return Inference(gradnorm=options.gradnorm)
    if load_tokenizer(options.base_model).get_vocab() != tokenizer.get_vocab():
        raise InputError(
            "has another tokenizer than the model",
            where=f"--base-model {options.base_model}",
            why="their losses are not comparable",
            hint="Give the base model from which the evaluated model was trained.",
        )
    base = loader(options, options.base_model)
    return Inference(base=base, digest=digest_of(options.base_model), gradnorm=options.gradnorm)


__all__ = ["inference_of", "loader"]
