"""What an annotator is, and where annotators are found.

A third-party package adds one through an entry point:

    [project.entry-points."tif.annotators"]
    mine = "my_package:MyAnnotator"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final, Protocol

from tif import plugins
from tif.spans import Example

GROUP: Final = "tif.annotators"
"""The entry-point group of third-party annotators."""

ANNOTATORS: Final[dict[str, tuple[str, str]]] = {
    "ner": ("tif.annotate.rules.ner", "NerAnnotator"),
    "llm": ("tif.annotate.judge.annotator", "LlmAnnotator"),
    "manual": ("tif.annotate.manual", "ManualAnnotator"),
    "mlm": ("tif.annotate.models.mlm", "MlmAnnotator"),
    "surprisal": ("tif.annotate.models.surprisal", "SurprisalAnnotator"),
    "learned": ("tif.annotate.rules.learned", "LearnedAnnotator"),
}
"""The built-in annotators: name -> (module, class). Imported only when asked for: most of them are heavy."""

OBSERVED: Final = ("usage", "observed")
"""Keys of `Annotator.describe()` that hold what a run found out (tokens spent, what a server can do) rather than what
was asked for. They go into the provenance and stay out of the key under which finished work is found again."""


class Annotator(Protocol):
    """Text in, spans out."""

    name: str
    """As in the registry, e.g. `ner`."""

    def describe(self) -> dict[str, Any]:
        """The method's provenance, in plain JSON values and without any secret.

        Must hold `name` and `version` (a number to raise whenever the same settings would give other spans), and every
        setting that changes the outcome: by these, and by the example itself, finished work is found again. What is
        only known afterwards stands under the keys `OBSERVED`.
        """
        ...

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example exactly once, with spans, in any order, as soon as it is finished.

        An example that cannot be done comes back with `status="failed"` and `error` saying why. Only what stops all
        further work (a missing model, a refused key) is raised, as a `TifError`.
        """
        ...


def names() -> list[str]:
    """Every annotator that can be asked for: the built-in ones first, then those of other packages."""
    return plugins.names(GROUP, ANNOTATORS)


def find(name: str) -> type[Any]:
    """The annotator class of that name.

    Raises:
        UsageError: if there is none.
        MissingError: if its package cannot be imported here.
    """
    if name in ANNOTATORS:
        module, cls = ANNOTATORS[name]
        found: type[Any] = getattr(import_module(module), cls)
        return found
    plugin: type[Any] = plugins.load(GROUP, name, ANNOTATORS, kind="annotator", where="--method")
    return plugin


__all__ = ["ANNOTATORS", "GROUP", "OBSERVED", "Annotator", "find", "names"]
