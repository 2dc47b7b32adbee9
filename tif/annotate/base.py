"""What an annotator is, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from tif.spans import Example

if TYPE_CHECKING:
    from tif.sources import Source

OBSERVED: Final = ("usage", "observed")
"""Keys of `Annotator.describe()` for what a run observed (tokens spent, what a server can do) rather than what was
asked for. They go into the provenance, and stay out of the key that identifies finished work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What a run gives to an annotator besides its options."""

    source: Source
    """The samples."""
    folder: Path
    """Folder of the set's versions, where caches live too."""
    fresh: bool = False
    """Whether to do again what earlier runs finished."""


class Annotator(Protocol):
    """Text in, spans out.

    An annotator is made from its options alone, as `Mine(options)`. One that needs more has a class method
    `from_workspace(options, workspace)`.
    """

    name: str
    """As in `--method`, such as `ner`."""

    def describe(self) -> dict[str, Any]:
        """The method's provenance, in plain JSON values and without any secret.

        Must hold `name` and `version` (a number to raise whenever the same settings would give other spans), and every
        setting that changes the outcome. These and the example itself identify finished work. What is only known
        afterwards stands under the keys `OBSERVED`.
        """
        ...

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example exactly once, with spans, in any order, as soon as it is finished.

        An example that cannot be done comes back with `status="failed"` and `error` saying why. Only what stops all
        further work (a missing model, a refused key) is raised, as a `TifError`.
        """
        ...


__all__ = ["OBSERVED", "Annotator", "Workspace"]
