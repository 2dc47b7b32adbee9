"""What every reader yields: a place and a record."""

from __future__ import annotations

from collections.abc import Mapping

Row = Mapping[str, object]
"""Fields as they stand in a file. Nothing is known of the values before somebody has checked them."""

Place = str
"""Where a record stands, for an error line: `people.jsonl, line 3`."""

__all__ = ["Place", "Row"]
