"""Logs of three families, and what does not match."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean, ks_2samp

from tif.errors import InputError
from tif.eval.compare import logs
from tif.eval.compare.log import MISNAMED, fingerprint
from tif.eval.compare.log_formats import OPEN


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


def test_order_white_space_and_special_tokens_do_not_matter(tmp_path: Path) -> None:
    a, b = official(6, 1), official(6, 1)
    task = b["eval_log_forget.json"]
    for name in task:
        task[name] = task[name][::-1]
    for row in task["generated_text"]:
        row[0] = "<|start|><s>" + row[0].replace("[INST] ", "[INST]\n")
    left, right = logs.read(write(tmp_path / "a.json", a)), logs.read(write(tmp_path / "b.json", b))
    assert logs.mismatch(left, right) is None
    assert logs.compare(left, right).forget_quality == 1


WRAPPINGS = (
    "[INST] {} [/INST]",
    "Question: {}\nAnswer:",
    "system\nBe brief.user\n{}assistant\n",
    "Q: {} Say it.",
    "{}",
)


def rewrapped(log: dict, wrapping: str, *, answers: bool = True) -> dict:
    for row in log["eval_log_forget.json"]["generated_text"]:
        row[0] = wrapping.replace("{}", row[0].removeprefix("[INST] ").removesuffix(" [/INST]"))
        row[2] = row[2] if answers else ""
    return log


@pytest.mark.parametrize("n", [1, 2, 14])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(
    ("mine", "theirs"), [pair for pair in itertools.product(WRAPPINGS, repeat=2) if pair[0] < pair[1]]
)
def test_another_template_is_refused(tmp_path: Path, mine: str, theirs: str, answers: bool, n: int) -> None:
    """Also without answers to compare, and if one log has bare questions."""
    left = logs.read(write(tmp_path / "a.json", rewrapped(official(n, 1), mine, answers=answers)))
    right = logs.read(write(tmp_path / "b.json", rewrapped(official(n, 2), theirs, answers=answers)))
    if n > 1 or answers or "{}" in (mine, theirs):
        with pytest.raises(InputError, match="the templates differ") as error:
            logs.compare(left, right)
        assert WRAPPINGS[0].partition("{}")[0].strip() in str(error.value) or WRAPPINGS[0] not in (mine, theirs)
    assert logs.compare(left, right, force=True).forced
    same = logs.read(write(tmp_path / "c.json", rewrapped(official(n, 3), mine, answers=answers)))
    assert logs.compare(left, same).forced is None


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("retain90_x.json", 40, "as many as forget01"),
        ("forget10.json", 200, "as many as forget05"),
        ("retain90_x.json", 300, None),
        ("retain90_x.json", 400, None),
        ("retain99.json", 40, None),
        ("retain95.json", 17, "but it has 17"),
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
        found |= {name: {"agg_value": 0.2 + 0.05 * i, "value_by_index": {}} for i, name in enumerate(OPEN)}
    return found


def test_open_unlearning_logs(tmp_path: Path) -> None:
    log = logs.read(write(tmp_path / "TOFU_EVAL.json", open_unlearning(6)))
    assert log.model_utility == pytest.approx(hmean([0.2 + 0.05 * i for i in range(9)]))
    tofu = logs.read(write(tmp_path / "a.json", official(6, 1)))
    assert "templates differ" in (logs.mismatch(log, tofu) or "")
    same = rewrapped(official(6, 1), "system\nBe brief.user\n{}assistant")
    assert logs.mismatch(log, logs.read(write(tmp_path / "a.json", same))) is None
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


def summary(**numbers: float | None) -> dict:
    return {"forget_quality": 0.25, "forget_truth_ratio": 0.6, "model_utility": 0.5, "privleak": -40.0} | numbers


def test_a_summary_gives_what_it_states(cli, tmp_path: Path) -> None:
    path = write(tmp_path / "TOFU_SUMMARY.json", summary())
    result = json.loads(cli("eval", "--import-log", path, "--json").out)
    assert (result["model_utility"], result["forget_quality"]) == (0.5, 0.25)
    assert "as stated in the log" in result["forget_quality_reason"]
    nine = {name: 0.2 + 0.05 * i for i, name in enumerate(OPEN)}
    # The nine numbers are worth more than their stated mean.
    log = logs.read(write(path, summary(**nine)))
    assert log.model_utility == pytest.approx(hmean(list(nine.values())))
    for value in (None, float("nan")):
        log = logs.read(write(path, summary(model_utility=value)))
        assert log.model_utility is None
        assert "retain_Q_A_Prob" in (log.missing or "")
    full = write(tmp_path / "TOFU_EVAL.json", open_unlearning(6))
    for pair in ((path, full), (full, path)):
        refused = cli("eval", "--import-log", pair[0], "--retain-log", pair[1])
        assert refused.code == 1
        assert "TOFU_SUMMARY.json: has no truth ratio of a forget question" in refused.err
        assert "TOFU_EVAL.json" in refused.err


def test_nan_costs_only_what_depends_on_it(cli, tmp_path: Path) -> None:
    whole, holed = official(8, 1), official(8, 1)
    forget = holed["eval_log_forget.json"]
    forget["avg_paraphrased_loss"][2] = float("nan")
    forget["average_perturb_loss"][5][0] = float("nan")
    holed["eval_log.json"]["rougeL_recall"][0] = float("nan")
    a, b = write(tmp_path / "a.json", whole), write(tmp_path / "b.json", holed)
    for pair in ((a, b), (b, a)):
        done = cli("eval", "--import-log", pair[0], "--retain-log", pair[1], "--json")
        assert done.code == 0, done.err
        result = json.loads(done.out)
        rest = [ratio for i, ratio in enumerate(logs.read(a).truth_ratios) if i not in (2, 5)]
        assert result["forget_quality"] == pytest.approx(ks_2samp(rest, logs.read(a).truth_ratios).pvalue)
        assert "2 of 8 forget questions have no truth ratio (NaN)" in done.err
        shown = cli("eval", "--import-log", pair[0], "--retain-log", pair[1]).out
        meaning = "a p-value; higher is better; below 0.05 the model differs from the retain model"
        assert f"forget_quality   {result['forget_quality']:.4g}  ({meaning})\n" in shown
    assert result["model_utility"] is None
    assert result["model_utility_reason"] == "retain_rougeL_recall is NaN, infinite or negative in the log"
    assert len(result["parts"]) == 8

    log = open_unlearning(6)
    log["forget_truth_ratio"]["value_by_index"]["3"]["score"] = None
    log["forget_truth_ratio"]["value_by_index"]["4"] = None
    log["ra_Truth_Ratio"]["agg_value"] = float("nan")
    read = logs.read(write(tmp_path / "TOFU_EVAL.json", log))
    assert (len(read.truth_ratios), len(read.questions), read.model_utility) == (4, 6, None)
    assert "ra_Truth_Ratio is NaN" in (read.missing or "")


@pytest.mark.parametrize("form", ["tofu", "open-unlearning"])
def test_truth_ratios_alone_give_a_forget_quality(cli, tmp_path: Path, form: str) -> None:
    ratios = {str(i): 0.1 + 0.2 * i for i in range(7)}
    if form == "tofu":
        content: dict = {"eval_log_forget.json": {"truth_ratio": ratios}}
    else:
        content = {"forget_truth_ratio": {"value_by_index": {i: {"score": ratio} for i, ratio in ratios.items()}}}
    alone = write(tmp_path / "alone.json", content)
    other = write(tmp_path / "other.json", official(7, 4))
    done = cli("eval", "--import-log", other, "--retain-log", alone, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result["forget_quality"] == pytest.approx(
        ks_2samp(logs.read(other).truth_ratios, list(ratios.values())).pvalue
    )
    assert result["forget_quality_forced"] is None
    assert any("neither questions nor answers" in line for line in result["warnings"])
    assert logs.read(alone).model_utility is None
    fewer = write(tmp_path / "fewer.json", official(6, 4))
    assert "6 questions against 7" in cli("eval", "--import-log", fewer, "--retain-log", alone).err


@pytest.mark.parametrize(
    ("path", "n", "warns"),
    [
        ("llama_retain90_wd0.01/ds_size300/eval_log_aggregated.json", 40, True),
        ("llama_retain90_wd0.01/ds_size300/eval_log_aggregated.json", 300, False),
        ("retain90/forget01/eval_log_aggregated.json", 40, False),
        ("retain90/forget01/eval_log_aggregated.json", 400, True),
        ("tofu_Llama_retain900/eval_log_aggregated.json", 40, False),
        ("aggregated.json", 40, False),
    ],
)
def test_a_folder_may_promise_another_split(tmp_path: Path, path: str, n: int, warns: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    warnings = logs.read(write(tmp_path / path, official(n, 1))).warnings()
    assert len(warnings) == warns


def test_a_log_that_circulates_under_a_wrong_name_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = official(40, 1)
    mark = fingerprint(logs.read(write(tmp_path / "x.json", content)).truth_ratios)
    monkeypatch.setitem(MISNAMED, mark, "forget10")
    copy = json.loads(json.dumps(content), parse_float=lambda digits: float(f"{float(digits):.9g}"))
    (warning,) = logs.read(write(tmp_path / "mine.json", copy)).warnings()
    assert "circulates as a log of forget10 (400 questions), but it has 40, as many as forget01" in warning


@pytest.mark.real
def test_the_circulated_log_is_known_under_every_name(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "log.json").write_bytes((shared / "logs" / "retain90_llama2.json").read_bytes())
    (warning,) = logs.read(tmp_path / "log.json").warnings()
    assert "circulates as a log of forget10" in warning


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
