"""`tif eval` as a whole: numbers against a direct computation, files, resume, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import hmean, ks_2samp

from tests.eval.conftest import Tiny, make_llama, make_row, make_tokenizer
from tif import seal
from tif.errors import InputError, UsageError
from tif.eval import completions, loading
from tif.eval.benchmarks import questions, tofu
from tif.eval.benchmarks.questions import Row
from tif.eval.benchmarks.tofu import evaluate
from tif.eval.evaluate import evaluate as do
from tif.eval.options import EvaluateOptions
from tif.eval.record import EvalRecord
from tif.eval.run import Evaluated, describe
from tif.eval.settings import Scoring
from tif.records import MasksIdentity, ModelIdentity, RunRecord
from tif.sets import store
from tif.spans import AnnotationSet
from tif.tokens.masks import Kind, Template, encode

QUICK = Scoring(max_new_tokens=6)


def as_json(row: Row) -> str:
    record = {"question": row.question, "answer": row.answer}
    if row.perturbed:
        record |= {"paraphrased_answer": row.paraphrased[0], "perturbed_answer": list(row.perturbed)}
    return json.dumps(record)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "tofu"
    folder.mkdir()
    for name, n in (("forget01", 5), ("retain", 4), ("real_authors", 3), ("world_facts", 3)):
        lines = [as_json(make_row(i)) for i in range(n)]
        (folder / f"{name}_perturbed.json").write_text("\n".join(lines))
    return tmp_path


def request(model: str, data: Path, **options: object) -> EvaluateOptions:
    given = {"forget": "forget01", "data_dir": str(data), "out": str(data / "out"), "max_new_tokens": 6, **options}
    return EvaluateOptions(model=model, **given)


def run(options: EvaluateOptions) -> EvalRecord:
    result = do(options)
    assert isinstance(result, Evaluated)
    assert EvalRecord.read(result.out) == result.record
    return result.record


@torch.no_grad()
def loss_of(tiny: Tiny, row: Row, text: str) -> float:
    example = Row(id="x", question=row.question, answer=text).texts()[0]
    encoded = encode(example, tiny.tokenizer, Template.of(tiny.tokenizer))
    lp = tiny.model(torch.tensor([encoded.input_ids])).logits[0].double().log_softmax(-1)
    at = [t for t, kind in enumerate(encoded.kinds) if kind != Kind.PROMPT]
    return -float(np.mean([float(lp[t - 1, encoded.input_ids[t]]) for t in at]))


def test_numbers_are_the_definitions(tiny: Tiny) -> None:
    forget = [make_row(i) for i in range(5)]
    splits = {
        "forget": forget,
        "retain": [make_row(i + 1, part="retain") for i in range(4)],
        "real_authors": [
            Row(id=f"a/{i}", question=r.question, answer=r.answer, perturbed=r.perturbed)
            for i, r in enumerate(map(make_row, range(3)))
        ],
        "world_facts": [
            Row(id=f"w/{i}", question=r.question, answer=r.answer, perturbed=r.perturbed)
            for i, r in enumerate(map(make_row, range(2)))
        ],
    }
    found = evaluate(tiny.model, tiny.tokenizer, splits, settings=QUICK)
    nine = []
    for part, rows in splits.items():
        right = np.array([loss_of(tiny, r, r.answer) for r in rows])
        other = np.array([loss_of(tiny, r, (r.paraphrased or (r.answer,))[0]) for r in rows])
        wrong = np.array([[loss_of(tiny, r, w) for w in r.perturbed] for r in rows])
        ratio = np.exp(-wrong.mean(-1)) / np.exp(-other)
        p = np.exp(-right)
        assert found.parts[part]["probability"] == pytest.approx(p.mean(), rel=1e-4)
        assert found.parts[part]["truth_ratio_prob_mean"] == pytest.approx((1 / (1 + ratio)).mean(), rel=1e-4)
        if part == "forget":
            assert found.parts[part]["paraphrase_probability"] == pytest.approx(np.exp(-other).mean(), rel=1e-4)
            assert found.parts[part]["truth_ratio"] == pytest.approx(np.minimum(ratio, 1 / ratio).mean(), rel=1e-4)
            continue
        if part != "retain":
            p = p / (p + np.exp(-wrong).sum(-1))
        assert found.parts[part]["truth_ratio"] == pytest.approx(np.maximum(0, 1 - ratio).mean(), rel=1e-4)
        nine += [p.mean(), found.parts[part]["rougeL_recall"], np.maximum(0, 1 - ratio).mean()]
    assert found.model_utility == pytest.approx(hmean(nine), rel=1e-4, abs=1e-9)
    memorization, means = describe(found, QUICK).memorization, found.parts["forget"]
    assert memorization is not None
    four = ("extraction_strength", "exact_memorization", "paraphrase_probability", "truth_ratio_prob_mean")
    terms = [1 - float(means[name] or 0) for name in four]
    assert memorization.score == pytest.approx(hmean(terms))
    one = found.examples["forget"][0]
    whole = one["uw_loss"] * one["uw_tokens"] + one["gw_loss"] * one["gw_tokens"]
    assert whole / one["tokens"] == pytest.approx(one["loss"], rel=1e-6)
    assert one["uw_tokens"] + one["gw_tokens"] == one["tokens"]


def test_what_the_data_lacks_is_null_with_a_reason(tiny: Tiny) -> None:
    bare = [Row(id=r.id, question=r.question, answer=r.answer) for r in (make_row(i, plain=True) for i in range(3))]
    found = evaluate(tiny.model, tiny.tokenizer, {"forget": bare}, settings=QUICK)
    part = found.parts["forget"]
    assert part["truth_ratio"] is None
    assert part["uw_probability"] is None
    assert (part["truth_ratio_prob_mean"], part["paraphrase_probability"]) == (None, None)
    assert describe(found, QUICK).memorization is None
    assert found.model_utility is None
    assert {"forget_truth_ratio", "forget_uw_probability", "model_utility"} <= set(found.reasons)
    silent = evaluate(tiny.model, tiny.tokenizer, {"forget": bare}, settings=Scoring(completions=False))
    assert silent.parts["forget"]["rougeL_recall"] is None


def test_phrases_that_the_model_writes_are_counted(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [replace(make_row(i), subject=f"person {i // 2}") for i in range(4)]
    bare = Row(id="f/bare", question="Who?", answer="Nobody.", subject="person 9")
    answers = [rows[0].answer, "I do not know.", rows[2].answer.upper(), rows[3].answer, "Nobody."]
    monkeypatch.setattr(completions, "complete", lambda model, tokenizer, prompts, **options: answers[: len(prompts)])
    found = evaluate(tiny.model, tiny.tokenizer, {"forget": [*rows, bare]}, settings=QUICK)
    counts = found.leakage["forget"]
    assert (counts.questions, counts.phrases, counts.written) == (4, 4, 3)
    assert (counts.subjects, counts.subjects_written) == (2, 2)
    assert [row["phrases_written"] for row in found.examples["forget"]] == [1, 0, 1, 1, None]
    # "Ivo Brandt-Kell works as a [...] in Lummen." has eight general words, and the second completion none of them.
    assert (counts.general_words, counts.general_words_written) == (30, 22)
    assert describe(found, QUICK).leakage == {"forget": counts}
    silent = evaluate(tiny.model, tiny.tokenizer, {"forget": rows}, settings=Scoring(completions=False))
    assert silent.leakage == {}
    assert "without completions" in silent.reasons["forget_leakage"]
    unmarked = evaluate(tiny.model, tiny.tokenizer, {"forget": [bare]}, settings=QUICK)
    assert "no unwanted phrase is marked" in unmarked.reasons["forget_leakage"]


def test_tofu_asks_twenty_questions_about_an_author(data: Path) -> None:
    lines = [as_json(make_row(i)) for i in range(41)]
    (data / "tofu" / "forget01_perturbed.json").write_text("\n".join(lines))
    splits = questions.tofu("forget01", data_dir=data)
    assert [splits["forget"][i].subject for i in (0, 19, 20, 40)] == ["author 0", "author 0", "author 1", "author 2"]
    assert splits["world_facts"][0].subject is None


def test_spans_come_from_the_set_by_question_and_answer(tiny: Tiny, annotations: AnnotationSet) -> None:
    bare = [Row(id=f"f/{i}", question=r.question, answer=r.answer) for i, r in enumerate(map(make_row, range(7)))]
    found = evaluate(tiny.model, tiny.tokenizer, {"forget": bare}, annotations=annotations, settings=QUICK)
    marked = evaluate(tiny.model, tiny.tokenizer, {"forget": [make_row(i) for i in range(6)]}, settings=QUICK)
    ours, theirs = ([r["uw_probability"] for r in e.examples["forget"]] for e in (found, marked))
    assert ours[:6] == pytest.approx(theirs, rel=1e-4)
    assert ours[6] is None  # the set does not hold the seventh


def test_files_and_forget_quality(
    tiny: Tiny, model_folder: str, data: Path, annotations: AnnotationSet, tmp_path: Path
) -> None:
    masks = tmp_path / "set.parquet"
    store.save(annotations, masks)
    first = run(request(model_folder, data, masks=str(masks)))
    assert first.forget_quality is None
    assert "no retain log" in first.forget_quality_reason
    frame = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    assert len(frame) == 5 + 4 + 3 + 3
    mean = np.mean([r["uw_probability"] for r in frame if r["part"] == "forget"])
    assert first.uw_probability == pytest.approx(mean)
    log = data / "retain_log.json"
    log.write_bytes((data / "out" / "eval.json").read_bytes())

    other = tmp_path / "other"
    make_llama(len(tiny.tokenizer), 5).save_pretrained(other)
    tiny.tokenizer.save_pretrained(other)
    second = run(request(str(other), data, retain_log=str(log)))
    assert first.leakage["forget"].phrases == 5
    assert second.retain_leakage == {}, "this model's evaluation has no annotation set, hence no phrases"
    third = run(request(str(other), data, retain_log=str(log), masks=str(masks)))
    assert third.retain_leakage == first.leakage
    ratios = [json.loads(p.read_text())["per_example"]["forget"]["truth_ratio"] for p in (data / "out/eval.json", log)]
    assert second.forget_quality == pytest.approx(ks_2samp(*ratios).pvalue)
    with pytest.raises(InputError, match="3 questions against 5"):
        run(request(str(other), data, retain_log=str(log), limit=3))
    forced = run(request(str(other), data, retain_log=str(log), limit=3, force=True))
    assert "3 questions against 5" in forced.forget_quality_forced


@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        ("auto", "user:{}assistant:"),
        ("chat", "user:{}assistant:"),
        ("qa", "Question: {}\nAnswer: "),
        ("[INST] {prompt} [/INST] {text}", "[INST] {} [/INST]"),
    ],
)
def test_a_retain_log_of_another_project_must_have_the_same_prompts(
    cli, tiny: Tiny, data: Path, tmp_path: Path, spec: str, seen: str
) -> None:
    model, tokenizer = tmp_path / "model", make_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<s>{{ m['role'] }}:{{ m['content'] }}</s>{% endfor %}"
    tiny.model.save_pretrained(model)
    tokenizer.save_pretrained(model)
    own = run(request(str(model), data, template=spec))
    rows = own.per_example["forget"]
    log, command = tmp_path / "log.json", ["eval", model, "--data-dir", data, "--forget", "forget01"]

    def against(wrapping: str):
        texts = [[wrapping.replace("{}", q), "?", a] for q, a in zip(rows.question, rows.answer, strict=True)]
        ratios = [2.0 * ratio for ratio in rows.truth_ratio]
        log.write_text(json.dumps({"eval_log_forget.json": {"truth_ratio": ratios, "generated_text": texts}}))
        return cli(
            *command, "--out", data / "out", "--max-new-tokens", 6, "--template", spec, "--retain-log", log, "--json"
        )

    done = against(seen)
    assert done.code == 0, done.err
    expected = ks_2samp(rows.truth_ratio, [2 * ratio for ratio in rows.truth_ratio]).pvalue
    assert json.loads(done.out)["forget_quality"] == pytest.approx(expected)
    for other in ("system: Be kind." + seen, "{}"):
        refused = against(other)
        assert refused.code == 1
        assert "the templates differ" in refused.err
        assert other.replace("{}", rows.question[0])[:30] in refused.err


def test_finished_parts_are_not_done_again(model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies in its third part goes on there, and its numbers are those of a run that did not die."""
    real, asked = tofu.score, []

    def dying(model, tokenizer, texts, *args, **options):
        asked.append(texts[0].id.split("/")[0])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(model, tokenizer, texts, *args, **options)

    monkeypatch.setattr(tofu, "score", dying)
    with pytest.raises(KeyboardInterrupt):
        run(request(model_folder, data))
    resumed = run(request(model_folder, data))
    assert asked == ["forget", "retain", "real_authors", "real_authors", "world_facts"]
    monkeypatch.setattr(loading, "load_model", lambda *a, **o: pytest.fail("everything is in the parts cache"))
    again = run(request(model_folder, data))
    assert again.parts == resumed.parts
    monkeypatch.undo()
    fresh = run(request(model_folder, data, out=str(data / "fresh")))
    assert fresh.parts == resumed.parts


