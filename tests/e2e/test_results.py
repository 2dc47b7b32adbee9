"""docs/results.md: written from the results of the experiments, and from nothing else."""

import json
from pathlib import Path

import tif
from benchmarks import results
from benchmarks.claim import lume

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


def test_a_table_has_ten_rows_and_leaves_out_spare_ones_first():
    runs = {str(n): {"label": str(n), "cells": {"leak": cell(0.5)}} for n in range(12)}
    lines = list(results.table(runs, ["leak"], spare=("3", "7")))
    assert [line.split("|")[1].strip() for line in lines[2:]] == [str(n) for n in range(12) if n not in (3, 7)]
    lines = list(results.table(runs, ["leak"], spare=()))
    assert len(lines) == 2 + results.ROWS
