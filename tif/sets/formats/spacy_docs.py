"""`spacy`: JSONL of `Doc.to_json()`, which `Doc(vocab).from_json` reads. Offsets are code points, end exclusive.

Spans are in `spans["sc"]`, where they may overlap. Reading also accepts `ents`, training pairs
`[text, {"entities": [[start, end, label]]}]`, the same as an object with `text`, and a `DocBin`, which needs spaCy. The
content decides, not the suffix. Spans of a pipeline and of a person look alike, so they are no person's decision unless
tif exported the file.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif import files
from tif.errors import InputError, MissingError
from tif.packages import install_hint
from tif.readers import Place, Row, read_text
from tif.readers.compressed import check_size
from tif.readers.json import json_values
from tif.sets.formats.offsets import Offsets, OffsetUnit
from tif.sets.formats.recognise import is_compressed
from tif.sets.formats.records import (
    Record,
    a_span,
    an_object,
    base_of,
    checked,
    id_field,
    in_order,
    list_field,
    need_text,
    object_field,
    parsed,
    span_of,
    stated_unit,
    status_field,
    text_field,
)
from tif.spans import AnnotationSet, Example, Span
from tif.text import pieces

OPTIONS: Final = ("offset_unit",)
KEY: Final = "sc"
"""The span group that spaCy's span categorizer uses by default."""
_LISTS: Final = ("ents", "entities")


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield one document per line; fields that spaCy lacks are under `meta`."""
    base = base_of(annotations)
    for example in annotations:
        yield json.dumps(_document(example, base), ensure_ascii=False)


def _document(example: Example, base: str | None) -> dict[str, object]:
    return {
        "text": example.text,
        "tokens": [{"id": i, "start": s, "end": e} for i, (s, e) in enumerate(_tokens(example))],
        "spans": {
            KEY: [
                {"start": s.start, "end": s.end, "label": s.label, "kb_id": "", "source": s.source, "score": s.score}
                for s in example.spans
            ]
        },
        "meta": {
            "id": example.id,
            "prompt": example.prompt,
            "status": example.status,
            "error": example.error,
            "base": base,
            "offset_unit": "codepoint",
        },
    }


def _tokens(example: Example) -> Iterator[tuple[int, int]]:
    """Yield words, and white space between them beyond the one blank that spaCy does not count as a token."""
    at, text = 0, example.text
    for start, end in pieces(text, example.edges):
        gap = at + (1 if at and text[at : at + 1] == " " and at < start else 0)
        if gap < start:
            yield gap, start
        yield start, end
        at = end
    gap = at + (1 if at and text[at : at + 1] == " " else 0)
    if gap < len(text):
        yield gap, len(text)


def read(path: Path, offset_unit: OffsetUnit | None = None, encoding: str | None = None) -> Iterator[Record]:
    """Yield records of JSONL, a JSON array, or a `DocBin`.

    Args:
        path: the file.
        offset_unit: the unit of the offsets; None for code points.
        encoding: the file's encoding, if it is not UTF-8.
    """
    rows = _doc_bin(path) if is_compressed(path) else json_values(path, read_text(path, encoding))
    yield from parsed(
        rows,
        lambda where, row: (
            _pair(where, row, offset_unit) if isinstance(row, list) else _from_json(where, row, offset_unit)
        ),
    )


def _doc_bin(path: Path) -> Iterator[tuple[Place, object]]:
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError:
        raise MissingError("reading .spacy needs spaCy", hint=install_hint("ner")) from None
    try:
        data = files.read(path)
        check_size(data, path)
        docs = list(DocBin().from_bytes(data).get_docs(spacy.blank("xx").vocab))
    except (OSError, ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
        raise InputError("cannot be read as a DocBin", where=str(path), why=str(error)[:160]) from None
    for number, doc in enumerate(docs, start=1):
        yield f"{path}, document {number}", doc.to_json()


def _from_json(where: str, value: object, unit: OffsetUnit | None) -> Record:
    row = an_object(value, "")
    text = need_text(row, "text")
    meta = object_field(row, "meta")
    base = text_field(meta, "base")
    return Record(
        where=where,
        text=text,
        spans=in_order(_spans(row, text, unit)),
        id=id_field(meta),
        prompt=text_field(meta, "prompt"),
        status=status_field(meta),
        error=text_field(meta, "error"),
        base=base,
        maker="person" if base else "machine",
        unit=stated_unit(meta, "offset_unit"),
    )


def _pair(where: str, row: list[object], unit: OffsetUnit | None) -> Record:
    if len(row) != 2 or not isinstance(row[0], str):
        raise InputError('is not [text, {"entities": [[start, end, label]]}]')
    spans = _spans(an_object(row[1], "[1]"), row[0], unit)
    return Record(where=where, text=row[0], spans=in_order(spans), maker="machine")


def _spans(row: Row, text: str, unit: OffsetUnit | None) -> list[Span]:
    """Return the spans of every field that has any: `ents`, `entities` of training data, and span groups."""
    if all(row.get(name) is None for name in ("ents", "entities", "spans")):
        why = f"fields: {', '.join(map(str, row)) or 'none'}"
        raise InputError("has none of the fields ents, entities, spans", why=why)
    spans = [_span(span, text, f"{name}[{i}]", unit) for name in _LISTS for i, span in enumerate(list_field(row, name))]
    groups = object_field(row, "spans")
    for key in groups:
        spans += [_span(span, text, f"spans.{key}[{i}]", unit) for i, span in enumerate(list_field(groups, key))]
    return spans


def _span(value: object, text: str, where: str, unit: OffsetUnit | None) -> Span:
    if not isinstance(value, list):
        return span_of(value, text, where, source="spacy", unit=unit)
    try:
        if len(value) != 3:
            raise InputError("is not [start, end, label]")
        offsets = Offsets(text, unit or "codepoint")
        start, end = offsets.to_point(value[0], "start"), offsets.to_point(value[1], "end")
        return checked(a_span(start, end, value[2], "spacy"), text)
    except InputError as error:
        raise error.within(where) from None