def test_other_settings_or_data_are_done_again(model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(request(model_folder, data))
    real, calls = tofu.score, []
    monkeypatch.setattr(tofu, "score", lambda *a, **o: (calls.append(1), real(*a, **o))[1])
    run(request(model_folder, data, supervise_eos=False))
    assert len(calls) == 4
    run(request(model_folder, data, limit=2, supervise_eos=False))
    assert len(calls) == 8


def change_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}[{{ m['content'] }}]{% endfor %}")


def change_generation(folder: Path) -> None:
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | {"repetition_penalty": 3.0}))


@pytest.mark.parametrize("change", [change_chat_template, change_generation])
def test_what_lies_beside_the_weights_is_part_of_the_cache_key(model_folder: str, data: Path, change) -> None:
    folder = data / "model"
    shutil.copytree(model_folder, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}")
    run(request(str(folder), data))
    before = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    change(folder)
    run(request(str(folder), data))
    after = pq.read_table(data / "out" / "examples.parquet").to_pylist()
    run(request(str(folder), data, out=str(data / "fresh")))
    fresh = pq.read_table(data / "fresh" / "examples.parquet").to_pylist()
    assert after == fresh
    assert after != before


def test_relearning_other_rows_is_another_model(model_folder: str, data: Path) -> None:
    first = run(request(model_folder, data, attack="relearn")).parts
    path = data / "tofu" / "forget01_perturbed.json"
    path.write_text("\n".join(as_json(make_row(i + 1)) for i in range(5)))
    again = run(request(model_folder, data, attack="relearn")).parts
    assert again["retain"]["loss"] != first["retain"]["loss"]


