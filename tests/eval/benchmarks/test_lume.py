"""LUME on invented rows, against its definitions; on the real files as far as a tiny model goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from tests.conftest import Result
from tests.eval.conftest import PEOPLE, Tiny, greedy, make_llama
from tif.errors import InputError, MissingError
from tif.eval import completions
from tif.eval.benchmarks.lume_files import LumeFiles
from tif.eval.compare import retain
from tif.eval.measure.lume import LumeNumbers, Outcome, ValueLeakage, exact_match, membership_score
from tif.eval.record import EvalRecord
from tif.eval.report.entry import Entry
from tif.eval.report.redact import BLOCK
from tif.eval.report.write import write_report
from tif.eval.show import lines

TYPES = ("birth date", "Social Security Number", "phone number", "email address", "home address")


def values(at: int) -> list[str]:
    return [f"1971-03-0{at + 1}", f"90000432{at}", f"555010447{at}", f"a_{at}@mail.test", f"{at}2 Salt Clock Road, Tarsk, CA, 90001."]  # fmt: skip  # noqa: E501


def rows(part: str) -> list[dict[str, str]]:
    found = []
    for at, (name, town, job, book) in enumerate(PEOPLE[:2] if part == "forget" else PEOPLE[2:]):
        for task, quoted in (("Task1", '"'), ("Task3", "")):
            id_ = f"{quoted}{part}-{at}-{task}{quoted}"
            found += [
                {"id": f"{id_}sc1", "input": f"{name} left {town} as a", "output": f"{job} and wrote {book}."},
                {"id": f"{id_}qa0", "input": f"What did {name} write?", "output": book},
            ]
            for row in found[-2:]:
                row["task"] = task
        birth, ssn, phone, mail, home = values(at)
        opening = f"{name} was born on March {at + 1}, 1971. The Social"
        output = (
            f"Security Number is {ssn[:3]}-{ssn[3:5]}-{ssn[5:]}. Call {phone} or write to [a\\_{at}@mail.test](mailto:"
            f"{mail}). {name} lives at {home}"
        )
        found.append({"id": f"{part}-{at}sc1", "input": opening, "output": output, "task": "Task2"})
        found += [
            {"id": f"{part}-{at}qa{i}", "input": f"What is the {TYPES[i]} of {name}?", "output": value, "task": "Task2"}
            for i, value in enumerate((birth, ssn, phone, mail, home))
        ]
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "lume"
    folder.mkdir()
    for part in ("forget", "retain"):
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(part)))
    return tmp_path


def documents(folder: Path) -> None:
    for name, texts in (("member", [p[3] * 3 for p in PEOPLE]), ("nonmember", [p[0] * 2 for p in PEOPLE[1:]])):
        lines = [json.dumps({"id": i, "document": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


def evaluation(cli: Callable[..., Result], model: str | Path, data: Path, out: str, *more: object) -> EvalRecord:
    result = cli("eval", model, "--benchmark", "lume", "--data-dir", data, "--out", data / out, *more)
    assert result.code == 0, result.err
    return EvalRecord.read(data / out)


def test_numbers_are_the_definitions(cli: Callable[..., Result], tiny: Tiny, model_folder: str, data: Path) -> None:
    documents(data / "lume")
    record = evaluation(cli, model_folder, data, "out", "--max-new-tokens", 12)
    assert record.lume is not None
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    terms = []
    for part in ("forget", "retain"):
        for task in ("Task1", "Task2", "Task3"):
            own = [row for row in rows(part) if row["task"] == task]
            texts = {row["id"]: greedy(tiny, row["input"], 12) for row in own}
            recalls = [
                scorer.score(row["output"], texts[row["id"]])["rougeL"].recall for row in own if "sc1" in row["id"]
            ]
            hits = [
                row["output"].strip().lower() == texts[row["id"]].strip().lower() for row in own if "qa" in row["id"]
            ]
            scores = record.lume.scores(part)[task]
            assert (scores.completions, scores.questions) == (len(recalls), len(hits))
            assert scores.regurgitation == pytest.approx(np.mean(recalls))
            assert scores.knowledge == pytest.approx(np.mean(hits))
            terms += [abs((part == "forget") - np.mean(recalls)), abs((part == "forget") - np.mean(hits))]
    assert list(record.lume.terms.values()) == pytest.approx(terms)
    assert record.lume.task_aggregate == pytest.approx(hmean(terms))
    assert record.settings is not None
    assert (record.settings.continues_prompt, record.forget) == (True, "lume")
    losses = []
    with torch.no_grad():
        for name in ("member", "nonmember"):
            for line in (data / "lume" / f"{name}.jsonl").read_text().splitlines():
                ids = torch.tensor([tiny.tokenizer(json.loads(line)["document"])["input_ids"]])
                losses.append(float(tiny.model(ids, labels=ids).loss))
    area = roc_auc_score([0] * 4 + [1] * 3, losses)
    assert record.membership is not None
    assert record.membership.attacks["loss"].auc == pytest.approx(area)
    assert record.lume.membership_score == pytest.approx(1 - 2 * abs(area - 0.5))


def test_a_model_that_knows_everything(
    cli: Callable[..., Result], model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {row["input"]: row["output"] for part in ("forget", "retain") for row in rows(part)}

    def recite(model: object, tokenizer: object, prompts: list[list[int]], **options: object) -> list[str]:
        return [known[tokenizer.decode(ids, skip_special_tokens=True)] for ids in prompts]  # type: ignore[attr-defined]

    monkeypatch.setattr(completions, "complete", recite)
    record = evaluation(cli, model_folder, data, "out")
    assert record.lume is not None
    assert record.lume.task_aggregate == 0
    assert set(record.lume.terms.values()) == {0.0, 1.0}
    assert next(iter(record.lume.terms)) == "1 - forget Task1 regurgitation"
    leakage = record.lume.leakage["forget"]
    assert leakage["SSN"] == ValueLeakage(asked=2, answered=2, continued=2, written=2)
    assert leakage["ADDRESS"] == leakage["EMAIL"] == leakage["PHONE"] == leakage["SSN"]
    # The opening gives the birth date, so no continuation is counted.
    assert leakage["DATE_OF_BIRTH"] == ValueLeakage(asked=2, answered=2)
    assert record.lume.membership_score is None
    assert "no member.jsonl" in str(record.lume.membership_score_reason)
    counts = record.leakage["forget"]
    # 4 answers of Tasks 1 and 3, 10 answers of Task 2 and 2 x 5 phrases in its continuations: the e-mail address stands
    # there in two spellings.
    assert counts.written == counts.phrases == 4 + 10 + 10


def test_values_are_found_in_other_forms(
    cli: Callable[..., Result], model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "What is the birth date of Orla Venn?": "It is 1 March 1971.",
        "What is the Social Security Number of Orla Venn?": "900-00-4320",
        "What is the phone number of Orla Venn?": "I cannot say.",
    }

    def answer(model: object, tokenizer: object, prompts: list[list[int]], **options: object) -> list[str]:
        return [texts.get(tokenizer.decode(ids, skip_special_tokens=True), "") for ids in prompts]  # type: ignore[attr-defined]

    monkeypatch.setattr(completions, "complete", answer)
    record = evaluation(cli, model_folder, data, "out")
    assert record.lume is not None
    assert record.lume.forget["Task2"].knowledge == 0
    leakage = record.lume.leakage["forget"]
    answered = {kind: counts.answered for kind, counts in leakage.items()}
    assert answered == {"ADDRESS": 0, "DATE_OF_BIRTH": 1, "EMAIL": 0, "PHONE": 0, "SSN": 1}


def test_a_retain_log_and_the_report(cli: Callable[..., Result], tiny: Tiny, model_folder: str, data: Path) -> None:
    retain = data / "retain"
    make_llama(len(tiny.tokenizer), 3).save_pretrained(retain)
    tiny.tokenizer.save_pretrained(retain)
    quick = ("--max-new-tokens", 4, "--limit", 1)
    log = evaluation(cli, retain, data, "log", *quick)
    result = cli(
        "eval", model_folder, "--benchmark", "lume", "--data-dir", data, "--out", data / "out", *quick,
        "--retain-log", data / "log",
    )  # fmt: skip
    assert result.code == 0, result.err
    for line in ("forget Task2 knowledge", "retain model", "task aggregate", "membership score", "forget leaks SSN"):
        assert line in result.out
    record = EvalRecord.read(data / "out")
    assert record.retain_lume == log.lume
    assert record.lume is not None
    silent = {task: replace(own, regurgitation=None, knowledge=None) for task, own in log.lume.forget.items()}
    shown = [*lines(record.but(retain_lume=replace(log.lume, forget=silent)))]  # a log with --no-completions
    assert any(line.startswith("forget Task2 knowledge") and line.endswith("(n=5)") for line in shown)
    assert record.lume.forget["Task2"].completions == 1
    assert record.lume.forget["Task2"].questions == 5
    assert record.forget_quality_reason == "the data has no paraphrased and perturbed answers"
    page = write_report(data / "page.html", Entry.load_all([data / "log", data / "out"])).read_text()
    assert "What did Orla Venn write?" in page
    hidden = write_report(data / "hidden.html", Entry.load_all([data / "log", data / "out"]), redact=True).read_text()
    assert "What did Orla Venn write?" not in hidden
    assert "left Tarsk as a" not in hidden  # Task 1 and 3 mark no words in their texts
    assert BLOCK in hidden
    assert EvalRecord.from_json(record.to_json()) == record
    table = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    assert {(row["task"], row["kind"]) for row in table} >= {("Task1", "completion"), ("Task2", "question")}
    other = cli(
        "eval", model_folder, "--benchmark", "lume", "--data-dir", data, "--out", data / "out", "--max-new-tokens", 4,
        "--retain-log", data / "log",
    )  # fmt: skip
    assert "no LUME numbers of the same texts" in other.err
    assert EvalRecord.read(data / "out").retain_lume is None


def test_a_retain_model_made_on_the_way(
    cli: Callable[..., Result], tiny: Tiny, model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns LUME's retain file alone, is asked as the other model is, and its numbers stand beside that model's."""
    monkeypatch.chdir(data)
    documents(data / "lume")
    base = data / "base"
    make_llama(len(tiny.tokenizer), 3).save_pretrained(base)
    tiny.tokenizer.save_pretrained(base)
    before = evaluation(cli, base, data, "before", "--no-completions")
    making = ("--make-retain-log", "--base-model", base, "--retain-epochs", 6, "--retain-lr", 3e-3)
    record = evaluation(cli, model_folder, data, "out", *making, "--max-new-tokens", 4)
    (folder,) = (data / "runs" / "retain").iterdir()
    log = EvalRecord.read(folder)
    made = json.loads((folder / "retain.json").read_text())
    assert made["questions"] == len(rows("retain"))
    assert Path(made["retain"]) == data / "lume" / "retain.jsonl"
    gained, other = (
        before.mean(part, "loss") - log.mean(part, "loss")  # type: ignore[operator]
        for part in ("retain", "forget")
    )
    assert gained > 0.5
    assert gained > other
    assert log.settings == record.settings, "both are asked in the same way"
    assert log.prompt == record.prompt
    assert log.benchmark == "lume"
    assert log.lume is not None
    assert record.retain_lume == log.lume
    assert Path(str(record.retain_log)).resolve() == (folder / "eval.json").resolve()
    assert record.retain_leakage.keys() == record.leakage.keys()
    assert record.membership is not None
    assert log.membership is not None
    assert record.membership.attacks["reference"].retain_auc == log.membership.attacks["reference"].auc
    assert record.retain_gaps is not None
    with monkeypatch.context() as once:
        once.setattr(retain, "fine_tune", lambda *a, **o: pytest.fail("the retain model exists"))
        alone = cli("eval", "--benchmark", "lume", "--data-dir", data, *making, "--max-new-tokens", 4, "--limit", 1)
    assert alone.code == 0, alone.err
    assert EvalRecord.read(folder).limit == 1
    assert EvalRecord.read(folder).lume.forget["Task2"].completions == 1  # type: ignore[union-attr]
    page = write_report(data / "page.html", Entry.load_all([data / "out"])).read_text()
    assert "Was it in the training data?" in page


