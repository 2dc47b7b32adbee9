"""Offsets in the units that tools count in, converted to code points, which Python and tif count in."""

from __future__ import annotations

from typing import Final, Literal, get_args

from tif.errors import InputError
from tif.text import cluster_starts

OffsetUnit = Literal["codepoint", "utf16", "utf8", "grapheme"]
"""`codepoint`: Python, R. `utf16`: browsers, Java, .NET. `utf8`: bytes, as in Go and Rust. `grapheme`: characters as a
reader sees them; a line end of two characters or a family of emoji counts as one."""

UNITS: Final[tuple[OffsetUnit, ...]] = get_args(OffsetUnit)
_NAMES: Final[dict[OffsetUnit, str]] = {
    "codepoint": "code points",
    "utf16": "UTF-16 units",
    "utf8": "UTF-8 bytes",
    "grapheme": "graphemes",
}


class Offsets:
    """Offsets of one text, both ways.

    Args:
        text: the text that the offsets index.
        unit: the unit of the tool.
    """

    def __init__(self, text: str, unit: OffsetUnit) -> None:
        self._unit = unit
        self._points: dict[int, int] | None = None
        self._length = len(text)
        if unit == "codepoint" or (text.isascii() and (unit != "grapheme" or "\r\n" not in text)):
            return
        if unit == "grapheme":
            self._points = dict(enumerate(cluster_starts(text)))
        else:
            at, self._points = 0, {0: 0}
            for point, char in enumerate(text, start=1):
                # A lone surrogate is no character; it counts one unit, and `Example` refuses it.
                at += (2 if ord(char) > 0xFFFF else 1) if unit == "utf16" else len(char.encode(errors="replace"))
                self._points[at] = point
        self._length = max(self._points)
        self._units = {point: unit for unit, point in self._points.items()}

    def from_point(self, point: int) -> int:
        """Convert an offset in code points to the tool's unit."""
        return point if self._points is None else self._units[point]

    def to_point(self, offset: object, where: str) -> int:
        """Convert an offset of the tool to code points.

        Raises:
            InputError: if the offset is not an integer, is outside the text, or inside a character.
        """
        if type(offset) is not int:
            raise InputError(f"{offset!r} is not a whole number", where=where)
        if not 0 <= offset <= self._length:
            raise InputError(f"{offset} is outside the text's {self._length} {_NAMES[self._unit]}", where=where)
        if self._points is None:
            return offset
        if offset not in self._points:
            raise InputError(f"{offset} is inside a character", where=where, why=f"counted in {_NAMES[self._unit]}")
        return self._points[offset]


__all__ = ["UNITS", "OffsetUnit", "Offsets"]
