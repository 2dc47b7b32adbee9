"""MUSE on made-up files, against its definitions; on the real files as far as a tiny model goes."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from tokenizers import processors

from tests.eval.conftest import PEOPLE, Tiny, greedy, make_llama, make_tokenizer
from tests.tokens.architectures import build
from tif.errors import InputError, MissingError
from tif.eval import loading
from tif.eval.benchmarks import muse
from tif.eval.benchmarks.muse_files import MuseFiles
from tif.eval.benchmarks.texts import WINDOW
from tif.eval.measure import privacy
from tif.eval.measure.privacy import RetainArea
from tif.eval.measure.score import score
from tif.eval.record import MuseNumbers
from tif.eval.settings import Corpus
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding


def write_files(folder: Path) -> None:
    """Write MUSE's files about people who do not exist."""

    def write(name: str, value: object) -> None:
        path = folder / "muse_news" / name
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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_files(tmp_path)
    return tmp_path


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
    for corpus, retain_area in (("news", 0.4772), ("books", 0.5393), (None, 0.5)):
        leak = muse.with_privleak(replace(found, corpus=corpus), None).privleak
        # MUSE's eval.py, with its AUC: the probability that a holdout text is the likelier one.
        assert leak == pytest.approx(100 * ((1 - areas) - retain_area) / retain_area)
    retain = RetainArea(area=0.6, texts_sha256=found.privleak_texts_sha256)
    assert muse.with_privleak(found, retain).privleak == pytest.approx(100 * ((1 - areas) - 0.4) / 0.4)


def test_the_question_is_put_as_the_benchmark_puts_it() -> None:
    # metrics/knowmem.py of MUSE: the blank behind the last "Answer:" is a token of its own for some tokenizers.
    assert muse.few_shot([("a?", "b")], "c?") == "Question: a?\nAnswer: b\n\nQuestion: c?\nAnswer: "


def test_privleak_that_cannot_be_had_is_null_with_a_reason() -> None:
    found = MuseNumbers(attacks={"min_k": 0.7}, privleak_texts_sha256="x")
    for mine, theirs, why in ((0.7, 1.0, "AUC is 1"), (None, 0.5, "two tokens"), (0.7, None, "two tokens")):
        retain = RetainArea(area=theirs, texts_sha256="x")
        leak = muse.with_privleak(replace(found, attacks={"min_k": mine}), retain)
        assert leak.privleak is None
        assert why in (leak.privleak_reason or "")
    assert privacy.auc([float("nan"), 0.1], [0.2, float("nan")]) == 1
    assert privacy.auc([float("nan")], [0.2]) is None


