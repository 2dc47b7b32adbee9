"""The marks of the first screen: what passes, what fails, what has no mark, and what was not measured."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_leaks import OURS, RETAIN
from tests.eval.report.test_seeds import a_run
from tests.eval.report.test_tables import rows, table_rows
from tif.escape import markdown_text
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure import measures
from tif.eval.measure.leak_at_k import Interval
from tif.eval.measure.leakage import Leakage
from tif.eval.measure.recovery import Robustness
from tif.eval.record import EvalRecord, MasksUsed
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.facts import facts
from tif.eval.report.marks import Mark, marks, quality_note, summary
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.settings import Scoring
from tif.records import ModelIdentity


def counts(written: int, *, words: int = 30, phrases: int = 10) -> Leakage:
    return Leakage(
        questions=4, phrases=phrases, written=written, leak_any=written / phrases, leak_all=0.0, general_words=40,
        general_words_written=words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    """The starting model, an unlearned model and a retain model, without any counts."""
    splits = {"forget": [make_row(i) for i in range(4)], "retain": [make_row(i + 9, part="retain") for i in range(3)]}
    made = []
    for seed, name in enumerate(("before", "ours", "never")):
        evaluation = evaluate(
            make_llama(len(tiny.tokenizer), seed), tiny.tokenizer, splits, settings=Scoring(max_new_tokens=3)
        )
        made.append(Entry.of(name, evaluation, Scoring()))
    return made


def report(
    entries: list[Entry],
    *,
    before: Leakage | None = None,
    ours: Leakage | None = None,
    never: Leakage | None = None,
    keep: tuple[int, int, int] = (90, 89, 88),
    **record: object,
) -> Evaluations:
    ratios = tuple(row["truth_ratio"] for row in entries[2].examples["forget"])
    made = []
    for entry, leakage, kept in zip(entries, (before, ours, never), keep, strict=True):
        both = {"forget": leakage or counts(3), "retain": counts(kept, phrases=100)}
        changed = entry.record.but(leakage=both, model=ModelIdentity(entry.label, entry.label))
        if entry.label == "ours":
            changed = changed.but(retain_truth_ratio=ratios, **record)
        made.append(replace(entry, record=changed))
    return Evaluations.of(made, "before")


def by_name(evaluations: Evaluations) -> dict[str, Mark]:
    return {mark.name: mark for mark in marks(evaluations)}


def test_asked_once_passes_at_the_number_of_the_retain_model(entries: list[Entry]) -> None:
    for written, outcome in ((2, "passes"), (3, "fails")):
        found = by_name(report(entries, before=counts(10), ours=counts(written), never=counts(2)))
        mark = found["unwanted phrases, asked once"]
        assert (mark.result, mark.before, mark.never_saw) == (f"{written} of 10", "10 of 10", "2 of 10")
        assert (mark.outcome, mark.rule) == (outcome, "at most 2: as a model that never saw them")


def test_without_a_retain_model_the_mark_is_none_at_all(entries: list[Entry]) -> None:
    evaluations = report(entries, before=counts(10), ours=counts(1))
    alone = Evaluations.of(evaluations.entries[:2], "before")
    found = by_name(alone)
    assert found["unwanted phrases, asked once"].outcome == "fails"
    assert found["unwanted phrases, asked once"].rule.startswith("at most 0: no model that never saw them")
    assert found["other words in the same answers"].outcome == "no mark"


def test_general_words_and_answers_to_keep(entries: list[Entry]) -> None:
    for words, outcome in ((25, "passes"), (24, "fails")):
        found = by_name(report(entries, ours=counts(0, words=words), never=counts(0, words=25)))
        assert found["other words in the same answers"].outcome == outcome
        assert found["other words in the same answers"].rule.startswith("at least 25:")
    for kept, outcome in ((86, "passes"), (85, "fails")):
        mark = by_name(report(entries, keep=(90, kept, 20)))["answers to keep"]
        assert (mark.outcome, mark.rule) == (outcome, "at least 86: 95% of the number before unlearning")


def test_what_was_not_measured_says_how_to_measure_it(entries: list[Entry]) -> None:
    found = marks(report(entries, ours=counts(0), never=counts(0)))
    missing = {mark.name: mark.rule for mark in found if mark.outcome == "not measured"}
    assert set(missing) == {"unwanted phrases, asked many times", "unwanted phrases after relearning"}
    assert "--leak 16" in missing["unwanted phrases, asked many times"]
    assert "--attack relearn" in missing["unwanted phrases after relearning"]
    words = summary("ours", found)
    assert words.endswith("Not measured: unwanted phrases, asked many times; unwanted phrases after relearning.")


def test_markdown_has_the_marks_of_the_page(entries: list[Entry], tmp_path: Path) -> None:
    evaluations = report(entries, ours=counts(1), never=counts(0))
    text = markdown(evaluations.entries, before="before")
    head, *found = table_rows(text.split("\n\n")[2])
    assert head == ["number", "ours", "before", "never saw them", "mark", "outcome"]
    assert found[0] == [
        "Unwanted phrases, asked once", "1 of 10", "3 of 10", "0 of 10", "at most 0: as a model that never saw them",
        "fails",
    ]  # fmt: skip
    page = write_report(tmp_path / "r.html", evaluations.entries, before="before").read_text()
    shown = rows(page.split('<table class="marks">')[1].split("</table>")[0].replace(">–<", "><"))
    bare = [[re.sub(r"\\(?=`)", "", cell) for cell in row] for row in found]
    signs = re.compile("^[✓✗–] ")
    assert [[" ".join(re.sub(" ([,.])", r"\1", signs.sub("", cell)).split()) for cell in row] for row in shown] == [
        head, *([cell.replace("`", "") for cell in row] for row in bare),
    ]  # fmt: skip
    assert text.index(summary("ours", marks(evaluations))) < text.index("| number |")
    lines = [markdown_text(f"{name}: {value}") for name, value in facts(evaluations).items()]
    assert text.split("\n\n")[3].splitlines() == [f"- {line}" for line in lines]


def test_asked_many_times_is_judged_by_the_interval_of_the_difference(entries: list[Entry]) -> None:
    """At 16 answers both models leak for the same prompts; at the retain model's own numbers, ours would be higher."""
    gap = replace(OURS.summary(), minus_retain=OURS.minus(RETAIN))
    mark = by_name(report(entries, leaks={"question": gap}))["unwanted phrases, asked 16 times"]
    assert mark.outcome == "passes"
    assert mark.result.startswith("50% of 4 questions (")
    assert "difference +0% (" in mark.rule
    alone = replace(gap, minus_retain=())
    mark = by_name(report(entries, leaks={"question": alone}))["unwanted phrases, asked 16 times"]
    assert (mark.outcome, mark.rule) == ("fails", "at most 0%: no model that never saw them is here")


