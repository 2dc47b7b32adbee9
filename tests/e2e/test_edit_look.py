"""What the page shows and whom it keeps out, in a real browser: tokens, struck words, zoom, contrast, other pages."""

import http.server
import statistics
import threading
import time
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.e2e.page import go_to, marked, open_page, plain, span, stop, until_marked
from tests.edit.test_style import contrast
from tests.tokens.tiny import byte_level, llama, save
from tif.edit.edits import word_pieces
from tif.sets import store
from tif.spans import AnnotationSet, Example

pytestmark = pytest.mark.real

TEXT = "Mirela Tovanu was born in Karlsberg, in 1971. She mends clocks 👩‍🚀 there."


def one_of_many_sources(tmp_path):
    path = tmp_path / "clocks.parquet"
    quotes = ("Mirela Tovanu", "born", "Karlsberg", "1971", "mends", "clocks")
    spans = tuple(span(TEXT, quote, source=f"source:{i}") for i, quote in enumerate(quotes))
    rows = [Example("clocks/1", "Who was born?", TEXT, spans, "auto", "a note"), Example("clocks/2", "", TEXT)]
    store.save(AnnotationSet(tuple(rows)), path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    tokenizer = byte_level()
    return save(tmp_path_factory.mktemp("tiny") / "tiny", llama(len(tokenizer)), tokenizer)


def tokens(page, kind):
    return page.locator(f"#tokens-text {kind}").evaluate_all("nodes => nodes.map(n => n.textContent.trim())")


def test_the_token_view_follows_every_edit(tmp_path, serve, context, model):
    path = one_of_many_sources(tmp_path)
    process, address = serve(path, "--tokenizer", str(model))
    page = open_page(context, address)
    assert not page.is_visible("#tokens")
    page.keyboard.press("t")
    page.wait_for_selector("#tokens-text .token")
    assert "".join(tokens(page, "mark")) == "MirelaTovanubornKarlsberg1971mendsclocks"
    assert "".join(page.locator("#tokens-text .token:not(.ends)").all_text_contents()) == TEXT
    assert tokens(page, ".ends") == ["</s>"]
    assert page.locator("#tokens-text .part").count() == 0
    page.keyboard.press("}")  # Mirela alone
    page.wait_for_function(
        "() => !document.querySelector('#tokens-text').textContent.includes('x') &&"
        " ![...document.querySelectorAll('#tokens-text mark')].some(n => n.textContent.includes('ov'))"
    )
    page.keyboard.press("Alt+}")  # Mirel
    page.wait_for_selector("#tokens-text .part")
    assert "only partly in a span" in page.inner_text("#tokens-count")
    page.keyboard.press("n")
    go_to(page, "clocks/2")
    page.wait_for_function("() => document.querySelectorAll('#tokens-text mark').length === 0")
    page.reload()
    page.wait_for_selector("#tokens-text .token")
    page.keyboard.press("t")
    page.wait_for_selector("#tokens", state="hidden")
    assert page.faults == []
    stop(process)


def test_without_a_tokenizer_the_key_says_what_to_do(tmp_path, serve, context):
    _, address = serve(plain(tmp_path, "Oda keeps bees."))
    page = open_page(context, address)
    page.keyboard.press("t")
    page.wait_for_function("() => document.querySelector('#notice').textContent.includes('--tokenizer')")
    assert not page.is_visible("#tokens")
    assert not page.is_visible("[data-do=tokens]")


def test_what_the_version_before_marked_is_struck_where_it_stands(tmp_path, serve, context):
    path = one_of_many_sources(tmp_path)
    _, address = serve(path)
    page = open_page(context, address)
    assert page.locator("#text del").count() == 0
    page.keyboard.press("}")
    page.wait_for_selector("#text del")
    page.keyboard.press("Tab")
    page.keyboard.press("Delete")
    page.wait_for_function("() => document.querySelectorAll('#text del').length === 2")
    assert page.locator("#text del").all_inner_texts() == ["Tovanu", "born"]
    line = page.locator("#text del").first.evaluate("n => getComputedStyle(n).textDecorationLine")
    assert line == "line-through"
    assert page.locator("#text").text_content() == TEXT
    assert page.get_by_role("button", name="Tovanu, marked before: Tovanu").count() == 1
    page.keyboard.press("u")
    page.keyboard.press("u")
    page.wait_for_function("() => document.querySelectorAll('#text del').length === 0")


# --- reading it -----------------------------------------------------------------------------------------------------

CONTRASTS = """() => {
  const parse = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const hex = c => '#' + c.slice(0, 3).map(x => Math.round(x).toString(16).padStart(2, '0')).join('');
  const found = [];
  const top = document.querySelector('dialog[open]') ?? document.body;
  const exempt = ':disabled, .unseen, option, dialog:not([open])';
  const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.textContent.trim() || !node.checkVisibility() || node.closest(exempt)) continue;
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(getComputedStyle(at));
    const ground = chain.reduce((below, s) => over(parse(s.backgroundColor), below), [255, 255, 255, 1]);
    const faint = chain.reduce((all, s) => all * s.opacity, 1);
    const ink = parse(getComputedStyle(node).color);
    found.push([node.tagName + '.' + node.className + ' ' + text.textContent.trim().slice(0, 20),
                hex(over([...ink.slice(0, 3), ink[3] * faint], ground)), hex(ground)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_written_can_be_read(tmp_path, serve, chromium, model, scheme):
    """Contrast of at least 4.5 to 1 as the browser computes it, in every state."""
    path = one_of_many_sources(tmp_path)
    _, address = serve(path, "--tokenizer", str(model), "--more-labels", "NAME")
    context = chromium.new_context(color_scheme=scheme)
    page = open_page(context, address)
    seen = 0

    def check():
        nonlocal seen
        found = page.evaluate(CONTRASTS)
        seen += len(found)
        assert [line for line in found if contrast(*line[1:]) < 4.5] == []

    check()
    for keys in (["}", "Alt+}"], ["t"], ["f"], ["End", "Shift+ArrowLeft", "Shift+ArrowLeft"], ["x", "p"], ["?"]):
        for key in keys:
            page.keyboard.press(key)
            page.wait_for_timeout(200)
        check()
    page.keyboard.press("Escape")
    page.click("#finish")
    page.wait_for_selector("#finishing[open]")
    check()
    assert seen > 300
    context.close()


def test_twice_the_size_needs_no_scrolling_sideways(tmp_path, serve, chromium, model):
    """1280 by 800 at 200 % is a page of 640 by 400."""
    path = one_of_many_sources(tmp_path)
    _, address = serve(path, "--tokenizer", str(model), "--more-labels", "NAME,PLACE,DATE,OCCUPATION")
    context = chromium.new_context(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    page, other = open_page(context, address), open_page(context, address)
    wide = "n => n.scrollWidth - n.clientWidth"
    fits = lambda selector: page.locator(selector).evaluate(wide) <= 0  # noqa: E731
    page.keyboard.press("t")
    page.wait_for_selector("#tokens-text .token")
    assert fits("html")
    assert fits("#text")
    assert fits("#tokens-text")
    page.keyboard.press("End")
    box, saved = page.locator("#text .cursor").bounding_box(), page.locator("#saved").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 400, "the cursor is in sight"
    assert saved["y"] + saved["height"] <= 400, "and so is the saved state"
    page.keyboard.press("?")
    page.wait_for_selector("#helping[open]")
    assert fits("#helping")
    page.keyboard.press("Escape")
    other.keyboard.press("Delete")
    other.wait_for_function("() => document.querySelector('#saved').dataset.state === 'saved'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#conflict[open]")
    assert fits("#conflict")
    context.close()


def test_a_screen_reader_is_told_what_is_seen(tmp_path, serve, context):
    path = one_of_many_sources(tmp_path)
    _, address = serve(path)
    page = open_page(context, address)
    assert page.get_by_role("button", name="Karlsberg, UW by source:2", pressed=True).count() == 1
    assert page.get_by_role("button", name="was", exact=True, pressed=False).count() == 1
    for role, name in [("group", "Text"), ("group", "Sources"), ("region", "Prompt"), ("progressbar", "Reviewed")]:
        assert page.get_by_role(role, name=name).count() == 1, name
    assert page.get_by_role("combobox", name="Queue").count() == 1
    assert page.locator("#saved").get_attribute("aria-live") == "polite"
    assert page.get_by_role("status").filter(has_text="Saved").count() == 1
    unnamed = page.locator("button:visible").evaluate_all(
        "nodes => nodes.filter(n => !(n.getAttribute('aria-label') || n.textContent).trim()).length"
    )
    assert unnamed == 0
    page.click("#help")
    assert page.get_by_role("dialog", name="Keys").count() == 1


# --- size, as ratios ------------------------------------------------------------------------------------------------


def pace(act, times=9):
    """Median seconds of one act, until the page shows it and it is on the disk."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        act()
        took.append(time.monotonic() - began)
    return statistics.median(took)


def toggler(page, word):
    def act():
        wanted = [] if marked(page) else [word]
        page.keyboard.press("Enter")
        until_marked(page, wanted)

    return act


def follower(page):
    ids = (f"bees/{i}" for i in range(1, 4))

    def act():
        page.keyboard.press("n")
        go_to(page, next(ids))

    return act


def test_a_large_set_and_a_long_text_are_little_slower_than_small_ones(tmp_path, serve, context):
    sentence = "Oda Lindqvist keeps bees near the customs house in Skagen and sells honey by the jar. "
    long = (sentence * 700)[: 60 * 1024].strip()
    short = " ".join(long.split()[:1990])
    rows = [Example("long", "", long), Example("short", "", short)]
    rows += [Example(f"bees/{i}", "Who?", f"Oda keeps {i} hives.") for i in range(5000)]
    large, small = tmp_path / "large.parquet", tmp_path / "small.parquet"
    store.save(AnnotationSet(tuple(rows)), large)
    store.save(AnnotationSet(tuple(rows[:6])), small)
    found = {}
    for path in (large, small):
        process, address = serve(path)
        page = open_page(context, address)
        assert page.locator("#text .word").count() == 2000
        for name, text in (("long", long), ("short", short)):
            go_to(page, name)
            page.keyboard.press("End")
            last = text[slice(*word_pieces(text)[-1])]
            found[path.stem, name] = pace(toggler(page, last))
            found[path.stem, name, "move"] = pace(partial(page.keyboard.press, "ArrowLeft"))
            page.keyboard.press("n")
        go_to(page, "bees/0")
        found[path.stem, "record"] = pace(toggler(page, "Oda"))
        found[path.stem, "next"] = pace(follower(page), times=3)
        assert page.faults == []
        page.close()
        stop(process)
    ratios = {
        "mark, 5,002 to 6 examples": found["large", "record"] / found["small", "record"],
        "next, 5,002 to 6 examples": found["large", "next"] / found["small", "next"],
        "mark, 60 KB to 2,000 words": found["large", "long"] / found["large", "short"],
        "move, 60 KB to 2,000 words": found["large", "long", "move"] / found["large", "short", "move"],
    }
    print({name: round(ratio, 2) for name, ratio in ratios.items()})
    assert all(ratio < 3 for ratio in ratios.values()), ratios


# --- other people's pages -------------------------------------------------------------------------------------------

FOREIGN = """<!doctype html><title>foreign</title>
<form method=post enctype="text/plain" action="%(site)s/api/edit" target=sink><input name='%(body)s' value=''></form>
<iframe name=sink></iframe><iframe id=framed src="%(site)s/"></iframe>"""

ATTACK = """async ([site, body]) => {
  const done = [];
  for (const options of [
    { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'Content-Type': 'text/plain' }, body },
    { method: 'POST', credentials: 'include', headers: { 'Content-Type': 'application/json' }, body },
    { credentials: 'include' },
  ]) {
    const where = site + (options.method ? '/api/edit' : '/api/start');
    done.push(await fetch(where, options).then((a) => a.type === 'opaque' ? 'opaque' : a.text(), () => 'refused'));
  }
  document.forms[0].submit();
  await new Promise((go) => setTimeout(go, 500));
  return done;
}"""


def test_another_page_in_the_same_browser_can_do_nothing(tmp_path, serve, context):
    process, address = serve(plain(tmp_path, "Oda keeps bees."))
    mine = open_page(context, address)  # the browser now holds the cookie
    parts = urlsplit(address)
    site = f"http://{parts.netloc}"
    body = '{"id": "bees/0", "rev": 0, "op": {"op": "toggle", "first": 0, "last": 0}}'
    markup = (FOREIGN % {"site": site, "body": body}).encode()

    class Foreign(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(markup)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = context.new_page()
    # Same site (localhost, other port) is the hard case: there the cookie is sent along.
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    assert page.evaluate(ATTACK, [site, body]) == ["refused", "refused", "refused"]
    framed = page.frames[-1]
    assert framed.locator("#text").count() == 0, "and it cannot be framed"
    server.shutdown()
    server.server_close()
    mine.reload()
    mine.wait_for_selector("#text .cursor")
    assert marked(mine) == []
    assert "version 1" in stop(process)


def test_a_foreign_name_that_leads_here_is_refused(tmp_path, serve, context):
    _, address = serve(plain(tmp_path, "Oda keeps bees."))
    page = context.new_page()
    answer = page.goto(address.replace("127.0.0.1", "evil.example"))
    assert answer.status == 400
    assert "this host name is not allowed" in page.inner_text("body")
    assert context.cookies() == []