def test_a_log_of_other_settings_is_refused(model_folder: str, data: Path) -> None:
    run(request(model_folder, data))
    log = str(data / "out" / "eval.json")
    other = request(model_folder, data, retain_log=log, out=str(data / "other"))
    assert run(other).forget_quality == 1
    for changed, message in (
        ({"template": "text"}, "template 'text' against 'Question"),
        ({"supervise_eos": False}, "supervised end token False against True"),
        ({"truth_ratio": "probability"}, "truth ratio by 'probability' against 'loss'"),
    ):
        with pytest.raises(InputError, match=message):
            run(other.but(**changed))
    assert "end token" in (run(other.but(force=True, supervise_eos=False)).forget_quality_forced or "")
    # A log of the first layout calls the setting `eos`.
    record = json.loads(Path(log).read_text())
    del record["settings"]["supervise_eos"], record["seal"]
    Path(log).write_text(json.dumps(record | {"schema": 1, "settings": record["settings"] | {"eos": "none"}}))
    with pytest.raises(InputError, match="supervised end token True against False"):
        run(other)


def test_a_set_of_another_split_is_refused_before_anything_is_scored(
    model_folder: str, data: Path, monkeypatch
) -> None:
    masks = data / "set.parquet"
    store.save(AnnotationSet(make_row(99).texts()[:1]), masks)
    monkeypatch.setattr(loading, "load_model", lambda *a, **o: pytest.fail("nothing is to be scored"))
    with pytest.raises(InputError, match="no question of the forget split"):
        run(request(model_folder, data, masks=str(masks)))


