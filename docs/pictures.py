"""The pictures of the demo's report: two heat maps for the README, and the verdict that the page opens with.

    tif demo && python docs/pictures.py runs/demo/report.html docs/heatmap.png docs/report.png

Needs chromium and the `real` extra.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

CARDS = 2
"""Heat maps in the README's picture."""


def main(report: str, heatmap: str, verdict: str) -> None:
    """Cut both out of the page, and let chromium draw them."""
    page = Path(report).read_text(encoding="utf-8")
    style = "".join(re.findall(r"<style>.*?</style>", page, re.S))
    tokens = page[page.index("Token by token") :]
    key = tokens[tokens.index('<p class="key">') : tokens.index("<h3>")]
    _, *cards = tokens.split('<div class="card">', CARDS + 1)
    maps = "".join(f'<div class="card">{card}' for card in cards[:CARDS])
    top = page[page.index('<section class="verdict">') : page.index("</table>")] + "</table></div></section>"
    chromium = os.environ.get("TIF_CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        draw(browser, f"{style}{key}{maps}", Path(heatmap), width=900)
        draw(browser, f"{style}{top}", Path(verdict), width=980)
        browser.close()


def draw(browser: Browser, body: str, out: Path, *, width: int) -> None:
    """Draw HTML as a PNG of this width, as high as it needs."""
    margin = "<style>body { margin: 0; padding: 12px 20px; } .verdict .scroll { margin-bottom: 0; }</style>"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "picture.html")
        file.write_text(f'<!doctype html><meta charset="utf-8">{body}{margin}', encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 10})
        tab.goto(file.as_uri())
        tab.screenshot(path=str(out), full_page=True)
        tab.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
