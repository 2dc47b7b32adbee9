"""Find the record of each text in the answers of recognisers: lists, and the objects of servers and batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers import Row, parse_json, read_text
from tif.readers.json import json_values
from tif.sets.formats.profiles import PROFILES, Profile, RecogniserFormat, at_path
from tif.sets.formats.records import Skipped, an_object, list_field

_CONTAINERS: Final = ("results.documents", "documents", "ResultList", "result")


def values(path: Path, name: RecogniserFormat, encoding: str | None) -> Iterator[tuple[str, object]]:
    """Yield the JSON values of a file, each with its place. Spans of one text, one a line, are one value."""
    text = read_text(path, encoding)
    if text.lstrip().startswith("{"):
        try:
            yield f"{path}, record 1", parse_json(text)
            return
        except InputError:
            pass  # several lines
    lines = list(json_values(path, text))
    if lines and all(_is_span(value, PROFILES[name]) for _, value in lines):
        yield f"{path}, record 1", [value for _, value in lines]
    else:
        yield from lines


def _is_span(value: object, profile: Profile) -> bool:
    if not isinstance(value, dict) or profile.lists[0] in value:
        return False
    *outer, last = profile.start.split(".")
    inner = at_path(value, ".".join(outer)) if outer else value
    return isinstance(inner, dict) and last in inner


def rows(value: object, name: RecogniserFormat, where: str) -> Iterator[Row | Skipped]:
    """Yield one object for each text, with its spans in one of the profile's lists, and texts that were not read.

    Raises:
        InputError: for an answer whose texts are not what was sent, or without exact places.
    """
    profile = PROFILES[name]
    if isinstance(value, list):
        yield {profile.lists[0]: value}
        return
    row = an_object(value, where)
    if name == "tab":
        yield {**row, "entity_mentions": _mentions(row)}
        return
    if name == "gliner":
        yield _of_gliner(row)
        return
    if name == "presidio" and isinstance(row.get("items"), list) and "entities" not in row:
        why = "the offsets are places in the anonymized text"
        raise InputError("is an answer of Presidio's anonymizer", where="items", why=why, hint="Give the analyzer's.")
    for container in _CONTAINERS:
        inner = at_path(row, container)
        if isinstance(inner, list):
            documents = [an_object(document, container) for document in inner]
            yield from _in_order(documents, row, where) if container == "ResultList" else _read(documents, row, where)
            return
        if isinstance(inner, dict) and (profile.lists[0] in inner or (name == "dlp" and not inner)):
            if inner.get("findingsTruncated"):
                hint = "Send shorter texts, or raise limits.maxFindingsPerRequest."
                raise InputError("the service found more than it gives", where="findingsTruncated", hint=hint)
            # JSON of protocol buffers leaves empty lists out.
            yield {**row, profile.lists[0]: [], **inner}
            return
    yield row


def _in_order(documents: Sequence[Row], row: Row, where: str) -> Iterator[Row | Skipped]:
    """Yield the texts of a batch by their numbers."""
    numbered: dict[int, Row | Skipped] = {}
    failures = [an_object(failure, "ErrorList") for failure in list_field(row, "ErrorList")]
    for document, read in [*((document, True) for document in documents), *((failure, False) for failure in failures)]:
        number = document.get("Index")
        if type(number) is not int or number in numbered:
            raise InputError("has no number of its own", where="Index")
        numbered[number] = document if read else _failed(document, where)
    for number in sorted(numbered):
        yield numbered[number]


def _read(documents: Sequence[Row], row: Row, where: str) -> Iterator[Row | Skipped]:
    """Yield the documents, and those that the service did not read. Azure's Python package lists them together."""
    for document in documents:
        yield document if document.get("is_error") is not True else _failed(document, where)
    for path in ("results.errors", "errors"):
        if isinstance(failures := at_path(row, path), list):
            yield from (_failed(failure, where) for failure in failures)


def _failed(failure: object, where: str) -> Skipped:
    return Skipped(where=where, why=f"the service did not read a text: {' '.join(str(failure).split())[:120]}")


def _mentions(row: Row) -> object:
    """Return the mentions of TAB's checked annotator, else of the first. NO_MASK says that nothing is unwanted."""
    annotators = row.get("annotations")
    if not isinstance(annotators, dict) or not annotators:
        return None
    checked_by = [name for name in list_field(row, "quality_checked") if isinstance(name, str) and name in annotators]
    annotator = an_object(annotators[(checked_by or list(annotators))[0]], "annotations")
    if annotator.get("entity_mentions") is None:
        return None
    mentions = list_field(annotator, "entity_mentions")
    return [m for m in mentions if not (isinstance(m, dict) and m.get("identifier_type") == "NO_MASK")]


def _of_gliner(row: Row) -> Row:
    """Return a record of GLiNER, of GLiNER2, which lists spans by type, or of an answer in the form of a chat."""
    choices = row.get("choices")
    if isinstance(choices, list) and choices:
        content = at_path(choices[0], "message.content")
        if not isinstance(content, str):
            raise InputError("has no text", where="choices[0].message.content")
        try:
            answer = parse_json(content)
        except InputError as error:
            raise error.within("choices[0].message.content") from None
        row = {**row, **an_object(answer, "choices[0].message.content")}
    by_type = row.get("entities")
    if not isinstance(by_type, Mapping):
        return row
    spans = []
    for type_, items in by_type.items():
        for number, item in enumerate(items if isinstance(items, list) else [items]):
            if not isinstance(item, dict):
                hint = "Call extract_entities with include_spans=True and include_confidence=True."
                where = f"entities.{type_}[{number}]"
                raise InputError("has no offsets", where=where, why="GLiNER2 gave only words", hint=hint)
            spans.append({"label": type_, **item})
    return {**row, "entities": spans}


__all__ = ["rows", "values"]
