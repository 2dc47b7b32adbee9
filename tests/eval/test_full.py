"""`tif eval --full`: what it adds, what it leaves out and says so, and what the record keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result
from tests.eval.conftest import Tiny, make_llama, make_row
from tests.eval.report.test_tables import on_page, rows, table_rows
from tif.errors import UsageError
from tif.eval.full import SAMPLES, Full, full_of
from tif.eval.options import EvaluateOptions
from tif.eval.record import EvalRecord
from tif.eval.report import depth, leaks, membership, robustness
from tif.eval.report.entry import Entry
from tif.eval.report.write import markdown, write_report
from tif.eval.settings import FORMS
from tif.sets import store
from tif.spans import AnnotationSet, Example

Cli = Callable[..., Result]

N = 4


def test_full_stands_for_every_measure_that_the_options_allow() -> None:
    options = EvaluateOptions(model="m", benchmark="set", masks="s", holdout="h", base_model="b", full=True)
    full = full_of(options)
    chosen = full.options
    assert (chosen.full, chosen.leak, chosen.leak_forms, chosen.depth, chosen.gradnorm) == (
        False, SAMPLES, FORMS, True, True,
    )  # fmt: skip
    assert full.attacks == ("relearn", "nf4")
    assert set(full.left_out) == {"retain_comparison", "base_comparison", "fluency", "lm_eval"}


def test_an_explicit_option_wins() -> None:
    options = EvaluateOptions(
        model="m", benchmark="set", masks="s", holdout="h", full=True, leak=2, depth=False, gradnorm=False,
        leak_forms=("question",), attack="nf4",
    )  # fmt: skip
    full = full_of(options)
    chosen = full.options
    assert (chosen.leak, chosen.leak_forms, chosen.depth, chosen.gradnorm) == (2, ("question",), False, False)
    assert chosen.attack == "nf4"
    assert full.attacks == (), "the attack that was given is the only one"


def test_options_of_measures_that_full_adds_have_an_effect() -> None:
    options = EvaluateOptions(
        model="m", benchmark="set", masks="s", full=True, base_log="b", leak_forms=("question",), relearn_lr=1e-3,
        retain_model="r", out="x",
    )  # fmt: skip
    full = full_of(options)
    assert (full.options.base_log, full.options.leak_forms) == ("b", ("question",))
    relearn, nf4 = full.after_attacks("log")
    assert (relearn.out, nf4.out) == ("x-relearn-lr0.001", "x-nf4")
    assert (relearn.relearn_lr, relearn.leak, relearn.depth, relearn.full) == (1e-3, None, False, False)
    assert {each.retain_log for each in (relearn, nf4)} == {"log"}
    assert {each.retain_model for each in (relearn, nf4)} == {"r"}
    with pytest.raises(UsageError, match=r"--relearn-lr does nothing here .*--attack relearn"):
        EvaluateOptions(model="m", benchmark="set", masks="s", full=True, attack="nf4", relearn_lr=1e-3)


def test_muse_has_no_marked_words_and_no_questions_to_relearn() -> None:
    full = full_of(EvaluateOptions(model="m", benchmark="muse", full=True))
    assert (full.options.leak, full.options.depth, full.options.gradnorm) == (None, False, True)
    assert full.attacks == ("nf4",)
    assert {name: full.left_out[name] for name in ("leak", "depth", "relearn")} == {
        "leak": "MUSE has its own texts, prompts and lengths",
        "depth": "MUSE has its own texts, prompts and lengths",
        "relearn": "--attack relearn does not work with MUSE. Use --benchmark tofu or local",
    }


def test_full_is_refused_where_it_measures_nothing() -> None:
    with pytest.raises(UsageError, match=r"--full does nothing here .*only reads numbers from a log"):
        EvaluateOptions(import_log="log.json", full=True)


def test_a_model_that_was_named_and_cannot_be_used_is_an_error() -> None:
    def missing() -> None:
        raise UsageError("--depth needs a retain model", hint="Give it as --retain-model.")

    given = EvaluateOptions(model="m", benchmark="set", masks="s", full=True)
    models, left_out = full_of(given).depth_models(missing)
    assert models is None
    assert left_out["depth"] == "--depth needs a retain model. Give it as --retain-model"
    explicit = full_of(given.but(depth=True))
    with pytest.raises(UsageError):
        explicit.depth_models(missing)
    with pytest.raises(UsageError):
        Full(options=EvaluateOptions(model="m", benchmark="set", masks="s", depth=True)).depth_models(missing)


@pytest.fixture
def work(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three models, an annotation set, and texts to keep and texts that no model saw."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, seed in (("start", 0), ("retain", 3), ("forgot", 5)):
        make_llama(len(tiny.tokenizer), seed).save_pretrained(name)
        tiny.tokenizer.save_pretrained(name)
    rows = [make_row(i, plain=True) for i in range(3 * N)]
    examples = tuple(Example(f"p{i}", row.question, row.answer, row.spans) for i, row in enumerate(rows[:N]))
    store.save(AnnotationSet(examples), "people.parquet", author="test")
    for name, some in (("keep", rows[N : 2 * N]), ("new", rows[2 * N :])):
        lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in some]
        Path(f"{name}.jsonl").write_text("\n".join(lines))
    return tmp_path


COMMAND = ("eval", "forgot", "--masks", "people.parquet", "--retain", "keep.jsonl", "--full", "--max-new-tokens", 4,
           "--leak", 2)  # fmt: skip


def test_everything_in_one_go(cli: Cli, work: Path) -> None:
    beside = ("--retain-model", "retain", "--starting-model", "start", "--base-model", "retain", "--holdout",
              "new.jsonl", "--relearn-batch-size", 2)  # fmt: skip
    result = cli(*COMMAND, *beside, "--out", "out")
    assert result.code == 0, result.err
    record = EvalRecord.read("out")
    assert set(record.leaks) | set(record.leak_reasons) == set(FORMS)
    assert record.depth is not None
    assert record.membership is not None
    assert {"reference", "gradnorm"} <= set(record.membership.attacks)
    assert record.attack is None
    names = ("out-relearn-batch2", "out-nf4")
    attacked = [EvalRecord.read(name) for name in names]
    assert [each.attack for each in attacked] == ["relearn", "nf4"]
    for each in attacked:
        assert each.robustness is not None
        assert (each.robustness.retain_reason, each.robustness.starting_reason) == (None, None)
    for name in ("out", *names):
        assert f"wrote {name}/eval.json" in result.err
    assert "after relearning (1 epoch on the forget set" in result.out
    assert "after 4-bit quantization" in result.out
    left_out = [line for line in result.err.splitlines() if "--full leaves out" in line]
    assert [line.split("leaves out ")[1].split(":")[0] for line in left_out] == [
        "retain comparison", "base comparison", "fluency", "lm eval",
    ]  # fmt: skip
    assert all("--" in line.split(": ", 1)[1] for line in left_out), "each names the option that would add it"
    assert set(record.reasons) >= {"retain_comparison", "base_comparison", "fluency", "lm_eval"}
    table = markdown([Entry.load("out"), *map(Entry.load, names)])
    assert "After 4-bit quantization, it writes" in table
    headings = [line.removeprefix("### ") for line in table.splitlines() if line.startswith("### ")]
    assert headings[:4] == [part.HEADING for part in (leaks, depth, robustness, membership)]
    assert "was not measured" not in table
    page = write_report("page.html", [Entry.load("out"), *map(Entry.load, names)]).read_text(encoding="utf-8")
    for heading in headings:
        shown = page.split(f"<h2>{heading}</h2>")[1].split("</section>")[0]
        tables = table_rows(table.split(f"### {heading}\n")[1].split("\n### ")[0])
        # Markdown's first column may be a group, which is a row of its own on the page.
        known = [on_page(row[first:]) for row in tables for first in (0, 1)]
        assert [row for row in rows(shown) if len(row) > 1 and row not in known] == [], heading
    # The record has what `--full` stood for, so that its config repeats exactly that.
    assert record.config["full"] is False
    assert (record.config["leak"], record.config["depth"], record.config["gradnorm"]) == (2, True, True)
    again = cli("eval", "--config", "out/eval.json", "--out", "again")
    assert again.code == 0, again.err
    second = EvalRecord.read("again")
    assert second.config == record.config | {"out": "again"}
    assert (second.leaks, second.depth, second.membership) == (record.leaks, record.depth, record.membership)
    assert not Path("again-nf4").exists()


def test_what_is_missing_is_left_out_with_one_line_each(cli: Cli, work: Path) -> None:
    result = cli(*COMMAND, "--attack", "nf4", "--out", "out", "--json")
    assert result.code == 0, result.err
    record = EvalRecord.read("out")
    assert (record.depth, record.membership, record.attack) == (None, None, "nf4")
    assert record.config["depth"] is False
    lines = [line.split("--full leaves out ")[1] for line in result.err.splitlines() if "--full leaves out" in line]
    assert "depth: --depth needs the starting model. Give it as --starting-model" in lines
    assert "membership: it needs samples that no model saw: --holdout FILE" in lines
    assert record.reasons["depth"] == "--depth needs the starting model. Give it as --starting-model"
    assert json.loads(result.out)["reasons"]["membership"] == record.reasons["membership"]


def test_without_marked_words_there_is_neither_leakage_nor_depth(cli: Cli, work: Path) -> None:
    command = ("eval", "forgot", "--benchmark", "local", "--forget", "new.jsonl", "--full", "--no-completions")
    result = cli(*command, "--attack", "nf4", "--out", "out")
    assert result.code == 0, result.err
    reasons = EvalRecord.read("out").reasons
    assert reasons["leak"] == "no unwanted word is marked: --masks SET"
    assert "Give an annotation set of the forget set as --masks" in reasons["depth"]
    assert "--full leaves out leak: no unwanted word is marked: --masks SET" in result.err


def test_a_missing_model_is_refused_before_the_first_evaluation(cli: Cli, work: Path) -> None:
    result = cli(*COMMAND, "--retain-model", "./nowhere", "--out", "out")
    assert result.code == 1
    assert "no model folder './nowhere'" in result.err
    assert not Path("out").exists()


def test_each_file_of_weights_is_read_once(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tif import seal

    read: list[str] = []
    digest = seal._digest

    def counted(path: Path) -> str:
        read.append(path.parent.name + "/" + path.name)
        return digest(path)

    monkeypatch.setattr(seal, "_digest", counted)
    (work / "link").symlink_to(work / "forgot")
    beside = ("--retain-model", "retain", "--starting-model", "start", "--base-model", "link", "--holdout", "new.jsonl")
    result = cli(*COMMAND, *beside, "--leak-forms", "question", "--no-completions", "--out", "out")
    assert result.code == 0, result.err
    weights = sorted(name for name in read if name.endswith("safetensors"))
    assert weights == [f"{name}/model.safetensors" for name in ("forgot", "retain", "start")]
