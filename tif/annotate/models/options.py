"""Options of the annotators that ask a language model: `mlm` and `surprisal`."""

from __future__ import annotations

from typing import Annotated

from tif.options import Option, Options


class MlmOptions(Options):
    """Options of `mlm`."""

    model: Annotated[str, Option("Masked language model: a folder or hub id.")] = "distilroberta-base"
    threshold: Annotated[
        float,
        Option("Probability from which a correct first guess makes a word general. The paper uses 0.", least=0, most=1),
    ] = 0.0
    batch_size: Annotated[int, Option("Masked copies in one forward.", least=1)] = 32


class SurprisalOptions(Options):
    """Options of `surprisal`."""

    model: Annotated[str, Option("The model that is to forget: a folder or hub id.")]
    base_model: Annotated[str, Option("The model before it learned the forget set, which never saw it.")]
    threshold: Annotated[float, Option("Nats by which the model must know a word better than the base model.")] = 2.0
    batch_size: Annotated[int, Option("Examples in one packed forward.", least=1)] = 4


__all__ = ["MlmOptions", "SurprisalOptions"]
