"""The documentation site: `make docs` builds it with Sphinx into build/site. A warning is an error.

The source folder is the root of the repository, so that a link in a Markdown file works on the site and on a code host.
"""

import sys
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

project = "tif"
author = "the tif authors"
copyright = "the tif authors, MIT licence"

root_doc = "README"
parts = ["docs/start", "docs/guides", "docs/reference", "docs/measurements", "docs/develop"]
"""The parts of the site, in the order of its menu. Each of these pages lists the pages of its part."""
include_patterns = ["*.md", "docs/**.md", "annotations/README.md"]
exclude_patterns = [".*", "build", "dist", "runs", "tests", "tif", "**/__pycache__"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generate"]

nitpicky = True
nitpick_ignore_regex: Final = [("py:.*", r"(?!tif\b).*")]
"""Names of other packages have no page here. Every name of `tif` must have one."""

myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "tif"
html_static_path: list[str] = []
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"README": []}
html_additional_pages = {"index": "redirect.html"}
templates_path = ["templates"]
