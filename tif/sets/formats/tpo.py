"""`tpo`: the TIF release's own data: `question`, `answer`, `target_words`, `common_words`, offsets into the answer.

`target_words` is one JSON string of `[{"word", "start", "end"}]`, `common_words` a list of JSON strings
`{"word", "start", "end"}`. The release trains on the complement of the common words, and most of its files list no
punctuation among them, so the two readings differ: `--uw targets` (the default if there are any) takes the
targets, `--uw complement` everything except the common words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from tif import files
from tif.console import say
from tif.errors import InputError, UsageError
from tif.readers import Row, parse_json, read_records
from tif.sets.formats.recognise import UnwantedIn
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
    text_field,
)
from tif.spans import UW, AnnotationSet, Example, Span, tidy
from tif.text import pieces

OPTIONS: Final = ("uw",)

SOURCE: Final = "tpo"


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield JSONL with the release's columns and the record's id."""
    for row in _rows(annotations):
        yield json.dumps(row, ensure_ascii=False)


def write_folder(annotations: AnnotationSet, folder: Path) -> None:
    """Write a folder that `datasets.load_from_disk` reads, as the release's training code requires."""
    import pyarrow as pa

    rows = list(_rows(annotations))
    text = pa.string()
    kinds = {"question": text, "answer": text, "target_words": text, "common_words": pa.list_(text), "id": text}
    table = pa.Table.from_pylist(rows, schema=pa.schema([*kinds.items(), ("base", text)]))
    value = {"dtype": "string", "_type": "Value"}
    features = {name: {"feature": value, "_type": "List"} if kind != text else value for name, kind in kinds.items()}
    features["base"] = value
    name = "data-00000-of-00001.arrow"
    state: dict[str, object] = {
        "_data_files": [{"filename": name}],
        "_fingerprint": annotations.digest[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    with files.replacing_folder(folder) as new:
        with pa.OSFile(str(new / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        files.write(new / "dataset_info.json", json.dumps({"features": features}))
        files.write(new / "state.json", json.dumps(state))


def _rows(annotations: AnnotationSet) -> Iterator[dict[str, object]]:
    base = base_of(annotations)
    for example in annotations:
        # The columns have no labels: words with several labels are listed once.
        bare = tidy(example.text, [Span(s.start, s.end) for s in example.spans])
        unwanted = [_word(example.text, s.start, s.end) for s in bare]
        yield {
            "question": example.prompt,
            "answer": example.text,
            "target_words": json.dumps(unwanted, ensure_ascii=False),
            "common_words": [json.dumps(w, ensure_ascii=False) for w in _common(example)],
            "id": example.id,
            "base": base,
        }


def _common(example: Example) -> list[dict[str, object]]:
    return [
        _word(example.text, start, end)
        for start, end in pieces(example.text, example.edges)
        if not any(s.start < end and start < s.end for s in example.spans)
    ]


def _word(text: str, start: int, end: int) -> dict[str, object]:
    return {"word": text[start:end], "start": start, "end": end}


def read(path: Path, uw: UnwantedIn | None = None) -> Iterator[Record]:
    """Yield records of a `save_to_disk` folder, or of a file with the same columns.

    Args:
        path: the folder or file.
        uw: `targets` or `complement`; None takes the targets if the data has them.

    Raises:
        UsageError: for another `uw`, or for `targets` if there are none.
    """
    if uw is not None and uw not in get_args(UnwantedIn):
        raise UsageError(f"{uw!r} is neither `targets` nor `complement`", where="--uw")
    rows = list(_folder(path) if path.is_dir() else read_records(path))
    has_targets = any(row.get("target_words") is not None for _, row in rows)
    if uw == "targets" and not has_targets:
        raise UsageError(f"{path} has no target_words", where="--uw", hint="Use --uw complement.")
    by_targets = has_targets if uw is None else uw == "targets"
    targets = complements = 0
    for where, row in rows:
        try:
            text = need_text(row, "answer")
            wanted = in_order(_targets(row, text)) if row.get("target_words") is not None else ()
            rest = _complement(row, text)
            id_, prompt, base = id_field(row), text_field(row, "question"), text_field(row, "base")
        except InputError as error:
            raise error.within(where) from None
        targets, complements = targets + len(wanted), complements + len(rest)
        yield Record(
            where=where,
            text=text,
            spans=wanted if by_targets else rest,
            id=id_,
            prompt=prompt,
            base=base,
            labelled=False,
        )
    say(f"{path}: {targets} spans by targets, {complements} by complement; used {_name(by_targets)}")


def _name(by_targets: bool) -> str:
    return "the targets" if by_targets else "the complement"


def _folder(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa

    number = 0
    files = sorted(path.glob("data-*.arrow"))
    if not files:
        raise InputError("contains no data-*.arrow file", where=str(path), why="`save_to_disk` writes at least one")
    for file in files:
        try:
            with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as stream:
                table = stream.read_all()
                table.validate(full=True)
                rows = table.to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError("cannot be read as an Arrow stream", where=str(file), why=str(error)[:160]) from None
        for row in rows:
            number += 1
            yield f"{path}, record {number}", row


def _targets(row: Row, text: str) -> list[Span]:
    value = row["target_words"]
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except InputError as error:
            raise error.within("target_words") from None
    spans = [_span(word, text, f"target_words[{i}]") for i, word in enumerate(list_field({"": value}, ""))]
    return list(tidy(text, spans))


def _complement(row: Row, text: str) -> tuple[Span, ...]:
    """Return the parts that no common word covers, including the white space between them."""
    common = []
    for index, word in enumerate(list_field(row, "common_words")):
        where = f"common_words[{index}]"
        try:
            common.append(_span(parse_json(word) if isinstance(word, str) else word, text, where))
        except InputError as error:
            raise error if error.where else error.within(where) from None
    gaps, at = [], 0
    for span in sorted(common):
        gaps.append((at, span.start))
        at = max(at, span.end)
    gaps.append((at, len(text)))
    return tidy(text, [Span(start, end, source=SOURCE) for start, end in gaps if start < end])


def _span(value: object, text: str, where: str) -> Span:
    try:
        word = an_object(value, "")
        return checked(a_span(word.get("start"), word.get("end"), UW, SOURCE), text, quote=text_field(word, "word"))
    except InputError as error:
        raise error.within(where) from None
