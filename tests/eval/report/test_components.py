"""Reports of benchmarks with numbers of their own: every component with its n, MUSE's marks, and its samples."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.benchmarks.test_muse import write_files
from tests.eval.conftest import Tiny, make_llama
from tests.eval.report.test_tables import body, rows
from tif.eval.benchmarks import muse
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.lume import LumeNumbers, Outcome, ValueLeakage
from tif.eval.measure.privacy import RetainArea, auc_interval, privleak
from tif.eval.record import EvalRecord
from tif.eval.report.components import components, section
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.marks import marks, summary
from tif.eval.report.redact import BLOCK
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.run import write
from tif.records import ModelIdentity


@pytest.fixture(scope="module")
def evaluated(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of two models' evaluations on MUSE; the second names the first as its retain log."""
    root = tmp_path_factory.mktemp("muse")
    write_files(root)
    folders: list[Path] = []
    for seed in range(2):
        numbers, examples = muse.evaluate(
            lambda seed=seed: make_llama(len(tiny.tokenizer), seed), tiny.tokenizer, str(root)
        )  # type: ignore[misc]
        log = str(folders[0] / "eval.json") if folders else None
        record = EvalRecord.new(
            benchmark="muse", muse=numbers, retain_log=log, model=ModelIdentity(f"m{seed}", f"{seed}")
        )
        folders.append(root / f"m{seed}")
        write(record, examples, folders[-1])
    return folders


def test_a_muse_report_has_every_component(evaluated: list[Path], tmp_path: Path) -> None:
    entries = Entry.load_all(evaluated, ["never", "ours"])
    page = write_report(tmp_path / "r.html", entries).read_text()
    lines = rows(page)
    numbers = entries[1].record.muse
    assert numbers is not None
    names = [line[0] if line else "" for line in lines]
    first, last = names.index("verbmem forget"), names.index("knowmem forget")
    by_name = {line[0]: line for line in lines[first:last]}
    for metric, value in numbers.verbmem_forget.items():
        if metric != "n" and value is not None:
            line = by_name[metric.replace("_", " ")]
            assert line[1] == str(numbers.verbmem_forget["n"]), metric
    verbatim = next(
        each for each in components(entries[1]) if (each.group, each.name) == ("verbmem_forget", "rougeL_f1")
    )
    assert verbatim.size == numbers.verbmem_forget["n"]
    assert verbatim.value.mean == pytest.approx(numbers.verbmem_forget["rougeL_f1"])  # type: ignore[union-attr]
    assert verbatim.value.low <= verbatim.value.mean <= verbatim.value.high  # type: ignore[union-attr]
    groups = {line[0] for line in lines if len(line) == 1}
    assert {"verbmem forget", "knowmem forget", "knowmem retain", "attacks"} <= groups
    text = html.unescape(page)
    assert "MUSE has complete texts, and marks no phrases" in text
    assert "the texts of MUSE" in text
    assert "not known" not in text
    assert "The table shows probabilities instead" not in text
    row = entries[1].examples["knowmem_retain"][0]
    assert row["question"] in text, "samples are shown"
    assert "to keep" in text
    assert write_json(None, entries)["evaluations"][1]["muse"]["verbmem_forget"]["n"] == numbers.verbmem_forget["n"]
    table = markdown(entries)
    assert "### The benchmark's own numbers" in table
    assert "- to forget: the texts of MUSE" in table
    assert "not known" not in table, "MUSE counts no phrases, so there is no table of counts"
    [checked] = [line for line in table.splitlines() if line.startswith("Verified: ")]
    assert checked.replace("\\`", "") in re.sub("</?code>", "", text)