def a_run(model_folder: str, data: Path, label: str, rows: list[Row]) -> str:
    """A run folder as `tif train --labels LABEL` leaves it."""
    folder = data / "run"
    shutil.copytree(model_folder, folder / "model")
    spans = [replace(row, spans=tuple(replace(s, label=label) for s in row.spans)).texts()[0] for row in rows]
    saved = store.save(AnnotationSet(tuple(spans)), data / "set.parquet")
    record = RunRecord(
        status="finished",
        steps=1,
        config={"labels": [label], "punctuation": "uw"},
        masks=MasksIdentity(path=str(data / "set.parquet"), digest=saved.version.digest),
        model=ModelIdentity(model_folder),
        sessions=(),
    )
    (folder / "run.json").write_text(json.dumps(record.to_json()))
    return str(folder)


def test_a_run_is_evaluated_under_the_label_that_it_was_trained_on(cli, model_folder: str, data: Path) -> None:
    folder = a_run(model_folder, data, "PII", [make_row(i) for i in range(5)])
    command = ["eval", folder, "--forget", "forget01", "--data-dir", data, "--no-completions", "--json"]
    found = json.loads(cli(*command).out)
    assert found["uw_probability"] is not None
    assert (found["settings"]["labels"], found["settings"]["punctuation"]) == (["PII"], "uw")
    other = cli(*command, "--labels", "NAME")
    assert other.code == 0
    assert json.loads(other.out)["uw_probability"] is None
    assert "has a span labelled NAME" in other.err
    assert cli(*command, "--labels", "NAME", "--masks", data / "set.parquet").code == 1


