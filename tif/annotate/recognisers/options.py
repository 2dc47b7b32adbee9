"""Options of the annotators that ask another project's recogniser: `presidio` and `gliner`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from tif.annotate.rules.options import PIPELINE
from tif.options import Option, Options


def _without_config(options: Any, _context: Any) -> str | None:
    return None if options.presidio_config else "the pipeline has one language; it is for --presidio-config"


class PresidioOptions(Options):
    """Options of `presidio`."""

    presidio_config: Annotated[
        Path | None,
        Option(
            "Presidio's YAML file of recognisers, thresholds and pipelines.",
            otherwise="Presidio's own recognisers, and organisations",
        ),
    ] = None
    spacy_model: Annotated[
        str | None,
        Option(
            "spaCy pipeline: the name of an installed package, or a folder.",
            otherwise=f"the one that --presidio-config names, else {PIPELINE}",
        ),
    ] = None
    language: Annotated[
        str | None,
        Option(
            "Language of the texts, such as en, if --presidio-config has several.",
            otherwise="that of the pipeline",
            idle=_without_config,
        ),
    ] = None
    entities: Annotated[
        tuple[str, ...] | None,
        Option("Entity types to mark, such as PERSON,EMAIL, or Presidio's own.", split=True, otherwise="every type"),
    ] = None
    threshold: Annotated[
        float | None,
        Option(
            "Least score of a span. It replaces the thresholds of --presidio-config.",
            least=0,
            most=1,
            otherwise="Presidio's own, which is 0",
        ),
    ] = None
    batch_size: Annotated[int, Option("Texts that the pipeline processes at a time.", least=1)] = 128


class GlinerOptions(Options):
    """Options of `gliner`."""

    model: Annotated[str, Option("GLiNER model: a folder, or a hub id that is in the hub's cache.")]
    entities: Annotated[
        tuple[str, ...] | None,
        Option(
            "What to look for, in words, such as person,e-mail address; or PERSON,EMAIL.",
            split=True,
            otherwise="every type that tif knows",
        ),
    ] = None
    threshold: Annotated[float, Option("Least score of a span.", least=0, most=1)] = 0.5
    window: Annotated[
        int | None,
        Option(
            "Words that the model reads at a time. Longer texts have several windows.",
            least=4,
            otherwise="as many as the model takes",
        ),
    ] = None
    overlap: Annotated[int, Option("Words that two windows share, at most half of one.", least=0)] = 32
    batch_size: Annotated[int, Option("Windows in one forward pass.", least=1)] = 8


__all__ = ["GlinerOptions", "PresidioOptions"]
