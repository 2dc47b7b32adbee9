"""`tpo`: the TIF release's own data: `question`, `answer`, `target_words`, `common_words`, offsets into the answer.

`target_words` is one JSON string of `[{"word", "start", "end"}]`, `common_words` a list of JSON strings
`{"word", "start", "end"}`. The release trains on the complement of the common words, and most of its files list no
punctuation among them, so the two readings differ: `--uw targets` (the default if there are any) takes the
targets, `--uw complement` everything except the common words. A model chose the words, so they are no person's decision
unless tif exported the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

from tif import files
from tif.console import say
from tif.errors import InputError, UsageError
from tif.readers import Row, parse_json, read_records
from tif.sets.formats.offsets import Offsets, OffsetUnit
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
from tif.sets.overlaps import Overlaps
from tif.spans import UW, AnnotationSet, Example, Span, tidy
from tif.text import is_punctuation, pieces

OPTIONS: Final = ("uw", "offset_unit")

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
    marked = Overlaps(example.spans)
    cut = pieces(example.text, example.edges)
    return [_word(example.text, start, end) for start, end in cut if not marked.at(start, end)]


def _word(text: str, start: int, end: int) -> dict[str, object]:
    return {"word": text[start:end], "start": start, "end": end}


def read(
    path: Path, uw: UnwantedIn | None = None, offset_unit: OffsetUnit | None = None, encoding: str | None = None
) -> Iterator[Record]:
    """Yield records of a `save_to_disk` folder, of a file with the same columns, or of a word file beside its texts.

    Args:
        path: the folder or file.
        uw: `targets` or `complement`; None takes the targets if the data has them.
        offset_unit: the unit of the offsets; None for code points.
        encoding: the file's encoding, if it is not UTF-8.

    Raises:
        UsageError: for another `uw`, or for `targets` if there are none.
    """
    rows = list(read_records(path, encoding=encoding))
    words = Words([row for _, row in rows], str(path), uw, offset_unit)
    for where, row in rows:
        try:
            text = need_text(row, "text" if "answer" not in row and "text" in row else "answer")
            spans = words.spans(row, text)
            id_, prompt, base = id_field(row), text_field(row, "question"), text_field(row, "base")
        except InputError as error:
            raise error.within(where) from None
        yield Record(
            where=where,
            text=text,
            spans=spans,
            id=id_,
            prompt=prompt,
            base=base,
            labelled=False,
            maker="person" if base else "machine",
            unit="codepoint",
        )
    words.tell()


class Words:
    """Reads the spans of a file's rows from one of its two columns, and counts what the other would give.

    Args:
        rows: all rows of the file.
        name: the file's name, for messages.
        uw: `targets` or `complement`; None takes the targets if any row has them.
        unit: the unit of the offsets; None for code points.

    Raises:
        UsageError: for another `uw`, or for `targets` if there are none.
    """

    def __init__(self, rows: Sequence[Row], name: str, uw: UnwantedIn | None, unit: OffsetUnit | None) -> None:
        if uw is not None and uw not in get_args(UnwantedIn):
            raise UsageError(f"{uw!r} is neither `targets` nor `complement`", where="--uw")
        has_targets = any(row.get("target_words") is not None for row in rows)
        if uw == "targets" and not has_targets:
            raise UsageError(f"{name} has no target_words", where="--uw", hint="Use --uw complement.")
        self._by_targets = has_targets if uw is None else uw == "targets"
        self._name, self._unit = name, unit
        self._targets = self._complements = 0

    def spans(self, row: Row, text: str) -> tuple[Span, ...]:
        """Return the unwanted words of one row.

        Raises:
            InputError: for a row without the column that is read, or with words that are not at their offsets.
        """
        has = {name for name in ("target_words", "common_words") if row.get(name) is not None}
        column = "target_words" if self._by_targets else "common_words"
        if column not in has:
            fields = f"fields: {', '.join(map(str, row)) or 'none'}"
            raise InputError(f"no field {column!r}", why=fields, hint="An empty list says that there are none.")
        offsets = Offsets(text, self._unit or "codepoint")
        targets = in_order(_targets(row, text, offsets)) if "target_words" in has else ()
        rest = _complement(row, text, offsets, targets) if "common_words" in has else ()
        self._targets, self._complements = self._targets + len(targets), self._complements + len(rest)
        return targets if self._by_targets else rest

    def tell(self) -> None:
        """Say how many spans each column gives, and which one was used."""
        used = "the targets" if self._by_targets else "the complement"
        say(f"{self._name}: {self._targets} spans by targets, {self._complements} by complement; used {used}")


def _targets(row: Row, text: str, offsets: Offsets) -> list[Span]:
    value = row["target_words"]
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except InputError as error:
            raise error.within("target_words") from None
    words = list_field({"target_words": value}, "target_words")
    spans = [_span(word, text, offsets, f"target_words[{i}]") for i, word in enumerate(words)]
    return list(tidy(text, spans))


def _complement(row: Row, text: str, offsets: Offsets, targets: Sequence[Span]) -> tuple[Span, ...]:
    """Return the parts that no common word covers, including the white space between them.

    The release masks tokens that touch a common word. Tokenizers such as Llama 3's put a sign between two letters into
    the token of the letters after it: `author's` is `author` and `'s`. Such a sign before a common word is left out,
    unless it is part of a target.
    """
    common = []
    for index, word in enumerate(list_field(row, "common_words")):
        where = f"common_words[{index}]"
        try:
            common.append(_span(parse_json(word) if isinstance(word, str) else word, text, offsets, where))
        except InputError as error:
            raise error if error.where else error.within(where) from None
    gaps, at, marked = [], 0, {point for span in targets for point in range(span.start, span.end)}
    for span in sorted(common):
        left_out = _joins(text, span.start) and span.start - 1 not in marked
        gaps.append((at, span.start - left_out))
        at = max(at, span.end)
    gaps.append((at, len(text)))
    return tidy(text, [Span(start, end, source=SOURCE) for start, end in gaps if start < end])


def _joins(text: str, at: int) -> bool:
    """Whether a single sign before `at` joins the letter at `at`, as in `author's` or `Yun-Hwa`."""
    if at == 0 or not text[at : at + 1].isalpha():
        return False
    before = text[at - 2] if at > 1 else "\n"
    return is_punctuation(text[at - 1]) and (before.isalnum() or before in "\r\n")


def _span(value: object, text: str, offsets: Offsets, where: str) -> Span:
    try:
        word = an_object(value, "")
        start, end = offsets.to_point(word.get("start"), "start"), offsets.to_point(word.get("end"), "end")
        return checked(a_span(start, end, UW, SOURCE), text, quote=text_field(word, "word"))
    except InputError as error:
        raise error.within(where) from None
