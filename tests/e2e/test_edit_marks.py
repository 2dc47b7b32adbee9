"""What an annotator sees and does with labels, edges, overlapping spans and conflicts, in a real browser."""

import pytest

from tests.e2e.page import go_to, open_page, saved, stop
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span, tidy

pytestmark = pytest.mark.real

TEXT = "Ilse Vandaele was born in Kortrijk, Belgium. She repairs harps in Lyon, near the old mill, and Ilse sings."


def span(quote, label="UW", source="ner:x"):
    return Span(TEXT.index(quote), TEXT.index(quote) + len(quote), label, source)


def made(tmp_path, *records, name="harps"):
    path = tmp_path / f"{name}.parquet"
    rows = [Example(f"harps/{i}", "Who?", TEXT, tidy(TEXT, spans)) for i, spans in enumerate(records)]
    store.save(AnnotationSet(tuple(rows)), path)
    return path


def spans(page):
    """Label and words of each span, as the page has them on the screen."""
    return page.evaluate(
        "() => [...document.querySelectorAll('#text .span')].map(n => [n.dataset.span.split(' ')[1], n.textContent])"
    )


def until_spans(page, wanted):
    page.wait_for_function(
        "w => JSON.stringify([...document.querySelectorAll('#text .span')]"
        ".map(n => [n.dataset.span.split(' ')[1], n.textContent])) === JSON.stringify(w)",
        arg=wanted,
    )
    saved(page)


def chosen(page):
    return page.locator("#labels [aria-checked=true]").evaluate("n => n.firstChild.textContent")


def word(page, text):
    return page.locator("#text .word", has_text=text).first


def test_a_label_is_chosen_for_new_spans_of_one_record_and_changes_none(tmp_path, serve, context):
    path = made(tmp_path, [span("Ilse Vandaele")], [span("Kortrijk")])
    process, address = serve(path, "--more-labels", "TOWN,NAME")
    page = open_page(context, address)
    assert page.locator("#labels button").evaluate_all("n => n.map(b => b.textContent)") == ["UW1", "TOWN2", "NAME3"]
    page.click("#labels button >> nth=2")
    assert chosen(page) == "NAME"
    assert spans(page) == [["UW", "Ilse Vandaele"]], "a click on a label changes no span"
    word(page, "Kortrijk").click()
    until_spans(page, [["UW", "Ilse Vandaele"], ["NAME", "Kortrijk"]])
    word(page, "harps").click(modifiers=["Control"])
    page.keyboard.press("2")
    until_spans(page, [["UW", "Ilse Vandaele"], ["NAME", "Kortrijk"], ["TOWN", "harps"]])
    assert chosen(page) == "NAME", "a key that labels words chooses nothing"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.click("[data-do=relabel]")
    until_spans(page, [["NAME", "Ilse Vandaele"], ["NAME", "Kortrijk"], ["TOWN", "harps"]])
    page.keyboard.press("n")
    go_to(page, "harps/1")
    assert chosen(page) == "UW", "the next record begins anew"
    word(page, "Lyon").click()
    until_spans(page, [["UW", "Kortrijk"], ["UW", "Lyon"]])
    assert page.faults == []
    stop(process)
    assert store.load(path).labels == ("NAME", "TOWN", "UW")


def test_edges_stop_at_words_and_take_the_cursor_along(tmp_path, serve, context):
    _, address = serve(made(tmp_path, [span("Ilse Vandaele was")], [span("Lyon")]))
    page = open_page(context, address)
    page.keyboard.press("{")
    until_spans(page, [["UW", "Vandaele was"]])
    page.keyboard.press("{")
    until_spans(page, [["UW", "was"]])
    assert page.inner_text("#text .cursor") == "was"
    page.keyboard.press("{")  # Nothing is left to give away.
    page.keyboard.press("]")
    until_spans(page, [["UW", "was born"]])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("}")
    until_spans(page, [["UW", "was"]])
    assert page.inner_text("#text .cursor") == "was"
    page.keyboard.press("n")
    go_to(page, "harps/1")
    page.keyboard.press("Alt+{")
    until_spans(page, [["UW", "yon"]])
    page.keyboard.press("[")
    until_spans(page, [["UW", "Lyon"]])
    page.keyboard.press("]")
    until_spans(page, [["UW", "Lyon, near"]])
    page.keyboard.press("}")
    until_spans(page, [["UW", "Lyon"]])
    page.keyboard.press("Alt+]")
    until_spans(page, [["UW", "Lyon,"]])
    assert page.faults == []


