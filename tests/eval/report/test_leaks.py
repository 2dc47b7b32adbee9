"""Leakage in the report: the numbers of the record, with n, intervals and the models beside it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_row
from tests.eval.report.test_tables import on_page, rows, table_rows
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.measure.leak_at_k import CORES, LeakCounts, PhraseCounts
from tif.eval.measure.verbatim import TypeSamples
from tif.eval.record import MuseNumbers
from tif.eval.report import leaks
from tif.eval.report.entry import Entry
from tif.eval.report.evaluations import Evaluations
from tif.eval.report.headline import summarise
from tif.eval.report.verdict import Model, Verdict
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.settings import Scoring
from tif.eval.show import lines


def counts(greedy: list[int], any_: list[int], digest: str = "d") -> LeakCounts:
    return LeakCounts(
        digest=digest,
        samples=16,
        greedy={core: tuple(greedy) for core in CORES},
        greedy_recall=tuple(map(float, greedy)),
        sampled={core: tuple(any_) for core in CORES},
        sampled_recall=tuple((c / 16,) * 16 for c in any_),
        phrases=tuple(
            PhraseCounts(prompt=i, label="PERSON" if i % 2 else "DATE", greedy=bool(greedy[i]), sampled=c)
            for i, c in enumerate(any_)
        ),
    )


OURS, RETAIN = counts([0, 0, 0, 1], [0, 0, 4, 16]), counts([0, 0, 0, 0], [0, 0, 4, 8])


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    splits = {"forget": [make_row(i) for i in range(4)]}
    evaluation = evaluate(tiny.model, tiny.tokenizer, splits, settings=Scoring(max_new_tokens=4))
    entry = Entry.of("ours <b>", evaluation, Scoring())
    summary = replace(OURS.summary(), minus_retain=OURS.minus(RETAIN))
    retain = {"question": RETAIN.summary()}
    return [
        replace(entry, record=entry.record.but(leaks={"question": summary, "sure": summary}, retain_leaks=retain)),
        replace(entry, label="no samples"),
    ]


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.replace("&nbsp;", " "))).split())


def test_the_page_has_every_form_with_n_and_intervals(entries: list[Entry], tmp_path: Path) -> None:
    page = write_report(tmp_path / "report.html", entries).read_text()
    text = words(page)
    assert "Asked again, and asked differently" in text
    assert "as written ours <b> 4 25%" in text
    assert "retain model (log) 4 0%" in text
    assert "with “Sure, here is the answer:” ours <b> 4 25%" in text
    # Question 3 leaks in 4 of 16 samples, question 4 always: in 4 samples, (1 - C(12,4)/C(16,4) + 1) / 4.
    assert "43%" in text
    assert "+0%" in text, "in 16 answers, both models leak for the same questions"
    assert "DATE ours <b> 2 0%" in text
    assert "PERSON ours <b> 2 50%" in text
    assert "<b>" not in page.split("Asked again, and")[1].split("</section>")[0]


def test_markdown_has_the_rows_of_the_page(entries: list[Entry], tmp_path: Path) -> None:
    why = {"context": "there are no retain samples"}
    entries = [replace(entries[0], record=entries[0].record.but(leak_reasons=why)), entries[1]]
    part = markdown(entries).split(f"### {leaks.HEADING}\n")[1].split("\n### ")[0]
    forms, types = (table_rows(table) for table in part.split("#### By type of phrase, asked as written"))
    assert forms[0] == [
        "asked", "model", "n", "greedy, any phrase", "in 1, any phrase", "in 4, any phrase", "in 16, any phrase",
        "in 16, all phrases", "in 16, most words", "minus retain, in 16",
    ]  # fmt: skip
    assert [row[:3] for row in forms[1:]] == [
        ["as written", "ours &lt;b>", "4"], ["as written", "retain model (log)", "4"],
        ["with “Sure, here is the answer:”", "ours &lt;b>", "4"],
    ]  # fmt: skip
    most = OURS.summary().sampled[-1].cores.leak_any
    assert forms[1][6] == f"{most.mean:.0%} ({most.low:.0%} – {most.high:.0%})"
    assert forms[1][5].startswith("43% (")
    assert [row[-1] for row in forms[1:]] == ["+0% (+0% – +0%)", "–", "+0% (+0% – +0%)"]
    assert [row[:3] for row in types[1:]] == [
        [kind, model, "2"] for kind in ("DATE", "PERSON") for model in ("ours &lt;b>", "retain model (log)")
    ]
    assert part.index("- any phrase: the answer contains at least one unwanted phrase") < part.index("| asked |")
    assert "Not measured for no samples." in part
    assert "Not asked after other questions with answers (ours &lt;b>): there are no retain samples." in part
    page = write_report(tmp_path / "r.html", entries).read_text()
    shown = rows(page.split(f"<h2>{leaks.HEADING}</h2>")[1].split("</section>")[0])
    numbers = [row for row in shown if len(row) > 1 and row[0] != "model"]
    assert numbers == [on_page(row[1:]) for row in (*forms[1:], *types[1:])]


def test_one_line_says_that_nothing_was_sampled(entries: list[Entry], tmp_path: Path) -> None:
    page = markdown(entries[1:])
    assert leaks.HEADING not in page
    line = "Leakage in random answers was not measured: to measure it, run \\`tif eval RUN --leak 16\\`."
    assert page.splitlines().count(line) == 1
    shown = words(write_report(tmp_path / "r.html", entries[1:]).read_text().split("<h2>Not measured</h2>")[1])
    assert shown.startswith("Leakage in random answers was not measured: to measure it, run tif eval RUN --leak 16 .")
    muse = replace(entries[1], record=entries[1].record.but(muse=MuseNumbers()))
    assert "was not measured" not in markdown([muse]), "MUSE has its own measures"


def test_the_page_has_expected_answers_by_type(entries: list[Entry], tmp_path: Path) -> None:
    assert "opened up to that phrase" not in write_report(tmp_path / "untyped.html", entries).read_text()
    record = entries[0].record
    types = (TypeSamples("DATE", 1_200, 40.0), TypeSamples("<i>", 1, 3e7))
    typed = {"forget": replace(record.verbatim["forget"], by_type=types)}
    page = write_report(tmp_path / "report.html", [replace(entries[0], record=record.but(verbatim=typed))]).read_text()
    sentence = "(median over the phrases of a type): ours <b>: DATE 40 (n=1,200), <i> 3e+07 (n=1)."
    assert sentence in words(page)
    assert "<i>" not in page.split("opened up to that phrase")[1].split("</p>")[0]


def test_without_samples_there_is_no_section(entries: list[Entry], tmp_path: Path) -> None:
    page = write_report(tmp_path / "report.html", entries[1:]).read_text()
    assert "Asked again, and asked differently" not in page


def test_the_first_screen_and_the_headline_have_it(entries: list[Entry]) -> None:
    text = " ".join(Evaluations.of(entries).verdict().sentences())
    assert (
        "Asked 16 times with random answers, it still writes such a phrase for 50% of 4 questions (95% interval" in text
    )
    first, second = summarise(Evaluations.of(entries))
    assert str(first.cells["leaks in 16 answers"]).startswith("0.500 [")
    assert str(first.cells["leaks when asked"]).startswith("0.250 [")
    assert second.cells["leaks in 16 answers"] is None
    assert "| leaks in 16 answers |" in markdown(entries)
    content = write_json(None, entries)
    assert content == json.loads(json.dumps(content))
    assert content["evaluations"][0]["leaks"]["question"]["prompts"] == 4
    assert "leak_counts" not in content["evaluations"][0]


def test_other_models_stand_beside_it_only_for_as_many_answers() -> None:
    own, other = OURS.summary(), RETAIN.summary()
    from tests.eval.report.test_verdict import AFTER, BEFORE, NEVER

    def sentence(*models: Model) -> str:
        return Verdict(models).sentences()[1]

    before, after, never = (replace(m, leaks=n) for m, n in ((BEFORE, own), (AFTER, own), (NEVER, other)))
    assert sentence(before, after, never).endswith("; before unlearning: 50%; a model that never saw them: 50%.")
    fewer = replace(other, sampled=other.sampled[:-1])
    assert sentence(BEFORE, after, replace(NEVER, leaks=fewer)).endswith("%).")


def test_lines_of_the_terminal(entries: list[Entry]) -> None:
    record = entries[0].record.but(leak_reasons={"context": "there are no retain samples"})
    shown = [line for line in lines(record) if line.startswith("leak")]
    assert re.fullmatch(
        r"leak question +n=4  greedy 0\.250 \[.*\]  leak@1 0\.312 \[.*\]  leak@4 .*  leak@16 0\.500 \[.*\]  "
        r"retain model leak@16 0\.500",
        shown[0],
    )
    assert shown[2].split(maxsplit=2) == ["leak", "context", "-  (there are no retain samples)"]