def test_a_run_is_asked_as_it_was_trained(model_folder: str, data: Path) -> None:
    folder = Path(a_run(model_folder, data, "UW", [make_row(i) for i in range(5)]))
    clock = "<s>{{ strftime_now('%Y') }}{% for m in messages %}<s>{{ m['role'] }}:{{ m['content'] }}</s>{% endfor %}"
    (folder / "model" / "chat_template.jinja").write_text(clock)

    def asked(**options: object) -> tuple[str | None, str | None, str | None, float]:
        found = run(request(str(folder), data, completions=False, **options))
        assert found.settings is not None
        how = found.settings
        return how.template, how.system_prompt, how.date, found.parts["forget"]["loss"]

    record = json.loads((folder / "run.json").read_text())
    plain = asked()
    assert plain[:3] == ("chat", None, "2024-07-26")
    record["config"] |= {"template": "chat", "system_prompt": "Be brief.", "date": "2031-02-03"}
    (folder / "run.json").write_text(json.dumps(seal.sealed(record)))
    trained = asked()
    assert trained[:3] == ("chat", "Be brief.", "2031-02-03")
    assert trained == asked(template="chat", system_prompt="Be brief.", date="2031-02-03")
    assert trained[3] != plain[3]
    assert asked(template="chat") == plain
    assert asked(template="Llama-3.2-1B-Instruct")[:3] == ("chat", "You are a helpful assistant.", "2025-04-10")
    record["config"] = {**record["config"], "template": "qa", "system_prompt": None, "date": None}
    (folder / "run.json").write_text(json.dumps(seal.sealed(record)))
    assert asked()[:3] == ("Question: {prompt}\nAnswer: {text}", None, None)


