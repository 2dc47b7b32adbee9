"""Links to HTML files of the repository: Sphinx offers them for download, and a reader wants to open them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.util.osutil import relative_uri


def _link(app: Any, tree: nodes.document, name: str) -> None:
    """Make a plain link of every download of an HTML file, and note the file."""
    for node in list(tree.findall(download_reference)):
        target = node["reftarget"]
        if target.endswith(".html"):
            file = app.env.relfn2path(target, name)[0]
            app.env.metadata[name].setdefault("html_files", []).append(file)
            here = app.builder.get_target_uri(name)
            node.replace_self(nodes.reference("", "", *node.children, refuri=relative_uri(here, file), internal=True))


def _copy(app: Any, error: Exception | None) -> None:
    """Put the noted files at the same place in the site."""
    if error is None:
        for file in {f for notes in app.env.metadata.values() for f in notes.get("html_files", [])}:
            to = Path(app.outdir, file)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(app.srcdir, file), to)


def setup(app: Any) -> None:
    """Connect this to Sphinx."""
    app.connect("doctree-read", lambda app, tree: _link(app, tree, app.env.docname), priority=100)
    app.connect("build-finished", _copy)


__all__ = ["setup"]