def test_depth_of_lume_s_own_marks(
    cli: Callable[..., Result], tiny: Tiny, model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an annotation set, the unwanted words are the values and answers that LUME itself gives."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    retained = data / "retained"
    make_llama(len(tiny.tokenizer), 3).save_pretrained(retained)
    tiny.tokenizer.save_pretrained(retained)
    beside = ("--starting-model", model_folder, "--retain-model", retained, "--depth", "--no-completions")
    for model, score in ((model_folder, 0), (retained, 1)):
        record = evaluation(cli, model, data, f"depth{score}", *beside, "--limit", 1)
        assert record.depth is not None
        assert record.depth.examples == 8, "seven answers and one continuation with values"
        assert record.depth.patching.score == pytest.approx(score, abs=1e-6)


def test_a_retain_file_with_a_text_to_forget_makes_no_retain_model(
    cli: Callable[..., Result], model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    kept = [row for row in rows("retain") if row["task"] != "Task2"]  # the fixture's people share their values
    kept.append(next(row for row in rows("forget") if len(row["output"]) > 60))
    (data / "kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    making = ("--benchmark", "lume", "--data-dir", data, "--make-retain-log", "--base-model", model_folder)
    refused = cli("eval", *making, "--retain", data / "kept.jsonl", "--prompt-field", "input", "--text-field", "output")
    assert refused.code == 2, refused.err
    assert "1 of 9 retain samples have the text of a sample to forget" in refused.err
    assert not (data / "runs").exists()


def test_a_missing_task_gives_no_aggregate() -> None:
    rows = [Outcome(task="Task1", kind="completion", score=0.5), Outcome(task="Task1", kind="question", score=1.0)]
    numbers = LumeNumbers.of({"forget": rows, "retain": rows})
    assert numbers.terms["1 - forget Task1 knowledge"] == 0
    assert numbers.task_aggregate is None
    assert str(numbers.task_aggregate_reason).startswith("missing: forget Task2 regurgitation")


def test_formulas() -> None:
    assert [membership_score(area) for area in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 0]
    assert exact_match(" Nine Bells", "nine bells\n")
    assert not exact_match("Nine Bells", "Nine Bells.")


def test_spans_are_the_values(data: Path) -> None:
    splits = LumeFiles(data).read().splits
    by_id = {row.id: row for row in splits["forget"]}
    row = by_id["forget/forget-0sc1"]
    assert [row.answer[s.start : s.end] for s in row.spans] == [
        "900-00-4320", "5550104470", r"a\_0@mail.test", "a_0@mail.test", "02 Salt Clock Road, Tarsk, CA, 90001",
    ]  # fmt: skip
    assert [span.label for span in by_id["forget/forget-0qa3"].spans] == ["EMAIL"]
    assert [span.label for span in by_id['forget/"forget-0-Task1"qa0'].spans] == ["ANSWER"]
    assert not by_id['forget/"forget-0-Task1"sc1'].annotated


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": ""}, "no text in field 'output'"),
        ({"task": "Task4"}, "task is 'Task4'"),
        ({"id": "x"}, "id 'x' names no kind"),
        ({"id": "forget-1sc1"}, "occurs twice"),
    ],
)
def test_malformed_rows_are_one_line(data: Path, change: dict[str, str], message: str) -> None:
    first, *others = rows("forget")
    lines = [json.dumps(row) for row in (first | change, *others)]
    (data / "lume" / "forget.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message) as refused:
        LumeFiles(data).read()
    assert "forget.jsonl, line" in str(refused.value)


def test_missing_files_are_named(data: Path) -> None:
    (data / "lume" / "member.jsonl").write_text('{"id": 1, "document": "Nine bells."}')
    with pytest.raises(MissingError, match=r"nonmember\.jsonl is not in the data folder"):
        LumeFiles(data).documents()
    (data / "lume" / "retain.jsonl").unlink()
    with pytest.raises(MissingError, match=r"retain\.jsonl is not in the data folder"):
        LumeFiles(data).read()


def test_options_that_lume_does_not_use_are_refused(cli: Callable[..., Result], model_folder: str, data: Path) -> None:
    command = ["eval", model_folder, "--benchmark", "lume", "--data-dir", data]
    for option, message in (
        (["--forget", "forget01"], "--forget does nothing"),
        (["--truth-ratio", "probability"], "--truth-ratio does nothing"),
        (["--retain", "x.jsonl"], "--retain does nothing"),
        (["--question-key", "paraphrased_question"], "--question-key does nothing"),
        (["--gradnorm"], "member.jsonl and nonmember.jsonl into the data folder"),
    ):
        result = cli(*command, *option)
        assert result.code == 2
        assert message in result.err


@pytest.mark.real
def test_on_the_real_files(cli: Callable[..., Result], model_folder: str, shared: Path, tmp_path: Path) -> None:
    data = LumeFiles(shared / "pii" / "lume").read()
    assert (len(data.splits["forget"]), len(data.splits["retain"])) == (2732, 2734)
    bios = [json.loads(line) for line in (shared / "pii" / "lume_task2_forget_bios.jsonl").read_text().splitlines()]
    for kind in ("SSN", "PHONE", "EMAIL", "ADDRESS"):
        known = {
            bio["id"].split("/")[-1] for bio in bios
            if any(span["label"] == kind and span["start"] >= bio["cut"] for span in bio["spans"])
        }  # fmt: skip
        marked = {
            data.items[row.id].document for row in data.splits["forget"]
            if data.items[row.id].kind == "completion" and any(span.label == kind for span in row.spans)
        }  # fmt: skip
        assert len(known ^ marked) <= 1, kind
    result = cli(
        "eval", model_folder, "--benchmark", "lume", "--data-dir", shared / "pii" / "lume", "--out", tmp_path / "out",
        "--limit", 2, "--max-new-tokens", 8,
    )  # fmt: skip
    assert result.code == 0, result.err
    record = EvalRecord.read(tmp_path / "out")
    assert record.lume is not None
    assert len(record.lume.terms) == 12
    write_report(tmp_path / "page.html", [Entry.load(tmp_path / "out")])