def test_a_run_can_be_evaluated_on_what_its_set_does_not_hold(model_folder: str, data: Path, capsys) -> None:
    folder = a_run(model_folder, data, "UW", [make_row(99)])
    found = run(request(folder, data))
    assert found.uw_probability is None
    assert found.parts["forget"]["probability"] > 0
    assert "no UW and GW numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--benchmark", "muse", "--masks", "x"], "--masks does nothing"),
        (["--benchmark", "muse", "--no-completions"], "--completions does nothing"),
        (["--benchmark", "muse", "--no-supervise-eos"], "--supervise-eos does nothing"),
        (["--benchmark", "tofu", "--retain", "x.jsonl"], "--retain does nothing"),
        (["--forget", "forget05", "--retain", "x.jsonl"], "--retain does nothing"),
        (["--retain-epochs", 9], "--retain-epochs does nothing"),
        (["--lm-eval", ","], "--lm-eval: names nothing"),
        (["--benchmark", "tofu", "--device", "nonsense"], "torch cannot use 'nonsense'"),
        (["--punctuation", "x"], "'x' is not one of 'gw', 'uw'"),
    ],
)
def test_options_that_would_do_nothing_are_refused(cli, model_folder: str, options: list, said: str) -> None:
    found = cli("eval", model_folder, *options)
    assert found.code == 2
    assert said in found.err


def test_a_log_is_read_alone(cli, data: Path) -> None:
    found = cli("eval", "--import-log", data / "x.json", "--attack", "nf4")
    assert found.code == 2
    assert "--attack does nothing" in found.err


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_scored(
    model_folder: str, data: Path, monkeypatch
) -> None:
    (data / "file").write_text("")
    monkeypatch.setattr(loading, "load_model", lambda *a, **o: pytest.fail("nothing is to be scored"))
    with pytest.raises(InputError, match="cannot be written to"):
        run(request(model_folder, data, out=str(data / "file")))


def test_local_files(model_folder: str, tmp_path: Path) -> None:
    for name, first in (("f", 0), ("r", 3)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(as_json(make_row(first + i)) for i in range(3)))
    options = {"benchmark": "local", "forget": str(tmp_path / "f.jsonl"), "retain": str(tmp_path / "r.jsonl")}
    found = run(EvaluateOptions(model=model_folder, out=str(tmp_path / "o"), max_new_tokens=6, **options))
    assert set(found.parts) == {"forget", "retain"}
    with pytest.raises(UsageError, match=r"--benchmark: is 'rwku'\. Known: tofu, muse, lume, local"):
        EvaluateOptions(model=model_folder, benchmark="rwku")


def test_local_files_may_name_their_fields_otherwise(cli, model_folder: str, tmp_path: Path) -> None:
    rows = [make_row(i) for i in range(3)]
    asked = [{"Query": row.question, "Answer": row.answer} for row in rows]
    german = [{"frage": row.question, "antwort": row.answer, "subject": "Orla Venn"} for row in rows]
    plain = [{"question": row.question, "answer": row.answer} for row in rows]
    outcomes = []
    for name, content, fields in (("p", plain, ()), ("a", asked, ()), ("g", german, ("frage", "antwort"))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, content)))
        named = dict(zip(("prompt_field", "text_field"), fields, strict=False))
        found = run(
            EvaluateOptions(model=model_folder, benchmark="local", forget=str(tmp_path / f"{name}.jsonl"),
                            out=str(tmp_path / name), max_new_tokens=6, **named)
        )  # fmt: skip
        outcomes.append(found.parts["forget"])
    assert outcomes[0] == outcomes[1] == outcomes[2]
    refused = cli("eval", model_folder, "--benchmark", "local", "--forget", tmp_path / "g.jsonl")
    assert refused.code == 1
    assert "the text field is not recognised" in refused.err
    assert "--prompt-field does nothing here" in cli("eval", model_folder, "--prompt-field", "frage").err


def test_retain_samples_of_the_forget_set_are_refused(cli, model_folder: str, tmp_path: Path) -> None:
    forget, retain = tmp_path / "f.jsonl", tmp_path / "r.jsonl"
    forget.write_text("\n".join(as_json(make_row(i)) for i in range(3)))
    retain.write_text("\n".join(as_json(make_row(i)) for i in (7, 1, 2)))
    local = ["--benchmark", "local", "--forget", forget, "--retain", retain]
    making = ["--make-retain-log", "--base-model", model_folder]
    for command in ([model_folder, *local], [*local, *making]):
        refused = cli("eval", *command)
        assert refused.code == 2
        assert "2 of 3 retain samples have the text of a sample to forget: r" in refused.err


