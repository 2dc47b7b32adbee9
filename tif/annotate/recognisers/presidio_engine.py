"""Build Presidio's analyzer so that it stays on this machine: installed pipelines, no download, no server."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tif import files
from tif.annotate.recognisers.options import PresidioOptions
from tif.annotate.rules.ner import load_pipeline
from tif.annotate.rules.options import PIPELINE
from tif.errors import InputError, MissingError, UsageError
from tif.packages import install_hint

LOGGER: Final = "presidio-analyzer"
"""The name of Presidio's logger."""

_SECTIONS: Final = (
    "supported_languages", "default_score_threshold", "nlp_configuration", "recognizer_registry",
    "context_aware_enhancer",
)  # fmt: skip
_USELESS: Final = ("parser", "senter", "textcat", "textcat_multilabel", "entity_linker")
"""Components of a pipeline that Presidio does not use."""

_ELSEWHERE: Final = {
    ".third_party.": "sends the texts to a server, and tif runs Presidio on this machine only",
    ".ner.": "loads a model of its own, perhaps from the hub. `tif annotate --method hf` runs such models",
}
"""Presidio's modules with recognisers that tif refuses, and why."""


_OTHER_LANGUAGE: Final = "language is not supported by registry"
"""In the warning of a recogniser for another language than that of the texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Presidio's analyzer for one language."""

    analyzer: Any
    """An `AnalyzerEngine`."""
    language: str
    pipeline: Any
    """The spaCy `Language` that it uses."""
    config: str | None
    """SHA-256 of the config file."""
    warnings: tuple[str, ...] = ()
    """Presidio's warnings about the recognisers that the config lists."""