def test_the_frame_is_around_what_delete_removes(tmp_path, serve, context):
    path = made(tmp_path, [span("Ilse Vandaele was"), span("Vandaele", "NAME"), span("Kortrijk, Belgium. She")])
    process, address = serve(path)
    page = open_page(context, address)
    framed = page.locator("#text .current")
    frame = "n => getComputedStyle(n).outlineStyle"
    assert (framed.all_inner_texts(), framed.evaluate(frame)) == (["Ilse Vandaele was"], "solid")
    assert "Ilse Vandaele was UW by ner:x" in page.inner_text("#here")
    page.keyboard.press("Tab")
    assert framed.all_inner_texts() == ["Vandaele"], "a span inside another is reached too"
    page.keyboard.press("Delete")
    until_spans(page, [["UW", "Ilse Vandaele was"], ["UW", "Kortrijk, Belgium. She"]])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    until_spans(page, [["UW", "Kortrijk, Belgium. She"]])
    assert framed.count() == 0
    assert page.is_disabled("[data-do=remove]")
    stop(process)


def test_crossing_spans_are_all_shown_with_an_unbroken_line(tmp_path, serve, context):
    crossing = [span("Vandaele was born"), span("born in Kortrijk", "TOWN", "plain"), span("in", "NAME", "mara")]
    _, address = serve(made(tmp_path, crossing))
    page = open_page(context, address)
    assert spans(page) == [["UW", "Vandaele was born"], ["TOWN", "born"], ["TOWN", " in Kortrijk"], ["NAME", "in"]]
    assert page.locator("#text").text_content() == TEXT
    assert page.locator("#text .badge").evaluate_all("n => n.map(b => b.dataset.label)") == ["UW", "NAME", "TOWN"]
    wide = page.locator("#text .span").first
    assert wide.evaluate("n => n.getClientRects().length") == 1, "one box from the first word to the last"
    assert wide.evaluate("n => getComputedStyle(n).borderBottomWidth") == "3px"


@pytest.mark.parametrize("width", range(260, 420, 20))
def test_a_badge_never_begins_a_line(tmp_path, serve, context, width):
    marked = [span("Vandaele"), span("Kortrijk", "TOWN"), span("harps", "JOB TITLE"), span("Lyon", "TOWN")]
    _, address = serve(made(tmp_path, marked))
    page = open_page(context, address)
    page.set_viewport_size({"width": width, "height": 700})
    for badge in page.locator("#text .badge").all():
        line, before = badge.evaluate(
            "n => [n.getBoundingClientRect(), [...n.previousElementSibling.getClientRects()].at(-1)].map(b => b.bottom)"
        )
        assert abs(line - before) < 16, width


def test_spans_that_are_not_trained_are_shown_and_counted(tmp_path, serve, context):
    path = made(tmp_path, [span("Ilse Vandaele"), span("Kortrijk", "TOWN")], [span("Lyon", "TOWN")])
    _, address = serve(path, "--labels", "UW")
    page = open_page(context, address)
    assert page.inner_text("#untrained") == (
        "2 of 3 spans will not be trained: 2 TOWN (not in --labels); 1 of them in this record."
    )
    assert page.locator("#text .left-out").all_inner_texts()[0] == "Kortrijk"
    assert "not trained" in page.locator("#text .span.left-out").get_attribute("title")
    assert "UW: unwanted words" in page.inner_text("#meaning")
    assert "TOWN are not trained" in page.inner_text("#meaning")
    page.keyboard.press("2")
    page.wait_for_function("() => document.querySelector('#untrained').textContent.startsWith('3 of 3')")
    page.keyboard.press("x")
    go_to(page, "harps/1")
    page.keyboard.press("p")
    go_to(page, "harps/0")
    assert page.is_visible("#left-out")


NOTE = "theirs (corrected): 5-13 'Vandaele', 26-43 TOWN 'Kortrijk, Belgium'; set 3 (rejected): no spans"


