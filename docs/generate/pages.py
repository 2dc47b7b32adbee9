"""Fill the pages: a marker in the Markdown gives way to generated text, and a list of links becomes navigation.

<!-- generate: commands -->            every command of the command line
<!-- generate: options TrainOptions -->   the keys of one options class
<!-- generate: modules tif.sets -->    the modules below one package
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from generate import api, commands, options

GENERATORS: Final[Mapping[str, Callable[..., str]]] = {
    "commands": commands.markdown,
    "options": options.markdown,
    "front": api.front,
    "modules": api.markdown,
}

_MARKER: Final = re.compile(r"^<!-- generate: (\w+)((?: [\w.]+)*) -->$", re.M)
_ITEM: Final = re.compile(r"^- \[([^\]]+)\]\(([^)#:]+)\.md\)", re.M)


def fill(text: str) -> str:
    """The page's Markdown with every marker replaced by what it names."""
    return _MARKER.sub(lambda match: GENERATORS[match[1]](*match[2].split()), text)


def listed(page: str, text: str) -> dict[str, str]:
    """The pages that a part lists, with the text of each link: the first link of each item of its lists."""
    folder = posixpath.dirname(page)
    return {posixpath.normpath(posixpath.join(folder, target)): title for title, target in _ITEM.findall(text)}


def menu(entries: Iterable[str]) -> str:
    """A hidden table of contents."""
    return "\n".join(["", "", "```{toctree}", ":hidden:", "", *entries, "```", ""])


def _read(app: Any, page: str, content: list[str]) -> None:
    text = fill(content[0])
    if page == app.config.root_doc and app.config.parts:
        text += menu(f"/{part}" for part in app.config.parts)
    elif page in app.config.parts:
        text += menu(f"{title} </{name}>" for name, title in listed(page, text).items())
    content[0] = text


def setup(app: Any) -> None:
    """Connect this to Sphinx."""
    app.add_config_value("parts", [], "env", list)
    app.connect("source-read", _read)


__all__ = ["GENERATORS", "fill", "listed", "menu", "setup"]
