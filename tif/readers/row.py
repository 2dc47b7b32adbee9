"""The place and the record that every reader yields."""

from __future__ import annotations

from collections.abc import Mapping

Row = Mapping[str, object]
"""Fields as read from a file. The values are unchecked."""

Place = str
"""The place of a record, for an error line: `people.jsonl, line 3`."""

__all__ = ["Place", "Row"]
