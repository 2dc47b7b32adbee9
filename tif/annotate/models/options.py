"""Options of the annotators that use a model: `mlm`, `surprisal` and `hf`."""

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
    batch_size: Annotated[int, Option("Masked copies in one forward pass.", least=1)] = 32


class SurprisalOptions(Options):
    """Options of `surprisal`."""

    model: Annotated[str, Option("The model that is to forget: a folder or hub id.")]
    base_model: Annotated[str, Option("The base model, which never saw the forget set: a folder or hub id.")]
    threshold: Annotated[
        float, Option("A word is unwanted if the model's log-probability exceeds the base model's by more nats.")
    ] = 2.0
    batch_size: Annotated[int, Option("Examples in one packed forward pass.", least=1)] = 4


class HfOptions(Options):
    """Options of `hf`."""

    model: Annotated[str, Option("Token-classification model: a folder or hub id.")]
    entities: Annotated[
        tuple[str, ...] | None,
        Option("Entity types to mark, such as PERSON,EMAIL, or the model's own.", split=True, otherwise="every type"),
    ] = None
    window: Annotated[
        int | None,
        Option(
            "Tokens that the model reads at a time. Longer texts have several windows.",
            least=4,
            otherwise="as many as the model takes, at most 512",
        ),
    ] = None
    overlap: Annotated[int, Option("Tokens that two windows share, at most half of one.", least=0)] = 128
    batch_size: Annotated[int, Option("Windows in one forward pass.", least=1)] = 16


__all__ = ["HfOptions", "MlmOptions", "SurprisalOptions"]
