"""Membership inference on questions: the end token's rule, a retain model beside it, and the command."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.measure import privacy
from tif.eval.measure.membership import AttackArea, Membership
from tif.eval.measure.score import score
from tif.eval.record import EvalRecord
from tif.spans import Example
from tif.tokens.encoding import Encoder


def areas(**values: float) -> Membership:
    return Membership(
        holdout="h", forget_questions=2, holdout_questions=2, texts_sha256="same",
        attacks={name: AttackArea(auc=value) for name, value in values.items()},
    )  # fmt: skip


def test_loss_and_zlib_keep_the_end_token_and_min_k_does_not(tiny: Tiny) -> None:
    row = make_row(2)
    scored = score(tiny.model, Encoder.of(tiny.tokenizer), [Example("x", row.question, row.answer)])
    logprob = scored[0].logprob.astype(np.float64)
    assert scored[0].start[-1] == -1
    with_end, without = (privacy.attacks(scored, [row.answer], end_token=keep) for keep in (True, False))
    assert with_end["loss"] == pytest.approx([-logprob.mean()])
    assert without["loss"] == pytest.approx([-logprob[:-1].mean()])
    assert with_end["zlib"] == pytest.approx([-logprob.mean() / len(zlib.compress(row.answer.encode()))])
    assert with_end["min_k"] == without["min_k"]
    assert with_end["min_k_plus_plus"] == without["min_k_plus_plus"]


def test_closeness_needs_the_same_texts_and_all_four_attacks() -> None:
    four = {"loss": 0.9, "zlib": 0.3, "min_k": 0.5, "min_k_plus_plus": 0.4}
    retain = areas(loss=0.6, zlib=0.6, min_k=0.5, min_k_plus_plus=0.5)
    result = areas(**four).beside(retain)
    assert [result.attacks[name].gap for name in four] == pytest.approx([0.3, -0.3, 0, -0.1])
    assert [result.attacks[name].closeness for name in four] == pytest.approx([0.5, 0.5, 1, 0.8])
    assert result.score == pytest.approx(4 / (2 + 2 + 1 + 1 / 0.8))
    assert areas(loss=0.9).beside(retain).score is None
    assert areas(**four).beside(None).attacks["loss"].gap is None
    other = Membership(**{name: getattr(retain, name) for name in (
        "holdout", "forget_questions", "holdout_questions", "attacks")}, texts_sha256="other")  # fmt: skip
    assert areas(**four).beside(other) == areas(**four)


@pytest.mark.parametrize("benchmark", ["tofu", "local"])
def test_the_command_compares_with_the_holdout_set(
    cli: Callable[..., Result], tiny: Tiny, model_folder: str, tmp_path: Path, benchmark: str
) -> None:
    for name, rows in (("forget01_perturbed", range(4)), ("holdout01", range(4, 7))):
        lines = [json.dumps({"question": make_row(i).question, "answer": make_row(i).answer}) for i in rows]
        (tmp_path / f"{name}.json").write_text("\n".join(lines))
    command = ["--forget", "forget01", "--data-dir", tmp_path]
    if benchmark == "local":
        forget, holdout = (str(tmp_path / f"{name}.json") for name in ("forget01_perturbed", "holdout01"))
        command = ["--benchmark", "local", "--forget", forget, "--holdout", holdout]
    retain = tmp_path / "retain"
    make_llama(len(tiny.tokenizer), 1).save_pretrained(retain)
    tiny.tokenizer.save_pretrained(retain)
    for model, out, more in ((retain, "log", []), (model_folder, "out", ["--retain-log", tmp_path / "log"])):
        result = cli("eval", model, *command, "--no-completions", "--out", tmp_path / out, *more)
        assert result.code == 0, result.err
    log, record = (EvalRecord.read(tmp_path / out).membership for out in ("log", "out"))
    assert log is not None
    assert record is not None
    assert (record.forget_questions, record.holdout_questions) == (4, 3)
    examples = [Example(str(i), make_row(i).question, make_row(i).answer) for i in range(7)]
    losses = [one.loss for one in score(tiny.model, Encoder.of(tiny.tokenizer), examples)]
    assert record.attacks["loss"].auc == pytest.approx(roc_auc_score([0] * 4 + [1] * 3, losses))
    assert record.attacks["loss"].retain_auc == log.attacks["loss"].auc
    low, high = record.interval("loss").low, record.interval("loss").high
    assert f"(AUC, 95% [{low:.3g}, {high:.3g}], retain model's " in result.out


def test_all_six_attacks_by_command(cli: Callable[..., Result], tiny: Tiny, model_folder: str, tmp_path: Path) -> None:
    for name, rows in (("forget01_perturbed", range(4)), ("holdout01", range(4, 7))):
        lines = [json.dumps({"question": make_row(i).question, "answer": make_row(i).answer}) for i in rows]
        (tmp_path / f"{name}.json").write_text("\n".join(lines))
    base = make_llama(len(tiny.tokenizer), 5)
    base.save_pretrained(tmp_path / "base")
    tiny.tokenizer.save_pretrained(tmp_path / "base")
    command = ["eval", model_folder, "--forget", "forget01", "--data-dir", tmp_path, "--no-completions"]
    result = cli(*command, "--out", tmp_path / "out", "--base-model", tmp_path / "base", "--gradnorm")
    assert result.code == 0, result.err
    membership = EvalRecord.read(tmp_path / "out").membership
    assert membership is not None
    assert list(membership.attacks) == ["loss", "zlib", "min_k", "min_k_plus_plus", "reference", "gradnorm"]
    encoder = Encoder.of(tiny.tokenizer)
    examples = [Example(str(i), make_row(i).question, make_row(i).answer) for i in range(7)]
    # open-unlearning keeps the end token in the reference attack, and leaves it out of the gradient norm.
    mine, other = (score(model, encoder, examples) for model in (tiny.model, base))
    gaps = [float(a.logprob.mean() - b.logprob.mean()) for a, b in zip(other, mine, strict=True)]
    assert membership.attacks["reference"].auc == pytest.approx(roc_auc_score([0] * 4 + [1] * 3, gaps))
    norms = [privacy.gradnorm(tiny.model, encoder, example) for example in examples]
    assert membership.attacks["gradnorm"].auc == pytest.approx(roc_auc_score([0] * 4 + [1] * 3, norms))
    assert "mia gradnorm" in result.out
    (tmp_path / "holdout01.json").unlink()
    refused = cli(*command, "--out", tmp_path / "other", "--gradnorm")
    assert refused.code == 2
    assert "--gradnorm is for membership inference" in refused.err


def test_reference_with_and_without_the_end_token(tiny: Tiny) -> None:
    row = make_row(1)
    example = Example("x", row.question, row.answer)
    mine, other = (
        score(model, Encoder.of(tiny.tokenizer), [example])[0]
        for model in (tiny.model, make_llama(len(tiny.tokenizer), 5))
    )
    with_end = float(other.logprob.mean() - mine.logprob.mean())
    without = float(other.logprob[:-1].mean() - mine.logprob[:-1].mean())
    assert privacy.reference(mine, other, end_token=True) == pytest.approx(with_end, rel=1e-5)
    assert privacy.reference(mine, other) == pytest.approx(without, rel=1e-5)
    assert with_end != pytest.approx(without)
