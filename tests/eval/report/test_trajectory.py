"""Curves over training and over relearning: rows without a step, and the colours of models."""

from __future__ import annotations

from dataclasses import replace

from tests.eval.report.test_redact import ATTACKED
from tests.eval.report.test_tables import body, table_rows
from tif.eval.record import EvalRecord
from tif.eval.report import figures, robustness, trajectory
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.write import markdown
from tif.records import EVALUATION


def test_a_row_of_the_log_without_a_step_is_not_drawn() -> None:
    history = [{"step": step, f"{EVALUATION}uw_probability": 0.5} for step in (0, 5)]
    history.append({f"{EVALUATION}uw_probability": 0.1})
    entry = Entry(label="ours", record=EvalRecord.new(), examples={}, history=history)
    section = trajectory.section(Evaluations.of([entry]))
    assert section is not None
    assert len(section.parts) == 1
    assert section.html().count("<svg") == 1


def test_markdown_has_the_numbers_of_each_step() -> None:
    every = [(0, 0.9), (5, 0.5), (10, 0.125)]
    history = [{"step": step, f"{EVALUATION}uw_probability": level, "loss": 1.0} for step, level in every]
    entries = [
        Entry(label=label, record=EvalRecord.new(), examples={}, history=steps)
        for label, steps in (("ours", history), ("theirs", history[1:]), ("unwatched", []))
    ]
    part = markdown(entries).split(f"### {trajectory.HEADING}\n")[1].split("\n### ")[0]
    assert "#### UW probability, by step" in part
    assert table_rows(part) == [
        ["step", "ours", "theirs"], ["0", "0.900", "–"], ["5", "0.500", "0.500"], ["10", "0.125", "0.125"],
    ]  # fmt: skip
    assert trajectory.HEADING not in markdown(entries[2:])


def test_an_attacked_model_keeps_its_colour_and_no_other_line_has_it() -> None:
    plain = Entry(label="ours", record=EvalRecord.new(), examples={})
    attacked = Entry(label="ours-relearn", record=EvalRecord.new(robustness=ATTACKED), examples={})
    level = ATTACKED.model.before
    whole = replace(ATTACKED, retain=replace(ATTACKED.model, model=ATTACKED.starting_model), starting=level)
    both = replace(attacked, record=EvalRecord.new(robustness=whole))
    page = body(robustness.section(Evaluations.of([plain, both])))
    assert figures.PALETTE[0].lower() not in page
    for colour in figures.PALETTE[1:4]:  # ours-relearn, the retain model, the starting model
        assert colour.lower() in page
