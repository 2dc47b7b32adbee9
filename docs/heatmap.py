"""The README's picture: the first heat map of the demo's report, as a PNG.

    tif demo && python docs/heatmap.py runs/demo/report.html docs/heatmap.png

Needs `chromium` on the path.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def main(report: str, out: str) -> None:
    """Cut the first card out of the page and let chromium draw it."""
    page = Path(report).read_text(encoding="utf-8")
    style = "".join(re.findall(r"<style>.*?</style>", page, re.S))
    tokens = page[page.index("Token by token") :]
    key = tokens[tokens.index('<p class="key">') : tokens.index("<h3>")]
    first = tokens.index('<div class="card">')
    card = tokens[first : tokens.index('<div class="card">', first + 1)]
    picture = f'<!doctype html><meta charset="utf-8">{style}<style>body{{margin:0;padding:12px}}</style>{key}{card}'
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "heatmap.html")
        file.write_text(picture, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=800,290"]
        subprocess.run(
            ["chromium", *flags, f"--screenshot={Path(out).resolve()}", file.as_uri()], check=True, capture_output=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:3])
