"""How text from samples, files and models is written for a terminal and into a Markdown table.

A terminal obeys control characters: an escape sequence in a sample could fill the clipboard (OSC 52), move the cursor
over other lines, or answer as if the user had typed. Markdown renders HTML, links and pictures. Such text is data, so
it is shown as it is spelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# C0 without tab and line feed, DEL, C1, the marks that reorder a line, line separators, and halves of surrogate pairs.
_CONTROL: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPACE: Final = re.compile(r"\s+")
# A backslash before a letter, and an underscore inside a word, mean themselves.
_MARKDOWN: Final = re.compile(r"\\(?=[!-/:-@\[-`{-~])|[`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")


def visible(text: str) -> str:
    r"""Return the text with its control characters as escapes such as `\u001b`. Tabs and line feeds stay.

    In a JSON string, such an escape means the same character.
    """
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def visible_line(text: str) -> str:
    r"""Return the text as `visible` does, as one line: a line feed becomes `\n`."""
    return visible(text).replace("\n", "\\n")


def markdown_row(cells: Iterable[str]) -> str:
    """Return one row of a Markdown table, whose cells show the characters of the given texts."""
    return f"| {' | '.join(map(markdown_text, cells))} |"


def markdown_text(text: str) -> str:
    """Return the text for one line of Markdown: without HTML, links, pictures, emphasis, or the bar of a table."""
    line = _SPACE.sub(" ", text).strip()
    line = _MARKDOWN.sub(lambda match: f"\\{match[0]}", line)
    return line.replace("&", "&amp;").replace("<", "&lt;")


__all__ = ["markdown_row", "markdown_text", "visible", "visible_line"]
