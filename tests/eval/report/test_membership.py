"""Membership inference and composites in the report: the record's numbers, with n, intervals and what is missing."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_report import chromium
from tests.eval.report.test_tables import body, rows
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure.composites import Composites
from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.report import composites, headline, membership
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.write import markdown, write_report
from tif.eval.settings import Scoring

OURS = {"loss": 0.6, "zlib": 0.4, "min_k": 0.5, "min_k_plus_plus": 0.45, "reference": 0.55}
RETAIN = {"loss": 0.5, "zlib": 0.5, "min_k": 0.5, "min_k_plus_plus": 0.5, "reference": 0.5}


def areas(values: dict[str, float], *, texts: str = "same", sizes: tuple[int, int] = (40, 30)) -> Membership:
    return Membership(
        holdout="holdout05", forget_questions=sizes[0], holdout_questions=sizes[1], texts_sha256=texts,
        attacks={name: AttackArea(auc=value) for name, value in values.items()},
    )  # fmt: skip


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    """A starting model and an unlearned model with membership inference, without composites."""
    splits = {"forget": [make_row(i) for i in range(6)], "retain": [make_row(i + 9, part="retain") for i in range(3)]}
    made = []
    for seed, label in enumerate(("start <b>", "ours")):
        evaluation = evaluate(
            make_llama(len(tiny.tokenizer), seed), tiny.tokenizer, splits, settings=Scoring(max_new_tokens=2)
        )
        entry = Entry.of(label, evaluation, Scoring())
        measured = areas(OURS if seed else dict.fromkeys(RETAIN, 0.9))
        made.append(replace(entry, record=entry.record.but(membership=measured)))
    return made


def beside(entry: Entry) -> Entry:
    known = entry.record.membership
    assert known is not None
    return replace(entry, record=entry.record.but(membership=known.beside(areas(RETAIN))))


def test_each_attack_has_its_auc_with_an_interval(entries: list[Entry]) -> None:
    page = body(membership.section(Evaluations.of(entries, "start <b>")))
    found = rows(page)
    assert found[0] == ["attack", "start <b>", "ours"]
    assert [row[0] for row in found[2:]] == ["loss", "zlib", "min-k", "min-k++", "reference"]
    interval = areas(OURS).interval("loss")
    assert found[2][2] == f"0.600 {interval.low:.3f} – {interval.high:.3f}"
    assert 0.46 < interval.low < 0.5
    assert 0.7 < interval.high < 0.73
    assert "Texts: 40 to forget and 30 that no model saw." in text(page)
    assert "run tif eval with --retain-log" in text(page)
    assert "<b>" not in page.replace("start &lt;b&gt;", "")


def test_beside_a_retain_model_the_gap_has_a_sign(entries: list[Entry]) -> None:
    page = body(membership.section(Evaluations.of([*map(beside, entries)], "start <b>")))
    found = rows(page)
    groups = [row[0] for row in found if len(row) == 1]
    assert groups == ["AUC", "AUC minus the retain model's", "s"]
    gaps = {row[0]: row[2] for row in found[found.index([groups[1]]) + 1 : found.index([groups[2]])]}
    assert gaps["loss"] == "+0.100 retain 0.500"
    assert gaps["zlib"] == "-0.100 retain 0.500"
    assert gaps["min-k"] == "+0.000 retain 0.500"
    close = {row[0]: row[1:] for row in found[found.index([groups[2]]) + 1 :]}
    assert close["loss"] == ["0.200", "0.800"]
    assert close["all four (MIA)"][1] == f"{4 / (1 / 0.8 + 1 / 0.8 + 1 + 1 / 0.9):.3f}"
    assert "above 0, the model forgets too little; below 0, too much" in text(page)
    assert "run tif eval with --retain-log" not in text(page)


def test_models_measured_on_different_texts_are_named(entries: list[Entry]) -> None:
    other = replace(
        entries[1], record=entries[1].record.but(membership=areas({"loss": 0.5}, texts="other", sizes=(1000, 20)))
    )
    page = body(membership.section(Evaluations.of([entries[0], other])))
    assert "do not compare their AUCs: start <b>; ours." in text(page)
    assert "ours: 1,000 to forget and 20 that no model saw." in text(page)
    assert [row[2] for row in rows(page)[3:6]] == ["–", "–", "–"], "one attack is known of this model"


def test_every_composite_stands_below_its_terms(entries: list[Entry]) -> None:
    [start, ours] = map(beside, entries)
    made = []
    for entry, starting in ((start, None), (ours, 0.7)):
        known = entry.record.membership
        assert known is not None
        assert entry.record.memorization is not None
        numbers = Composites.of(
            memorization=entry.record.memorization.score,
            closeness={name: area.closeness for name, area in known.attacks.items()},
            depth=None, model_utility=0.6, fluency=0.75, starting_utility=starting,
            why={"starting_utility": "no --starting-log"},
        )  # fmt: skip
        fluent = [row | {"fluency": 0.7 + 0.02 * i} for i, row in enumerate(entry.examples["forget"])]
        made.append(
            replace(
                entry, record=entry.record.but(composites=numbers, model_utility=0.6),
                examples={**entry.examples, "forget": fluent},
            )
        )  # fmt: skip
    page = body(composites.section(Evaluations.of(made, "start <b>")))
    found = rows(page)
    names = [row[0] for row in found if row]
    order = ["Memorization of the forget set", "memorization (Mem)", "Privacy", "s min-k++", "privacy", "Utility",
             "fluency", "utility", "relative utility", "All", "overall"]  # fmt: skip
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    lines = {row[0]: row[1:] for row in found}
    numbers = made[1].record.composites
    assert numbers is not None
    assert lines["overall"] == ["", "–", f"{numbers.overall:.3f}"]
    assert lines["memorization (Mem)"][2] == f"{made[1].record.memorization.score:.3f}"  # type: ignore[union-attr]
    assert lines["fluency"][0] == "6"
    assert re.fullmatch(r"0\.750 0\.7\d+ – 0\.7\d+", lines["fluency"][2])
    for term in ("extraction strength", "exact memorization", "paraphrase probability", "truth ratio (prob_mean)"):
        assert lines[f"1 - {term}"][0] == "6"
        mean, low, high = map(float, lines[f"1 - {term}"][2].replace(" – ", " ").split())
        assert low <= mean <= high
    assert "No relative utility for start <b>: it needs starting utility (no --starting-log)." in text(page)
    assert "No overall for start <b>: it needs relative utility." in text(page)
    assert "for ours" not in text(page)


def test_markdown_has_both_sections_with_n_and_intervals(entries: list[Entry]) -> None:
    page = markdown([*map(beside, entries)], before="start <b>")
    sections = dict(part.split("\n", 1) for part in page.split("### ")[1:])
    assert [*sections] == [membership.HEADING, headline.HEADING, composites.HEADING]
    interval = areas(OURS).interval("loss")
    inference = sections[membership.HEADING]
    assert "| part | attack | start &lt;b> | ours |\n| --- | --- | --- | --- |\n" in inference
    lines = {tuple(cells[1:3]): cells[3:-1] for cells in map(cells_of, inference.splitlines()) if len(cells) > 2}
    assert lines["AUC", "loss"][1] == f"0.600 ({interval.low:.3f} – {interval.high:.3f})"
    assert lines["AUC minus the retain model's", "loss"][1] == "+0.100 (retain 0.500)"
    assert lines["s", "loss"] == ["0.200", "0.800"]
    assert "Texts: 40 to forget and 30 that no model saw." in inference
    composed = {tuple(cells[1:3]): cells[3:-1] for cells in map(cells_of, sections[composites.HEADING].splitlines())}
    n, *numbers = composed["Memorization of the forget set", "1 - extraction strength"]
    assert n == "6"
    assert all(re.fullmatch(r"0\.\d{3} \(0\.\d{3} – [01]\.\d{3}\)", number) for number in numbers)
    assert "<" not in page.replace("&lt;", "")


def test_markdown_leaves_out_sections_without_numbers(entries: list[Entry]) -> None:
    bare = replace(entries[0], record=entries[0].record.but(membership=None, memorization=None))
    headings = [line for line in markdown([bare]).splitlines() if line.startswith("#")]
    assert headings == [f"### {headline.HEADING}"]


def cells_of(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in line.split("|")]


def test_sections_without_numbers_are_left_out(entries: list[Entry], tmp_path: Path) -> None:
    bare = replace(entries[0], record=entries[0].record.but(membership=None, memorization=None))
    page = write_report(tmp_path / "r.html", [bare]).read_text()
    assert membership.HEADING not in page
    assert composites.HEADING not in page
    both = write_report(tmp_path / "r.html", entries).read_text()
    assert both.index(membership.HEADING) < both.index("Metrics for researchers") < both.index(composites.HEADING)


@pytest.mark.real
@pytest.mark.parametrize("width", [400, 1200])
def test_eight_models_stay_within_the_window(entries: list[Entry], tmp_path: Path, width: int) -> None:
    from playwright.sync_api import sync_playwright

    many = [replace(beside(entries[1]), label=f"model with a long name {i}") for i in range(8)]
    out = write_report(tmp_path / "r.html", many)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.goto(out.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
