"""Tables: one line a number with its n and interval, for one to eight models; no p-value without mark and direction."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.report.entry import Entry
from tif.eval.report.section import Section
from tif.eval.report.tables import Line, decimals, grid
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.settings import Scoring


def body(section: Section | None) -> str:
    """The HTML of a section with numbers."""
    assert section is not None
    return section.html()


def table_rows(text: str) -> list[list[str]]:
    """The cells of every row of the Markdown tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def on_page(row: list[str]) -> list[str]:
    """A row of a Markdown table as `rows` gives it: its small print is in no brackets."""
    name, *numbers = (re.sub(r"\\([|*])", r"\1", html.unescape(cell)) for cell in row)
    return [name, *(re.sub("[()]", "", number) for number in numbers)]


def rows(page: str) -> list[list[str]]:
    """The cells of every table row, as text."""
    cut = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.S)
    ]
    return [[" ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split()) for cell in row] for row in cut]


@pytest.fixture(scope="module")
def entry(tiny: Tiny) -> Entry:
    splits = {"forget": [make_row(i) for i in range(5)], "retain": [make_row(i + 9, part="retain") for i in range(3)]}
    settings = Scoring(completions=False)
    made = Entry.of(
        "m", evaluate(make_llama(len(tiny.tokenizer), 0), tiny.tokenizer, splits, settings=settings), settings
    )
    ratios = tuple(0.5 * row["truth_ratio"] for row in made.examples["forget"])
    return replace(
        made, record=made.record.but(forget_quality=3e-5, ks_distance=0.8, retain_truth_ratio=ratios, model_utility=0.5)
    )


@pytest.mark.parametrize("count", [1, 8])
def test_every_number_has_its_n(entry: Entry, tmp_path: Path, count: int) -> None:
    entries = [replace(entry, label=f"model {i}") for i in range(count)]
    lines = {row[0]: row for row in rows(write_report(tmp_path / "r.html", entries).read_text()) if row}
    assert lines["number"] == ["number", "n", *(f"model {i}" for i in range(count))]
    assert lines["UW probability"][1] == "5"
    assert lines["retain probability"][1] == "3"
    assert lines["model utility"][1] == ""
    low_to_high = r"[\d.e-]+ [\d.e-]+ – [\d.e-]+"
    assert all(re.fullmatch(low_to_high, cell) for cell in lines["UW probability"][2:])
    assert lines["forget quality"][1] == "5"
    assert lines["forget quality"][2] == "3e-05 differs at 0.05, forgets too much, D = 0.80"


def test_markdown_and_json_have_the_mark_and_direction_of_a_p_value(entry: Entry) -> None:
    assert "3e-05 (differs at 0.05, forgets too much, D = 0.80)" in markdown([entry])
    [row] = write_json(None, [entry])["headline"]
    assert row["forget quality"] == 3e-5
    assert row["notes"] == {"forget quality": "differs at 0.05, forgets too much, D = 0.80"}
    assert row["n"]["UW probability"] == 5


def test_models_of_different_size_show_both_sizes() -> None:
    lines = [Line("x", ["1", "2"], sizes=[1200, 40]), Line("y", ["3", "4"], group="Later")]
    table = grid("number", ["a", "b <"], lines)
    assert rows(table) == [["number", "n", "a", "b <"], ["x", "40 – 1,200", "1", "2"], ["Later"], ["y", "", "3", "4"]]
    assert rows(grid("number", ["a"], [Line("x", ["1"])])) == [["number", "a"], ["x", "1"]]


def test_small_numbers_are_not_shown_as_nothing() -> None:
    assert [decimals(value) for value in (0.0, 0.25, -0.0004, 0.00051, 2.46e-13)] == [
        "0.000", "0.250", "-4.0e-4", "0.001", "2.5e-13",
    ]  # fmt: skip
