"""Options of the annotators by rules: `ner`, and `learned`, which starts from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from tif.options import Option, Options

PIPELINE: Final = "en_core_web_sm"

SpacyModel = Annotated[str, Option("spaCy pipeline: the name of an installed package, or a folder.")]


class NerOptions(Options):
    """Options of `ner`."""

    spacy_model: SpacyModel = PIPELINE
    entities: Annotated[
        tuple[str, ...] | None,
        Option(
            "Entity types to mark, such as PERSON,GPE,DATE.",
            split=True,
            otherwise="every type, and other phrases that answer the prompt",
        ),
    ] = None
    patterns: Annotated[Path | None, Option("JSONL file of spaCy EntityRuler patterns. Always mark their matches.")] = (
        None
    )
    all_entities: Annotated[bool, Option("Mark every entity, also those that the prompt contains.")] = False
    n_process: Annotated[int, Option("Worker processes. They save time only for long texts.", least=1)] = 1
    batch_size: Annotated[int, Option("Texts that the pipeline processes at a time.", least=1)] = 128


class LearnedOptions(Options):
    """Options of `learned`."""

    learn_from: Annotated[
        Path, Option("Annotation set to learn from. Only accepted and corrected examples count.", names=("--from",))
    ]
    spacy_model: SpacyModel = PIPELINE


__all__ = ["PIPELINE", "LearnedOptions", "NerOptions"]
