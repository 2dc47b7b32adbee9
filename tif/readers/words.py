"""Word files of MUSE in the TIF release: words with offsets into one long text, which lies in another file.

The file is a JSON array of strings, each `{"word", "start", "end"}`. `forget_common_words_bert.json` has the words of
`forget.txt`, which is the documents of `forget.json` with an empty line between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tif.errors import InputError
from tif.readers.json import parse_json, read_json
from tif.readers.row import Place, Row
from tif.readers.text import read_text

_BETWEEN: Final = "\n\n"
_KIND: Final = re.compile(r"_(common|target)_words")
_BEGINS: Final = re.compile(r'\s*\[\s*"\s*\{')


def is_word(value: object) -> bool:
    """Whether a value is a string with the JSON of a word and its offsets."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return False
    try:
        word = parse_json(value)
    except InputError:
        return False
    return isinstance(word, dict) and {"word", "start", "end"} <= word.keys()


def is_word_file(text: str) -> bool:
    """Whether a file's content is an array of words with offsets."""
    if not _BEGINS.match(text):
        return False
    try:
        values = parse_json(text)
    except InputError:
        return False
    return all(map(is_word, values))


def word_records(path: Path, text: str) -> Iterator[tuple[Place, Row]]:
    """Yield (place, record) of each document, with its words in `common_words` or `target_words`.

    Raises:
        InputError: if the documents are not beside the file, or a word lies in none of them.
    """
    kind = match[1] if (match := _KIND.search(path.stem)) else "common"
    documents, file = _documents(path)
    words = sorted(((number, parse_json(word)) for number, word in enumerate(parse_json(text), start=1)), key=_start)
    at = begin = 0
    for number, document in enumerate(documents, start=1):
        end = begin + len(document)
        inside = []
        while at < len(words) and _start(words[at]) < end:
            place, word = words[at]
            if _start(words[at]) < begin or type(word["end"]) is not int or word["end"] > end:
                why = f"{file.name} has no such text there"
                raise InputError(f"{word['word']!r} is in no document", where=(str(path), f"word {place}"), why=why)
            inside.append({"word": word["word"], "start": word["start"] - begin, "end": word["end"] - begin})
            at += 1
        if document.strip():  # one document of MUSE News is empty
            yield f"{file}, text {number}", {"text": document, f"{kind}_words": inside}
        begin = end + len(_BETWEEN)
    if at < len(words):
        place, word = words[at]
        why = f"the offsets go beyond {file.name}"
        raise InputError(f"{word['word']!r} is in no document", where=(str(path), f"word {place}"), why=why)


def _start(word: tuple[int, Row]) -> int:
    start = word[1]["start"]
    if type(start) is not int:
        raise InputError(f"start is {start!r}, not a whole number", where=f"word {word[0]}")
    return start


def _documents(path: Path) -> tuple[list[str], Path]:
    """Return the documents that the words index, and their file."""
    names = dict.fromkeys([_KIND.split(path.stem)[0], "forget"])
    for name in names:
        plain, array = path.with_name(f"{name}.txt"), path.with_name(f"{name}.json")
        full = read_text(plain) if plain.is_file() else None
        if array != path and array.is_file():
            documents = read_json(array)
            texts = isinstance(documents, list) and all(isinstance(d, str) for d in documents)
            if texts and (full is None or _BETWEEN.join(documents) == full):
                return documents, array
        if full is not None:
            return [full], plain
    raise InputError(
        "has words without their text",
        where=str(path),
        why="the offsets index another file",
        hint=f"Put {' or '.join(f'{name}.txt' for name in names)} of the same release beside it.",
    )


__all__ = ["is_word", "is_word_file", "word_records"]
