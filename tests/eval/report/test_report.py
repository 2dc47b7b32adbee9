"""The report: whole, self-contained, true to its numbers, and legible in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_seeds import a_run
from tests.eval.report.test_tables import table_rows
from tif.errors import InputError, UsageError
from tif.escape import markdown_text
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure import measures
from tif.eval.measure.score import score
from tif.eval.parts import PartsCache
from tif.eval.report import figures, heatmap
from tif.eval.report.answers import chosen
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import Interval, summarise
from tif.eval.report.plots import plots
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.run import describe, write
from tif.eval.settings import Scoring
from tif.records import ModelIdentity
from tif.spans import Example, Span
from tif.tokens.encoding import Encoder
from tif.tokens.masks import Kind

QUICK = Scoring(max_new_tokens=8)


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    splits = {
        "forget": [make_row(i) for i in range(8)],
        "retain": [make_row(i + 1, part="retain") for i in range(5)],
    }
    found = []
    for seed, label in enumerate(("target", "TPO <b>", "NPO")):
        model = make_llama(len(tiny.tokenizer), seed)
        evaluation = evaluate(model, tiny.tokenizer, splits, settings=QUICK)
        history = [{"step": i + 1, "loss": 3 / (i + 1) + seed} for i in range(9)] if seed else []
        found.append(Entry.of(label, evaluation, QUICK, forget_quality=10.0 ** -(3 * seed), history=history))
    return found


def test_headline_is_what_the_examples_say(entries: list[Entry]) -> None:
    rows = summarise(Evaluations.of(entries, "target"))
    means: list[dict[str, float]] = []
    for entry, row in zip(entries, rows, strict=True):
        values = [e["uw_probability"] for e in entry.examples["forget"]]
        cells = {name: cell for name, cell in row.cells.items() if isinstance(cell, Interval)}
        assert cells["UW probability"].mean == pytest.approx(sum(values) / len(values))
        assert cells["UW probability"].low <= cells["UW probability"].mean <= cells["UW probability"].high
        assert row.cells["model utility"] is None  # there are no real authors and world facts here
        means.append({kind: cells[f"{kind} probability"].mean for kind in ("UW", "GW")})
    drop = {kind: means[0][kind] - means[1][kind] for kind in ("UW", "GW")}
    assert drop["UW"] < measures.LEAST_DROP, "both models know nothing, so a ratio of their drops would be noise"
    assert rows[1].cells["over-forgetting"] is None
    assert rows[0].cells["over-forgetting"] is None


def _with_probabilities(entry: Entry, uw: float, gw: float) -> Entry:
    rows = [
        row | {"uw_probability": uw + i / 1000, "gw_probability": gw} for i, row in enumerate(entry.examples["forget"])
    ]
    return replace(entry, examples=entry.examples | {"forget": rows})


def test_over_forgetting_is_against_the_retain_model_where_it_is_there(entries: list[Entry]) -> None:
    before, ours, retain = (
        _with_probabilities(entry, *levels)
        for entry, levels in zip(entries, [(0.9, 0.95), (0.1, 0.25), (0.05, 0.35)], strict=True)
    )
    ratios = tuple(row["truth_ratio"] for row in retain.examples["forget"])
    ours = replace(ours, record=ours.record.but(retain_truth_ratio=ratios))
    rows = {row.label: row.cells for row in summarise(Evaluations.of([before, ours, retain], "target"))}
    assert rows["NPO"]["over-forgetting"] == 0, "the retain model is undamaged by definition"
    assert rows["TPO <b>"]["over-forgetting"] == pytest.approx(0.1 / 0.8)
    gap = rows["TPO <b>"]["GW gap to retain"]
    assert isinstance(gap, Interval)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((-0.1, -0.1, -0.1))
    assert rows["NPO"]["GW gap to retain"] is None
    alone = {row.label: row.cells for row in summarise(Evaluations.of([before, ours], "target"))}
    assert alone["TPO <b>"]["over-forgetting"] == pytest.approx(0.7 / 0.8)
    assert "GW gap to retain" not in alone["TPO <b>"]


def test_chosen_examples_are_the_extremes(entries: list[Entry]) -> None:
    before, after = entries[0], entries[1]
    start = {r["id"]: r["uw_probability"] for r in before.examples["forget"]}
    drops = {r["id"]: start[r["id"]] - r["uw_probability"] for r in after.examples["forget"]}
    groups = chosen(Evaluations.of(entries, "target"))
    assert groups["Most forgotten"][0] == max(drops, key=lambda i: drops[i])
    rest = {i: d for i, d in drops.items() if i not in groups["Most forgotten"]}
    assert groups["Least forgotten"][0] == min(rest, key=lambda i: rest[i])
    shown = [i for ids in groups.values() for i in ids]
    assert len(shown) == len(set(shown))


def test_page_loads_nothing_and_escapes_everything(entries: list[Entry], tmp_path: Path) -> None:
    out = write_report(tmp_path / "r.html", entries, before="target", intro="<script>alert(1)</script>")
    text = out.read_text()
    assert "<script" not in text
    assert "TPO <b>" not in text
    assert not re.search(r'(?:src|href)="(?!#)', text.replace('xlink:href="#', ""))
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    for heading in ("Metrics for researchers", "Plots", "Token by token", "Audit"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<svg") == 5  # bars, Pareto, drops, truth ratios, loss


def test_each_figure_of_a_probability_says_which_mean_it_shows(entries: list[Entry]) -> None:
    logged = [{"step": step, "uw_probability": 0.5, "gw_probability": 0.9} for step in (1, 2, 3)]
    shown = [entries[0], *(replace(entry, history=logged) for entry in entries[1:])]
    captions = re.findall("<figcaption>(.*?)</figcaption>", plots(Evaluations.of(shown, "target")), re.S)
    bars, *curves = (caption for caption in captions if "Each bar" in caption or "as the run logged it" in caption)
    assert "geometric mean over its tokens of that kind" in bars
    assert len(curves) == 2
    assert all("arithmetic mean over the tokens" in caption for caption in curves)
    assert all("geometric mean over an example" in caption for caption in curves)


def test_the_caption_has_a_dashed_line_only_if_there_is_one(entries: list[Entry]) -> None:
    for probability, line in ((0.9, False), (0.0, True)):
        rows = [row | {"probability": probability} for row in entries[0].examples["retain"]]
        best = replace(entries[0], examples={**entries[0].examples, "retain": rows})
        page = plots(Evaluations.of([best, *entries[1:]], "target"))
        assert ("No run beats those on the dashed line" in page) is line, probability


def test_json_and_markdown_agree(entries: list[Entry], tmp_path: Path) -> None:
    found = write_json(tmp_path / "r.json", entries, before="target")
    assert json.loads((tmp_path / "r.json").read_text()) == found
    table = markdown(entries, before="target")
    [(_, size, *cells)] = [row for row in table_rows(table) if row[0] == "UW probability"]
    assert size == "8"
    for row, cell in zip(found["headline"], cells, strict=True):
        number = row["UW probability"]
        assert cell == f"{number['mean']:.3f} ({number['low']:.3f} – {number['high']:.3f})"


def test_the_page_opens_with_the_verdict(entries: list[Entry], tmp_path: Path) -> None:
    verdict = Evaluations.of(entries, "target").verdict()
    text = html.unescape(write_report(tmp_path / "r.html", entries, before="target").read_text()).replace("\xa0", " ")
    places = [text.index(words) for words in (verdict.sentences()[0], "still writes 0 of 8", "Metrics for researchers")]
    assert places == sorted(places)
    assert markdown(entries, before="target").splitlines()[0] == markdown_text(verdict.sentences()[0])
    assert write_json(None, entries, before="target")["verdict"]["sentences"] == verdict.sentences()


def test_without_completions_the_page_says_so_once_and_shows_probabilities(tiny: Tiny, tmp_path: Path) -> None:
    settings = Scoring(completions=False)
    evaluation = evaluate(tiny.model, tiny.tokenizer, {"forget": [make_row(i) for i in range(3)]}, settings=settings)
    entries = [Entry.of(label, evaluation, settings) for label in ("before", "after")]
    text = write_report(tmp_path / "r.html", entries, before="before").read_text()
    assert text.count("the evaluation ran without completions. The table shows probabilities instead") == 1
    assert f"probability {evaluation.parts['forget']['uw_probability']:.2f}" in text
    assert "still writes" not in text


def test_the_retain_model_is_known_by_its_truth_ratios(entries: list[Entry]) -> None:
    ratios = tuple(row["truth_ratio"] for row in entries[2].examples["forget"])
    counts = entries[2].record.leakage
    unlearned = replace(entries[1], record=entries[1].record.but(retain_truth_ratio=ratios, retain_leakage=counts))
    evaluations = Evaluations.of([entries[0], unlearned, entries[2]], "target")
    assert evaluations.never_saw is entries[2]
    assert [model.role for model in evaluations.verdict().models] == ["before", "unlearned", "never saw"]
    alone = Evaluations.of([entries[0], unlearned], "target")
    assert alone.never_saw is None
    assert alone.verdict().models[-1].label == "never saw them (retain log)"
    assert alone.verdict().models[-1].forget == counts["forget"]
    assert Evaluations.of(entries, "target").never_saw is None


def test_an_evaluation_older_than_the_counts_says_what_to_do(entries: list[Entry]) -> None:
    old = replace(entries[1], record=entries[1].record.but(leakage={}, reasons={}))
    sentence = Evaluations.of([entries[0], old], "target").verdict().sentences()[0]
    assert sentence.startswith("Unwanted phrases are not counted for TPO <b>: this evaluation is older")
    assert "run `tif eval` again" in sentence


def test_models_that_were_asked_different_questions_are_not_laid_side_by_side(tiny: Tiny, entries: list[Entry]) -> None:
    others = [replace(make_row(i + 1), id=make_row(i).id) for i in range(8)]
    other = evaluate(tiny.model, tiny.tokenizer, {"forget": others}, settings=QUICK)
    with pytest.raises(InputError, match=r"target and else, forget/0000: .* different ones"):
        Evaluations.of([entries[0], Entry.of("else", other, QUICK)])
    fewer = evaluate(tiny.model, tiny.tokenizer, {"forget": [make_row(0)]}, settings=QUICK)
    assert len(Evaluations.of([entries[0], Entry.of("fewer", fewer, QUICK)]).entries) == 2


def test_the_record_knows_what_was_evaluated_not_the_folder_around_it(tiny: Tiny, tmp_path: Path) -> None:
    splits = {"forget": [make_row(0)]}
    cache = PartsCache(tmp_path / "eval/parts", "x")
    evaluation = evaluate(tiny.model, tiny.tokenizer, splits, settings=QUICK, cache=cache)
    write(describe(evaluation, QUICK), evaluation.examples, tmp_path / "eval")
    (tmp_path / "run.json").write_text(json.dumps(a_run(0).to_json()))
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    entry = Entry.load(tmp_path / "eval")
    assert entry.run is None
    assert entry.history == []


def test_an_attacked_model_is_not_the_one_before(entries: list[Entry]) -> None:
    base = replace(entries[0], record=entries[0].record.but(model=ModelIdentity("m", "cd")))
    attacked = replace(base, label="nf4", record=base.record.but(attack="nf4"))
    trained = replace(entries[1], record=entries[1].record.but(run=a_run(0)))
    found = Evaluations.of([attacked, base, trained]).before
    assert found is not None
    assert found.label == "target"


@pytest.mark.parametrize("label", ["a$x^$", "_tpo"])
def test_labels_are_drawn_letter_by_letter(label: str) -> None:
    svg = figures.curves({label: ([1, 2], [1, 2])}, "step", "loss")
    assert label in svg.replace("\u200b", "")


def test_wrong_labels_and_folders_are_one_line(entries: list[Entry], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no evaluation is called"):
        Evaluations.of(entries, "nobody")
    with pytest.raises(UsageError, match="nothing to report"):
        Evaluations.of([])
    with pytest.raises(InputError, match="no complete evaluation here"):
        Entry.load(tmp_path)
    assert Evaluations.of([entries[0], entries[0]]).labels == ["target", "target (2)"]


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6))
def test_pieces_are_the_text(tiny: Tiny, words: Sequence[str]) -> None:
    text = "a" + " ".join(words).replace("\ud800", "")
    example = Example("x", "Who?", text, (Span(0, 1),))
    scored = score(tiny.model, Encoder.of(tiny.tokenizer), [example])[0]
    found = heatmap.pieces(text, scored)
    assert "".join(words for words, _, _ in found) == text
    assert found[0][2]
    drawn = re.sub(r"<[^>]*>", "", heatmap.heat(text, scored))
    assert html.unescape(drawn) == text
    assert any(kind == Kind.UW for kind in scored.kind)


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "no chromium here: apt-get install chromium"
    return found


@pytest.mark.real
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (420, "light")])
def test_rendered_in_chromium(entries: list[Entry], tmp_path: Path, width: int, scheme: str) -> None:
    """Nothing is wider than the window, nothing was fetched, and ink and paper stand apart in both schemes."""
    from playwright.sync_api import sync_playwright

    out = write_report(tmp_path / "r.html", entries, before="target")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(out.as_uri())
        assert asked == [out.as_uri()]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("figure svg").count() == 5
        ink, paper = tab.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        levels = [sum(map(float, re.findall(r"[\d.]+", c)[:3])) for c in (ink, paper)]
        assert (levels[0] < levels[1]) == (scheme == "light")
        assert abs(levels[0] - levels[1]) > 400
        assert len(tab.screenshot(full_page=True)) > 50_000
        browser.close()


@pytest.mark.real
def test_prints_to_pdf(entries: list[Entry], tmp_path: Path) -> None:
    out = write_report(tmp_path / "r.html", entries, before="target")
    pdf = tmp_path / "r.pdf"
    subprocess.run(
        [chromium(), "--headless", "--no-sandbox", f"--print-to-pdf={pdf}", out.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert pdf.read_bytes()[:5] == b"%PDF-"
    assert pdf.stat().st_size > 20_000