class Log(logging.Handler):
    """Collects Presidio's warnings instead of printing them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(" ".join(record.getMessage().split()))


@contextmanager
def listening() -> Iterator[Log]:
    """Collect what Presidio logs meanwhile."""
    logger, log = logging.getLogger(LOGGER), Log()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(log)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it logs the same sentences
            yield log
    finally:
        logger.removeHandler(log)
        logger.propagate = propagate


def build(options: PresidioOptions) -> Engine:
    """Return the analyzer that the options ask for.

    Raises:
        MissingError: if Presidio, spaCy or a pipeline is not installed.
        InputError: for a config that Presidio refuses.
        UsageError: for a config that needs a server or a download, or a language that it does not have.
    """
    try:
        import presidio_analyzer
    except ImportError:
        raise MissingError("Presidio is not installed", hint=install_hint("presidio")) from None
    _stay_offline(presidio_analyzer)
    path = options.presidio_config
    if path is None:
        pipeline = load_pipeline(options.spacy_model or PIPELINE, exclude=_USELESS)
        language = str(pipeline.meta["lang"])
        nlp = _nlp_engine(language, pipeline, None)
        with listening():
            analyzer = presidio_analyzer.AnalyzerEngine(nlp_engine=nlp, supported_languages=[language])
        return Engine(analyzer=analyzer, language=language, pipeline=pipeline, config=None)
    config, digest = _read(path)
    _refuse_elsewhere(path, config)
    language, pipeline = _pipeline(path, config, options)
    try:
        with listening() as log:
            analyzer = _from_config(config, language, pipeline)
    except Exception as error:  # Presidio, pydantic and the recognisers raise errors of many types
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError("Presidio refuses this config", where=str(path), why=why) from error
    # The class of a recogniser of the user's own can be anywhere.
    for recognizer in analyzer.registry.recognizers:
        if isinstance(recognizer, presidio_analyzer.RemoteRecognizer):
            raise _refused(path, recognizer.name, _ELSEWHERE[".third_party."])
    messages = tuple(message for message in log.messages if _OTHER_LANGUAGE not in message)
    return Engine(analyzer=analyzer, language=language, pipeline=pipeline, config=digest, warnings=messages)


def _stay_offline(presidio_analyzer: Any) -> None:
    """Let the recogniser of e-mail addresses use the list of domains that came with tldextract.

    At the first address, it would fetch a newer list and write it into the user's cache folder.
    """
    recognizer = presidio_analyzer.predefined_recognizers.EmailRecognizer
    module = import_module(recognizer.__module__)
    domains = module.tldextract
    if not isinstance(domains, _Domains):
        module.tldextract = _Domains(domains.TLDExtract(suffix_list_urls=(), cache_dir=None))  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Domains:
    """Takes the place of the module tldextract in Presidio's module of e-mail addresses."""

    extract: Any


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """Return a config file and its SHA-256. Presidio itself replaces an unreadable one by its defaults."""
    import yaml

    try:
        raw = files.read(path, most=files.MOST_BY_HAND)
        config = yaml.safe_load(raw.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError("cannot be read as YAML", where=str(path), why=" ".join(str(error).split())[:300]) from None
    hint = f"Known sections: {', '.join(_SECTIONS)}."
    if not isinstance(config, dict):
        raise InputError("is no config of Presidio's analyzer", where=str(path), hint=hint)
    for section in config:
        if section not in _SECTIONS:
            raise InputError(f"unknown section {section!r}", where=str(path), hint=hint)
    return config, sha256(raw).hexdigest()


def _refuse_elsewhere(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse recognisers that need a server or a download, before Presidio creates them."""
    from presidio_analyzer import predefined_recognizers

    registry = config.get("recognizer_registry")
    listed = registry.get("recognizers") if isinstance(registry, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        entry = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict) or entry.get("enabled") is False:
            continue
        name = str(entry.get("class_name") or entry.get("name"))
        module = str(getattr(getattr(predefined_recognizers, name, None), "__module__", ""))
        for part, why in _ELSEWHERE.items():
            if part in module:
                raise _refused(path, name, why)


def _refused(path: Path, name: str, why: str) -> UsageError:
    return UsageError(
        f"{name} is not used",
        where=(str(path), "recognizer_registry"),
        why=why,
        hint="Give that recogniser `enabled: false`.",
    )


def _pipeline(path: Path, config: Mapping[str, Any], options: PresidioOptions) -> tuple[str, Any]:
    """Return the language of the texts and its pipeline, loaded. Presidio would download a missing one."""
    models = _models(path, config, options.spacy_model)
    pipeline = None
    if models is None:
        pipeline = load_pipeline(options.spacy_model or PIPELINE, exclude=_USELESS)
        models = {str(pipeline.meta["lang"]): ""}
    listed = config.get("supported_languages")
    known = [str(each) for each in listed if str(each) in models] if isinstance(listed, list) else list(models)
    if not known:
        why = f"its pipelines are for {', '.join(models)}"
        raise InputError("has no pipeline for its languages", where=(str(path), "supported_languages"), why=why)
    language = options.language or known[0]
    if language not in known:
        hint = f"Known: {', '.join(known)}."
        raise UsageError(f"--presidio-config has no language {language!r}", where="--language", hint=hint)
    if options.language is None and len(known) > 1:
        hint = f"Give one of them: {', '.join(known)}."
        raise UsageError("--presidio-config has several languages", where="--language", hint=hint)
    return language, pipeline or load_pipeline(models[language], exclude=_USELESS)


def _models(path: Path, config: Mapping[str, Any], spacy_model: str | None) -> dict[str, str] | None:
    """Return the names of the config's pipelines, by language; None if it names none."""
    nlp = config.get("nlp_configuration")
    if nlp is None:
        return None
    where = (str(path), "nlp_configuration")
    if not isinstance(nlp, dict):
        raise InputError("is not a mapping", where=where)
    if nlp.get("nlp_engine_name", "spacy") != "spacy":
        raise UsageError(
            f"the engine {nlp['nlp_engine_name']!r} is not used",
            where=where,
            why="tif runs Presidio with pipelines of spaCy that are installed",
            hint="Write `nlp_engine_name: spacy`.",
        )
    if "models" not in nlp:
        return None
    if spacy_model is not None:
        raise UsageError("--presidio-config names its own pipelines", where="--spacy-model", hint="Leave it out.")
    models = nlp["models"]
    if not isinstance(models, list) or not models:
        raise InputError("names no pipeline", where=(*where, "models"))
    for entry in models:
        if not isinstance(entry, dict) or not {"lang_code", "model_name"} <= entry.keys():
            raise InputError("each model needs lang_code and model_name", where=(*where, "models"))
    return {str(entry["lang_code"]): str(entry["model_name"]) for entry in models}


def _from_config(config: Mapping[str, Any], language: str, pipeline: Any) -> Any:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

    nlp = _nlp_engine(language, pipeline, (config.get("nlp_configuration") or {}).get("ner_model_configuration"))
    registry = None
    if "recognizer_registry" in config:
        section = {**config["recognizer_registry"], "supported_languages": [language]}
        provider = RecognizerRegistryProvider(registry_configuration=section, nlp_engine=nlp)
        registry = provider.create_recognizer_registry()
    enhancer = config.get("context_aware_enhancer")
    return AnalyzerEngine(
        nlp_engine=nlp,
        registry=registry,
        supported_languages=[language],
        default_score_threshold=config.get("default_score_threshold", 0),
        context_aware_enhancer=LemmaContextAwareEnhancer(**enhancer) if enhancer else None,
    )


def _nlp_engine(language: str, pipeline: Any, configuration: Mapping[str, Any] | None) -> Any:
    """Return Presidio's engine with a pipeline that is loaded already.

    Without a configuration, organisations are on and buildings are places. Types that Presidio has no name for, such as
    sums of money, are left out, as in its own configuration.
    """
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    if configuration is not None:
        model = NerModelConfiguration.from_dict(dict(configuration))
    else:
        names = {**NerModelConfiguration().model_to_presidio_entity_mapping, "FAC": "LOCATION"}
        ignored = [label for label in _labels(pipeline) if label not in names]
        model = NerModelConfiguration(model_to_presidio_entity_mapping=names, labels_to_ignore=ignored)
    models = [{"lang_code": language, "model_name": pipeline.meta["name"]}]
    engine = SpacyNlpEngine(models=models, ner_model_configuration=model)
    engine.nlp = {language: pipeline}
    return engine


def _labels(pipeline: Any) -> Sequence[str]:
    return pipeline.get_pipe("ner").labels if "ner" in pipeline.pipe_names else ()


__all__ = ["LOGGER", "Engine", "Log", "build", "listening"]