@pytest.mark.parametrize(
    ("button", "wanted", "status"),
    [
        ("Take theirs", [["UW", "Vandaele"], ["TOWN", "Kortrijk, Belgium"]], "corrected"),
        ("Take both", [["UW", "Ilse Vandaele"], ["TOWN", "Kortrijk, Belgium"]], "corrected"),
        ("Take set 3", [], "rejected"),
    ],
)
def test_a_conflict_shows_both_sides_marked_and_takes_one(tmp_path, serve, context, button, wanted, status):
    path = tmp_path / "harps.parquet"
    disputed = Example("harps/0", "Who?", TEXT, (span("Ilse Vandaele"),), "conflict", NOTE)
    store.save(AnnotationSet((disputed,)), path)
    process, address = serve(path)
    page = open_page(context, address)
    theirs, third = page.locator("#sides-list section").all()
    assert theirs.locator("h3").inner_text() == "Theirs: corrected"
    assert theirs.locator(".span").all_inner_texts() == ["Vandaele", "Kortrijk, Belgium"]
    assert theirs.locator(".differs").all_inner_texts() == ["Ilse", "Kortrijk", ",", "Belgium"]
    assert (third.locator("h3").inner_text(), third.locator(".span").count()) == ("set 3: rejected", 0)
    assert third.get_by_role("button").all_inner_texts() == ["Take set 3"], "a rejection cannot be united with marks"
    assert page.locator("#text .differs").all_inner_texts() == ["Ilse", "Vandaele", "Kortrijk", ",", "Belgium"]
    assert "5-13" not in page.locator("main").inner_text(), "no offsets"
    page.get_by_role("button", name=button, exact=True).click()
    until_spans(page, wanted)
    assert page.inner_text("#status") == status
    assert page.is_hidden("#sides")
    page.keyboard.press("u")
    until_spans(page, [["UW", "Ilse Vandaele"]])
    assert page.is_visible("#sides")
    page.keyboard.press("Shift+u")
    until_spans(page, wanted)
    assert page.faults == []
    stop(process)
    now = store.load(path).examples[0]
    assert (now.status, now.error, [[s.label, now.quote(s)] for s in now.spans]) == (status, None, wanted)


@pytest.mark.parametrize(("width", "height"), [(400, 700), (640, 400), (1000, 700)])
def test_the_tools_are_in_sight_and_nothing_covers_them(tmp_path, serve, chromium, width, height):
    path = made(tmp_path, [span("Ilse Vandaele")])
    store.save(AnnotationSet((Example("long", "Who?", f"{TEXT} " * 60),)), tmp_path / "long.parquet")
    for each in (path, tmp_path / "long.parquet"):
        _, address = serve(each, "--more-labels", "TOWN,NAME")
        context = chromium.new_context(viewport={"width": width, "height": height})
        page = open_page(context, address)
        hidden = page.evaluate(
            "() => [...document.querySelectorAll('header button, header select, #saved, .dock button')]"
            ".filter(n => n.checkVisibility()).filter(n => { const b = n.getBoundingClientRect();"
            " const top = document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2);"
            " return !n.contains(top) && !n.disabled || b.bottom > innerHeight || b.right > innerWidth; })"
            ".map(n => n.textContent)"
        )
        assert hidden == []
        assert page.locator(".dock").bounding_box()["height"] < 0.4 * height, "most of the page is the text"
        boxes = page.evaluate(
            "() => ['#saved', '#finish', '#help', '#queue'].map(s => document.querySelector(s).getBoundingClientRect())"
            ".map(b => [b.left, b.right, b.top, b.bottom])"
        )
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]
        context.close()


def test_a_source_has_one_colour_in_every_session(tmp_path, serve, context):
    path = made(tmp_path, [span("Ilse", source="plain"), span("Kortrijk"), span("Lyon", source="llm:judge")])
    seen = []
    for author in ("abel", "zoe"):
        process, address = serve(path, "--author", author)
        page = open_page(context, address)
        word(page, "harps" if author == "abel" else "mill").click()
        saved(page)
        page.wait_for_function("n => document.querySelectorAll('#legend .span').length === n", arg=4 + len(seen))
        seen.append(dict(page.locator("#legend .span").evaluate_all("n => n.map(s => [s.textContent, s.className])")))
        page.close()
        stop(process)
    assert seen[1].items() >= seen[0].items()
    assert len(set(seen[1].values())) == 5


def test_thousands_of_spans_are_drawn_at_once(tmp_path, serve, context):
    """The page took minutes: each word looked at all spans, and each span at all others."""
    text = "Ilse repairs harps. " * 4000
    many = Example("many", "", text, tuple(Span(20 * i, 20 * i + 4, "UW", "ner:x") for i in range(4000)))
    store.save(AnnotationSet((many,)), tmp_path / "many.parquet")
    process, address = serve(tmp_path / "many.parquet")
    context.set_default_timeout(20_000)
    page = open_page(context, address)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("m")
    page.wait_for_function("() => document.querySelectorAll('#text .span').length > 900")
    saved(page)
    page.keyboard.press("Delete")
    page.wait_for_function("() => document.querySelector('#here').textContent === 'No span at the cursor.'")
    saved(page)
    assert page.faults == []
    stop(process)
    assert len(store.load(tmp_path / "many.parquet").examples[0].spans) == 7999
