"""Runs that differ in nothing but their seed are taken together, and no others."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.eval.conftest import Tiny, make_llama, make_row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.record import MasksUsed
from tif.eval.report.entry import Entry
from tif.eval.report.write import markdown, write_json, write_report
from tif.eval.settings import Scoring
from tif.records import MasksIdentity, ModelIdentity, RunRecord

QUICK = Scoring(completions=False)


def a_run(seed: int, *, masks: str = "ab", model: str = "cd", base: str = "m", **config: Any) -> RunRecord:
    """A run that differs from others in what is given."""
    return RunRecord(
        status="finished",
        steps=1,
        config={"objective": "tpo", "lr": 1e-5, "seed": seed, "out": f"runs/{seed}", "base_model": base} | config,
        incidental=("out", "base_model"),
        masks=MasksIdentity(path="set.parquet", digest=masks),
        model=ModelIdentity("m", model),
        base_model=ModelIdentity(base, "base"),
        sessions=(),
    )


@pytest.fixture(scope="module")
def entries(tiny: Tiny) -> list[Entry]:
    splits = {"forget": [make_row(i) for i in range(6)], "retain": [make_row(i, part="retain") for i in range(4)]}
    found = []
    for seed in range(3):
        model = make_llama(len(tiny.tokenizer), seed)
        evaluation = evaluate(model, tiny.tokenizer, splits, settings=QUICK)
        found.append(Entry.of(f"tpo-{seed}", evaluation, QUICK, forget_quality=0.1 * (seed + 1), run=a_run(seed)))
    return found


def seeds_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = write_json(None, entries)["seeds"]
    return found


def test_mean_and_deviation_over_runs(entries: list[Entry]) -> None:
    [group] = seeds_of(entries)
    assert group["runs"] == ["tpo-0", "tpo-1", "tpo-2"]
    assert group["seeds"] == [0, 1, 2]
    assert group["forget quality"] == {"mean": pytest.approx(0.2), "sd": pytest.approx(0.1)}
    means = []
    for entry in entries:
        values = [row["uw_probability"] for row in entry.examples["forget"]]
        means.append(sum(values) / len(values))
    assert group["UW probability"]["mean"] == pytest.approx(sum(means) / 3)
    assert group["UW probability"]["sd"] == pytest.approx(statistics.stdev(means))
    assert group["model utility"] is None


@pytest.mark.parametrize(
    "other",
    [
        a_run(1, lr=2e-5),
        a_run(1, masks="ef"),
        a_run(1, model="ef"),
        a_run(0),
        None,
    ],
)
def test_another_run_is_not_another_seed(entries: list[Entry], other: RunRecord | None) -> None:
    assert seeds_of([entries[0], replace(entries[1], record=entries[1].record.but(run=other))]) == []


def test_the_same_base_model_at_another_path_is_the_same_group(entries: list[Entry]) -> None:
    moved = replace(entries[1], record=entries[1].record.but(run=a_run(1, base="elsewhere/m")))
    assert [group["seeds"] for group in seeds_of([entries[0], moved])] == [[0, 1]]


def test_an_evaluation_after_an_attack_is_another_group(entries: list[Entry]) -> None:
    masks = MasksUsed(ref="set.parquet@1", version=1, digest="other")
    for other in ({"attack": "nf4"}, {"masks": masks}, {"dtype": "bfloat16"}):
        assert seeds_of([entries[0], replace(entries[1], record=entries[1].record.but(**other))]) == []


def test_shown_on_the_page_and_in_markdown(entries: list[Entry], tmp_path: Path) -> None:
    shown = markdown(entries)
    assert "| tpo-0, tpo-1, tpo-2 | 0, 1, 2 |" in shown
    assert "0.2 (± 0.1)" in shown
    page = write_report(tmp_path / "r.html", entries).read_text()
    assert "Over training seeds" in page
    assert "0.2<small>± 0.1</small>" in page
    assert "Over training seeds" not in write_report(tmp_path / "one.html", entries[:1]).read_text()
