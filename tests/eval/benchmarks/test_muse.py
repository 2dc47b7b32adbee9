"""MUSE on made-up files, against its definitions; on the real files as far as a tiny model goes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

from tests.eval.conftest import PEOPLE, Tiny, make_llama
from tif.errors import InputError, MissingError
from tif.eval.benchmarks import muse
from tif.eval.measure import privacy
from tif.eval.measure.score import score
from tif.eval.record import MuseNumbers
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding


@pytest.fixture
def data(tmp_path: Path) -> Path:
    def write(name: str, value: object) -> None:
        path = tmp_path / "muse_news" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    texts = [f"{name} left {town} as a {job} and wrote {book}. " * 3 for name, town, job, book in PEOPLE]
    pairs = [{"question": f"Where is {n} from?", "answer": t} for n, t, _, _ in PEOPLE]
    write("verbmem/forget.json", [{"prompt": t[:40], "gt": t[40:]} for t in texts])
    for part in ("forget", "retain"):
        write(f"knowmem/{part}_qa.json", pairs[2:])
        write(f"knowmem/{part}_qa_icl.json", pairs[:2])
    for part, some in (("forget", texts), ("holdout", [t[::-1] for t in texts]), ("retain", texts[1:])):
        write(f"privleak/{part}.json", some)
    return tmp_path


@torch.no_grad()
def greedy(tiny: Tiny, prompt: str, tokens: int) -> str:
    ids = tiny.tokenizer(prompt)["input_ids"]
    n = len(ids)
    for _ in range(tokens):
        ids.append(int(tiny.model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == tiny.tokenizer.eos_token_id:
            break
    return tiny.tokenizer.decode(ids[n:], skip_special_tokens=True)


def test_numbers_are_the_definitions(tiny: Tiny, data: Path) -> None:
    found, frames = muse.evaluate(lambda: tiny.model, tiny.tokenizer, data)
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    records = json.loads((data / "muse_news/verbmem/forget.json").read_text())
    expected = []
    for record, row in zip(records, frames["verbmem_forget"], strict=True):
        said = greedy(tiny, record["prompt"], 128)
        assert row["completion"] == said.strip()
        ids = tiny.tokenizer(record["gt"], add_special_tokens=False)["input_ids"][:128]
        expected.append(scorer.score(tiny.tokenizer.decode(ids), said.strip())["rougeL"].fmeasure)
    assert found.verbmem_forget["rougeL_f1"] == pytest.approx(sum(expected) / len(expected))

    qa = json.loads((data / "muse_news/knowmem/forget_qa.json").read_text())
    solved = json.loads((data / "muse_news/knowmem/forget_qa_icl.json").read_text())
    for record, row in zip(qa, frames["knowmem_forget"], strict=True):
        prompt = muse.few_shot([(r["question"], r["answer"]) for r in solved], record["question"])
        said = greedy(tiny, prompt, 32)
        for stop in muse.STOP:
            said = said.split(stop)[0]
        assert row["completion"] == said.strip()

    areas = privacy.auc(*([r["min_k"] for r in frames[f"privleak_{p}"]] for p in ("forget", "holdout")))
    assert muse.with_privleak(found, None).privleak == pytest.approx(100 * ((1 - areas) - 0.5) / 0.5)
    retain = replace(found, attacks={"min_k": 0.6})
    assert muse.with_privleak(found, retain).privleak == pytest.approx(100 * ((1 - areas) - 0.4) / 0.4)


def test_the_question_is_put_as_the_benchmark_puts_it() -> None:
    # metrics/knowmem.py of MUSE: the blank behind the last "Answer:" is a token of its own for some tokenizers.
    assert muse.few_shot([("a?", "b")], "c?") == "Question: a?\nAnswer: b\n\nQuestion: c?\nAnswer: "


def test_privleak_that_cannot_be_had_is_null_with_a_reason() -> None:
    found = MuseNumbers(attacks={"min_k": 0.7}, privleak_texts_sha256="x")
    for mine, theirs, why in ((0.7, 1.0, "AUC is 1"), (None, 0.5, "two tokens"), (0.7, None, "two tokens")):
        leak = muse.with_privleak(replace(found, attacks={"min_k": mine}), replace(found, attacks={"min_k": theirs}))
        assert leak.privleak is None
        assert why in (leak.privleak_reason or "")
    assert privacy.auc([float("nan"), 0.1], [0.2, float("nan")]) == 1
    assert privacy.auc([float("nan")], [0.2]) is None


def test_a_retain_log_of_other_texts_is_refused(cli, model_folder: str, data: Path) -> None:
    command = ["eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--json"]
    assert cli(*command, "--out", data / "two", "--limit", 2).code == 0
    other = cli(*command, "--out", data / "one", "--limit", 1, "--retain-log", data / "two")
    assert other.code == 1
    assert "is a retain log of other texts" in other.err
    assert cli(*command, "--out", data / "one", "--limit", 1, "--retain-log", data / "two", "--force").code == 0
    plain = cli(*command[:-1], "--out", data / "two", "--limit", 2)
    assert plain.code == 0, plain.err
    assert re.search(r"^privleak +-?[0-9]", plain.out, re.MULTILINE)
    assert "sha256" not in plain.out


def test_command_and_its_retain_log(cli, model_folder: str, data: Path) -> None:
    out = data / "out"
    first = cli("eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--out", out, "--limit", 2, "--json")
    assert first.code == 0, first.err
    found = json.loads(first.out)["muse"]
    assert found["knowmem_retain"]["n"] == 2
    again = cli(
        "eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--out", out, "--limit", 2,
        "--retain-log", out / "eval.json", "--json",
    )  # fmt: skip
    if found["attacks"]["min_k"] < 1:
        assert json.loads(again.out)["muse"]["privleak"] == 0
    (data / "x.json").write_text('{"muse": {}}')
    for name, told in (("x.json", "is not a MUSE evaluation"), ("y.json", "no such file")):
        bad = cli("eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--retain-log", data / name)
        assert bad.code == 1
        assert told in bad.err


def test_missing_and_malformed_files_are_one_line(tiny: Tiny, data: Path) -> None:
    (data / "muse_news/verbmem/forget.json").write_text('[{"prompt": "a", "gt": 3}]')
    with pytest.raises(InputError, match="no text in field 'gt'"):
        muse.evaluate(lambda: tiny.model, tiny.tokenizer, data)
    (data / "muse_news/verbmem/forget.json").unlink()
    with pytest.raises(MissingError, match=r"verbmem/forget.json is not in the data folder"):
        muse.evaluate(lambda: tiny.model, tiny.tokenizer, data)


def test_reference_and_gradient_attacks_by_command(cli, tiny: Tiny, model_folder: str, data: Path) -> None:
    other = data / "other"
    make_llama(len(tiny.tokenizer), 4).save_pretrained(other)
    tiny.tokenizer.save_pretrained(other)
    command = ["eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--out", data / "out", "--json"]
    done = cli(*command, "--limit", 3, "--base-model", other, "--gradnorm")
    assert done.code == 0, done.err
    rows = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    texts = json.loads((data / "muse_news/privleak/forget.json").read_text())[:3]
    mine = [row for row in rows if row["part"] == "privleak_forget"]
    encoder = Encoder.of(tiny.tokenizer, Encoding(supervise_eos=False, max_length=muse.WINDOW))
    for row, text in zip(mine, texts, strict=True):
        example = Example("x", "", text)
        a, b = (score(model, encoder, [example])[0] for model in (tiny.model, make_llama(len(tiny.tokenizer), 4)))
        assert row["reference"] == pytest.approx(a.loss - b.loss, rel=1e-3, abs=1e-5)
        norm = privacy.gradnorm(tiny.model, encoder, example)
        assert row["gradnorm"] == pytest.approx(norm, rel=1e-3)
    attacks = json.loads(done.out)["muse"]["attacks"]
    for name in ("loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradnorm"):
        sides = ([r[name] for r in rows if r["part"] == f"privleak_{part}"] for part in ("forget", "holdout"))
        assert attacks[name] == pytest.approx(privacy.auc(*sides))
    assert cli("eval", model_folder, "--gradnorm").code == 2


@pytest.mark.real
def test_on_the_real_files(tiny: Tiny, shared: Path) -> None:
    found, frames = muse.evaluate(lambda: tiny.model, tiny.tokenizer, shared / "muse_news", limit=2)
    assert found["verbmem_forget"]["n"] == found["knowmem_forget"]["n"] == 2
    assert all(0 <= area <= 1 for area in found["attacks"].values())
    assert len(frames["privleak_holdout"]) == 2
