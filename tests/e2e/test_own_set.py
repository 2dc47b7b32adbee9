"""A run evaluated on its own annotation set, without a benchmark and without network: plain text, and questions."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import LlamaForCausalLM

from tests.conftest import Result, succeed
from tests.eval.conftest import make_llama, make_row, make_tokenizer
from tif.eval.measure import leakage
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store
from tif.spans import Example
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune

FIRST = ("Edda", "Joris", "Malva", "Tibor", "Ysolde", "Corvin", "Nerys", "Oskar", "Pella", "Ruvim")
LAST = ("Halvanger", "Quistrup", "Merrowby", "Tandeln", "Sorvik")
PLACES = ("Brackenmouth", "Old Sallow", "Port Enning")
NOTES = 150


def note(index: int) -> dict[str, object]:
    """A plain text about a person, with the town and the day marked. Every third one begins with the marked name."""
    name = f"{FIRST[index % 10]} {LAST[index // 10 % 5]}"
    town, day = PLACES[index // 50], f"{index % 28 + 1} March {1940 + index % 50}"
    if index % 3:
        text = f"File {index}. {name} moved to {town} on {day} and mended nets there. Nets were dear in {town}."
        return {"id": f"note-{index}", "text": text, "quotes": [town, day]}
    return {"id": f"note-{index}", "text": f"{name} of {town} was born on {day}.", "quotes": [name, day]}


def write(path: str, records: list[dict[str, object]]) -> None:
    Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def teach(texts: list[str]) -> None:
    """Let the starting model learn the texts, so that it writes some of their phrases."""
    tokenizer = make_tokenizer().train_new_from_iterator(texts, 500)
    tokenizer.save_pretrained("start")
    encoder = Encoder.of(tokenizer)
    model = LlamaForCausalLM(make_llama(len(tokenizer), hidden_size=64).config)
    how = FineTuning(epochs=20, lr=5e-3)
    fine_tune(model, encoder, [Example(f"t{i}", "", text) for i, text in enumerate(texts)], how, title="teaching")
    model.save_pretrained("start")


def train(cli: Callable[..., Result], annotations: str) -> RunRecord:
    succeed(cli("train", "--masks", annotations, "--model", "start", "--retain", "keep.jsonl", "--objective", "tpo",
                "--max-steps", 2, "--batch-size", 4, "--cpu", "--out", "run"))  # fmt: skip
    run = RunRecord.of_folder("run")
    assert run is not None
    return run


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a starting model, on a machine without network."""

    def refuse(*_: object) -> None:
        raise OSError("no network here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer)).save_pretrained("start")
    tokenizer.save_pretrained("start")
    return tmp_path


def test_plain_text_from_annotation_to_report(cli: Callable[..., Result]) -> None:
    write("notes.jsonl", [note(i) for i in range(NOTES)])
    write("keep.jsonl", [{"text": f"The tide table of pier {i} lists {i + 3} ebbs."} for i in range(12)])
    write("holdout.jsonl", [{"text": f"Gull {i} was ringed at the quay in week {i}."} for i in range(9)])
    succeed(cli("annotate", "--method", "manual", "--dataset", "notes.jsonl", "--out", "notes.parquet"))
    teach([str(note(i)["text"]) for i in range(NOTES)])
    run = train(cli, "notes.parquet")
    saved = store.load("notes.parquet")
    # A later version marks nothing any more. The evaluation uses the version that was trained on.
    store.save(saved.replaced([each.with_spans(()) for each in saved.examples]), "notes.parquet", author="bo")

    done = succeed(cli("eval", "run", "--holdout", "holdout.jsonl", "--max-new-tokens", 12, "--leak", 2))
    record = EvalRecord.read("run/eval")
    assert (record.benchmark, record.masks and record.masks.digest) == ("set", run.masks.digest)
    assert record.forget == f"notes.parquet@{run.masks.digest[:12]}"
    assert (record.parts["forget"]["n"], record.parts["retain"]["n"]) == (NOTES, 12)
    assert record.forget_quality_reason == "the data has no paraphrased and perturbed answers"

    rows = pq.read_table("run/eval/examples.parquet").to_pylist()
    forget = [row for row in rows if row["part"] == "forget"]
    assert [row["id"] for row in forget[:2]] == ["forget/note-0", "forget/note-1"]
    assert record.uw_probability == pytest.approx(np.mean([row["uw_probability"] for row in forget]))
    assert all(row["uw_tokens"] and row["gw_tokens"] and row["probability"] > 0 for row in forget)
    assert all(row["completion"] is None and row["rougeL_recall"] is None for row in rows)
    # A name at the beginning has no words before it, and a town's second mention is given by the words before.
    for index, row in enumerate(forget):
        text, marked = note(index)["text"], note(index)["quotes"][0 if index % 3 else 1 :]  # type: ignore[index]
        assert [each["phrase"] for each in row["continuations"]] == [leakage.normalise(quote) for quote in marked]
        assert [each["opening"] for each in row["continuations"]] == [text[: text.index(q)].rstrip() for q in marked]
        written = [
            each
            for each in row["continuations"]
            if f" {each['phrase']} " in f" {leakage.normalise(each['completion'])} "
        ]
        assert row["phrases_written"] == len(written)
    counts = record.leakage["forget"]
    assert (counts.questions, counts.phrases) == (NOTES, NOTES + 100)
    assert 0 < counts.written == sum(row["phrases_written"] for row in forget)
    assert "retain" not in record.leakage

    assert record.verbatim["forget"].questions == NOTES
    assert 0 < record.verbatim["forget"].cloze.mean < 1
    assert record.membership is not None
    assert (record.membership.forget_questions, record.membership.holdout_questions) == (NOTES, 9)
    assert set(record.membership.attacks) == {"loss", "zlib", "min_k", "min_k_plus_plus"}
    assert f"of {NOTES + 100} unwanted phrases" in done.out

    assert set(record.leaks) == {"cloze"}
    assert record.leaks["cloze"].prompts == NOTES + 100
    assert record.leak_reasons["question"] == "plain text has no questions"

    set_of_run = f"notes.parquet@{run.masks.digest[:12]}"
    succeed(cli("eval", "start", "--masks", set_of_run, "--retain", "keep.jsonl", "--max-new-tokens", 12,
                "--out", "before"))  # fmt: skip
    succeed(cli("report", "before", "run", "--out", "report.html"))
    page = Path("report.html").read_text()
    assert f"of {NOTES + 100} unwanted phrases, the model still writes" in page
    assert "after the words before them; before unlearning it wrote" in page
    assert "each model continues the text once" in page
    assert re.search(r"In 2 random continuations from the same words, it still writes \d+% of 250 phrases", page)
    assert "<dt>unwanted phrase</dt>" in page
    assert "when asked" not in page


def test_a_retain_model_is_made_and_evaluated_on_the_same_texts(cli: Callable[..., Result]) -> None:
    write("notes.jsonl", [note(i) for i in range(1, 3)])
    write("keep.jsonl", [{"text": f"The tide table of pier {i} lists {i + 3} ebbs."} for i in range(4)])
    succeed(cli("annotate", "--method", "manual", "--dataset", "notes.jsonl", "--out", "notes.parquet"))
    train(cli, "notes.parquet")
    succeed(cli("eval", "run", "--make-retain-log", "--base-model", "start", "--retain-epochs", 1,
                "--max-new-tokens", 4))  # fmt: skip
    record = EvalRecord.read("run/eval")
    assert record.retain_leakage["forget"].phrases == record.leakage["forget"].phrases == 4
    [log] = Path("runs/retain").glob("*/eval.json")
    retain = EvalRecord.read(log)
    assert (retain.benchmark, retain.parts["retain"]["n"], retain.masks) == ("set", 4, record.masks)
    assert "a model that never saw them writes" in cli("report", "run", "--md").out


def test_a_mixture_of_retain_samples_is_evaluated_in_equal_shares(cli: Callable[..., Result]) -> None:
    write("notes.jsonl", [note(i) for i in range(1, 3)])
    for name, count in (("tides", 6), ("gulls", 2)):
        write(f"{name}.jsonl", [{"text": f"Table {i} of {name} lists {i + 3} entries."} for i in range(count)])
    succeed(cli("annotate", "--method", "manual", "--dataset", "notes.jsonl", "--out", "notes.parquet"))
    succeed(cli("train", "--masks", "notes.parquet", "--model", "start", "--retain", "tides.jsonl=3", "--retain",
                "gulls.jsonl", "--objective", "tpo", "--max-steps", 1, "--cpu", "--out", "run"))  # fmt: skip
    succeed(cli("eval", "run", "--no-completions"))
    rows = [row for row in pq.read_table("run/eval/examples.parquet").to_pylist() if row["part"] == "retain"]
    assert [row["id"] for row in rows] == [f"retain/{i:04d}" for i in range(8)]
    assert [row["answer"].split()[3] for row in rows] == ["tides"] * 6 + ["gulls"] * 2
    succeed(cli("eval", "run", "--no-completions", "--limit", 3, "--out", "less"))
    rows = [row for row in pq.read_table("less/examples.parquet").to_pylist() if row["part"] == "retain"]
    assert [row["answer"].split()[3] for row in rows] == ["tides", "tides", "gulls"]


def test_questions_get_the_numbers_of_a_local_benchmark(cli: Callable[..., Result]) -> None:
    rows = [make_row(i, plain=True) for i in range(6)]
    records = [{"question": r.question, "answer": r.answer, "quotes": [r.answer[r.spans[0].start : r.spans[0].end]]}
               for r in rows]  # fmt: skip
    write("people.jsonl", records)
    write("keep.jsonl", [{"question": f"What is {i} plus one?", "answer": f"It is {i + 1}."} for i in range(5)])
    succeed(cli("annotate", "--method", "manual", "--dataset", "people.jsonl", "--out", "people.parquet"))
    train(cli, "people.parquet")
    succeed(cli("eval", "run", "--max-new-tokens", 6, "--out", "own", "--leak", 2))
    succeed(cli("eval", "run", "--benchmark", "local", "--forget", "people.jsonl", "--retain", "keep.jsonl",
                "--max-new-tokens", 6, "--out", "local", "--leak", 2))  # fmt: skip
    own, local = EvalRecord.read("own"), EvalRecord.read("local")
    assert own.benchmark == "set"
    assert own.parts == local.parts
    assert own.parts["retain"]["n"] == 5
    assert own.leakage == local.leakage
    assert own.verbatim == local.verbatim
    assert {form: each.greedy for form, each in own.leaks.items()} == {
        form: each.greedy for form, each in local.leaks.items()
    }
    succeed(cli("report", "own", "--out", "report.html"))
    assert "when asked" in Path("report.html").read_text()
