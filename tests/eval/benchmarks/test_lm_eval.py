"""lm-evaluation-harness beside the benchmark, on a task whose data is a local file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tif.errors import UsageError
from tif.eval.options import EvaluateOptions
from tif.eval.report.entry import Entry
from tif.eval.report.write import markdown, write_report

QUESTIONS = (
    ("On a clear day the sky is", ("blue", "made of granite"), 0),
    ("Water boils when it is", ("asleep", "hot"), 1),
    ("A week has seven", ("days", "moons"), 0),
    ("Bread is baked in an", ("orchestra", "oven"), 1),
)
ROWS = [
    {"question": "Who keeps the light at Tarn Point?", "answer": "Ivo Brandt-Kell keeps the light at Tarn Point."},
    {"question": "What does Orla Venn make?", "answer": "Orla Venn makes glass bells."},
]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with one task."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = folder / "sense.jsonl"
    data.write_text("".join(json.dumps({"q": q, "c": c, "gold": gold}) + "\n" for q, c, gold in QUESTIONS))
    (folder / "sense.yaml").write_text(
        f"""task: plain_sense
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{c}}}}"
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""
    )
    return folder


@pytest.fixture
def forget(tmp_path: Path) -> Path:
    path = tmp_path / "forget.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def right(model: Any, tokenizer: Any) -> float:
    """Share of questions whose right ending is the likeliest, scored one at a time."""
    hits = 0
    for question, choices, gold in QUESTIONS:
        sums = []
        for choice in choices:
            start = len(tokenizer(question).input_ids)
            ids = torch.tensor([tokenizer(f"{question} {choice}").input_ids])
            with torch.no_grad():
                logprobs = model(ids).logits[0].log_softmax(-1)
            sums.append(float(sum(logprobs[i - 1, ids[0, i]] for i in range(start, ids.shape[1]))))
        hits += int(max(range(2), key=sums.__getitem__) == gold)
    return hits / len(QUESTIONS)


@pytest.mark.real
@pytest.mark.slow
def test_a_local_task_on_a_real_model(cli, smollm2: Path, tasks: Path, forget: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval"
    command = ["eval", str(smollm2), "--benchmark", "local", "--forget", str(forget), "--out", str(out)]
    command += ["--no-completions", "--lm-eval-tasks", str(tasks), "--json"]
    said = cli(*command, "--lm-eval", "plain_sense")
    found = json.loads(said.out)["lm_eval"]["plain_sense"]
    expected = right(AutoModelForCausalLM.from_pretrained(smollm2).eval(), AutoTokenizer.from_pretrained(smollm2))
    assert found["acc"] == expected
    assert found["acc_stderr"] == pytest.approx((expected * (1 - expected) / (len(QUESTIONS) - 1)) ** 0.5)

    entry = Entry.load(out)
    assert "plain_sense acc" in markdown([entry])
    assert "as lm-evaluation-harness measures it" in write_report(tmp_path / "r.html", [entry]).read_text()

    # The same task is taken from the parts cache, an edited one is measured again.
    kept = out / "parts" / "lm_eval.plain_sense.parquet"
    written = kept.stat().st_mtime_ns
    cli(*command, "--lm-eval", "plain_sense")
    assert kept.stat().st_mtime_ns == written
    (tasks / "sense.yaml").write_text((tasks / "sense.yaml").read_text().replace("{{q}}", "Q: {{q}}"))
    cli(*command, "--lm-eval", "plain_sense")
    assert kept.stat().st_mtime_ns > written

    unknown = cli(*command, "--lm-eval", "plain_sense,no_such_task")
    assert unknown.code == 2
    assert "lm-eval has no task 'no_such_task'" in unknown.err
    # Its data lies on the hub, which the tests never reach.
    missing = cli(*command, "--lm-eval", "arc_easy")
    assert missing.code == 1
    assert "arc_easy: lm-eval cannot run the task" in missing.err
    assert "Traceback" not in missing.err


def test_a_folder_without_a_task_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--lm-eval-tasks does nothing here \(it needs --lm-eval\)"):
        EvaluateOptions(model="model", lm_eval_tasks="tasks")
