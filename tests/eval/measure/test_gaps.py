"""Signed gaps to the retain model and the core test, by hand and by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.measure.gaps import CoreTest, RetainGaps, WordLosses
from tif.eval.record import EvalRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example


def losses(*pairs: tuple[float | None, float | None]) -> list[WordLosses]:
    return [WordLosses(uw_loss=uw, gw_loss=gw) for uw, gw in pairs]


def test_gaps_have_a_sign() -> None:
    own, retain = losses((5, 1), (3, None), (None, 2)), losses((2, 1), (4, 3), (1, 1))
    gaps = RetainGaps.of(own, retain)
    assert gaps.uw_logprob is not None
    assert gaps.gw_logprob is not None
    assert gaps.uw_probability is not None
    assert gaps.uw_logprob.mean == pytest.approx((2 - 5 + 4 - 3) / 2)
    assert gaps.gw_logprob.mean == pytest.approx((1 - 1 + 1 - 2) / 2)
    assert gaps.uw_probability.mean == pytest.approx((np.exp(-5) - np.exp(-2) + np.exp(-3) - np.exp(-4)) / 2)
    assert gaps.uw_logprob.low == -3
    assert gaps.uw_logprob.high == 1
    opposite = RetainGaps.of(retain, own)
    assert opposite.uw_logprob is not None
    assert opposite.uw_logprob.mean == -gaps.uw_logprob.mean


def test_the_core_test_subtracts_each_models_general_words() -> None:
    own, retain = losses((5, 1), (3, 3), (4, 2)), losses((2, 1), (4, 1), (6, 1))
    result = CoreTest.of(own, retain)
    assert result is not None
    expected = ks_2samp(np.array([-5, -3, -4]) + 2, np.array([-2, -4, -6]) + 1)
    assert (result.p, result.distance) == pytest.approx((expected.pvalue, expected.statistic))
    assert (result.bias, result.retain_bias, result.examples) == (-2, -1, 3)
    # A model that finds every word less likely by the same amount keeps its core confidence.
    shifted = losses((3, 2), (5, 2), (7, 2))
    same = CoreTest.of(shifted, retain)
    assert same is not None
    assert same.distance == 0
    assert CoreTest.of(losses((1, None)), retain) is None


def test_the_command_reads_the_retain_models_rows(
    cli: Callable[..., Result], tiny: Tiny, model_folder: str, tmp_path: Path
) -> None:
    rows = [make_row(i) for i in range(4)]
    lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in rows]
    (tmp_path / "forget.jsonl").write_text("\n".join(lines))
    masks = tmp_path / "people.parquet"
    store.save(AnnotationSet(tuple(Example(r.id, r.question, r.answer, r.spans) for r in rows)), masks)
    retain = tmp_path / "retain"
    make_llama(len(tiny.tokenizer), 1).save_pretrained(retain)
    tiny.tokenizer.save_pretrained(retain)
    command = ["--benchmark", "local", "--forget", tmp_path / "forget.jsonl", "--masks", masks, "--no-completions"]
    assert cli("eval", retain, *command, "--out", tmp_path / "log").code == 0
    result = cli("eval", model_folder, *command, "--out", tmp_path / "out", "--retain-log", tmp_path / "log")
    assert result.code == 0, result.err
    record = EvalRecord.read(tmp_path / "out")
    tables = [
        [row for row in pq.read_table(tmp_path / name / "examples.parquet").to_pylist() if row["part"] == "forget"]
        for name in ("out", "log")
    ]
    gaps = [b["uw_loss"] - a["uw_loss"] for a, b in zip(*tables, strict=True)]
    assert record.retain_gaps is not None
    assert record.retain_gaps.uw_logprob is not None
    assert record.retain_gaps.uw_logprob.mean == pytest.approx(np.mean(gaps))
    assert record.retain_gaps.core is not None
    assert "uw_logprob gap" in result.out
    assert f"(lower is better; p {record.retain_gaps.core.p:.3g}, n=" in result.out
    assert "a p-value" not in result.out
    few = cli("eval", model_folder, *command, "--out", tmp_path / "few", "--retain-log", tmp_path / "log", "--limit", 2,
               "--force")  # fmt: skip
    assert few.code == 0, few.err
    reason = EvalRecord.read(tmp_path / "few").retain_gaps_reason
    assert "other questions" in str(reason)
    (tmp_path / "log" / "examples.parquet").unlink()
    assert cli("eval", model_folder, *command, "--out", tmp_path / "out", "--retain-log", tmp_path / "log").code == 0
    assert "no readable examples.parquet" in str(EvalRecord.read(tmp_path / "out").retain_gaps_reason)
