"""Which colour and underline the page gives to each source: the same in every session, and for every reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

LOOKS: Final = 6
"""Colours and underlines in the style sheet, `.s0` to `.s5`."""


class Looks:
    """Sources in the order in which they were first seen, each with the number of its look.

    A source's name chooses its look. If an earlier source has that look, the next free one is taken. So a source keeps
    its look when others come or go later.
    """

    def __init__(self, sources: Iterable[str] = ()) -> None:
        self._looks: dict[str, int] = {}
        for source in sources:
            self.of(source)

    @property
    def sources(self) -> list[str]:
        """The known sources, oldest first."""
        return list(self._looks)

    def of(self, source: str) -> int:
        """Return the look of a source, which is known from now on."""
        if source not in self._looks:
            first, taken = crc32(source.encode()) % LOOKS, set(self._looks.values())
            order = [(first + step) % LOOKS for step in range(LOOKS)]
            self._looks[source] = next((look for look in order if look not in taken), first)
        return self._looks[source]


__all__ = ["LOOKS", "Looks"]
