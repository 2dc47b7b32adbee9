"""Relearning and rounding beside the retain model: samples, steps, curve, share recovered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tif.errors import UsageError
from tif.eval.compare import relearning
from tif.eval.compare.relearning import Relearning, divide
from tif.eval.measure import recovery
from tif.eval.measure.recovery import (
    AttackedModel,
    CurvePoint,
    Levels,
    RelearningUsed,
    Robustness,
    share_recovered,
)
from tif.eval.options import EvaluateOptions
from tif.eval.record import EvalRecord
from tif.eval.report.attacks import attack_in_words
from tif.eval.show import lines
from tif.records import ModelIdentity
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens import finetune
from tif.tokens.encoding import Encoder
from tif.tokens.finetune import FineTuning, fine_tune
from tif.tokens.masks import Kind

N = 8
ROWS = tuple(make_row(i, plain=True) for i in range(N))


def options(**given: object) -> EvaluateOptions:
    return EvaluateOptions(model="m", attack="relearn", benchmark="set", masks="s", **given)


def of(tiny: Tiny, **given: object) -> Relearning:
    retain = tuple(make_row(i, part="retain", plain=True) for i in range(N, 2 * N))
    return Relearning.of(options(**given), ROWS, retain, Encoder.of(tiny.tokenizer))


@pytest.fixture(scope="module")
def models(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starting model that knows the rows, a retain model and an unlearned model that do not, and the set."""
    folder = tmp_path_factory.mktemp("robust")
    examples = tuple(Example(f"p{i}", row.question, row.answer, row.spans) for i, row in enumerate(ROWS))
    for name, seed in (("start", 0), ("retain", 3), ("forgot", 5)):
        model = make_llama(len(tiny.tokenizer), seed)
        if name == "start":
            fine_tune(model, Encoder.of(tiny.tokenizer), examples, FineTuning(epochs=30, lr=3e-3), title="teaching")
        model.save_pretrained(folder / name)
        tiny.tokenizer.save_pretrained(folder / name)
    store.save(AnnotationSet(examples), folder / "people.parquet", author="test")
    keep = [make_row(i, plain=True) for i in range(N, 2 * N)]
    lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in keep]
    (folder / "keep.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def work(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with them and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


ATTACK = ("--masks", "people.parquet", "--no-completions", "--attack", "relearn", "--relearn-batch-size", 1,
          "--relearn-lr", 1e-3)  # fmt: skip
BESIDE = ("--retain-model", "retain", "--starting-model", "start")


def evaluated(cli: Callable[..., Result], out: str, *more: object) -> EvalRecord:
    done = cli("eval", "forgot", *more, "--out", out)
    assert done.code == 0, done.err
    return EvalRecord.read(out)


# --- which samples ------------------------------------------------------------------------------------------------


def test_unwanted_words_get_no_loss_with_general_words_only(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[int] = []
    real = finetune.statistics

    def seen(model: object, packed: object) -> object:
        kinds.extend(packed.kind.tolist())  # type: ignore[attr-defined]
        return real(model, packed)  # type: ignore[arg-type]

    monkeypatch.setattr(finetune, "statistics", seen)
    for on, expected in (("general", {int(Kind.GW)}), ("forget", {int(Kind.GW), int(Kind.UW)})):
        kinds.clear()
        of(tiny, relearn_on=on).apply(make_llama(len(tiny.tokenizer), 3))
        assert set(kinds) == expected


def test_an_unwanted_last_word_does_not_change_what_general_words_teach(tiny: Tiny) -> None:
    """The last word is only a target, so without its loss any other word gives the same weights."""

    def weights(word: str, on: str) -> list[torch.Tensor]:
        text = f"Orla Venn works as a {word}"
        example = Example("x", "What is she?", text, (Span(len(text) - len(word), len(text), "UW"),))
        encoder = Encoder.of(tiny.tokenizer)
        item = encoder.encode(example).text_only()
        item = item.without(Kind.UW) if on == "general" else item
        model = make_llama(len(tiny.tokenizer), 3)
        Relearning(items=(item,), how=relearning.fine_tuning(epochs=2, lr=1e-3)).apply(model)
        return [each.detach() for each in model.parameters()]

    def same(on: str) -> bool:
        pairs = zip(weights("glassblower", on), weights("beekeeper", on), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    assert same("general")
    assert not same("forget")


def test_retain_samples_are_as_many_as_the_forget_rows(tiny: Tiny) -> None:
    encoder = Encoder.of(tiny.tokenizer)
    retain = tuple(make_row(i, part="retain", plain=True) for i in range(N, 4 * N))
    own = Relearning.of(options(relearn_on="retain"), ROWS[:3], retain, encoder)
    assert [item.id for item in own.items] == [row.id for row in retain[:3]]
    with pytest.raises(UsageError, match="needs retain samples"):
        Relearning.of(options(relearn_on="retain"), ROWS, (), encoder)
    plain = tuple(replace(row, spans=()) for row in ROWS)
    with pytest.raises(UsageError, match="needs unwanted words"):
        Relearning.of(options(relearn_on="general"), plain, (), encoder)


@pytest.mark.parametrize(("share", "count"), [(0.25, 2), (0.01, 1), (0.99, 7), (0.5, 4)])
def test_a_share_of_the_rows_is_drawn_and_the_others_are_evaluated(share: float, count: int) -> None:
    first, rest = divide(ROWS, share)
    assert len(first) == count
    assert {row.id for row in (*first, *rest)} == {row.id for row in ROWS}
    assert len(first) + len(rest) == N
    assert divide(ROWS, share) == (first, rest)
    assert divide(ROWS, 1.0) == (ROWS, ROWS)
    with pytest.raises(UsageError, match="at least two forget rows"):
        divide(ROWS[:1], share)


# --- steps and curve ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "epochs", "points"),
    [(1, 1, (0, 2, 4, 6, 8)), (2, 2, (0, 1, 2, 3, 4, 5, 6, 7, 8)), (8, 2, (0, 1, 2)), (3, 1, (0, 1, 2, 3))],
)
def test_points_are_at_quarter_epochs(tiny: Tiny, batch: int, epochs: int, points: tuple[int, ...]) -> None:
    own = of(tiny, relearn_batch_size=batch, relearn_epochs=epochs)
    assert own.points == points
    measured: list[int] = []
    own.apply(make_llama(len(tiny.tokenizer), 3), measured.append)
    assert tuple(measured) == points
    assert own.used.steps == points[-1]


def test_the_linear_schedule_falls_from_the_first_step_to_zero_after_the_last() -> None:
    how = relearning.fine_tuning(epochs=2, lr=1.0, schedule="linear")
    assert [how.rate(step, 2) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    constant = relearning.fine_tuning(epochs=2, lr=1.0)
    assert [constant.rate(step, 2) for step in range(4)] == [1.0] * 4


def test_measuring_does_not_change_what_is_learned(tiny: Tiny) -> None:
    plain, watched = (make_llama(len(tiny.tokenizer), 3, attention_dropout=0.1) for _ in range(2))
    own = of(tiny, relearn_batch_size=2)
    own.apply(plain)
    torch.rand(3)
    own.apply(watched, lambda _: watched.eval() and None)
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(a, b)


# --- share recovered ----------------------------------------------------------------------------------------------


def test_share_recovered_is_0_without_recovery_and_1_at_the_starting_level() -> None:
    rng = np.random.default_rng(1)
    before, starting = rng.uniform(0, 0.1, 40), rng.uniform(0.6, 0.9, 40)
    none, full = share_recovered(before, before, starting), share_recovered(before, starting, starting)
    assert none is not None
    assert full is not None
    assert (none.mean, none.low, none.high) == (0, 0, 0)
    assert (full.mean, full.low, full.high) == pytest.approx((1, 1, 1))
    half = share_recovered(before, (before + starting) / 2, starting)
    assert half is not None
    assert half.mean == pytest.approx(0.5)
    worse = share_recovered(before, before / 2, starting)
    assert worse is not None
    assert worse.high < 0


def test_no_share_where_nothing_was_lost() -> None:
    rng = np.random.default_rng(2)
    before = rng.uniform(0, 1, 30)
    assert share_recovered(before, before + 0.1, before + rng.normal(0, 0.1, 30)) is None
    readings = dict.fromkeys(recovery.MEASURES, before)
    compared = recovery.compare("probability", [readings, readings], None, readings)
    assert compared.recovered is None
    assert "nothing to recover" in str(compared.recovered_reason)


def test_examples_without_unwanted_words_do_not_count() -> None:
    before, after, start = np.array([0.1, np.nan]), np.array([0.2, np.nan]), np.array([0.5, np.nan])
    share = share_recovered(before, after, start)
    assert share is not None
    assert share.mean == pytest.approx(0.25)


# --- the evaluation -----------------------------------------------------------------------------------------------


def test_the_retain_model_relearns_the_same_and_the_curve_ends_at_the_evaluation(
    cli: Callable[..., Result], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[object], FineTuning]] = []
    real = relearning.fine_tune_tokens

    def seen(model: object, items: list[object], how: FineTuning, **more: object) -> None:
        calls.append(([(item.input_ids, item.kinds) for item in items], how))  # type: ignore[attr-defined]
        real(model, items, how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(relearning, "fine_tune_tokens", seen)
    record = evaluated(cli, "out", *ATTACK, *BESIDE)
    assert len(calls) == 2  # the retain model and the evaluated one, each once
    assert calls[0] == calls[1]
    robust = record.robustness
    assert robust is not None
    assert robust.retain is not None
    assert robust.relearning is not None
    assert robust.starting is not None
    assert robust.recovered is not None
    assert robust.relearning.samples == robust.relearning.steps == robust.model.before.examples == N
    for model in (robust.model, robust.retain):
        assert [point.epoch for point in model.curve] == [0, 0.25, 0.5, 0.75, 1]
        assert (model.curve[0].levels, model.curve[-1].levels) == (model.before, model.after)
    assert robust.model.after.uw_probability is not None
    assert robust.model.before.uw_probability is not None
    assert robust.starting.uw_probability is not None
    assert robust.model.after.uw_probability.mean == pytest.approx(record.uw_probability, rel=1e-4)
    assert robust.model.after.uw_probability.mean > robust.model.before.uw_probability.mean
    before, after = robust.model.before.uw_probability.mean, robust.model.after.uw_probability.mean
    share = (after - before) / (robust.starting.uw_probability.mean - before)
    assert robust.recovered.mean == pytest.approx(share)
    assert robust.rise is not None
    assert robust.rise.mean == pytest.approx(after - before)

    # A second call finds everything on disk, and gives the same record.
    again = evaluated(cli, "out", *ATTACK, *BESIDE)
    assert len(calls) == 2
    assert again.robustness == robust
    # The retain model's readings serve another evaluation too.
    evaluated(cli, "elsewhere", *ATTACK, *BESIDE)
    assert len(calls) == 3


def test_a_model_that_is_its_own_retain_model_has_no_gap(cli: Callable[..., Result], work: Path) -> None:
    record = evaluated(cli, "out", *ATTACK, "--retain-model", "forgot", "--relearn-schedule", "linear")
    robust = record.robustness
    assert robust is not None
    assert robust.retain is not None
    assert robust.retain.curve == robust.model.curve
    assert robust.gap_before == robust.gap_after
    assert robust.gap_after is not None
    assert robust.gap_after.mean == 0
    assert robust.recovered is None
    assert robust.starting_reason == "no starting model was given (--starting-model)"


def test_a_share_leaves_the_other_rows_to_the_evaluation(cli: Callable[..., Result], work: Path) -> None:
    assert cli("eval", "retain", "--masks", "people.parquet", "--no-completions", "--out", "log").code == 0
    record = evaluated(cli, "out", *ATTACK, "--relearn-share", 0.25, "--retain-log", "log")
    assert record.retain_gaps is None
    assert "is of all forget rows" in str(record.retain_gaps_reason)
    robust = record.robustness
    assert robust is not None
    assert robust.relearning is not None
    assert (robust.relearning.share, robust.relearning.samples) == (0.25, 2)
    rows = [row for row in pq.read_table("out/examples.parquet").to_pylist() if row["part"] == "forget"]
    assert len(rows) == robust.model.before.examples == record.parts["forget"]["n"] == 6
    assert [row["answer"] for row in rows] == [row.answer for row in divide(ROWS, 0.25)[1]]


def test_nf4_has_two_levels_and_the_same_controls(cli: Callable[..., Result], work: Path) -> None:
    quick = ("--masks", "people.parquet", "--no-completions")
    record = evaluated(cli, "out", *quick, "--attack", "nf4", *BESIDE)
    robust, intact = record.robustness, evaluated(cli, "intact", *quick)
    assert robust is not None
    assert robust.retain is not None
    assert robust.relearning is None
    assert robust.model.curve == ()
    assert robust.model.before.uw_probability is not None
    assert robust.model.after.uw_probability is not None
    assert robust.model.before.uw_probability.mean == pytest.approx(intact.uw_probability, rel=1e-5)
    assert robust.model.after.uw_probability.mean == pytest.approx(record.uw_probability, rel=1e-5)
    assert robust.model.before != robust.model.after
    assert robust.retain.before != robust.retain.after


def test_each_variant_has_a_folder_of_its_own(cli: Callable[..., Result], work: Path) -> None:
    for more in ((), ("--relearn-on", "general"), ("--relearn-on", "retain", "--retain", "keep.jsonl")):
        done = cli("eval", "forgot", "--masks", "people.parquet", "--no-completions", "--attack", "relearn", *more)
        assert done.code == 0, done.err
    names = sorted(path.name.partition("-")[2].partition("-")[2] for path in Path("runs/eval").iterdir())
    assert names == ["relearn", "relearn-general", "relearn-retain"]


def test_terminal_and_report_show_the_recovery(cli: Callable[..., Result], work: Path) -> None:
    done = cli("eval", "forgot", *ATTACK, *BESIDE, "--out", "attacked")
    assert done.code == 0, done.err
    assert "uw_probability" in done.out
    assert "share recovered" in done.out
    assert "0.25: 0." in done.out
    assert cli("eval", "forgot", *ATTACK, "--relearn-on", "general", "--out", "alone").code == 0
    assert cli("report", "attacked", "alone", "--out", "report.html").code == 0
    page = Path("report.html").read_text()
    assert "Does it come back?" in page
    how = "learning rate 0.001, constant, batch size 1"
    assert f"relearning (1 epoch on the forget set, {how})" in page
    assert f"relearning (1 epoch on the general words of the forget set, {how})" in page
    assert "epochs of relearning" in page
    assert "alone: no retain model was given" in page
    assert cli("report", "attacked", "--json").code == 0


def robustness(levels: Levels, **used: object) -> Robustness:
    how = {"on": "forget", "share": 1.0, "samples": 8, "samples_sha256": "", "epochs": 1, "lr": 2e-5, "batch_size": 32,
           "schedule": "constant", "steps": 1} | used  # fmt: skip
    point = CurvePoint(epoch=0.0, step=0, levels=levels)
    model = AttackedModel(model=ModelIdentity("m", "d"), before=levels, after=levels, curve=(point,))
    return Robustness(measure="uw_probability", relearning=RelearningUsed(**how), model=model)  # type: ignore[arg-type]


def test_a_level_that_is_no_number_is_a_dash() -> None:
    """A learning rate that is far too high makes every loss NaN."""
    shown = "\n".join(lines(EvalRecord.new(robustness=robustness(Levels(examples=8)))))
    assert "uw_probability - before, - after" in shown
    assert "0: -" in shown


@pytest.mark.parametrize(
    "other", [{"batch_size": 8}, {"share": 0.25}, {"share": 0.251}, {"on": "general"}, {"schedule": "linear"}]
)
def test_attacks_with_the_same_words_are_the_same_attack(other: dict[str, object]) -> None:
    usual, changed = (attack_in_words(robustness(Levels(examples=8), **used)) for used in ({}, other))
    assert usual.startswith("relearning (1 epoch on the forget set, learning rate 2e-05, constant, batch size 32")
    assert usual != changed


def test_options_without_effect_or_with_a_wrong_model_are_one_line(cli: Callable[..., Result], work: Path) -> None:
    quick = ("eval", "forgot", "--masks", "people.parquet")
    assert "it is for --attack relearn" in cli(*quick, "--relearn-on", "general").err
    assert "it is for --attack relearn" in cli(*quick, "--attack", "nf4", "--relearn-lr", 1e-4).err
    assert "relearning uses retain samples only" in cli(
        *quick, "--attack", "relearn", "--relearn-on", "retain", "--relearn-share", 0.5, "--retain", "keep.jsonl"
    ).err  # fmt: skip
    assert "is above 1" in cli(*quick, "--attack", "relearn", "--relearn-share", 1.5).err
    assert "needs retain samples" in cli(*quick, "--attack", "relearn", "--relearn-on", "retain").err
    wrong = cli(*quick, "--attack", "relearn", "--retain-model", "nowhere/here")
    assert wrong.code == 1
    assert "Traceback" not in wrong.err
    assert "it needs --depth or --attack" in cli(*quick, "--retain-model", "retain").err
