"""The page in a real browser: headless Chromium against the real command, on fictitious texts."""

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.page import go_to, marked, open_page, plain, span, stop, until_marked
from tif.edit.edits import word_pieces
from tif.sets import store
from tif.sets.formats import inline
from tif.spans import AnnotationSet, Example, Span, tidy
from tif.text import separates

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


# --- twenty of the demo's examples ----------------------------------------------------------------------------------


def rough_demo(every=1):
    """Gold examples, and the same with each word marked that has a capital or a digit, as a poor machine would."""
    gold, rough = [], []
    for line in (ROOT / "tif/data/demo.jsonl").read_text(encoding="utf-8").splitlines()[::every]:
        row = json.loads(line)
        spans = tuple(Span(s["start"], s["end"]) for s in row["spans"])
        gold.append(Example(row["id"], row["prompt"], row["text"], spans))
    for example in gold:
        found = [
            Span(*w, "UW", "capitals")
            for w in word_pieces(example.text)[1:]
            if re.match(r"[^\Wa-z_]", example.text[w[0]])
        ]
        rough.append(replace(example, spans=tidy(example.text, found)))
    return gold, rough


@pytest.fixture
def demo(tmp_path):
    gold, rough = (some[:20] for some in rough_demo(every=3))
    path = tmp_path / "demo.parquet"
    store.save(AnnotationSet(tuple(rough)), path)
    return gold, rough, path


def ranges(example):
    """Spans as first and last word."""
    cut = word_pieces(example.text)
    return [
        (next(i for i, w in enumerate(cut) if w[0] == s.start), next(i for i, w in enumerate(cut) if w[1] == s.end))
        for s in example.spans
    ]


def solid(example):
    return {i for i, (start, end) in enumerate(word_pieces(example.text)) if not separates(example.text[start:end])}


class Keyboard:
    """Hands that know what is right, and count their keystrokes; `strike` is what a key does."""

    def __init__(self, strike):
        self.strike, self.pressed, self.at = strike, 0, 0

    def press(self, key, times=1):
        for _ in range(times):
            self.strike(key)
        self.pressed += times

    def move(self, to):
        self.press("ArrowRight" if to > self.at else "ArrowLeft", abs(to - self.at))
        self.at = to

    def correct(self, now, wanted, solid):
        """`solid`: indices of the words that an edge stops at, which punctuation is not."""
        self.at = now[0][0] if now else 0
        for there in now:
            near = next((w for w in wanted if w[0] == there[0] or w[1] == there[1]), None)
            overlapping = [n for n in now if near and n[0] <= near[1] and near[0] <= n[1]]
            if near == there:
                wanted = [w for w in wanted if w != near]
            elif near and len(overlapping) == 1 and solid.issuperset(near):
                self.move(there[0])
                self.press("]", len(solid.intersection(range(there[1] + 1, near[1] + 1))))
                self.press("}", len(solid.intersection(range(near[1], there[1]))))
                self.press("[", len(solid.intersection(range(near[0], there[0]))))
                later = len(solid.intersection(range(there[0] + 1, near[0] + 1)))
                self.press("{", later)
                # The cursor is on the first word still, or was moved along with the edge.
                self.at = near[0] if later else there[0]
                wanted = [w for w in wanted if w != near]
            else:
                self.move(there[0])
                self.press("Delete")
        for first, last in wanted:
            self.move(first)
            self.press("Shift+ArrowRight", last - first)
            self.press("Enter")
            self.at = last
        self.press("a")


def check_all_corrected(gold, rough, path):
    final = store.load(path)
    assert final.version.number == 2
    assert final.version.author == "mara"
    for wanted, before, now in zip(gold, rough, final, strict=True):
        assert now.keys == wanted.keys, now.id
        assert now.status == ("accepted" if before.keys == wanted.keys else "corrected")


