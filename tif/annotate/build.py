"""From a method's name and options, as the command line has them, to an annotator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tif.annotate.base import ANNOTATORS, Annotator, find
from tif.errors import UsageError
from tif.sets import store
from tif.sources import Source

Options = Mapping[str, Any]
"""Options that were given: name as in Python, value as parsed. What was not given is not there."""


def build(method: str, source: Source, out: Path, options: Options) -> Annotator:
    """The annotator of that name, with those options.

    Args:
        method: a name in the registry.
        source: the samples, which `manual` reads its spans from.
        out: the set that will be made; caches live in its folder.
        options: those given. For a third-party annotator they are its keyword arguments.

    Raises:
        UsageError: for an unknown method, or an option that goes with another one.
    """
    cls = find(method)
    if method not in ANNOTATORS:
        try:
            plugin: Annotator = cls(**options)
        except TypeError as error:
            raise UsageError(f"annotator {method!r} does not take these options", why=str(error)) from None
        return plugin
    takes, make = _METHODS[method]
    for name in options:
        if name not in takes:
            owners = [m for m, (names, _) in _METHODS.items() if name in names]
            hint = f"It goes with --method {' or '.join(owners)}." if owners else ""
            raise UsageError(f"--method {method} has no option --{name.replace('_', '-')}", hint=hint)
    return make(source, out, options)


def _ner(_source: Source, _out: Path, options: Options) -> Annotator:
    from tif.annotate.rules.ner import NerAnnotator

    given = dict(options)
    if "labels" in given:
        given["labels"] = [label.strip() for label in given["labels"].split(",") if label.strip()]
    return NerAnnotator(**given)


def _llm(_source: Source, out: Path, options: Options) -> Annotator:
    from tif.annotate.judge.annotator import LlmAnnotator
    from tif.annotate.judge.prompt import JudgePrompt
    from tif.annotate.judge.settings import Settings

    given = dict(options)
    settings = Settings(given.pop("model", ""), **{name: given.pop(name) for name in _ENDPOINT if name in given})
    prompt = JudgePrompt.of(given.pop("policy", None), given.pop("examples", None))
    given.setdefault("cache", store.folder(out) / "judge.sqlite")
    return LlmAnnotator(settings, prompt=prompt, **given)


def _manual(source: Source, _out: Path, _options: Options) -> Annotator:
    from tif.annotate.manual import ManualAnnotator

    return ManualAnnotator(source)


def _mlm(_source: Source, _out: Path, options: Options) -> Annotator:
    from tif.annotate.models.mlm import MlmAnnotator

    return MlmAnnotator(**options)


def _surprisal(_source: Source, _out: Path, options: Options) -> Annotator:
    from tif.annotate.models.surprisal import SurprisalAnnotator

    if "model" not in options or "base_model" not in options:
        raise UsageError("surprisal compares two models", hint="Give --model (knows the data) and --base-model.")
    return SurprisalAnnotator(**options)


def _learned(_source: Source, _out: Path, options: Options) -> Annotator:
    from tif.annotate.rules.learned import LearnedAnnotator

    if "learn_from" not in options:
        raise UsageError("learned needs examples to learn from", hint="Give --from CORRECTED.parquet.")
    return LearnedAnnotator(**options)


_ENDPOINT: Final = (
    "base_url",
    "concurrency",
    "timeout",
    "max_retries",
    "max_reply_tokens",
    "temperature",
    "response_format",
    "max_tokens_total",
)

_JUDGE: Final = ("policy", "examples", "mentions", "fuzzy", "chunk_chars", "overlap_chars", "cache", "fresh")

_METHODS: Final[dict[str, tuple[tuple[str, ...], Callable[[Source, Path, Options], Annotator]]]] = {
    "ner": (("spacy_model", "labels", "patterns", "question_aware", "n_process"), _ner),
    "llm": (("model", *_ENDPOINT, *_JUDGE), _llm),
    "manual": ((), _manual),
    "mlm": (("model", "threshold", "batch_size"), _mlm),
    "surprisal": (("model", "base_model", "threshold", "batch_size"), _surprisal),
    "learned": (("learn_from", "spacy_model"), _learned),
}
"""Method -> the options that it takes, and how it is made."""

__all__ = ["Options", "build"]
