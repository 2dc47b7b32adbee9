"""`spacy`: JSONL of `Doc.to_json()`, which `Doc(vocab).from_json` reads. Offsets are code points, end exclusive.

Spans are in `spans["sc"]`, where they may overlap. Reading also accepts `ents`, training pairs
`[text, {"entities": [[start, end, label]]}]`, and a `.spacy` file (`DocBin`), which needs spaCy.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError, MissingError
from tif.packages import install_hint
from tif.readers import Place, Row, read_text
from tif.readers.json import json_values
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
    span_of,
    status_field,
    text_field,
)
from tif.spans import AnnotationSet, Example
from tif.text import pieces

OPTIONS: Final[tuple[str, ...]] = ()
KEY: Final = "sc"
"""The span group that spaCy's span categorizer uses by default."""


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


def read(path: Path) -> Iterator[Record]:
    """Yield records of JSONL, a JSON array, or a `.spacy` file."""
    rows = _doc_bin(path) if is_compressed(path) or path.suffix == ".spacy" else json_values(path, read_text(path))
    for where, row in rows:
        try:
            record = _pair(where, row) if isinstance(row, list) else _from_json(where, an_object(row, ""))
        except InputError as error:
            raise error.within(where) from None
        yield record


def _doc_bin(path: Path) -> Iterator[tuple[Place, object]]:
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError:
        raise MissingError("reading .spacy needs spaCy", hint=install_hint("ner")) from None
    try:
        docs = list(DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab))
    except (OSError, ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
        raise InputError("cannot be read as a DocBin", where=str(path), why=str(error)[:160]) from None
    for number, doc in enumerate(docs, start=1):
        yield f"{path}, document {number}", doc.to_json()


def _from_json(where: str, row: Row) -> Record:
    text = need_text(row, "text")
    meta = object_field(row, "meta")
    spans = [span_of(span, text, f"ents[{i}]", source="spacy") for i, span in enumerate(list_field(row, "ents"))]
    for key in object_field(row, "spans"):
        group = list_field(object_field(row, "spans"), key)
        spans += [span_of(span, text, f"spans.{key}[{i}]", source="spacy") for i, span in enumerate(group)]
    return Record(
        where=where,
        text=text,
        spans=in_order(spans),
        id=id_field(meta),
        prompt=text_field(meta, "prompt"),
        status=status_field(meta),
        error=text_field(meta, "error"),
        base=text_field(meta, "base"),
    )


def _pair(where: str, row: list[object]) -> Record:
    if len(row) != 2 or not isinstance(row[0], str):
        raise InputError('is not [text, {"entities": [[start, end, label]]}]')
    text, spans = row[0], []
    for index, entity in enumerate(list_field(an_object(row[1], "[1]"), "entities")):
        try:
            if not isinstance(entity, list) or len(entity) != 3:
                raise InputError("is not [start, end, label]")
            spans.append(checked(a_span(entity[0], entity[1], entity[2], "spacy"), text))
        except InputError as error:
            raise error.within(f"entities[{index}]") from None
    return Record(where=where, text=text, spans=in_order(spans))
