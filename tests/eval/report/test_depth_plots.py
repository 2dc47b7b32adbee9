"""Depth in a report: two figures, two columns with intervals, and nothing where it was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure.depth import Depth, LayerDepth
from tif.eval.report.depth_plots import depth_plots
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import Interval, summarise
from tif.eval.report.write import markdown, write_report
from tif.eval.settings import Scoring
from tif.records import ModelIdentity


def make_depth(lost: tuple[float, ...], score: float, *, start: str = "s") -> Depth:
    by = LayerDepth(score=score, n=4, could_lose=(0.1, 0.7, 1.9), lost=lost, counted=(1, 4, 4))
    return Depth(
        examples=4, layers=3, patching=by, lens=by,
        starting_model=ModelIdentity("start", start), retain_model=ModelIdentity("retain", "r"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    made = []
    for seed, name in enumerate(("start", "shallow", "thorough", "unmeasured")):
        rows = {"forget": [make_row(i) for i in range(4)]}
        settings = Scoring(completions=False)
        evaluation = evaluate(make_llama(len(tiny.tokenizer), seed), tiny.tokenizer, rows, settings=settings)
        entry = Entry.of(name, evaluation, settings)
        if name in ("shallow", "thorough"):
            score = 0.25 if name == "shallow" else 0.75
            object.__setattr__(entry, "record", entry.record.but(depth=make_depth((0.0, score, 1.0), score)))
            for row, by in zip(entry.examples["forget"], (score - 0.1, score + 0.1, score, None), strict=True):
                row.update(depth=by, lens_depth=by)
        made.append(entry)
    return made


def test_a_figure_has_the_measured_models_and_the_retain_model(entries: list[Entry]) -> None:
    drawn = depth_plots(Evaluations.of(entries, "start"))
    assert len(drawn) == 2
    for (svg, caption), way in zip(drawn, ("Activation patching", "Logit lens"), strict=True):
        assert caption.startswith(way)
        assert "over 4 questions" in caption
        assert [name for name in ("shallow", "thorough", "unmeasured", "retain model") if f">{name}<" in svg] == [
            "shallow", "thorough", "retain model",
        ]  # fmt: skip


def test_models_of_another_starting_model_are_not_in_one_figure(entries: list[Entry]) -> None:
    other = Entry(
        label="other", record=entries[1].record.but(depth=make_depth((0.0, 0.1, 0.2), 0.1, start="other")),
        examples=entries[1].examples,
    )  # fmt: skip
    svg, _ = depth_plots(Evaluations.of([*entries, other]))[0]
    assert ">shallow<" in svg
    assert ">other<" not in svg


def test_the_table_has_depth_with_its_interval_only_if_it_was_measured(entries: list[Entry], tmp_path: Path) -> None:
    rows = {row.label: row.cells for row in summarise(Evaluations.of(entries))}
    shallow = rows["shallow"]["depth (UDS)"]
    assert isinstance(shallow, Interval)
    assert shallow.mean == pytest.approx(0.25)
    assert 0.15 <= shallow.low < 0.25 < shallow.high <= 0.35
    assert rows["unmeasured"]["depth (UDS)"] is None
    page = write_report(tmp_path / "r.html", entries).read_text()
    assert "Unlearning Depth Score" in page
    assert "Logit lens: the starting model" in page
    assert "depth (UDS)" not in markdown([entries[0], entries[3]])
    assert depth_plots(Evaluations.of([entries[0]])) == []
