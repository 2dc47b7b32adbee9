"""JSON documents, and records of JSON lines or of a JSON array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tif.errors import InputError, kind_of
from tif.readers.row import Place, Row
from tif.readers.text import read_text


def parse_json(text: str, *, constants: bool = False) -> Any:
    """Parse strict JSON: refuse NaN, repeated keys and nesting that is too deep.

    Args:
        text: the document.
        constants: accept NaN and Infinity, which Python's json module writes.

    Raises:
        InputError: with the reason.
    """
    try:
        return json.loads(text, parse_constant=float if constants else _no_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise InputError("is not JSON", why=f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise InputError("is not JSON", why="nested too deeply") from None
    except ValueError as error:  # Python's limit on the digits of an integer
        raise InputError("is not JSON", why=str(error)) from None


def read_json(path: Path, *, constants: bool = False) -> Any:
    """Return the JSON document in a file.

    Args:
        path: the file.
        constants: accept NaN and Infinity.

    Raises:
        InputError: if the file cannot be read or parsed, naming it.
    """
    text = read_text(path)
    try:
        return parse_json(text, constants=constants)
    except InputError as error:
        raise error.within(str(path)) from None


def json_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of JSON lines or a JSON array. A bare string is a record with the field `text`.

    Raises:
        InputError: for invalid JSON or a value that is not an object, naming line or record.
    """
    for place, value in json_values(path, text):
        if isinstance(value, str) and ", record " in place:
            yield place, {"text": value}
        elif isinstance(value, dict):
            yield place, value
        else:
            raise InputError(f"is {kind_of(value)}, not an object", where=place)


def json_values(path: Path, text: str) -> Iterator[tuple[Place, object]]:
    """Yield (place, value) of each line, or of each element if the text is one array.

    Raises:
        InputError: for invalid JSON, naming the line.
    """
    if text.lstrip()[:1] == "[" and (array := _array(path, text)) is not None:
        for number, value in enumerate(array, start=1):
            yield f"{path}, record {number}", value
        return
    # Not splitlines(): U+2028 and similar are ordinary characters inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                value = parse_json(line)
            except InputError as error:
                raise error.within(place) from None
            yield place, value


def _array(path: Path, text: str) -> list[object] | None:
    """Return the elements if the text is one array; None if each line is an array."""
    try:
        array: list[object] = parse_json(text)
    except InputError as error:
        first = next(line for line in text.split("\n") if line.strip())
        try:
            parse_json(first)
        except InputError:
            # The array is damaged. The line is known only if there is one.
            one_line = text.strip() == first.strip()
            raise error.within(f"{path}, line 1" if one_line else str(path)) from None
        return None
    # A line of spaCy's [text, {"entities": ...}] is a record, not an array of records.
    pair = len(array) == 2 and isinstance(array[0], str) and isinstance(array[1], dict) and "entities" in array[1]
    return None if pair else array


def _no_constant(name: str) -> object:
    raise InputError(f"contains {name}, which is not JSON")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"field {twice!r} occurs twice")
    return fields


__all__ = ["json_records", "json_values", "parse_json", "read_json"]
