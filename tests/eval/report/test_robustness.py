"""Attacks in the report: one row a model in groups of the same attack, and the curves of relearning as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.eval.report.test_redact import ATTACKED
from tests.eval.report.test_tables import on_page, rows, table_rows
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.recovery import AttackedModel, CurvePoint, Levels
from tif.eval.options import Attack
from tif.eval.record import EvalRecord
from tif.eval.report import robustness
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.tables import Table
from tif.eval.report.write import markdown, write_report
from tif.records import ModelIdentity


def levels(mean: float) -> Levels:
    return Levels(examples=10, uw_probability=Interval(mean, mean - 0.05, mean + 0.05))


def attacked(name: str, before: float, after: float) -> AttackedModel:
    half = levels((before + after) / 2)
    points = [(0.0, levels(before)), (0.5, half), (1.0, levels(after))]
    curve = tuple(CurvePoint(epoch=epoch, step=round(2 * epoch), levels=each) for epoch, each in points)
    return AttackedModel(model=ModelIdentity(name, name), before=levels(before), after=levels(after), curve=curve)


RELEARNED = replace(
    ATTACKED, model=attacked("ours", 0.2, 0.6), retain=attacked("retain", 0.1, 0.3), retain_reason=None,
    starting=levels(0.9), starting_reason=None, recovered=Interval(0.57, 0.4, 0.7), recovered_reason=None,
)  # fmt: skip
QUANTIZED = replace(
    ATTACKED, relearning=None, model=replace(RELEARNED.model, curve=()), retain=None,
    recovered_reason="it needs a level",
)  # fmt: skip


def entry(label: str, attack: Attack | None, **values: object) -> Entry:
    return Entry(label=label, record=EvalRecord.new(attack=attack, **values), examples={})


ENTRIES = [
    entry("ours", None),
    entry("ours|a", "relearn", robustness=RELEARNED),
    entry("ours-nf4", "nf4", robustness=QUANTIZED),
    entry("theirs", "relearn", robustness=replace(RELEARNED, model=attacked("theirs", 0.3, 0.4))),
]
RELEARNING = "relearning (1 epoch on the forget set, learning rate 2e-05, linear, batch size 32)"


def test_models_after_the_same_attack_stand_together() -> None:
    section = robustness.section(Evaluations.of(ENTRIES))
    assert section is not None
    table = section.parts[0]
    assert isinstance(table, Table)
    assert [(line.name, line.group.split(":")[0]) for line in table.lines] == [
        ("ours|a", RELEARNING), ("theirs", RELEARNING), ("ours-nf4", "4-bit quantization (nf4)"),
    ]  # fmt: skip


def test_markdown_has_the_rows_and_the_curves_of_the_page(tmp_path: Path) -> None:
    part = markdown(ENTRIES).split(f"### {robustness.HEADING}\n")[1].split("\n### ")[0]
    text, curve = part.split("#### UW probability, by epochs of relearning")
    head, ours, theirs, quantized = table_rows(text)
    assert head == ["attack: number", "model", "n", "before", "after", "retain model before", "retain model after",
                    "share recovered"]  # fmt: skip
    control = ["0.100 (0.050 – 0.150)", "0.300 (0.250 – 0.350)"]
    share = "57% (40% – 70%)"
    about = f"{RELEARNING}: probability of an unwanted word (UW)"
    assert ours == [about, r"ours\|a", "10", "0.200 (0.150 – 0.250)", "0.600 (0.550 – 0.650)", *control, share]
    assert theirs[:2] == [about, "theirs"]
    assert quantized[1:] == ["ours-nf4", "10", *ours[3:5], "–", "–", "–"]
    assert text.index("- share recovered: (after - before)") < text.index("| attack: number |")
    assert "ours-nf4: the retain model /models/zoltan is gone." in part
    assert "ours-nf4: no share recovered, because /models/Łuków-on-Sea does not exist." in part
    assert table_rows(curve) == [
        ["epochs of relearning", r"ours\|a", "theirs", "retain model, same attack", "starting model"],
        ["0", ours[3], theirs[3], control[0], "0.900 (0.850 – 0.950)"],
        ["0.5", "0.400 (0.350 – 0.450)", "0.350 (0.300 – 0.400)", "0.200 (0.150 – 0.250)", "0.900 (0.850 – 0.950)"],
        ["1", ours[4], theirs[4], control[1], "0.900 (0.850 – 0.950)"],
    ]
    page = write_report(tmp_path / "r.html", ENTRIES).read_text()
    shown = rows(page.split(f"<h2>{robustness.HEADING}</h2>")[1].split("</section>")[0])
    assert [about] in shown, "the attack is the name of a group"
    numbers = [row for row in shown if len(row) > 1 and row[0] != "model"]
    assert numbers == [on_page(row[1:]) for row in (ours, theirs, quantized)]


def test_an_attack_that_was_not_measured_is_one_line() -> None:
    lines = markdown(ENTRIES[:2]).splitlines()
    how = "was not measured: to measure it, run \\`tif eval RUN --attack nf4\\` and report its folder too."
    assert lines.count(f"4-bit quantization {how}") == 1
    assert not any(line.startswith("Relearning was not measured") for line in lines)
    assert any(line.startswith("Relearning was not measured") for line in markdown(ENTRIES[:1]).splitlines())
    assert robustness.section(Evaluations.of(ENTRIES[:1])) is None
