"""Fluency, utility and overall by the command, and questions in other words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import hmean
from transformers import BertConfig, BertForSequenceClassification

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tif.errors import InputError
from tif.eval.measure.fluency import fluency
from tif.eval.record import EvalRecord
from tif.tokens.models import load_classifier


@pytest.fixture
def classifier(tiny: Tiny, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tiny.tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, num_labels=4, max_position_embeddings=64, initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path / "classifier")
    tiny.tokenizer.save_pretrained(tmp_path / "classifier")
    return tmp_path / "classifier"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, n in (("forget01", 4), ("retain", 3), ("real_authors", 2), ("world_facts", 2)):
        lines = []
        for row in (make_row(i) for i in range(n)):
            record = {"question": row.question, "answer": row.answer, "perturbed_answer": list(row.perturbed)}
            other = {"paraphrased_answer": row.paraphrased[0], "paraphrased_question": f"Say: {row.question}"}
            lines.append(json.dumps(record | (other if name in ("forget01", "retain") else {})))
        (tmp_path / f"{name}_perturbed.json").write_text("\n".join(lines))
    lines = [json.dumps({"question": make_row(i).question, "answer": make_row(i).answer}) for i in range(4, 7)]
    (tmp_path / "holdout01.json").write_text("\n".join(lines))
    return tmp_path


def test_fluency_is_the_first_class_of_the_first_tokens(tiny: Tiny, classifier: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(classifier).eval()
    texts = ["Orla Venn works as a glassblower in Tarsk.", "glass", "Orla Venn " * 30]
    expected = []
    with torch.no_grad():
        for text in texts:
            ids = tiny.tokenizer(text)["input_ids"][:32]
            expected.append(float(model(torch.tensor([ids])).logits.softmax(-1)[0, 0]))
    assert fluency(model, tiny.tokenizer, texts) == pytest.approx(expected, rel=1e-4)
    assert len(set(expected)) == 3


def test_a_model_without_a_trained_head_is_no_classifier(model_folder: str) -> None:
    with pytest.raises(InputError, match=r"is not a trained text classifier.*score\.weight"):
        load_classifier(model_folder)


def test_composites_by_command(
    cli: Callable[..., Result], tiny: Tiny, model_folder: str, data: Path, classifier: Path
) -> None:
    command = ["--forget", "forget01", "--data-dir", data, "--max-new-tokens", 12, "--fluency-classifier", classifier]
    folders = [data / "start", data / "retain"]
    for seed, folder in enumerate(folders, 6):
        make_llama(len(tiny.tokenizer), seed).save_pretrained(folder)
        tiny.tokenizer.save_pretrained(folder)
        done = cli("eval", folder, *command, "--out", data / f"{folder.name}-eval")
        assert done.code == 0, done.err
    start, retain = (EvalRecord.read(data / f"{folder.name}-eval") for folder in folders)
    logs = ["--retain-log", data / "retain-eval", "--starting-log", data / "start-eval"]
    result = cli("eval", model_folder, *command, *logs, "--out", data / "out")
    assert result.code == 0, result.err
    record = EvalRecord.read(data / "out")
    numbers = record.composites
    assert numbers is not None
    assert record.memorization is not None
    assert record.membership is not None
    assert start.composites is not None
    rows = [row for row in pq.read_table(data / "out" / "examples.parquet").to_pylist() if row["part"] == "forget"]
    assert numbers.fluency == pytest.approx(sum(row["fluency"] for row in rows) / 4)
    assert numbers.privacy == record.membership.score
    assert numbers.utility == pytest.approx(hmean([record.model_utility, numbers.fluency]))
    if start.composites.utility:
        assert numbers.relative_utility == pytest.approx(min(1, numbers.utility / start.composites.utility))
        terms = [record.memorization.score, numbers.privacy, numbers.relative_utility]
        assert numbers.overall == pytest.approx(hmean(terms))
    assert numbers.privacy_with_depth is None
    assert "depth (no --depth)" in numbers.reasons["privacy_with_depth"]
    lines = [line.split()[0] for line in result.out.splitlines()]
    assert lines.index("memorization") < lines.index("s_loss") < lines.index("fluency") < lines.index("overall")
    assert retain.composites is not None
    assert "--retain-log" in retain.composites.reasons["privacy"]
    bare = cli(
        "eval", model_folder, "--forget", "forget01", "--data-dir", data, "--no-completions", "--out", data / "b"
    )
    assert bare.code == 0, bare.err
    assert EvalRecord.read(data / "b").composites is None
    wrong = cli("eval", model_folder, *command, "--starting-log", data / "b", "--out", data / "c")
    assert "has no utility to compare with" in wrong.err


def test_questions_in_other_words(cli: Callable[..., Result], model_folder: str, data: Path) -> None:
    command = ["eval", model_folder, "--forget", "forget01", "--data-dir", data, "--no-completions"]
    result = cli(*command, "--out", data / "out", "--question-key", "paraphrased_question")
    assert result.code == 0, result.err
    rows = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    for part, asked in (("forget", True), ("retain", True), ("real_authors", False), ("world_facts", False)):
        assert {row["question"].startswith("Say: ") for row in rows if row["part"] == part} == {asked}
    # The holdout questions have no other words, so the two sides would be asked differently.
    assert EvalRecord.read(data / "out").membership is None
    refused = cli(*command, "--question-key", "paraphrased_question", "--holdout", data / "holdout01.json")
    assert refused.code == 2
    assert "--holdout compares with the questions as written" in refused.err
    lines = (data / "forget01_perturbed.json").read_text().replace("paraphrased_question", "other")
    (data / "forget01_perturbed.json").write_text(lines)
    missing = cli(*command, "--out", data / "out", "--question-key", "paraphrased_question")
    assert missing.code == 1
    assert "has no paraphrased question" in missing.err
