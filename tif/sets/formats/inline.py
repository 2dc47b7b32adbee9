r"""`inline`: marks in running text, for any text editor: `Her father was a [[florist|UW]].`

    % tif inline, base 0123456789ab
    === auto people/0007
    ? What did her father do?
    Her father was a [[florist|UW]].

A record is a head line with status and id, the prompt's lines after `? `, the text, and an empty line. Only marks and
statuses may be edited. A backslash escapes a literal `[[`, every `|`, `[`, `]` inside a mark, every backslash, and a
line of text that begins like a head or a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tif.errors import InputError
from tif.readers import read_text
from tif.sets.formats.records import Record, base_of, checked, in_order
from tif.spans import STATUSES, UW, AnnotationSet, Example, Span, Status, is_status

OPTIONS: Final[tuple[str, ...]] = ()

_HEAD = "=== "
_PROMPT = "? "
_ESCAPED = "\\[]|=?"
_BASE = re.compile(r"% tif inline, base ([0-9a-f]{7,64})")


def write(annotations: AnnotationSet) -> Iterator[str]:
    """Yield a preamble, then the records.

    Raises:
        InputError: for overlapping spans (of different labels), which marks cannot show.
    """
    base = base_of(annotations)
    yield f"% tif inline, base {base}" if base else "% tif inline"
    yield "% Mark unwanted words as [[words|UW]], or remove a mark. Change nothing else but a record's status.\n"
    for example in annotations:
        yield f"{_HEAD}{example.status} {example.id}"
        if example.prompt:
            yield from (_PROMPT + line for line in example.prompt.split("\n"))
        yield marked(example) + "\n"


def marked(example: Example) -> str:
    """Return the text with its spans as marks.

    Raises:
        InputError: for spans that overlap.
    """
    out, at, text = [], 0, example.text
    starts = {span.start for span in example.spans}
    for span in example.spans:
        if span.start < at:
            raise InputError(
                "spans overlap",
                where=f"record {example.id!r}",
                why="marks in running text cannot show that",
                hint="Use --format tif.",
            )
        out += [_plain(text, at, span.start, starts), "[[", _inside(text[span.start : span.end])]
        out += ["|", _inside(span.label), "]]"]
        at = span.end
    out.append(_plain(text, at, len(text), starts))
    return "".join(out)


def _plain(text: str, start: int, end: int, starts: set[int]) -> str:
    out = []
    for at in range(start, end):
        char = text[at]
        opens = char == "[" and (text[at + 1 : at + 2] == "[" or at + 1 in starts)
        headlike = (at == 0 or text[at - 1] == "\n") and text.startswith((_HEAD, _PROMPT), at)
        out.append("\\" + char if char == "\\" or opens or headlike else char)
    return "".join(out)


def _inside(words: str) -> str:
    lines = re.sub(r"([\\\[\]|])", r"\\\1", words).split("\n")
    return "\n".join("\\" + line if line.startswith((_HEAD, _PROMPT)) else line for line in lines)


def read(path: Path, encoding: str | None = None) -> Iterator[Record]:
    """Yield the records of a marked file. `encoding` is its encoding, if it is not UTF-8."""
    base: str | None = None
    head: _Head | None = None
    prompt: list[str] = []
    body: list[str] = []
    for number, line in enumerate(read_text(path, encoding).split("\n"), start=1):
        if line.startswith(_HEAD):
            if head is not None:
                yield _record(path, head, prompt, body[:-1], base)
            head, prompt, body = _head(path, number, line), [], []
        elif head is None:
            if line.strip() and not line.startswith("%"):
                raise InputError("is text before the first record", where=(str(path), f"line {number}"))
            if match := _BASE.match(line):
                base = match[1]
        elif line.startswith(_PROMPT) and not body:
            prompt.append(line.removeprefix(_PROMPT))
        else:
            body.append(line)
    if head is not None:
        # An editor may have dropped the empty line at the end of the file.
        for _ in range(2):
            if body and not body[-1]:
                body.pop()
        yield _record(path, head, prompt, body, base)


class _Head(NamedTuple):
    line: int
    status: Status
    id: str


def _head(path: Path, number: int, line: str) -> _Head:
    status, _, id_ = line.removeprefix(_HEAD).partition(" ")
    if not is_status(status):
        hint = f"Known: {', '.join(STATUSES)}."
        raise InputError(f"unknown status {status!r}", where=(str(path), f"line {number}"), hint=hint)
    return _Head(number, status, id_)


def _record(path: Path, head: _Head, prompt: list[str], body: list[str], base: str | None) -> Record:
    where = f"{path}, line {head.line}"
    try:
        text, spans = parse("\n".join(body))
        return Record(
            where=where,
            text=text,
            spans=in_order(spans),
            id=head.id,
            prompt="\n".join(prompt),
            status=head.status,
            base=base,
            maker="person",
        )
    except InputError as error:
        raise error.within(where) from None


def parse(body: str) -> tuple[str, list[Span]]:
    """Split marked text into the text without marks and its spans.

    Raises:
        InputError: for a mark that is not closed, has no label or is inside another.
    """
    text: list[str] = []
    spans: list[tuple[int, int, str]] = []
    opened: int | None = None
    at = 0
    while at < len(body):
        char = body[at]
        if char == "\\" and at + 1 < len(body) and body[at + 1] in _ESCAPED:
            text.append(body[at + 1])
            at += 2
        elif body.startswith("[[", at):
            if opened is not None:
                raise InputError(f"a mark opens inside a mark, at {_near(body, at)}", why="write a literal [[ as \\[[")
            opened, at = len(text), at + 2
        elif opened is not None and char == "|":
            label, at = _label(body, at + 1)
            spans.append((opened, len(text), label))
            opened = None
        elif opened is not None and body.startswith("]]", at):
            spans.append((opened, len(text), UW))
            opened, at = None, at + 2
        else:
            text.append(char)
            at += 1
    if opened is not None:
        raise InputError("a mark is not closed", why=f"it opens at {''.join(text[opened:])[:30]!r}")
    plain = "".join(text)
    return plain, [checked(Span(start, end, label, "inline"), plain) for start, end, label in spans]


def _label(body: str, at: int) -> tuple[str, int]:
    label: list[str] = []
    while not body.startswith("]]", at):
        if at >= len(body):
            raise InputError("a mark is not closed", why=f"its label is {''.join(label)[:30]!r}")
        at += body[at] == "\\" and body[at + 1 : at + 2] != "" and body[at + 1] in _ESCAPED
        label.append(body[at])
        at += 1
    return "".join(label), at + 2


def _near(body: str, at: int) -> str:
    return repr(body[at : at + 20])
