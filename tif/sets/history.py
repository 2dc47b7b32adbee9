"""The versions of a set, and the damage among their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tif.errors import StoreError
from tif.spans import Provenance, Version


@dataclass(frozen=True, slots=True)
class History:
    """The versions of a set."""

    entries: tuple[tuple[Version, Provenance], ...]
    """Versions with their provenance, oldest first."""
    damage: tuple[StoreError, ...]
    """One error for each file that cannot be read."""

    def check(self, path: str | Path) -> None:
        """Raise if a file cannot be read.

        Raises:
            StoreError: naming the first of them.
        """
        if self.damage:
            files_are = "1 file is" if len(self.damage) == 1 else f"{len(self.damage)} files are"
            raise StoreError(
                f"{files_are} damaged",
                where=str(path),
                why=", ".join(self.damage[0].where),
                hint="The other versions can be used. `tif spans check` compares every file with its digest.",
            )


__all__ = ["History"]