def test_twenty_examples_with_the_keyboard_alone(demo, serve, context):
    gold, rough, path = demo
    process, address = serve(path)
    page = open_page(context, address)
    for number, (wanted, before) in enumerate(zip(gold, rough, strict=True), start=1):
        assert page.inner_text("#id") == wanted.id
        Keyboard(page.keyboard.press).correct(ranges(before), ranges(wanted), solid(wanted))
        page.wait_for_function("n => document.querySelector('#progress').textContent.startsWith(n + ' of')", arg=number)
        if number < len(gold):
            page.wait_for_function("id => document.querySelector('#id').textContent === id", arg=gold[number].id)
    assert page.faults == []
    stop(process)
    check_all_corrected(gold, rough, path)


def test_the_walk_through_of_the_docs(tmp_path, serve, context):
    told = (ROOT / "docs/editing.md").read_text(encoding="utf-8").split("## A walk-through")[1]
    marks, keys = re.findall(r"^    (.+)$", told, re.MULTILINE)[:2]
    text, spans = inline.parse(marks)
    gold, rough = ({e.text: e for e in some} for some in rough_demo())
    assert rough[text].keys == replace(rough[text], spans=tuple(spans)).keys
    path = tmp_path / "one.parquet"
    store.save(AnnotationSet((rough[text],)), path)
    process, address = serve(path)
    page = open_page(context, address)
    for key in keys.split():
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelector('#progress').textContent.startsWith('1 of')")
    stop(process)
    assert store.load(path).examples[0].keys == gold[text].keys


def test_the_demo_set_takes_as_many_keys_as_the_docs_say():
    """By the same hands, whose keys the test above strikes in a browser."""
    counts = []
    for wanted, before in zip(*rough_demo(), strict=True):
        hands = Keyboard(lambda _: None)
        hands.correct(ranges(before), ranges(wanted), solid(wanted))
        if before.keys != wanted.keys:
            counts.append(hands.pressed)
    told = f"{len(counts)} examples took a median of {statistics.median(counts):g} keystrokes"
    print(told)
    assert told in " ".join((ROOT / "docs/editing.md").read_text(encoding="utf-8").split())


def test_twenty_examples_with_the_mouse_alone(demo, serve, context):
    gold, rough, path = demo
    _, address = serve(path)
    page = open_page(context, address)

    def centre(i):
        # In one go: an answer of the server draws the words anew, and a node that was found may be gone a moment later.
        return page.evaluate(
            "i => { const b = document.querySelector(`#text .word[data-i='${i}']`).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; }",
            i,
        )

    for number, (wanted, before) in enumerate(zip(gold, rough, strict=True)):
        page.wait_for_function("id => document.querySelector('#id').textContent === id", arg=wanted.id)
        for there in ranges(before):
            if there not in ranges(wanted):
                for i in range(there[0], there[1] + 1):
                    page.mouse.click(*centre(i))
        for first, last in ranges(wanted):
            if (first, last) not in ranges(before):
                page.mouse.move(*centre(first))
                page.mouse.down()
                page.mouse.move(*centre(last), steps=3)
                page.mouse.up()
        cut = word_pieces(wanted.text)
        until_marked(page, [wanted.text[slice(*cut[i])] for a, b in ranges(wanted) for i in range(a, b + 1)])
        page.click("[data-do=accept]")
        page.wait_for_function(
            "n => document.querySelector('#progress').textContent.startsWith(n + ' of')", arg=number + 1
        )
    page.click("#finish")
    page.click("#finishing [value=save]")
    page.wait_for_function("() => document.querySelector('#notice').textContent.startsWith('Saved as version 2')")
    assert page.faults == []
    check_all_corrected(gold, rough, path)
    assert "corrected by hand" in store.load(path).version.message


def test_deciding_and_finishing_with_the_keyboard_alone(tmp_path, serve, context):
    path = plain(tmp_path, *(f"Oda keeps {n} hives." for n in ("two", "three", "four", "five")))
    _, address = serve(path)
    page = open_page(context, address)
    for number, keys in enumerate((["x"], ["f", "s"], ["m", "a"])):
        go_to(page, f"bees/{number}")
        for key in keys:
            page.keyboard.press(key)
    go_to(page, "bees/3")
    page.keyboard.press("Shift+Tab")
    for _ in range(5):
        if page.evaluate("document.activeElement.id") == "finish":
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#finishing[open]")
    assert page.inner_text("#unsaved") == "2 records changed."
    page.keyboard.type("two of them")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("ivo")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#notice').textContent.startsWith('Saved as version 2')")
    final = store.load(path)
    assert (final.version.message, final.version.author) == ("two of them", "ivo")
    assert [e.status for e in final] == ["rejected", "auto", "corrected", "auto"]
    for name, wanted in (("flagged", "bees/1"), ("skipped", ""), ("rejected", "bees/0")):
        page.goto(f"{address.split('?')[0]}?queue={name}")
        page.wait_for_function("name => document.querySelector('#queue').value === name", arg=name)
        page.wait_for_function("id => document.querySelector('#id').textContent === id", arg=wanted)
        assert page.is_visible("#text") == bool(wanted)
        assert page.is_visible("#notice") == (not wanted)
    assert page.faults == []


