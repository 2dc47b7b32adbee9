"""Leakage in several forms: counts against the texts, resumption prompt by prompt, comparison with other models."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.errors import InputError, UsageError
from tif.eval.benchmarks import leak
from tif.eval.benchmarks.leak import Leaking, Leaks, measure
from tif.eval.evaluate import evaluate
from tif.eval.measure import leakage
from tif.eval.measure.sample import sample as draw
from tif.eval.options import EvaluateOptions
from tif.eval.parts import PartsCache
from tif.eval.record import EvalRecord
from tif.eval.run import Evaluated
from tif.eval.sample_journal import SampleJournal
from tif.eval.settings import FORMS
from tif.sets import store
from tif.spans import AnnotationSet, Example
from tif.tokens.encoding import Encoder


def run(tiny: Tiny, samples: int = 4, cache: PartsCache | None = None, forms: tuple[str, ...] = ("question",)) -> Leaks:
    rows = [make_row(i) for i in range(4)]
    how = Leaking(samples=samples, forms=forms, max_new_tokens=12)  # type: ignore[arg-type]
    cache = cache or PartsCache(None, "m")
    return measure(lambda: tiny.model, Encoder.of(tiny.tokenizer), rows, how=how, cache=cache)


def test_counts_are_those_of_the_texts(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that writes the first two answers in half of its samples, and the third with its words turned round."""
    rows = [make_row(i) for i in range(4)]
    lines = [["no", rows[0].answer] * 2, ["no", rows[1].answer] * 2, ["a builder of organ music"] * 4, ["no"] * 4]

    def written(model, tokenizer, prompts, how, *, first, finish):
        for i in range(len(prompts)):
            finish(i, lines[i][first[i] : how.samples])

    monkeypatch.setattr(leak, "sample", written)
    monkeypatch.setattr(leak, "complete", lambda model, tokenizer, prompts, **_: [r.answer for r in rows[:3]] + ["no"])
    found = run(tiny)
    jobs = [rows[i].answer[span.start : span.end] for i in range(4) for span in rows[i].spans]
    assert jobs == ["glassblower", "harbour pilot", "beekeeper", "organ builder"]
    counts = found.counts["question"]
    assert counts.greedy["leak_any"] == (1, 1, 1, 0)
    assert counts.sampled["leak_any"] == (2, 2, 0, 0)
    assert counts.summary().most is not None
    assert counts.summary().phrases == 4
    by_type = counts.by_type()
    assert [(each.label, each.phrases) for each in by_type] == [("UW", 4)]
    assert by_type[0].greedy is not None
    assert by_type[0].greedy.mean == 0.75
    lines[3] = ["an organ, and its builder"] * 4
    assert run(tiny).counts["question"].sampled["leak_words"] == (2, 2, 0, 4)
    assert run(tiny).counts["question"].sampled["leak_any"] == (2, 2, 0, 0)
    assert found.rows[0]["samples"] == lines[0]
    assert found.rows[0]["phrases"] == ["glassblower"]


