"""Depth in a report: two figures, two columns with intervals, and nothing where it was not measured."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_tables import on_page, rows, table_rows
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure.depth import Depth, LayerDepth
from tif.eval.report import depth
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import Interval, summarise
from tif.eval.report.section import Curves
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
            object.__setattr__(entry, "record", entry.record.but(depth=make_depth((-2e-7, score, 1.0), score)))
            for row, by in zip(entry.examples["forget"], (score - 0.1, score + 0.1, score, None), strict=True):
                row.update(depth=by, lens_depth=by)
        made.append(entry)
    return made


def figures_of(evaluations: Evaluations) -> list[Curves]:
    section = depth.section(evaluations)
    assert section is not None
    return [part for part in section.parts if isinstance(part, Curves)]


def test_a_figure_has_the_measured_models_and_the_retain_model(entries: list[Entry]) -> None:
    drawn = figures_of(Evaluations.of(entries, "start"))
    assert len(drawn) == 2
    for curves, way in zip(drawn, ("Activation patching", "Logit lens"), strict=True):
        svg, caption = curves.html(), curves.caption
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
    curves = figures_of(Evaluations.of([*entries, other]))[0]
    assert ">shallow<" in curves.html()
    assert ">other<" not in curves.html()
    assert curves.caption.endswith("Not here, because of another starting or retain model: other.")


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
    assert depth.section(Evaluations.of([entries[0]])) is None


def test_markdown_has_each_layer_then_the_scores_as_the_page_has_them(entries: list[Entry], tmp_path: Path) -> None:
    part = markdown(entries, before="start").split(f"### {depth.HEADING}\n")[1].split("\n### ")[0]
    found = table_rows(part)
    layers = [["layer", "shallow", "thorough", "retain model"], ["1", "0.000", "0.000", "0.100"],
              ["2", "0.250", "0.750", "0.700"], ["3", "1.000", "1.000", "1.900"]]  # fmt: skip
    assert found[:8] == [*layers, *layers], "activation patching, then the logit lens"
    head, uds, by_lens = found[8:]
    assert "-0.000" not in part
    assert head == ["score", "n", "shallow", "thorough"]
    assert uds[:2] == ["depth (UDS)", "3"]
    assert re.fullmatch(r"0\.250 \(0\.1\d\d – 0\.3\d\d\)", uds[2])
    assert re.fullmatch(r"0\.750 \(0\.6\d\d – 0\.8\d\d\)", uds[3])
    assert by_lens == ["depth (logit lens)", *uds[1:]]
    assert part.index("Unlearning Depth Score") < part.index("| depth (UDS) |"), "what a score is stands above it"
    assert "Not measured for unmeasured." in part, "the starting model has 0 by definition"
    page = write_report(tmp_path / "r.html", entries, before="start").read_text()
    shown = rows(page.split(f"<h2>{depth.HEADING}</h2>")[1].split("</section>")[0])
    assert shown == [head, on_page(uds), on_page(by_lens)]


def test_depth_that_was_not_measured_is_one_line(entries: list[Entry]) -> None:
    page = markdown([entries[0], entries[3]])
    assert depth.HEADING not in page
    line = "Depth was not measured: to measure it, run \\`tif eval RUN --depth --retain-model MODEL\\`."
    assert page.splitlines().count(line) == 1
    reason = "--depth needs the starting model. Give it as --starting-model"
    full = replace(entries[3], record=entries[3].record.but(reasons={"depth": reason}))
    assert f"Depth was not measured: {reason}." in markdown([full])
