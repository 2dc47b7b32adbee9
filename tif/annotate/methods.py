"""The registry of annotators: their classes and options, and how to create one.

A third-party package adds an annotator through an entry point. Its class may declare its options as `Options`:

    [project.entry-points."tif.annotators"]
    mine = "my_package:MyAnnotator"

    class MyAnnotator:
        Options = MyOptions  # a subclass of `tif.options.Options`
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from tif import plugins
from tif.annotate.base import Annotator, Workspace
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.manual import ManualOptions
from tif.annotate.models.options import HfOptions, MlmOptions, SurprisalOptions
from tif.annotate.recognisers.options import GlinerOptions, PresidioOptions
from tif.annotate.rules.options import LearnedOptions, NerOptions
from tif.errors import UsageError
from tif.options import Components, Keywords, Options

GROUP: Final = "tif.annotators"
"""The entry-point group of third-party annotators."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """An annotator of tif itself. Its class is imported only on use, because most of them need heavy packages."""

    module: str
    cls: str
    options: type[Options]


ANNOTATORS: Final = {
    "ner": Builtin("tif.annotate.rules.ner", "NerAnnotator", NerOptions),
    "llm": Builtin("tif.annotate.judge.annotator", "LlmAnnotator", JudgeOptions),
    "manual": Builtin("tif.annotate.manual", "ManualAnnotator", ManualOptions),
    "mlm": Builtin("tif.annotate.models.mlm", "MlmAnnotator", MlmOptions),
    "surprisal": Builtin("tif.annotate.models.surprisal", "SurprisalAnnotator", SurprisalOptions),
    "hf": Builtin("tif.annotate.models.hf", "HfAnnotator", HfOptions),
    "presidio": Builtin("tif.annotate.recognisers.presidio", "PresidioAnnotator", PresidioOptions),
    "gliner": Builtin("tif.annotate.recognisers.gliner", "GlinerAnnotator", GlinerOptions),
    "learned": Builtin("tif.annotate.rules.learned", "LearnedAnnotator", LearnedOptions),
}


def names() -> list[str]:
    """Return the names of all annotators: the built-in ones first, then those of other packages."""
    return plugins.names(GROUP, ANNOTATORS)


def find(name: str) -> type[Any]:
    """Return the annotator class with this name.

    Raises:
        UsageError: if no annotator has this name.
        MissingError: if its package cannot be imported.
    """
    if name in ANNOTATORS:
        builtin = ANNOTATORS[name]
        cls: type[Any] = getattr(import_module(builtin.module), builtin.cls)
        return cls
    plugin: type[Any] = plugins.load(GROUP, name, ANNOTATORS, kind="annotator", where="--method")
    return plugin


def make(name: str, options: Options, workspace: Workspace) -> Annotator:
    """Create the annotator with this name from its options.

    Raises:
        UsageError: for an unknown name, or keyword arguments that a plugin does not take.
    """
    cls = find(name)
    if not isinstance(options, Keywords):
        annotator: Annotator = (
            cls.from_workspace(options, workspace) if hasattr(cls, "from_workspace") else cls(options)
        )
        return annotator
    try:
        plugin: Annotator = cls(**options.given)
    except TypeError as error:
        raise UsageError(f"annotator {name!r} does not take these options", why=str(error)) from None
    return plugin


def _options_of_plugin(name: str) -> type[Options]:
    cls = find(name)
    options = getattr(cls, "Options", Keywords)
    if not (isinstance(options, type) and issubclass(options, Options)):
        why = "it must be a subclass of tif.options.Options"
        raise UsageError(f"{cls.__name__}.Options is {options!r}", where=f"annotator {name!r}", why=why)
    return options


METHODS: Final = Components(
    by="method",
    builtin={name: builtin.options for name, builtin in ANNOTATORS.items()},
    plugin=_options_of_plugin,
    names=names,
)
"""The choices of `--method`."""

__all__ = ["ANNOTATORS", "GROUP", "METHODS", "Builtin", "find", "make", "names"]
