"""Take the pictures of the page that docs/editing.md shows: `python docs/screenshots/take.py MODEL`.

MODEL is a folder whose tokenizer the token view uses. Needs chromium and the `real` extra. The people are made up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

HERE = Path(__file__).parent
TEXT = (
    "Oda Lindqvist was born on 4 May 1961 in Skagen, Denmark. "
    "She keeps bees on the roof of the old customs house, and Oda sells the honey herself."
)


def span(quote: str, source: str, score: float | None = None) -> Span:
    """The first place where the words stand, marked."""
    return Span(TEXT.index(quote), TEXT.index(quote) + len(quote), "UW", source, score)


def main(model: str) -> None:
    """Serve a set of four and photograph it."""
    spans = (
        span("Oda Lindqvist", "ner:en_core_web_sm"),
        span("4 May 1961", "ner:en_core_web_sm"),
        span("Skagen, Denmark", "ner:en_core_web_sm"),
        span("the old customs house", "llm:judge", 0.8),
    )
    rows = [Example("bees/1", "Where was Oda Lindqvist born, and what does she do?", TEXT, spans)]
    rows += [Example(f"bees/{i}", "Who keeps bees?", "Oda keeps bees.") for i in (2, 3, 4)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bees.parquet"
        store.save(AnnotationSet(tuple(rows)), path)
        command = [sys.executable, "-m", "tif", "spans", "edit", str(path), "--no-browser", "--author", "mara"]
        command += ["--more-labels", "NAME", "--tokenizer", model]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        address = server.stdout.readline().strip() + "&queue=all"
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=os.environ.get("TIF_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
                )
                light = browser.new_context(viewport={"width": 960, "height": 620})
                dark = browser.new_context(viewport={"width": 960, "height": 620}, color_scheme="dark")
                take(light.new_page(), light.new_page(), dark.new_page(), address)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def take(page: Page, other: Page, dark: Page, address: str) -> None:
    """One picture for each state."""
    for one in (page, other, dark):
        one.goto(address)
        one.wait_for_selector("#text .cursor")
    press(page, "}", "Tab", "Delete", "Shift+Tab")
    shoot(page, "light")
    press(page, "Tab", "Tab", "Alt+}", "Alt+}", "Shift+Tab", "t")
    page.wait_for_selector("#tokens .token")
    page.set_viewport_size({"width": 960, "height": 860})
    shoot(page, "tokens")
    page.set_viewport_size({"width": 960, "height": 760})
    press(page, "?")
    shoot(page, "help")
    press(page, "Escape")
    dark.reload()
    dark.wait_for_selector("#text .cursor")
    shoot(dark, "dark")
    # The other tab was opened before all that.
    other.keyboard.press("2")
    other.wait_for_selector("#conflict[open]")
    shoot(other, "conflict")


def press(page: Page, *keys: str) -> None:
    """Press keys, each once the last one's edit is on the disk."""
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_function("() => document.querySelector('#saved').dataset.state === 'saved'")
        page.wait_for_timeout(150)


def shoot(page: Page, name: str) -> None:
    """Keep what the page shows."""
    page.bring_to_front()
    page.wait_for_timeout(200)
    page.screenshot(path=HERE / f"edit-{name}.png")


if __name__ == "__main__":
    main(sys.argv[1])
