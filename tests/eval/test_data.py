"""Which data an evaluation uses: the benchmark, a run's own annotation set, and its retain samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.eval.conftest import Tiny, make_row
from tif.errors import InputError, UsageError
from tif.eval import completions, data
from tif.eval.benchmarks import questions
from tif.eval.benchmarks.questions import Row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.options import EvaluateOptions
from tif.eval.settings import Scoring
from tif.records import MasksIdentity, ModelIdentity, RunRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

TEXT = "Hark. Benno Tarl lives in Osk. Benno Tarl sails."


def plain(text: str, *quotes: str) -> Row:
    spans = tuple(Span(at, at + len(quote)) for quote in quotes for at in [text.index(quote)])
    return Row(id="forget/a#b", question="", answer=text, spans=spans, annotated=True)


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    """A run of five samples, of which training left out one, and forgot the first four."""
    monkeypatch.chdir(tmp_path)
    examples = [replace(make_row(i).texts()[0], id=f"s{i}") for i in range(5)]
    examples[1] = replace(examples[1], status="rejected")
    saved = store.save(AnnotationSet(tuple(examples)), "people.parquet", author="ada")
    config = {"retain": "keep.jsonl", "prompt_field": "", "text_field": "body", "limit": 4, "data_dir": None}
    masks = MasksIdentity(path="people.parquet", digest=saved.version.digest, version=1)
    run = RunRecord(status="running", config=config, masks=masks, model=ModelIdentity("start"), sessions=())
    Path("run").mkdir()
    run.write(Path("run"))
    Path("keep.jsonl").write_text('{"body": "Rain fell."}\n{"body": "Snow fell."}\n')
    return run


def test_a_run_is_evaluated_on_its_own_set_and_retain_samples(run_folder: RunRecord) -> None:
    options = data.resolve(EvaluateOptions(model="run"))
    assert (options.benchmark, options.masks) == ("set", f"people.parquet@{run_folder.masks.digest[:12]}")
    assert (options.retain, options.prompt_field, options.text_field) == ("keep.jsonl", "", "body")
    assert data.resolve(options) == options
    asked = data.load(options, run_folder, None)
    assert [row.id for row in asked.splits["forget"]] == ["forget/s0", "forget/s2", "forget/s3"]
    assert [row.answer for row in asked.splits["retain"]] == ["Rain fell.", "Snow fell."]
    assert all(row.plain for row in asked.splits["retain"])
    assert asked.masks is not None
    assert asked.masks.digest == run_folder.masks.digest
    [first] = data.load(options.but(limit=1), run_folder, None).splits["retain"]
    assert first.answer == "Rain fell."


def test_a_run_is_evaluated_in_the_encoding_of_its_retain_samples(run_folder: RunRecord) -> None:
    replace(run_folder, config={**run_folder.config, "encoding": "cp1252"}).write(Path("run"))
    Path("keep.jsonl").write_bytes('{"body": "Zoë reads."}\n'.encode("cp1252"))
    options = data.resolve(EvaluateOptions(model="run"))
    assert [row.answer for row in data.load(options, run_folder, None).splits["retain"]] == ["Zoë reads."]


@pytest.mark.usefixtures("run_folder")
def test_what_is_given_comes_before_what_the_run_has() -> None:
    given = data.resolve(EvaluateOptions(model="run", retain="other.csv", masks="other.parquet"))
    assert (given.benchmark, given.masks, given.retain, given.text_field) == ("set", "other.parquet", "other.csv", None)
    assert data.resolve(EvaluateOptions(model="run", forget="forget05")).benchmark == "tofu"
    assert data.resolve(EvaluateOptions(model="run", benchmark="muse")).masks is None
    assert data.resolve(EvaluateOptions(model="elsewhere", masks="people.parquet")).benchmark == "set"


@pytest.mark.usefixtures("run_folder")
@pytest.mark.parametrize("benchmark", [None, "set"])
def test_a_model_without_a_set_is_refused(benchmark: str | None) -> None:
    with pytest.raises(UsageError, match="is not a run folder, so it has no annotation set") as refused:
        data.resolve(EvaluateOptions(model="start", benchmark=benchmark))
    assert "--benchmark tofu, muse, lume or local" in str(refused.value)


def test_a_retain_model_alone_needs_a_set_or_a_benchmark() -> None:
    making = {"make_retain_log": True, "base_model": "base"}
    assert data.resolve(EvaluateOptions(**making)).benchmark == "tofu"  # type: ignore[arg-type]
    assert data.resolve(EvaluateOptions(masks="a.parquet", **making)).benchmark == "set"  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--benchmark set needs an annotation set"):
        data.resolve(EvaluateOptions(benchmark="set", **making))  # type: ignore[arg-type]


def test_a_run_without_its_set_says_so(run_folder: RunRecord) -> None:
    Path("people.parquet").unlink()
    with pytest.raises(InputError, match="the run's annotation set does not exist"):
        data.resolve(EvaluateOptions(model="run"))


def test_a_set_without_marks_is_refused(run_folder: RunRecord) -> None:
    store.save(AnnotationSet((Example("x", "", "Nothing here."),)), "bare.parquet", author="ada")
    with pytest.raises(InputError, match="no sample to forget has a span"):
        data.load(data.resolve(EvaluateOptions(model="run", masks="bare.parquet")), run_folder, None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"benchmark": "set", "forget": "forget05"}, "--forget does nothing here"),
        ({"benchmark": "set", "truth_ratio": "probability"}, "--truth-ratio does nothing here"),
        ({"text_field": "body"}, "--text-field does nothing here"),
    ],
)
def test_options_without_effect_are_refused(changed: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateOptions(model="run", **changed)  # type: ignore[arg-type]


def test_a_benchmark_still_wants_questions(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"text": "Rain fell."}\n')
    with pytest.raises(InputError, match="is empty") as refused:
        questions.read(str(tmp_path / "notes.jsonl"), "forget")
    assert "--benchmark set" in str(refused.value)


def test_a_phrase_leaks_if_the_model_writes_it_after_the_words_before(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def complete(_model: object, tokenizer: object, prompts: list[list[int]], **_: object) -> list[str]:
        asked.extend(tiny.tokenizer.decode(ids, skip_special_tokens=True) for ids in prompts)
        return [" BENNO Tarl was here", " in Oskar's house"]

    monkeypatch.setattr(completions, "complete", complete)
    row = plain(TEXT, "Hark", "Benno Tarl", "Osk")
    again = TEXT.rindex("Benno Tarl")
    row = replace(row, spans=(*row.spans, Span(again, again + len("Benno Tarl"))))
    result = evaluate(tiny.model, tiny.tokenizer, {"forget": [row]}, settings=Scoring(max_new_tokens=5))
    # "Hark" has no words before it, and the second "Benno Tarl" is given by the first.
    assert asked == ["Hark.", "Hark. Benno Tarl lives in"]
    [example] = result.examples["forget"]
    assert [each["written"] for each in example["continuations"]] == [True, False]
    counts = result.leakage["forget"]
    assert (counts.questions, counts.phrases, counts.written, counts.general_words) == (1, 2, 1, 0)
    assert (counts.leak_any, counts.leak_all) == (1, 0)
    assert example["completion"] is None
    # An id with "#" is no answer beside another: all its numbers are there.
    assert example["uw_rank"] is not None
    assert example["uw_rank"] >= 0


def test_plain_text_and_questions_in_one_part(tiny: Tiny) -> None:
    rows = [make_row(0), plain(TEXT, "Osk"), make_row(1)]
    mixed = evaluate(tiny.model, tiny.tokenizer, {"forget": rows}, settings=Scoring(max_new_tokens=4))
    alone = evaluate(tiny.model, tiny.tokenizer, {"forget": [rows[0], rows[2]]}, settings=Scoring(max_new_tokens=4))
    first, text, last = mixed.examples["forget"]
    assert [row["completion"] for row in (first, last)] == [row["completion"] for row in alone.examples["forget"]]
    assert (text["completion"], len(text["continuations"])) == (None, 1)
    assert mixed.leakage["forget"].phrases == 3


def test_without_completions_plain_text_has_likelihoods_only(tiny: Tiny) -> None:
    rows = [plain(TEXT, "Osk")]
    result = evaluate(tiny.model, tiny.tokenizer, {"forget": rows}, settings=Scoring(completions=False))
    assert result.leakage == {}
    assert result.reasons["forget_leakage"] == "the evaluation ran without completions"
    assert result.verbatim["forget"].questions == 1
    assert result.parts["forget"]["uw_probability"]
