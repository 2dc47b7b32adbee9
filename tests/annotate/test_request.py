"""One call annotates: from Python, from the command line, and from a config file, with the same refusals."""

from __future__ import annotations

import json
import pickle

import pytest

from tests.annotate.judge.server import Server, quotes
from tif.annotate.judge.estimate import Estimate
from tif.annotate.judge.options import JudgeOptions
from tif.annotate.methods import ANNOTATORS, METHODS, make
from tif.annotate.models.options import SurprisalOptions
from tif.annotate.options import AnnotateOptions
from tif.annotate.request import annotate, answer
from tif.annotate.rules.options import NerOptions
from tif.errors import InputError, UsageError
from tif.options import Keywords, declared
from tif.sets import store


@pytest.fixture
def dataset(tmp_path):
    file = tmp_path / "people.jsonl"
    rows = [
        {"question": "Where was Odile Brant born?", "answer": "Odile Brant was born in Oslo on March 4, 1961."},
        {"question": "Who is her mother?", "answer": "Her mother is Alice Brown."},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def quoted(annotations):
    return [[example.quote(span) for span in example.spans] for example in annotations]


def test_a_call_from_python_needs_no_command_line(dataset, tmp_path):
    out = tmp_path / "set.parquet"
    report = annotate(AnnotateOptions(dataset=str(dataset), out=out), NerOptions(entities=("GPE",)))
    assert (report.new, report.failed, report.path, report.version.number) == (2, 0, out, 1)
    assert quoted(store.load(out)) == [["Oslo"], []]
    again = annotate(AnnotateOptions(dataset=str(dataset), out=out), NerOptions(entities=("GPE",)))
    assert (again.new, again.reused) == (0, 2)
    assert report.to_json()["method"]["entities"] == ["GPE"]


def test_a_file_of_another_encoding_is_read_by_its_name(tmp_path, cli):
    file = tmp_path / "staff.csv"
    file.write_bytes("text\r\nZoë lives in Oslo.\r\n".encode("cp1252"))
    command = ("annotate", "--dataset", file, "--out", tmp_path / "set.parquet", "--entities", "GPE")
    refused = cli(*command)
    assert (refused.code, "Or read it as it is: --encoding cp1252." in refused.err) == (1, True)
    assert cli(*command, "--encoding", "cp1252").code == 0
    assert [example.text for example in store.load(tmp_path / "set.parquet")] == ["Zoë lives in Oslo."]
    assert cli(*command, "--encoding", "cp125").code == 2
    for dataset, why in (("tofu:forget10", "tofu:forget10 is none"), ("a.parquet", "parquet has one encoding")):
        with pytest.raises(UsageError, match=f"--encoding does nothing here.*{why}"):
            annotate(AnnotateOptions(dataset=dataset, encoding="cp1252"))


def test_without_its_options_a_method_has_its_defaults(dataset, tmp_path):
    report = annotate(AnnotateOptions(dataset=str(dataset), out=tmp_path / "set.parquet", limit=1))
    assert report.set.provenance.method["name"] == "ner"
    assert quoted(report.set) == [["Oslo", "March 4, 1961"]]
    with pytest.raises(UsageError, match="--model: must be given"):
        annotate(AnnotateOptions(dataset=str(dataset), out=tmp_path / "set.parquet", method="llm"))


def test_the_set_is_named_after_the_dataset(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert annotate(AnnotateOptions(dataset=str(dataset), limit=1)).path.as_posix() == "annotations/people.parquet"
    assert len(store.load("annotations/people.parquet")) == 1


@pytest.mark.parametrize(
    ("options", "method", "line"),
    [
        (
            {"method": "mlm"},
            NerOptions(),
            "--method mlm does not take NerOptions (it takes MlmOptions)",
        ),
        (
            {"method": "nothing"},
            None,
            "--method: no annotator 'nothing'. Known: ner, llm, manual, mlm, surprisal, hf, presidio, gliner, learned.",
        ),
        (
            {"method": "llm", "fresh": True},
            JudgeOptions(model="m", dry_run=True),
            "--fresh does nothing here (--dry-run never repeats a request)",
        ),
        (
            {"method": "llm", "fresh": True},
            JudgeOptions(model="m", batch="status"),
            "--fresh does nothing here (--batch never repeats a request)",
        ),
        (
            {"method": "llm", "engine": "ray"},
            JudgeOptions(model="m", base_url="http://127.0.0.1:9/v1"),
            "--engine: --method llm does not run on Ray (a judge is as fast as its server; use --concurrency)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_line_and_makes_no_set(dataset, tmp_path, options, method, line):
    with pytest.raises(UsageError) as raised:
        answer(AnnotateOptions(dataset=str(dataset), out=tmp_path / "set.parquet", **options), method)
    assert str(raised.value) == line
    assert not (tmp_path / "set.parquet").exists()


@pytest.mark.parametrize(
    ("make_options", "line"),
    [
        (lambda: AnnotateOptions(dataset="x", workers=2), "--workers does nothing here (it is for --engine ray)"),
        (lambda: AnnotateOptions(dataset="x", limit=0), "--limit: 0 is below 1"),
        (lambda: AnnotateOptions(dataset="x", engine="spark"), "--engine: is 'spark'. Known: local, ray."),
        (lambda: JudgeOptions(model="m", price_in=1), "--price-in does nothing here (it needs --dry-run)"),
        (lambda: JudgeOptions(model="m", batch="send"), "--batch: is 'send'. Known: submit, status, fetch."),
        (
            lambda: JudgeOptions(model="m", batch="fetch", dry_run=True),
            "--dry-run does nothing here (run it before --batch submit, without --batch)",
        ),
        (
            lambda: JudgeOptions(model="m", batch="submit", max_tokens_total=5),
            "--max-tokens-total does nothing here (a batch is submitted as one; use --limit instead)",
        ),
        (
            lambda: JudgeOptions(model="m", chunk_chars=100, overlap_chars=60),
            "--chunk-chars: 100 is too small (a piece needs at least 16 characters, and twice its overlap of 60)",
        ),
        (
            lambda: SurprisalOptions(model="m"),
            "--base-model: must be given. The base model, which never saw the forget set: a folder or hub id.",
        ),
        (lambda: NerOptions(entitys=("GPE",)), "no option 'entitys'. Did you mean 'entities'?"),
    ],
)
def test_options_are_checked_when_they_are_made(make_options, line):
    with pytest.raises(UsageError) as raised:
        make_options()
    assert str(raised.value) == line


def test_a_dry_run_estimates_and_annotate_makes_sets_only(dataset, tmp_path):
    options = AnnotateOptions(dataset=str(dataset), out=tmp_path / "set.parquet", method="llm")
    with Server(lambda request: quotes("Oslo")) as server:
        dry = JudgeOptions(model="judge", base_url=server.url, dry_run=True)
        plan = answer(options, dry)
        assert isinstance(plan, Estimate)
        assert (plan.examples, plan.requests, server.requests) == (2, 2, [])
        with pytest.raises(UsageError, match="--dry-run: writes no annotation set"):
            annotate(options, dry)
        report = annotate(options, JudgeOptions(model="judge", base_url=server.url))
    assert quoted(report.set)[0] == ["Oslo"]


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_a_config_file_gives_the_options_of_the_command_and_of_its_method(kind, dataset, tmp_path, cli):
    out, file = tmp_path / "set.parquet", tmp_path / f"annotate.{kind}"
    options = {"dataset": str(dataset), "out": str(out), "method": "ner", "entities": ["GPE", "DATE"], "limit": 1}
    if kind == "json":
        file.write_text(json.dumps({"annotate": options, "train": {"model": "x"}}))
    else:
        file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))
    done = cli("annotate", "--config", file, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["counts"]["examples"] == 1
    assert quoted(store.load(out)) == [["Oslo", "March 4, 1961"]]
    assert cli("annotate", "--config", file, "--entities", "GPE", "--limit", 2).code == 0
    assert quoted(store.load(out)) == [["Oslo"], []]


def test_entities_may_be_repeated_or_stand_between_commas(dataset, tmp_path, cli):
    command = ["annotate", "--dataset", dataset, "--out", tmp_path / "set.parquet"]
    assert cli(*command, "--entities", "GPE, DATE", "--entities", "PERSON").code == 0
    assert quoted(store.load(tmp_path / "set.parquet")) == [["Oslo", "March 4, 1961"], ["Alice Brown"]]
    wrong = cli(*command, "--entities", "PLANET")
    assert wrong.code == 2
    assert "--entities: this pipeline has no entity type 'PLANET'. Known: CARDINAL" in wrong.err


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('entitys = ["GPE"]', "a.toml: no option 'entitys'. Did you mean 'entities'?"),
        (
            "threshold = 0.5",
            "a.toml: --method ner has no option --threshold. "
            "It goes with --method mlm or surprisal or presidio or gliner.",
        ),
        ('entities = "GPE"', "a.toml, --entities: is 'GPE'"),
        ("limit = 0", "a.toml, --limit: 0 is below 1"),
    ],
)
def test_a_mistake_in_a_config_file_is_one_line_with_its_name(content, line, dataset, tmp_path, cli):
    (tmp_path / "a.toml").write_text(f"dataset = {json.dumps(str(dataset))}\n{content}\n")
    done = cli("annotate", "--config", tmp_path / "a.toml", "--out", tmp_path / "set.parquet")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert line in done.err


def test_help_names_every_option_of_every_method(cli):
    shown = cli("annotate", "--help").out
    for cls in (AnnotateOptions, *METHODS.builtin.values()):
        for each in declared(cls):
            assert each.flag in shown
    assert "--labels" not in shown


@pytest.mark.parametrize("name", list(ANNOTATORS))
def test_options_travel_to_worker_processes(name):
    given = {each.name: "x" for each in declared(METHODS.builtin[name]) if each.required}
    options = METHODS.builtin[name](**given)
    assert pickle.loads(pickle.dumps(options)) == options


def test_an_unreadable_dataset_is_an_input_error(tmp_path):
    (tmp_path / "bad.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"bad\.jsonl"):
        annotate(AnnotateOptions(dataset=str(tmp_path / "bad.jsonl"), out=tmp_path / "set.parquet"))


def test_keywords_reach_a_plugin_as_they_are(monkeypatch):
    class Mine:
        name = "mine"

        def __init__(self, cutoff=1):
            self.cutoff = cutoff

    monkeypatch.setattr("tif.annotate.methods.find", lambda name: Mine)
    assert make("mine", Keywords(cutoff=0.5), None).cutoff == 0.5
    with pytest.raises(UsageError, match="annotator 'mine' does not take these options"):
        make("mine", Keywords(cut=0.5), None)
