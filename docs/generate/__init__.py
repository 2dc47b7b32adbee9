"""What the site generates while it is built: navigation, command line, options and modules."""

from __future__ import annotations

from typing import Any

from generate import api, links, pages
from tif import __version__


def setup(app: Any) -> dict[str, Any]:
    """Connect the generators to Sphinx."""
    for part in (api, links, pages):
        part.setup(app)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


__all__ = ["setup"]
