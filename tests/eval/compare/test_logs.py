"""Logs of three families, and what does not match."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean, ks_2samp

from tif.errors import InputError
from tif.eval.compare import logs


def official(n: int, seed: int, *, questions: list[str] | None = None, by_index: bool = False) -> dict:
    """A log as the TOFU family writes it, of made-up numbers."""
    rng = np.random.default_rng(seed)

    def task(n: int, wrong: int) -> dict:
        columns = {
            "avg_gt_loss": rng.uniform(0.1, 3, n).tolist(),
            "avg_paraphrased_loss": rng.uniform(0.1, 3, n).tolist(),
            "average_perturb_loss": rng.uniform(0.1, 4, (n, wrong)).tolist(),
            "rougeL_recall": rng.uniform(0, 1, n).tolist(),
            "generated_text": [
                [f"[INST] {q} [/INST]", "?", f"Answer to {q}"]
                for q in (questions or [f"Who is person {i}?" for i in range(n)])[:n]
            ],
        }
        return {k: {str(i): v for i, v in enumerate(c)} for k, c in columns.items()} if by_index else columns

    return {
        "eval_log.json": task(12, 5),
        "eval_real_author_wo_options.json": task(10, 3),
        "eval_real_world_wo_options.json": task(11, 3),
        "eval_log_forget.json": task(n, 5),
    }


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("by_index", [False, True])
def test_utility_and_quality_are_the_published_aggregation(tmp_path: Path, by_index: bool) -> None:
    a, b = official(20, 1, by_index=by_index), official(20, 2)
    found = logs.read(write(tmp_path / "a.json", a))
    other = logs.read(write(tmp_path / "b.json", b))

    nine, ratios = [], []
    for source in (official(20, 1), b):
        forget = source["eval_log_forget.json"]
        wrong = np.array(forget["average_perturb_loss"]).mean(-1)
        ratios.append(np.exp(wrong - np.array(forget["avg_paraphrased_loss"])))
    for name, task in official(20, 1).items():
        if name == "eval_log_forget.json":
            continue
        right = np.exp(-np.array(task["avg_gt_loss"]))
        wrong = np.array(task["average_perturb_loss"])
        nine.append(right.mean() if name == "eval_log.json" else (right / (right + np.exp(-wrong).sum(-1))).mean())
        nine.append(np.mean(task["rougeL_recall"]))
        ratio = np.exp(wrong.mean(-1) - np.array(task["avg_paraphrased_loss"]))
        nine.append(np.maximum(0, 1 - 1 / ratio).mean())
    assert found.model_utility == pytest.approx(hmean(nine), rel=1e-12)
    quality = logs.compare(found, other)
    assert quality.forced is None
    assert quality.forget_quality == pytest.approx(ks_2samp(*ratios).pvalue, rel=1e-12)


def test_other_questions_are_refused_and_forced_only_aloud(tmp_path: Path) -> None:
    mine = logs.read(write(tmp_path / "a.json", official(20, 1)))
    fewer = logs.read(write(tmp_path / "b.json", official(8, 2)))
    with pytest.raises(InputError, match="20 questions against 8"):
        logs.compare(mine, fewer)
    others = official(20, 3, questions=[f"Where was person {i} born?" for i in range(20)])
    elsewhere = logs.read(write(tmp_path / "c.json", others))
    with pytest.raises(InputError, match="not in both"):
        logs.compare(mine, elsewhere)
    forced = logs.compare(mine, elsewhere, force=True)
    assert "not in both" in (forced.forced or "")


def test_order_and_template_do_not_matter(tmp_path: Path) -> None:
    a, b = official(6, 1), official(6, 1)
    task = b["eval_log_forget.json"]
    for name in task:
        task[name] = task[name][::-1]
    for row in task["generated_text"]:
        row[0] = "<|start|>" + row[0].replace("[INST] ", "Question: ").replace(" [/INST]", "\nAnswer:")
    left, right = logs.read(write(tmp_path / "a.json", a)), logs.read(write(tmp_path / "b.json", b))
    assert logs.mismatch(left, right) is None
    assert logs.compare(left, right).forget_quality == 1


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("retain90_x.json", 40, "as many as forget01"),
        ("forget10.json", 200, "as many as forget05"),
        ("retain90_x.json", 300, None),
        ("retain90_x.json", 400, None),
        ("retain99.json", 40, None),
        ("retain95.json", 17, "but the log has 17"),
    ],
)
def test_a_name_that_does_not_fit_is_noticed(tmp_path: Path, name: str, n: int, said: str | None) -> None:
    warnings = logs.read(write(tmp_path / name, official(n, 1))).warnings()
    assert (said in warnings[0]) if said else warnings == []


def open_unlearning(n: int, *, parts: bool = True) -> dict:
    found: dict = {
        "forget_truth_ratio": {
            "agg_value": 0.5,
            "value_by_index": {str(i): {"score": 0.1 + 0.05 * i} for i in range(n)},
        },
        "forget_Q_A_ROUGE": {
            "agg_value": 0.4,
            "value_by_index": {
                str(i): {
                    "rougeL_recall": 0.4,
                    "input": f"system\nBe brief.user\nWho is person {i}?assistant\n",
                    "ground_truth": f"Answer to Who is person {i}?",
                    "generation": "?",
                }
                for i in range(n)
            },
        },
    }
    if parts:
        found |= {name: {"agg_value": 0.2 + 0.05 * i, "value_by_index": {}} for i, name in enumerate(logs._OPEN)}
    return found


def test_open_unlearning_logs(tmp_path: Path) -> None:
    log = logs.read(write(tmp_path / "TOFU_EVAL.json", open_unlearning(6)))
    assert log.model_utility == pytest.approx(hmean([0.2 + 0.05 * i for i in range(9)]))
    tofu = logs.read(write(tmp_path / "a.json", official(6, 1)))
    assert logs.mismatch(log, tofu) is None
    bare = logs.read(write(tmp_path / "b.json", open_unlearning(6, parts=False)))
    assert bare.model_utility is None
    assert "retain_Q_A_Prob" in (bare.missing or "")


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "null", '{"forget_truth_ratio": 3}', '{"tif": 1}', "\x00"])
def test_what_is_no_log_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        logs.read(path)
    assert "x.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.real
def test_logs_of_the_release(shared: Path) -> None:
    expected = {90: 0.7583248593263844, 95: 0.760932001828683, 99: 0.7632832563203767}
    found = {n: logs.read(shared / "logs" / f"retain{n}_llama2.json") for n in expected}
    for n, utility in expected.items():
        assert found[n].model_utility == pytest.approx(utility, rel=1e-14)
    assert logs.compare(found[99], found[90]).forget_quality == pytest.approx(0.9900193288833089, rel=1e-14)
    assert "as many as forget01" in found[90].warnings()[0]
    for n in (90, 99):
        with pytest.raises(InputError, match="questions against"):
            logs.compare(found[95], found[n])