def test_relearning_is_judged_beside_the_retain_model_after_the_same_attack(entries: list[Entry]) -> None:
    evaluations = report(entries, ours=counts(0), never=counts(0))
    before, ours, never = evaluations.entries
    again = replace(ours, label="ours again", record=ours.record.but(attack="relearn", leakage={"forget": counts(6)}))
    control = replace(never, label="never again", record=again.record.but(model=never.record.model,
                      leakage={"forget": counts(5)}))  # fmt: skip
    name = "unwanted phrases after relearning"
    found = by_name(Evaluations.of([again, before, ours, never, control], "before"))
    assert (found[name].result, found[name].never_saw, found[name].outcome) == ("6 of 10", "5 of 10", "fails")
    sentences = Evaluations.of([again, before, ours, never, control], "before").verdict().sentences()
    expected = "After relearning, it writes 6 of 10; a model that never saw them, after the same attack: 5."
    assert expected in sentences
    assert sentences[0].startswith("ours: "), "the sentences are about the model itself, not the attacked one"
    alone = by_name(Evaluations.of([again, before, ours, never], "before"))[name]
    assert (alone.outcome, alone.result) == ("no mark", "6 of 10")
    # `tif eval --attack` attacks the retain model too: without its own evaluation, the gap of the two decides.
    for low, outcome in ((-0.01, "passes"), (0.01, "fails")):
        both = Robustness(measure="uw_probability", model=None, gap_after=Interval(0.2, low, 0.4))  # type: ignore[arg-type]
        measured = replace(again, record=again.record.but(robustness=both))
        mark = by_name(Evaluations.of([measured, before, ours, never], "before"))[name]
        assert mark.outcome == outcome
        assert f"difference +0.200 ({low:+.3f} to +0.400)" in mark.rule


