"""Conversion between code points, which Python counts, and UTF-16 units, which browsers count."""

from __future__ import annotations

from tif.errors import InputError


class Utf16:
    """Offsets of one text, both ways. A character beyond U+FFFF, such as an emoji, has two UTF-16 units."""

    def __init__(self, text: str) -> None:
        self._units = [0]
        for char in text:
            self._units.append(self._units[-1] + (2 if ord(char) > 0xFFFF else 1))
        self._points = {unit: point for point, unit in enumerate(self._units)}

    def from_point(self, point: int) -> int:
        """Convert code points to UTF-16 units."""
        return self._units[point]

    def to_point(self, unit: object, where: str) -> int:
        """Convert UTF-16 units to code points.

        Raises:
            InputError: if the offset is not an integer, is outside the text, or inside a character.
        """
        if type(unit) is not int:
            raise InputError(f"{unit!r} is not a whole number", where=where)
        if unit not in self._points:
            inside = 0 <= unit <= self._units[-1]
            problem = "is inside a character" if inside else f"is outside the text's {self._units[-1]} UTF-16 units"
            raise InputError(f"{unit} {problem}", where=where)
        return self._points[unit]


__all__ = ["Utf16"]