# --- crashes, conflicts, undo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "wanted"), [("theirs", ["bees"]), ("merge", ["bees", "Skagen"]), ("mine", ["Skagen"])]
)
def test_two_tabs_conflict_and_nothing_is_lost(tmp_path, serve, context, choice, wanted):
    path = plain(tmp_path, "Oda Lindqvist keeps bees in Skagen.")
    process, address = serve(path)
    one, two = open_page(context, address), open_page(context, address)
    one.click("#text .word[data-i='3']")
    until_marked(one, ["bees"])
    two.click("#text .word[data-i='5']")
    two.wait_for_selector("#conflict[open]")
    assert [two.inner_text(f"#{name} .span") for name in ("mine", "theirs")] == ["Skagen", "bees"]
    two.click(f"#conflict [value={choice}]")
    until_marked(two, wanted)
    if choice != "theirs":
        two.keyboard.press("u")
        until_marked(two, ["bees"])
        two.keyboard.press("Shift+u")
        until_marked(two, wanted)
    stop(process)
    now = store.load(path).examples[0]
    assert [now.quote(s) for s in now.spans] == wanted


def test_a_conflict_at_the_end_of_a_long_text_is_shown_and_framed(tmp_path, serve, context):
    long = "Oda Lindqvist keeps bees near the customs house. " * 300 + "She left for Skagen."
    process, address = serve(plain(tmp_path, long))
    one, two = open_page(context, address), open_page(context, address)
    for page, back in ((one, 1), (two, 2)):
        page.keyboard.press("End")
        for _ in range(back):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        if page is one:
            until_marked(one, ["Skagen"])
    two.wait_for_selector("#conflict[open]")
    for side in ("mine", "theirs"):
        assert two.locator(f"#{side} .differs").all_inner_texts() == ["for", "Skagen"]
        assert two.inner_text(f"#{side}-status") == "auto"
    assert [two.inner_text(f"#{name} .span") for name in ("mine", "theirs")] == ["for", "Skagen"]
    shown = "n => { const a = n.getBoundingClientRect(), b = n.parentElement.getBoundingClientRect();"
    shown += " return a.top >= b.top && a.bottom <= b.bottom; }"
    assert two.locator("#mine .span").evaluate(shown), "without scrolling"
    two.click("#conflict [value=merge]")
    until_marked(two, ["for", "Skagen"])
    stop(process)


def test_kill_9_in_the_middle_and_go_on(tmp_path, serve, context):
    path = plain(tmp_path, "Oda Lindqvist keeps bees in Skagen.")
    process, address = serve(path)
    page = open_page(context, address)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    until_marked(page, ["Oda", "Lindqvist"])
    process.kill()
    process.wait()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#saved').dataset.state === 'failed'")
    assert "does not answer" in page.inner_text("#notice")
    page.close(run_before_unload=False)
    process, address = serve(path)
    page = open_page(context, address)
    assert marked(page) == ["Oda", "Lindqvist"], "what was shown as saved is there"
    page.keyboard.press("u")
    until_marked(page, [])
    page.keyboard.press("Shift+u")
    until_marked(page, ["Oda", "Lindqvist"])
    stop(process)
    assert [store.load(path).examples[0].quote(s) for s in store.load(path).examples[0].spans] == ["Oda Lindqvist"]