def test_each_evaluation_after_the_same_attack_has_its_own_mark(entries: list[Entry]) -> None:
    """Two evaluations of one model after the same attack, on other numbers of samples: neither hides the other."""
    evaluations = report(entries, ours=counts(0), never=counts(0))
    before, ours, never = evaluations.entries
    few, many = (
        replace(ours, label=label, record=ours.record.but(attack="relearn", leakage={"forget": leakage}))
        for label, leakage in (("few", counts(2, phrases=4)), ("many", counts(6)))
    )
    controls = [
        replace(never, label=f"never {i}", record=never.record.but(attack="relearn", leakage={"forget": leakage}))
        for i, leakage in enumerate((counts(7), counts(1, phrases=4)))
    ]
    both = Evaluations.of([before, ours, few, many, never, *controls], "before")
    found = by_name(both)
    for label, result, control, outcome in (
        ("few", "2 of 4", "1 of 4", "fails"),
        ("many", "6 of 10", "7 of 10", "passes"),
    ):
        mark = found[f"unwanted phrases after relearning, evaluation {label}"]
        assert (mark.result, mark.never_saw, mark.outcome) == (result, control, outcome)
    assert "unwanted phrases after relearning" not in found
    lines = [line for line in both.verdict().sentences() if line.startswith("After")]
    assert lines == [
        "After relearning, evaluation few, it writes 2 of 4; a model that never saw them, after the same attack: 1.",
        "After relearning, evaluation many, it writes 6 of 10; a model that never saw them, after the same attack: 7.",
    ]
    [model] = [each for each in write_json(None, both.entries, before="before")["verdict"]["models"]
               if each["label"] == "ours"]  # fmt: skip
    assert [each["label"] for each in model["attacked"]] == ["few", "many"]


def test_a_p_value_has_a_direction_and_a_mark(entries: list[Entry]) -> None:
    evaluations = report(entries, forget_quality=0.2, ks_distance=0.25)
    mark = by_name(evaluations)["same truth ratios as a model that never saw them"]
    assert (mark.outcome, mark.rule) == ("passes", "forget quality p above 0.05")
    assert mark.result == "p = 0.2 (no difference found at 0.05, D = 0.25)"
    low = report(entries, forget_quality=1e-4, ks_distance=0.9)
    own = [row["truth_ratio"] for row in entries[1].examples["forget"]]
    direction = measures.forgets(own, low.entries[1].record.retain_truth_ratio)
    assert quality_note(low.entries[1]) == f"differs at 0.05, forgets {direction}, D = 0.90"
    assert by_name(low)["same truth ratios as a model that never saw them"].outcome == "fails"
    assert quality_note(low.entries[0]) == ""


def test_the_direction_is_that_of_the_largest_distance() -> None:
    assert measures.forgets([0.1, 0.2, 0.3], [1.0, 2.0, 3.0]) == "too little"
    assert measures.forgets([10.0, 20.0, 30.0], [1.0, 2.0, 3.0]) == "too much"


def test_the_summary_counts_what_was_measured() -> None:
    good, bad, open_ = (Mark(name=n, outcome=o) for n, o in (("a", "passes"), ("b", "fails"), ("c", "not measured")))  # type: ignore[arg-type]
    assert summary("m", [good, good]) == "m passes all 2 marks that were measured."
    assert summary("m", [good]) == "m passes the mark that was measured."
    assert summary("m", [good, bad, open_]) == "m fails 1 of 2 marks: b. Not measured: c."
    assert summary("m", [open_]) == "m: no mark could be measured. Not measured: c."


def test_facts_name_the_annotator_the_review_and_every_limit(entries: list[Entry]) -> None:
    masks = MasksUsed(
        ref="people@2", version=2, digest="ab", author="bo", message="checked", method="ner, en_core_web_sm",
        statuses={"auto": 30, "accepted": 8, "corrected": 2},
    )  # fmt: skip
    evaluations = report(entries, masks=masks, limit=20, run=a_run(0, limit=100))
    known = facts(evaluations)
    assert known["marked by"] == "annotator ner, en_core_web_sm; saved by bo (“checked”)"
    assert known["reviewed by a person"] == "10 of 40 samples (8 accepted, 2 corrected)"
    assert known["evaluated on"] == "forget 4, retain 3"
    assert known["limits"] == (
        "before: none; ours: tif eval --limit 20 (the first samples of each part), tif train --limit 100; never: none"
    )
    assert facts(report(entries))["limits"] == "none"
    assert "no annotation set" in facts(report(entries))["reviewed by a person"]
    old = report(entries, masks=replace(masks, method="", statuses={}), run=a_run(0))
    assert facts(old)["reviewed by a person"].startswith("not recorded")
    read = EvalRecord.from_json(evaluations.entries[1].record.to_json())
    assert read.masks == masks


def test_the_first_screen_has_marks_facts_and_what_was_not_measured(entries: list[Entry], tmp_path: Path) -> None:
    evaluations = report(entries, before=counts(10), ours=counts(0), never=counts(0), limit=3)
    page = write_report(tmp_path / "r.html", evaluations.entries, before="before").read_text()
    top = page[: page.index("<h2>")]
    text = " ".join(html.unescape(re.sub("<[^>]*>", " ", top)).split()).replace("\xa0", " ")
    assert "ours passes all 3 marks that were measured. Not measured:" in text
    assert (
        "Unwanted phrases, asked once 0 of 10 10 of 10 0 of 10 at most 0: as a model that never saw them ✓ passes"
        in (text)
    )
    assert "– not measured" in text
    assert "tif eval --limit 3 (the first samples of each part)" in text