def test_a_killed_run_goes_on_with_the_next_prompt(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(tiny, forms=("question", "lowercase")).rows
    asked: list[int] = []

    def dying(model, tokenizer, prompts, how, *, first, finish):
        def stop(i: int, texts: list[str]) -> None:
            finish(i, texts)
            if sum(asked) + i + 1 >= 6:
                raise KeyboardInterrupt

        draw(model, tokenizer, prompts, how, first=first, rows=4, finish=stop)
        asked.append(len(prompts))

    cache = PartsCache(tmp_path, "m")
    monkeypatch.setattr(leak, "sample", dying)
    with pytest.raises(KeyboardInterrupt):
        run(tiny, cache=cache, forms=("question", "lowercase"))
    (second,) = tmp_path.glob("forget.leak.lowercase.*.jsonl")
    with second.open("ab") as file:
        file.write(b'{"key": "torn')
    drawn: list[int] = []

    def counting(model, tokenizer, prompts, how, *, first, finish):
        drawn.append(len(prompts))
        return draw(model, tokenizer, prompts, how, first=first, finish=finish)

    monkeypatch.setattr(leak, "sample", counting)
    assert run(tiny, cache=cache, forms=("question", "lowercase")).rows == expected
    assert len(drawn) == 1
    assert 0 < drawn[0] < 4
    assert run(tiny, cache=cache, forms=("question", "lowercase")).rows == expected
    assert len(drawn) == 1, "nothing is left to draw"


def test_more_samples_are_added_to_those_on_disk(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, firsts = PartsCache(tmp_path, "m"), []
    few = run(tiny, 2, cache).rows

    def watching(model, tokenizer, prompts, how, *, first, finish):
        firsts.append(list(first))
        return draw(model, tokenizer, prompts, how, first=first, finish=finish)

    monkeypatch.setattr(leak, "sample", watching)
    many = run(tiny, 5, cache).rows
    assert firsts == [[2] * 4]
    assert [row["samples"][:2] for row in many] == [row["samples"] for row in few]
    assert run(tiny, 2, cache).rows == few
    other = run(tiny, 2, PartsCache(tmp_path, "another model"))
    assert firsts[1:] == [[0] * 4]
    assert other.rows == few


def test_a_journal_takes_texts_of_any_kind(tmp_path: Path) -> None:
    odd = ["two\nlines", "", "\ud800 alone", "\u2028"]
    journal = SampleJournal(tmp_path, "x", [["a"], ["b"]])
    journal.add(1, odd)
    journal.add(1, ["later"])
    again = SampleJournal(tmp_path, "x", [["b"], ["c"]])
    assert again.samples == [[*odd, "later"], []]
    SampleJournal(tmp_path, "x", [["b"]]).add(0, ["last"])
    journal.add(1, ["last"])  # two evaluations at the same time draw the same samples
    assert SampleJournal(tmp_path, "x", [["b"]]).samples == [[*odd, "later", "last"]]


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = {"forget": [make_row(i) for i in range(4)], "retain": [make_row(i, part="retain") for i in range(4, 7)]}
    for part, members in rows.items():
        lines = [
            {"question": row.question, "answer": row.answer, "paraphrased_question": f"Tell me: {row.question}"}
            for row in members
        ]
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    marked = AnnotationSet(tuple(Example(r.id, r.question, r.answer, r.spans) for r in rows["forget"]))
    store.save(marked, tmp_path / "people.parquet")
    return tmp_path


def request(model: str, data: Path, out: str, **changed: object) -> EvalRecord:
    options: dict[str, object] = {
        "model": model,
        "benchmark": "local",
        "forget": str(data / "forget.jsonl"),
        "retain": str(data / "retain.jsonl"),
        "masks": str(data / "people.parquet"),
        "out": str(data / out),
        "max_new_tokens": 6,
        "leak": 4,
        "device": "cpu",
    }
    result = evaluate(EvaluateOptions(**options | changed))  # type: ignore[arg-type]
    assert isinstance(result, Evaluated)
    return result.record


def test_the_record_has_every_form_beside_retain_and_base_model(
    tiny: Tiny, model_folder: str, data: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    make_llama(len(tiny.tokenizer), 5).save_pretrained(base)
    tiny.tokenizer.save_pretrained(base)
    alone = request(str(base), data, "base-eval")
    assert alone.retain_leaks == {}
    logs = {"retain_log": str(data / "base-eval/eval.json"), "base_log": str(data / "base-eval")}
    record = request(model_folder, data, "eval", **logs, force=True)
    assert set(record.leaks) == set(FORMS)
    assert set(record.retain_leaks) == set(record.base_leaks) == set(FORMS)
    numbers = record.leaks["question"]
    assert (numbers.prompts, numbers.phrases, numbers.samples) == (4, 4, 4)
    assert [at.k for at in numbers.sampled] == [1, 4]
    for gap in numbers.minus_retain:
        mine = numbers.greedy if gap.k == 0 else next(at.cores for at in numbers.sampled if at.k == gap.k)
        its = record.retain_leaks["question"]
        other = its.greedy if gap.k == 0 else next(at.cores for at in its.sampled if at.k == gap.k)
        assert gap.leak_words.mean == pytest.approx(mine.leak_words.mean - other.leak_words.mean)
    assert [gap.k for gap in numbers.minus_base] == [0, 1, 4]
    assert EvalRecord.read(data / "eval") == record
    assert "leak_counts" not in record.headline()
    assert "leaks.parquet" in record.files
    table = pq.read_table(data / "eval" / "leaks.parquet").to_pylist()
    # The retain samples give away the jobs of three people.
    assert len(table) == 4 * (len(FORMS) - 1) + 1
    for row in table:
        hits = [any(leakage.written(text, row["phrases"])) for text in row["samples"]]
        assert sum(hits) == row["samples_leak_any"]
    assert {row["question"] for row in table if row["form"] == "paraphrase"} == {
        f"Tell me: {make_row(i).question}" for i in range(4)
    }


def test_without_leak_no_sample_is_drawn_but_the_bounds_are_there(
    model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leak, "sample", None)
    record = request(model_folder, data, "plain", leak=None)
    assert record.leaks == {}
    assert record.verbatim["forget"].questions == 4
    assert record.verbatim["forget"].samples_any > 1
    rows = pq.read_table(data / "plain" / "examples.parquet").to_pylist()
    forget = [row for row in rows if row["part"] == "forget"]
    assert all(row["verbatim_any"] <= row["verbatim_cloze"] <= 0 for row in forget)


def test_a_base_log_without_leakage_is_refused_before_the_model_is_loaded(
    model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request(model_folder, data, "plain", leak=None)
    monkeypatch.setattr("tif.eval.loading.load_model", None)
    with pytest.raises(InputError, match="has no leakage to compare with"):
        request(model_folder, data, "eval", base_log=str(data / "plain"))


def test_other_prompts_are_not_compared(model_folder: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request(model_folder, data, "log", leak=2, leak_forms=("question", "sure"))
    record = request(model_folder, data, "eval", base_log=str(data / "log"), leak_forms=("question", "cloze"))
    assert set(record.base_leaks) == {"question"}
    assert [gap.k for gap in record.leaks["question"].minus_base] == [0, 1]
    assert "no leakage of the same prompts for cloze" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"leak": 0}, "leak"), ({"leak_forms": ("morse",)}, "morse"), ({"leak": None, "base_log": "x"}, "base-log")],
)
def test_refused_options(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateOptions(**{"model": "m", "benchmark": "local", "leak": 4} | changed)  # type: ignore[arg-type]


def test_the_command_line_takes_forms(cli, model_folder: str, data: Path) -> None:
    command = ["eval", model_folder, "--benchmark", "local", "--forget", data / "forget.jsonl", "--masks",
               data / "people.parquet", "--max-new-tokens", 4, "--leak", 2, "--json"]  # fmt: skip
    done = cli(*command, "--out", data / "eval", "--leak-forms", "cloze,sure")
    assert done.code == 0, done.err
    assert set(json.loads(done.out)["leaks"]) == {"cloze", "sure"}
    wrong = cli(*command, "--leak-forms", "cloze,morse")
    assert wrong.code == 2
    assert "--leak-forms" in wrong.err
    assert "'morse'" in wrong.err