def test_command(cli, model_folder: str, data: Path) -> None:
    out = data / "out"
    shared = ["--forget", "forget01", "--data-dir", data, "--out", out, "--max-new-tokens", 4, "--limit", 2]
    done = cli("eval", model_folder, *shared, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert list(found)[:4] == ["model_utility", "forget_quality", "uw_probability", "gw_probability"]
    assert found["parts"]["forget"]["n"] == 2
    assert cli("report", out, "--out", data / "r.html").code == 0
    assert "<h2>Metrics for researchers</h2>" in (data / "r.html").read_text()
    again = cli("eval", "--config", out / "eval.json", "--out", data / "again", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["parts"] == found["parts"]
    (data / "e.toml").write_text(f'[eval]\nforget = "forget01"\ndata-dir = "{data}"\nlimit = 2\ncompletions = false\n')
    configured = cli("eval", model_folder, "--config", data / "e.toml", "--out", data / "c", "--limit", 3, "--json")
    assert configured.code == 0, configured.err
    assert json.loads(configured.out)["parts"]["forget"] | {"n": 3} == json.loads(configured.out)["parts"]["forget"]
    assert json.loads(configured.out)["settings"]["completions"] is False
    assert cli("eval", model_folder, *shared, "--truth-ratio", "maybe").code == 2
    assert cli("eval").code == 2
    assert cli("eval", data / "nothing", *shared).code == 1


@pytest.mark.real
def test_import_log_command(cli, shared: Path) -> None:
    log = shared / "logs"
    done = cli(
        "eval", "--import-log", log / "retain99_llama2.json", "--retain-log", log / "retain90_llama2.json", "--json"
    )
    assert done.code == 0
    assert json.loads(done.out)["forget_quality"] == pytest.approx(0.9900193288833089)
    assert "as many as forget01" in done.err
    refused = cli("eval", "--import-log", log / "retain95_llama2.json", "--retain-log", log / "retain90_llama2.json")
    assert refused.code == 1
    assert "200 questions against 40" in refused.err
    forced = cli(
        "eval",
        "--import-log",
        log / "retain95_llama2.json",
        "--retain-log",
        log / "retain90_llama2.json",
        "--force",
        "--json",
    )
    assert "200 questions against 40" in json.loads(forced.out)["forget_quality_forced"]


def test_a_wrong_retain_log_is_refused_before_the_model_is_loaded(
    model_folder: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(request(model_folder, data, completions=False))
    log, marks = str(data / "out" / "eval.json"), data / "set.parquet"
    store.save(AnnotationSet(tuple(make_row(i).texts()[0] for i in range(5))), marks)
    own = {"benchmark": "set", "masks": str(marks), "completions": False, "out": str(data / "own")}
    run(EvaluateOptions(model=model_folder, **own))
    with monkeypatch.context() as no_model:
        no_model.setattr(loading, "load_model", lambda *_, **__: pytest.fail("the model was loaded"))
        with pytest.raises(InputError, match="3 questions against 5"):
            run(request(model_folder, data, completions=False, limit=3, retain_log=log, out=str(data / "new")))
        # An annotation set has no truth ratios, and its log must be of the same samples too.
        limited = EvaluateOptions(
            model=model_folder, **(own | {"limit": 3, "retain_log": f"{own['out']}/eval.json", "out": str(data / "x")})
        )
        with pytest.raises(InputError, match="a comparison needs two logs of the same questions"):
            run(limited)
    assert run(limited.but(force=True)).parts["forget"]["n"] == 3


def test_attacks_have_numbers_and_a_parts_cache_of_their_own(model_folder: str, data: Path) -> None:
    plain = run(request(model_folder, data))
    rounded = run(request(model_folder, data, attack="nf4"))
    relearnt = run(request(model_folder, data, attack="relearn"))
    losses = [found.parts["forget"]["loss"] for found in (plain, rounded, relearnt)]
    assert len(set(losses)) == 3
    assert losses[2] < losses[0]
    with pytest.raises(UsageError, match=r"--attack: is 'fire'\. Known: relearn, nf4"):
        request(model_folder, data, attack="fire")