def test_a_retain_log_of_other_texts_is_refused(
    cli, model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--json"]
    assert cli(*command, "--out", data / "two", "--limit", 2).code == 0
    with monkeypatch.context() as no_model:
        no_model.setattr(loading, "load_model", lambda *_, **__: pytest.fail("the model was loaded"))
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


@pytest.mark.parametrize(
    ("folder", "option", "corpus"),
    [
        ("muse_news", None, "news"),
        ("muse_books", None, "books"),
        ("Books", None, "books"),
        ("MUSE-News", None, "news"),
        ("fakenews", None, None),
        ("news2", None, None),
        ("files", None, None),
        ("files", "books", "books"),
        ("muse_news", "books", "books"),
    ],
)
def test_the_folder_or_the_option_names_the_corpus(
    data: Path, tmp_path: Path, folder: str, option: Corpus | None, corpus: Corpus | None
) -> None:
    (data / "muse_news").rename(tmp_path / folder)
    assert MuseFiles(tmp_path / folder, None, option).corpus == corpus
    if folder in ("muse_news", "muse_books"):
        assert MuseFiles(tmp_path, None, option if folder == f"muse_{option}" else None).corpus == folder[5:]


def test_each_corpus_has_its_own_files(data: Path) -> None:
    shutil.copytree(data / "muse_news", data / "muse_books")
    (data / "muse_books/verbmem/forget.json").write_text('[{"prompt": "Nine", "gt": "bells"}]')
    assert len(MuseFiles(data).rows("forget", "verbmem", "prompt")) == 4
    assert MuseFiles(data, None, "books").rows("forget", "verbmem", "gt") == [{"gt": "bells"}]


def test_the_beginning_of_text_counts_among_verbatim_tokens(tiny: Tiny, data: Path) -> None:
    """As in MUSE's verbmem.py: with a BOS, 127 tokens of the text remain."""
    text = " ".join(f"{name} of {town} is a {job}." for name, town, job, _ in PEOPLE * 8)
    (data / "muse_news/verbmem/forget.json").write_text(json.dumps([{"prompt": "Who", "gt": text}]))
    tokenizer = make_tokenizer()
    for frame, kept in (("<s> $A", 127), ("$A", 128), ("<s> $A </s>", 127)):
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=frame, special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        _, frames = muse.evaluate(lambda: tiny.model, tokenizer, data, limit=1)
        (row,) = frames["verbmem_forget"]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert row["answer"] == tokenizer.decode(ids[:kept])
        whole = RougeScorer(["rougeL"], use_stemmer=True).score(text, row["completion"])["rougeL"].fmeasure
        assert row["rougeL_f1_stemmed"] == pytest.approx(whole)


@torch.no_grad()
def test_memorization_of_the_continuation(tiny: Tiny, data: Path) -> None:
    """As open-unlearning does: prompt, a blank, the complete continuation. But its last token counts."""
    records = json.loads((data / "muse_news/verbmem/forget.json").read_text())
    numbers, frames = muse.evaluate(lambda: tiny.model, tiny.tokenizer, data)
    for record, row in zip(records, frames["verbmem_forget"], strict=True):
        coded = tiny.tokenizer(f"{record['prompt']} {record['gt']}", return_offsets_mapping=True)
        ids = torch.tensor([coded["input_ids"]])
        before = sum(end <= len(record["prompt"]) + 1 for _, end in coded["offset_mapping"])
        hits = (tiny.model(ids).logits[0, before - 1 : -1].argmax(-1) == ids[0, before:]).tolist()
        k = next((k for k in range(len(hits)) if all(hits[k:])), len(hits) - 1)
        assert row["exact_memorization"] == pytest.approx(sum(hits) / len(hits))
        assert row["extraction_strength"] == pytest.approx(1 - k / len(hits))
    for name in ("exact_memorization", "extraction_strength"):
        mean = np.mean([row[name] for row in frames["verbmem_forget"]])
        assert numbers.verbmem_forget[name] == pytest.approx(mean)
    assert "extraction_strength" not in numbers.knowmem_forget


def test_zlib_compresses_what_was_scored(tiny: Tiny) -> None:
    text = " ".join(f"{name} of {town} is a {job}." for name, town, job, _ in PEOPLE)
    encoder = Encoder.of(tiny.tokenizer, Encoding(supervise_eos=False, max_length=20))
    (scored,) = score(tiny.model, encoder, [Example("x", "", text)])
    window = tiny.tokenizer.decode(tiny.tokenizer(text)["input_ids"][:20])
    assert privacy.zlib_ratio(scored, text) == pytest.approx(scored.loss / len(zlib.compress(window.encode())))
    assert privacy.zlib_ratio(scored, text + text[::-1]) == privacy.zlib_ratio(scored, text)


def open_log(area: float | None, forget: int = 2, holdout: int = 2) -> dict:
    """MUSE_EVAL.json as open-unlearning writes it."""
    rows = {"forget": forget, "holdout": holdout}
    scores = {
        p: {"agg_value": 0.1, "value_by_index": {str(i): {"score": i} for i in range(n)}} for p, n in rows.items()
    }
    return {"mia_min_k": scores | {"auc": area, "agg_value": area}, "privleak": {"agg_value": 0.0}}


def test_a_retain_log_of_open_unlearning(cli, model_folder: str, data: Path) -> None:
    command = ["eval", model_folder, "--benchmark", "muse", "--data-dir", data, "--out", data / "out", "--limit", 2]
    log = data / "MUSE_EVAL.json"

    def against(content: dict, *more: str):
        log.write_text(json.dumps(content))
        return cli(*command, "--retain-log", log, "--json", *more)

    done = against(open_log(0.25))
    assert done.code == 0, done.err
    numbers = json.loads(done.out)["muse"]
    assert (numbers["privleak_retain_auc"], numbers["privleak_reference"]) == (0.25, "retain log")
    assert numbers["privleak"] == pytest.approx(privacy.privleak(numbers["attacks"]["min_k"], 0.25))
    assert "does not name its texts" in done.err
    bare = against({"mia_min_k": {"agg_value": 0.25}})
    assert json.loads(bare.out)["muse"]["privleak"] == numbers["privleak"]
    other = against(open_log(0.25, holdout=100))
    assert other.code == 1
    assert "it has 100 holdout texts, this evaluation has 2" in other.err
    assert against(open_log(0.25, holdout=100), "--force").code == 0
    for content, why in (
        ({"privleak": -3.5, "extraction_strength": 0.1}, "it lacks mia_min_k"),
        (open_log(None), "has no AUC"),
        (open_log(float("nan")), "has no AUC"),
        (open_log(12.0), "has no AUC"),
        ({"mia_min_k": "high"}, "has no AUC"),
    ):
        refused = against(content)
        assert refused.code == 1
        assert why in refused.err
        assert "MUSE_EVAL.json" in refused.err
    assert "Give it as --retain-log with --benchmark muse" in cli("eval", "--import-log", log).err


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
    encoder = Encoder.of(tiny.tokenizer, Encoding(supervise_eos=False, max_length=WINDOW))
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
    assert found.verbmem_forget["n"] == found.knowmem_forget["n"] == 2
    areas = [area for area in found.attacks.values() if area is not None]
    assert areas
    assert all(0 <= area <= 1 for area in areas)
    assert len(frames["privleak_holdout"]) == 2


def test_a_model_with_few_positions_reads_the_beginning_of_a_text(tiny: Tiny, data: Path, capsys) -> None:
    """GPT-2 has a table of positions: a completion stops at its end, and membership inference reads up to it."""
    model = build("gpt2", len(tiny.tokenizer), max_position_embeddings=100, eos_token_id=1)
    for name in ("forget", "holdout", "retain"):
        path = data / f"muse_news/privleak/{name}.json"
        path.write_text(json.dumps([text * 4 for text in json.loads(path.read_text())]))
    _, frames = muse.evaluate(lambda: model, tiny.tokenizer, data)
    told = " ".join(capsys.readouterr().err.split())
    assert "privleak_forget: the model has 100 positions, so it reads the first 100 tokens of a text" in told
    text = json.loads((data / "muse_news/privleak/forget.json").read_text())[0]
    ids = tiny.tokenizer(text)["input_ids"][:100]
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])
    assert frames["privleak_forget"][0]["loss"] == pytest.approx(-float(logprobs.mean()), rel=1e-4)
