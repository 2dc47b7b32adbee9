"""Hands and eyes for the page in a real browser."""

import signal

from tif.sets import store
from tif.spans import AnnotationSet, Example, Span


def open_page(context, address, queue="all"):
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if line.type == "error" else None)
    page.goto(f"{address}&queue={queue}")
    page.wait_for_selector("#text .cursor")
    return page


def saved(page):
    page.wait_for_function("() => document.querySelector('#saved').dataset.state === 'saved'")


def marked(page):
    """Texts of the marked words, as the page shows them."""
    return page.locator("#text .word[aria-pressed=true]").all_inner_texts()


def until_marked(page, wanted):
    page.wait_for_function(
        "w => JSON.stringify([...document.querySelectorAll('#text .word[aria-pressed=true]')]"
        ".map(n => n.textContent)) === JSON.stringify(w)",
        arg=wanted,
    )
    saved(page)


def stop(process):
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    return told


def span(text, quote, source="ner:x", label="UW"):
    return Span(text.index(quote), text.index(quote) + len(quote), label, source)


def plain(tmp_path, *texts, name="bees"):
    path = tmp_path / f"{name}.parquet"
    store.save(AnnotationSet(tuple(Example(f"bees/{i}", "Who?", text) for i, text in enumerate(texts))), path)
    return path


def go_to(page, id_):
    """Wait until a record is shown."""
    page.wait_for_function("id => document.querySelector('#id').textContent === id", arg=id_)