def test_muse_s_areas_have_intervals_over_texts(evaluated: list[Path]) -> None:
    entry = Entry.load(evaluated[1])
    assert entry.record.muse is not None
    retain = RetainArea(area=0.4, named=True, texts_sha256=entry.record.muse.privleak_texts_sha256, texts={})
    numbers = muse.with_privleak(entry.record.muse, retain)
    entry = replace(entry, record=entry.record.but(muse=numbers))
    texts = [numbers.privleak_texts[part] for part in ("forget", "holdout")]
    by_name = {(each.group, each.name): each for each in components(entry)}
    for name, area in numbers.attacks.items():
        each = by_name["attacks", name]
        assert isinstance(each.value, Interval)
        assert area is not None
        assert (each.size, each.value.mean) == (sum(texts), area)
        assert (each.value.low, each.value.high) == auc_interval(area, texts[0], texts[1])
    leak, area = by_name["in total", "privleak"].value, by_name["attacks", "min_k"].value
    assert isinstance(leak, Interval)
    assert isinstance(area, Interval)
    assert leak.mean == pytest.approx(numbers.privleak)
    assert leak.low == pytest.approx(privleak(area.high, 0.4)), "a higher AUC is a lower PrivLeak"
    assert leak.high == pytest.approx(privleak(area.low, 0.4))
    assert leak.low <= leak.mean <= leak.high
    assert leak.low < leak.high
    assert isinstance(by_name["in total", "privleak_retain_auc"].value, Interval)
    line = next(line for line in rows(body(section(Evaluations.of([entry])))) if line[0] == "privleak")
    assert line[1] == str(sum(texts))
    assert f"{leak.low:.3f} – {leak.high:.3f}" in line[2]


def test_the_marks_of_muse_are_the_retain_model_s_numbers(evaluated: list[Path]) -> None:
    never, ours = Entry.load_all(evaluated, ["never", "ours"])
    evaluations = Evaluations.of([ours, never])
    assert evaluations.never_saw is never
    assert evaluations.focus is ours
    for own, outcome, line in (
        (0.2, "passes", "passes all 2 marks that were measured."),
        (0.3, "fails", "fails 1 of 2 marks: text continued word by word (VerbMem)."),
    ):
        changed = [
            replace(
                each,
                record=each.record.but(muse=replace(each.record.muse, verbmem_forget={"n": 4, "rougeL_f1": level})),
            )  # type: ignore[type-var]
            for each, level in ((ours, own), (never, 0.25))
        ]
        found = {mark.name: mark for mark in marks(Evaluations.of(changed))}
        mark = found["text continued word by word (VerbMem)"]
        assert (mark.outcome, mark.result, mark.never_saw) == (outcome, f"{own:.3f}", "0.250")
        assert found["answers to keep (KnowMem)"].outcome == "no mark"
        assert summary("ours", list(found.values())) == f"ours {line} Not measured: PrivLeak."


def test_a_redacted_muse_report_shows_no_text_to_forget(evaluated: list[Path], tmp_path: Path) -> None:
    entries = Entry.load_all(evaluated, ["never", "ours"])
    page = html.unescape(write_report(tmp_path / "r.html", entries, redact=True).read_text())
    for part, examples in entries[0].examples.items():
        for row in examples:
            if part == "verbmem_forget":
                assert row["answer"] not in page
                assert row["question"] not in page
    assert BLOCK in page
    assert entries[0].examples["knowmem_retain"][0]["question"] in page


def test_lume_s_components_have_their_own_sizes() -> None:
    outcomes = {
        part: [Outcome(task="Task2", kind="completion", score=0.5), Outcome(task="Task2", kind="question", score=1.0)]
        for part in ("forget", "retain")
    }
    leakage = {"forget": {"e-mail": ValueLeakage(asked=8, answered=2, continued=5, written=0)}}
    numbers = LumeNumbers.of(outcomes, leakage=leakage)  # type: ignore[arg-type]
    entry = Entry(label="m", record=EvalRecord.new(benchmark="lume", lume=numbers), examples={})
    found = {(each.group, each.name): (each.value, each.size) for each in components(entry)}
    assert found["forget, Task2", "regurgitation"] == (0.5, 1)
    assert found["retain, Task2", "knowledge"] == (1.0, 1)
    assert found["leakage, forget, e-mail", "answered, of asked"] == (0.25, 8)
    assert found["leakage, forget, e-mail", "written, of continued"] == (0.0, 5)
    assert found["terms", "1 - forget Task2 knowledge"] == (0.0, None)
    assert "answered, of asked" in body(section(Evaluations.of([entry])))
    assert section(Evaluations.of([replace(entry, record=EvalRecord.new())])) is None