def test_undo_after_reload(tmp_path, serve, context):
    path = plain(tmp_path, "Oda Lindqvist keeps bees in Skagen.", "Tobiah Renn tunes organs in Tartu.")
    _, address = serve(path)
    page = open_page(context, address)
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#id').textContent === 'bees/1'")
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    until_marked(page, ["Tobiah", "."])
    page.reload()
    until_marked(page, ["Tobiah", "."])
    assert page.inner_text("#id") == "bees/1"
    page.keyboard.press("Control+z")
    until_marked(page, ["Tobiah"])
    page.keyboard.press("Control+z")
    until_marked(page, [])
    page.keyboard.press("Control+Shift+z")
    until_marked(page, ["Tobiah"])


# --- hostile texts --------------------------------------------------------------------------------------------------


def test_script_in_the_data_stays_text(tmp_path, serve, context):
    hostile = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>&amp;"""
    path = tmp_path / "bad.parquet"
    example = Example(hostile, hostile, hostile, (span(hostile, "img", source=hostile),), "failed", hostile)
    store.save(AnnotationSet((example,)), path)
    _, address = serve(path, "--more-labels", "<b>x</b>")
    page = open_page(context, address)
    page.keyboard.press("m")
    page.keyboard.press("2")
    page.wait_for_function("() => document.querySelector('#text .badge').dataset.label === '<b>x</b>'")
    for place in ("#text", "#prompt", "#id"):
        assert page.locator(place).text_content() == hostile
    assert page.locator("main img, main script, main b, #labels b").count() == 0
    assert page.title() != "owned"
    assert page.faults == []


def test_emoji_and_right_to_left_words_are_marked_where_they_stand(tmp_path, serve, context):
    text = "👩‍🚀 Oda 👍🏽 naïve 🇩🇰 Skagen 漢字"
    hebrew = "נועה ברק גרה בחיפה."
    path = plain(tmp_path, text, hebrew)
    process, address = serve(path)
    page = open_page(context, address)
    for quote in ("👩‍🚀", "🇩🇰", "字"):
        page.get_by_text(quote, exact=True).click()
    until_marked(page, ["👩‍🚀", "🇩🇰", "字"])
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#id').textContent === 'bees/1'")
    page.keyboard.press("ArrowLeft")  # onward, in a text that runs to the left
    page.keyboard.press("Enter")
    until_marked(page, ["ברק"])
    page.keyboard.press("Alt+[")
    until_marked(page, ["ה", "ברק"])
    assert page.faults == []
    stop(process)
    first, second = store.load(path)
    assert [first.quote(s) for s in first.spans] == ["👩‍🚀", "🇩🇰", "字"]
    assert [second.quote(s) for s in second.spans] == ["ה ברק"]
    assert (first.status, first.text, second.text) == ("corrected", text, hebrew)


# --- size -----------------------------------------------------------------------------------------------------------


def test_a_long_text_is_windowed_and_a_large_set_opens(tmp_path, serve, context):
    sentence = "Oda Lindqvist keeps bees near the customs house in Skagen and sells honey by the jar. "
    long = (sentence * 700)[: 60 * 1024].strip()
    path = tmp_path / "large.parquet"
    rows = [Example("long", "", long)] + [Example(f"bees/{i}", "Who?", f"Oda keeps {i} hives.") for i in range(5000)]
    store.save(AnnotationSet(tuple(rows)), path)
    process, address = serve(path)
    page = open_page(context, address)
    assert page.locator("#text .word").count() == 2000
    tools = page.locator("[data-do=accept]").bounding_box()
    assert tools["y"] + tools["height"] <= 700, "the tools are in sight under a text of many screens"
    page.keyboard.press("End")
    cursor, dock = page.locator("#text .cursor").bounding_box(), page.locator(".dock").bounding_box()
    assert cursor["y"] + cursor["height"] <= dock["y"], "and do not hide the cursor"
    page.keyboard.press("Enter")
    until_marked(page, [long[slice(*word_pieces(long)[-1])]])
    assert page.locator("#text .word").count() == 2000
    assert page.inner_text("#place") == "1 of 5001"
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#id').textContent === 'bees/0'")
    page.keyboard.press("Enter")
    until_marked(page, ["Oda"])
    stop(process)
    assert sum(len(e.spans) for e in store.load(path)) == 2
