"""The interface of an annotator, and its inputs besides its options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from tif.spans import Example

if TYPE_CHECKING:
    from tif.sources import Source

OBSERVED: Final = ("usage", "observed")
"""Keys of `Annotator.describe()` for observations of a run, such as tokens spent or features of a server. They go into
the provenance. The key that identifies finished work leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The inputs of an annotator besides its options."""

    source: Source
    """The samples."""
    folder: Path
    """Folder of the set's versions and of caches."""
    fresh: bool = False
    """Whether to repeat the finished work of earlier runs."""
    encoding: str | None = None
    """The encoding that the user names for text files."""


class Annotator(Protocol):
    """Marks spans in the texts of samples.

    An annotator is created from its options alone, as `Mine(options)`. One that needs more inputs has a class method
    `from_workspace(options, workspace)`.
    """

    name: str
    """The name for `--method`, such as `ner`."""

    def describe(self) -> dict[str, object]:
        """Return the method's provenance, as plain JSON values without secrets.

        It contains `name`, every setting that changes the outcome, and `version`: a number to raise whenever the same
        settings would give other spans. These values and the example identify finished work. Values that are known only
        after the run go under the keys `OBSERVED`.
        """
        ...

    def annotate(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield every example exactly once, with spans, in any order, as soon as it is finished.

        An example that cannot be annotated comes back with `status="failed"` and the reason in `error`. Raise a
        `TifError` only if no further work is possible, such as for a missing model or a refused key.
        """
        ...


__all__ = ["OBSERVED", "Annotator", "Workspace"]
