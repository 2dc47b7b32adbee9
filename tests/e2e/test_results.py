"""docs/results.md: written from the results of the experiments, and from nothing else."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

import tif
from benchmarks import figure, results
from benchmarks.claim import lume, tofu
from benchmarks.figure import Mark

DOCS = Path(tif.__file__).parents[1] / "docs"


def cell(value):
    return [value, value - 0.1, value + 0.1]


def finished(docs, labels, seeds=(0,)):
    """Results of LUME with these rows, each with a value of its own."""
    runs = {"target": {"label": "target", "cells": {"leak": cell(0.9)}}}
    for at, label in enumerate(labels):
        for seed in seeds:
            cells = {"leak": cell(at / 100 + seed / 10), "UW": cell(0.0002)}
            runs[f"{label}/{seed}"] = {"label": label, "row": label, "seed": seed, "cells": cells}
    (docs / "lume").mkdir()
    (docs / "lume" / "results.json").write_text(json.dumps({"runs": runs}))


def measured(docs, numbers, folder="claim"):
    """Results of a benchmark with the leak and the GW of each label; None is not measured."""
    runs = {}
    for label, pair in numbers.items():
        cells = {name: cell(value) for name, value in zip(results.AXES, pair, strict=True) if value is not None}
        known = {} if label in ("target", "retain-only") else {"row": label, "seed": 0}
        runs[label] = {"label": label, **known, "cells": cells}
    (docs / folder).mkdir()
    (docs / folder / "results.json").write_text(json.dumps({"runs": runs}))


def names_of(plot):
    """The boxes of the names that a figure has at its marks, by name."""
    return {text.get_text(): text.get_window_extent() for text in plot.axes[0].texts if text.get_text() != "goal"}


def rows_of(page, heading):
    """The cells of a section's table by row."""
    lines = page.partition(f"## {heading}")[2].partition("\n## ")[0].splitlines()
    table = [[each.strip() for each in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: dict(zip(table[0], row, strict=True)) for row in table[2:]}


def test_the_page_in_the_documentation_is_what_the_command_writes():
    assert (DOCS / "results.md").read_text() == results.page(DOCS)


def test_every_number_of_the_page_is_in_a_record():
    page = results.page(DOCS)
    runs = json.loads((DOCS / "claim" / "results.json").read_text())["runs"]
    shown = rows_of(page, "TOFU, 160 questions")
    assert 2 < len(shown) <= results.ROWS
    for label, row in shown.items():
        own = [run for run in runs.values() if run["label"] == label]
        values = [run["cells"]["leak"][0] for run in own if "leak" in run["cells"]]
        assert row["leak"] == (f"{sum(values) / len(values):.3f}" if values else "–")


def test_a_benchmark_without_results_is_named_with_its_command(tmp_path):
    page = results.page(tmp_path)
    for each in results.SECTIONS:
        assert f"**There are no results yet.** `{each.command}` makes them." in page
    assert "0." not in page.partition("## TOFU")[2].partition("## More")[0]


def test_a_row_is_the_mean_of_its_seeds_and_missing_rows_are_named(tmp_path):
    finished(tmp_path, ["anchored", "NPO + retain"], seeds=(0, 1))
    page = results.page(tmp_path)
    shown = rows_of(page, "LUME, 40 people")
    assert list(shown) == ["target", "anchored", "NPO + retain"]
    assert shown["NPO + retain"]["seeds"] == "2"
    assert shown["NPO + retain"]["leak"] == "0.060"
    assert shown["NPO + retain"]["UW"] == "2.0e-04"
    assert shown["target"]["UW"] == "–"
    absent = [row.label for row in lume.ROWS if row.label not in shown]
    assert f"Missing rows: {'; '.join([*absent, 'retain-only'])}." in page


def test_rows_of_another_recipe_are_of_an_earlier_plan(tmp_path):
    finished(tmp_path, ["anchored"])
    path = tmp_path / "lume" / "results.json"
    record = json.loads(path.read_text())
    for chosen, words in (
        (lume.CHOSEN, "`make lume` goes on with them."),
        ("older", "These rows are of an earlier plan. `make lume` starts the present one."),
    ):
        path.write_text(json.dumps({**record, "chosen": chosen}))
        assert words in results.page(tmp_path)


def test_a_table_has_ten_rows_and_leaves_out_spare_ones_first():
    runs = {str(n): {"label": str(n), "cells": {"leak": cell(0.5)}} for n in range(12)}
    lines = list(results.table(runs, ["leak"], spare=("3", "7")))
    assert [line.split("|")[1].strip() for line in lines[2:]] == [str(n) for n in range(12) if n not in (3, 7)]
    lines = list(results.table(runs, ["leak"], spare=()))
    assert len(lines) == 2 + results.ROWS


FOUR = {
    "target": (1.0, 0.98), "retain-only": (0.18, 0.14), "anchored": (0.19, 0.92), "NPO + retain": (0.2, 0.15)
}  # fmt: skip


def test_the_figure_in_the_documentation_is_the_one_of_the_page():
    drawn = results.picture(DOCS)
    with Image.open(DOCS / results.FIGURE) as image:
        assert image.info["Description"] == drawn.alt
    assert f"![{drawn.alt}]({results.FIGURE})" in results.page(DOCS)
    shown = rows_of(results.page(DOCS), drawn.section.heading)
    for mark in drawn.marks:
        assert (f"{mark.x:.3f}", f"{mark.y:.3f}") == tuple(shown[mark.label][name] for name in results.AXES)
    assert set(shown) == {mark.label for mark in drawn.marks} | set(drawn.unplaced)


def test_the_figure_is_written_with_the_page_and_a_second_run_changes_nothing(tmp_path):
    measured(tmp_path, FOUR)
    assert results.main(["--docs", str(tmp_path)]) == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert set(first) == {"results.md", results.FIGURE}
    assert "retain-only 0.18, 0.14; anchored 0.19, 0.92;" in first["results.md"].decode()
    assert b"leak at most 0.02 above the retain-only model's, and GW at least 0.9" in first["results.md"]
    assert results.main(["--docs", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == first


def test_rows_without_both_numbers_have_no_mark_and_are_named(tmp_path):
    measured(tmp_path, FOUR | {"GradDiff": (0.4, None), "TPO + retain": (None, 0.9), "SimNPO + retain": (None, None)})
    drawn = results.picture(tmp_path)
    assert [mark.label for mark in drawn.marks] == list(FOUR)
    assert [mark.kind for mark in drawn.marks] == ["reference", "reference", "own", "rival"]
    left_out = "Rows without both numbers are left out: GradDiff; TPO + retain; SimNPO + retain."
    assert left_out in results.page(tmp_path)


def test_the_goal_is_drawn_only_beside_the_model_that_it_refers_to(tmp_path):
    measured(tmp_path, FOUR)
    assert results.picture(tmp_path).goal == pytest.approx((0.2, 0.9))
    (tmp_path / "other").mkdir()
    measured(tmp_path / "other", FOUR | {"retain-only": (None, 0.14)})
    assert results.picture(tmp_path / "other").goal is None
    assert "green" not in results.page(tmp_path / "other")


def test_with_too_few_marks_there_is_neither_a_figure_nor_a_link_to_it(tmp_path):
    measured(tmp_path, {"anchored": (0.2, 0.9), "NPO + retain": (0.3, 0.2), "GradDiff": (0.4, None)})
    (tmp_path / results.FIGURE).write_bytes(b"of an earlier run")
    assert results.main(["--docs", str(tmp_path)]) == 0
    assert not (tmp_path / results.FIGURE).exists()
    assert "![" not in (tmp_path / "results.md").read_text()


def test_the_figure_is_of_the_first_benchmark_with_enough_rows(tmp_path):
    measured(tmp_path, {"anchored": (0.2, 0.9), "NPO + retain": (0.3, 0.2)})
    measured(tmp_path, FOUR, folder="lume")
    measured(tmp_path, FOUR, folder="muse")
    assert results.picture(tmp_path).section.heading == "LUME, 40 people"


def test_a_complete_table_has_ten_marks_and_its_spare_rows_have_none(tmp_path):
    labels = ["target", "retain-only", *(row.label for row in tofu.ROWS)]
    measured(tmp_path, {label: (n / len(labels), 0.5) for n, label in enumerate(labels)})
    drawn = results.picture(tmp_path)
    assert [mark.label for mark in drawn.marks] == [label for label in labels if label not in drawn.section.spare]
    assert len(drawn.marks) == results.ROWS
    plot = figure.plot(drawn.marks, xlabel="leak", ylabel="GW", goal=drawn.goal)
    assert len([line for line in plot.axes[0].lines if line.get_marker() != "None"]) == results.ROWS


@pytest.mark.parametrize("at", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_no_name_covers_another_one_or_a_mark_even_where_marks_are_near(at):
    x, y = at
    close = [Mark(label=f"anchored, row {n}", kind="own", x=x, y=abs(y - n / 200)) for n in range(9)]
    plot = figure.plot(
        [*close, Mark(label="target", kind="reference", x=1.0, y=0.98)], xlabel="x", ylabel="y", goal=None
    )
    plot.draw_without_rendering()
    axes, names = plot.axes[0], names_of(plot)
    assert len(names) == 10
    assert not [pair for pair in combinations(names.values(), 2) if pair[0].overlaps(pair[1])]
    inside = axes.bbox.padded(1)
    assert all(inside.containsx(box.x0) and inside.containsx(box.x1) for box in names.values())
    assert all(inside.containsy(box.y0) and inside.containsy(box.y1) for box in names.values())
    middles = [axes.transData.transform((mark.x, mark.y)) for mark in close]
    assert not [1 for box in names.values() for middle in middles if box.contains(*middle)]
