"""Annotating is resumable, keeps what people decided, and loses nothing to a kill."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tif import sources
from tif.annotate.journal import AnnotationJournal
from tif.annotate.run import run
from tif.errors import InputError, PartialError, ServerError, StoreError, UsageError
from tif.sets import store
from tif.spans import Example, Span


class FirstWords:
    """Marks each text's first word; fails on request; remembers the ids that it was asked for."""

    name = "first-words"

    def __init__(self, fail=(), stop_after=None, setting=1):
        self.fail, self.stop_after, self.setting, self.asked = set(fail), stop_after, setting, []

    def describe(self):
        return {"name": self.name, "version": 1, "setting": self.setting, "usage": {"asked": len(self.asked)}}

    def annotate(self, examples):
        for example in examples:
            if self.stop_after is not None and len(self.asked) == self.stop_after:
                raise ServerError("key refused")
            self.asked.append(example.id)
            if example.id in self.fail:
                yield example.with_spans((), status="failed", error="would not")
            else:
                yield example.with_spans([Span(0, example.text.index(" "), source=self.name)])


@pytest.fixture
def dataset(tmp_path):
    file = tmp_path / "people.jsonl"
    rows = [{"prompt": f"Who is number {i}?", "text": f"Person{i} is number {i}."} for i in range(10)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def out(tmp_path):
    return tmp_path / "set.parquet"


def load(dataset, **options):
    return sources.load(str(dataset), **options)


def test_a_finished_run_asks_nothing_and_makes_no_version_again(dataset, out):
    first = run(load(dataset), FirstWords(), out)
    again = FirstWords()
    second = run(load(dataset), again, out)
    assert (first.new, first.reused, second.new, second.reused) == (10, 0, 0, 10)
    assert again.asked == []
    assert [v.number for v in store.versions(out)] == [1]
    assert second.set.examples == first.set.examples


def test_what_was_finished_before_an_error_is_not_asked_again(dataset, out):
    with pytest.raises(ServerError):
        run(load(dataset), FirstWords(stop_after=4), out)
    assert not out.exists()
    rest = FirstWords()
    report = run(load(dataset), rest, out)
    assert (report.reused, report.new, len(rest.asked)) == (4, 6, 6)
    assert report.line == "4 reused · 6 new · 0 failed"


def test_a_higher_limit_goes_on_from_the_lower_one(dataset, out):
    run(load(dataset, limit=3), FirstWords(), out)
    more = FirstWords()
    assert run(load(dataset), more, out).reused == 3
    assert len(more.asked) == 7


def test_other_settings_and_fresh_begin_anew(dataset, out):
    run(load(dataset), FirstWords(), out)
    other, fresh = FirstWords(setting=2), FirstWords()
    run(load(dataset), other, out)
    run(load(dataset), fresh, out, fresh=True)
    assert (len(other.asked), len(fresh.asked)) == (10, 10)


def test_failures_are_saved_told_and_retried_alone(dataset, out):
    with pytest.raises(PartialError, match=r"2 of 10 examples failed \(the first is people/0003: would not\)"):
        run(load(dataset), FirstWords(fail={"people/0003", "people/0007"}), out).check()
    saved = store.load(out).by_id()
    assert (saved["people/0003"].status, saved["people/0003"].error) == ("failed", "would not")
    untold = FirstWords()
    assert run(load(dataset), untold, out).failed == 2
    assert untold.asked == [], "without --retry-failed a failure stands"
    retry = FirstWords(fail={"people/0007"})
    report = run(load(dataset), retry, out, retry_failed=True)
    assert sorted(retry.asked) == ["people/0003", "people/0007"]
    assert (report.reused, report.new, report.failed) == (8, 1, 1)


def test_retrying_with_another_method_says_so(dataset, out):
    run(load(dataset), FirstWords(fail={"people/0003"}), out)
    report = run(load(dataset), FirstWords(setting=2), out, retry_failed=True)
    method = report.set.provenance.method
    assert (report.failed, method["setting"], method["others_by"]["setting"]) == (0, 2, 1)


def test_what_a_person_decided_is_kept_unless_forced(dataset, out):
    first = run(load(dataset), FirstWords(), out).set
    corrected = replace(first.examples[2], spans=(Span(11, 17, source="Ana"),), status="corrected")
    store.save(first.replaced([corrected]), out, author="Ana")
    report = run(load(dataset), FirstWords(setting=2), out)
    assert report.kept == 1
    assert report.set.by_id()[corrected.id] == corrected
    forced = run(load(dataset), FirstWords(setting=2), out, force=True)
    assert forced.set.by_id()[corrected.id].status == "auto"


def test_a_dataset_that_lacks_a_decided_record_is_refused(dataset, out):
    first = run(load(dataset), FirstWords(), out).set
    store.save(first.replaced([replace(first.examples[9], status="accepted")]), out)
    with pytest.raises(UsageError, match=r"would overwrite 'people/0009', which a person accepted"):
        run(load(dataset, limit=5), FirstWords(), out)
    assert run(load(dataset, limit=5), FirstWords(), out, force=True).dropped == 5


def test_a_correction_made_while_the_annotator_runs_survives(dataset, out):
    first = run(load(dataset), FirstWords(), out).set

    class Slow(FirstWords):
        def annotate(self, examples):
            for number, example in enumerate(super().annotate(examples)):
                if number == 5:
                    store.save(first.replaced([replace(first.examples[0], status="corrected")]), out)
                yield example

    report = run(load(dataset), Slow(setting=2), out)
    assert (report.kept, report.set.examples[0].status) == (1, "corrected")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda xs: [*xs, xs[0]], "twice, or without receiving it"),
        (lambda xs: xs[:-1], "nothing for 1 examples"),
        (lambda xs: [replace(xs[0], text=xs[0].text + "!"), *xs[1:]], "with another text"),
    ],
)
def test_an_annotator_is_held_to_its_promise(dataset, out, wrong, message):
    class Liar(FirstWords):
        def annotate(self, examples):
            yield from wrong(list(super().annotate(examples)))

    with pytest.raises(InputError, match=message):
        run(load(dataset), Liar(), out)


def test_a_flipped_bit_in_the_journal_is_never_an_annotation(dataset, tmp_path, capfd):
    examples = load(dataset).examples
    with AnnotationJournal(tmp_path, {"name": "x"}) as journal:
        for example in examples:
            journal.add(example.with_spans([Span(0, 6, source="x")]))
        complete = journal.path.read_bytes()
        expected = journal.read(examples)
        assert len(expected) == len(examples)
        second = complete.index(b"\n") + 1
        every_third = range(8 * second, 8 * complete.index(b"\n", second), 3)
        dice = random.Random(5)
        for bit in (*every_third, *(dice.randrange(8 * len(complete)) for _ in range(300))):
            data = bytearray(complete)
            data[bit // 8] ^= 1 << bit % 8
            journal.path.write_bytes(data)
            read = journal.read(examples)
            assert read.items() <= expected.items()
            assert len(read) >= len(expected) - 2, "a flipped line end takes both of its lines"
            assert "cut off or damaged, and not used" in capfd.readouterr().err
        journal.path.write_bytes(complete)
        assert journal.read(examples) == expected
        assert capfd.readouterr().err == ""


def test_a_torn_journal_line_costs_that_line_only(dataset, tmp_path):
    examples = load(dataset).examples
    with AnnotationJournal(tmp_path, {"name": "x"}) as journal:
        for example in examples:
            journal.add(example)
    complete = journal.path.read_bytes()
    for cut in range(len(complete) - 400, len(complete)):
        journal.path.write_bytes(complete[:cut])
        finished = complete[:cut].count(b"\n") - 1  # the header
        with AnnotationJournal(tmp_path, {"name": "x"}) as again:
            before = again.read(examples)
            assert finished <= len(before) <= finished + 1
            again.add(examples[-1])
            assert again.read(examples) == before | {examples[-1].id: examples[-1]}


def test_one_run_at_a_time(tmp_path):
    with (
        AnnotationJournal(tmp_path, {"name": "x"}),
        pytest.raises(StoreError, match="another run with these settings"),
        AnnotationJournal(tmp_path, {"name": "x"}),
    ):
        pass


SLOW_PLUGIN = """
import time
from tif.spans import Span
class Slow:
    name = "slow"
    def __init__(self, pause=0.004):
        self.pause = pause
    def describe(self):
        return {"name": "slow", "version": 1}
    def annotate(self, examples):
        for example in examples:
            time.sleep(self.pause)
            yield example.with_spans([Span(0, example.text.index(" "), source="slow")])
"""

CUT_PLUGIN = """
from typing import Annotated, Literal
from tif.options import Option, Options
from tif.spans import Span
class CutOptions(Options):
    words: Annotated[int, Option("Words to mark.", least=1)] = 1
    side: Annotated[Literal["left", "right"], Option("Where they are.")] = "left"
class Cut:
    name = "cut"
    Options = CutOptions
    def __init__(self, options):
        self.options = options
    def describe(self):
        return {"name": "cut", "version": 1, **self.options.outcome()}
    def annotate(self, examples):
        for example in examples:
            words = example.text.split()
            left = self.options.side == "left"
            marked = " ".join(words[: self.options.words] if left else words[-self.options.words :])
            at = 0 if left else len(example.text) - len(marked)
            yield example.with_spans([Span(at, at + len(marked), source="cut")])
"""


PLUGIN_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "slow-tif"
version = "1.0"
[project.entry-points."tif.annotators"]
slow = "slow_tif:Slow"
cut = "cut_tif:Cut"
[tool.setuptools]
py-modules = ["slow_tif", "cut_tif"]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The environment with a third-party annotator installed into it."""
    project, site = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    (project / "slow_tif.py").write_text(SLOW_PLUGIN)
    (project / "cut_tif.py").write_text(CUT_PLUGIN)
    (project / "pyproject.toml").write_text(PLUGIN_PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())])}


def test_an_installed_plugin_is_found_and_takes_its_options(dataset, tmp_path, plugin):
    command = [sys.executable, "-m", "tif", "annotate", "--dataset", str(dataset), "--out", str(tmp_path / "a.parquet")]

    def tif(*more):
        return subprocess.run([*command, *more], env=plugin, capture_output=True, text=True)

    done = tif("--method", "slow", "--set", "pause=0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"]["name"] == "slow"
    assert [e.quote(e.spans[0]) for e in store.load(tmp_path / "a.parquet")] == [f"Person{i}" for i in range(10)]
    wrong = tif("--method", "slow", "--set", "haste=1")
    assert wrong.returncode == 2
    assert "does not take these options" in wrong.stderr
    unknown = tif("--method", "fast")
    assert unknown.returncode == 2
    assert "Known: ner, llm, manual, mlm, surprisal, hf, presidio, gliner, learned, cut, slow." in unknown.stderr


def test_an_installed_plugin_with_an_options_class_has_its_options_checked(dataset, tmp_path, plugin):
    command = [sys.executable, "-m", "tif", "annotate", "--dataset", str(dataset), "--method", "cut"]
    out = tmp_path / "a.parquet"

    def tif(*more):
        return subprocess.run([*command, "--out", str(out), *more], env=plugin, capture_output=True, text=True)

    done = tif("--set", "words=2", "--set", "side=right", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == {"name": "cut", "version": 1, "words": 2, "side": "right"}
    assert [e.quote(e.spans[0]) for e in store.load(out)] == [f"number {i}." for i in range(10)]
    assert (
        tif("--words", "2", "--side", "right", "--json").stdout
        == tif("--set", "words=2", "--set", "side=right", "--json").stdout
    )
    shown = tif("--help").stdout
    assert "Options of --method cut" in shown
    assert "Words to mark." in shown
    config = tmp_path / "cut.toml"
    config.write_text("[annotate]\nwords = 3\n")
    assert tif("--config", str(config)).returncode == 0
    assert store.load(out).examples[0].quote(store.load(out).examples[0].spans[0]) == "Person0 is number"
    for wrong, line in [
        (["--set", "word=2"], "no option 'word'. Did you mean 'words'?"),
        (["--set", "words=0"], "--words: 0 is below 1"),
        (["--set", "side=top"], "--side: is 'top'. Known: left, right."),
        (["--set", "limit=2"], "--set: is for options of one method alone. Use --limit."),
        (
            ["--threshold", "1"],
            "--method cut has no option --threshold. It goes with --method mlm or surprisal or presidio or gliner.",
        ),
    ]:
        refused = tif(*wrong)
        assert (refused.returncode, refused.stderr) == (2, f"error: {line}\n")


def test_kill_9_at_random_moments_loses_nothing_finished(tmp_path, plugin):
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"Person{i} left."}) for i in range(1500)))
    command = [sys.executable, "-m", "tif", "annotate", "--method", "slow", "--dataset", str(file), "--out"]

    def start(out):
        return subprocess.Popen([*command, str(out)], env=plugin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    complete, killed = tmp_path / "complete.parquet", tmp_path / "killed.parquet"
    process = start(complete)
    assert process.wait() == 0, process.stderr.read().decode()
    dice, kills, counted = random.Random(7), 0, []
    while True:
        process = start(killed)
        journal, begun = store.folder(killed), time.monotonic()
        while not list(journal.glob("journal-*.jsonl")) and process.poll() is None:
            assert time.monotonic() - begun < 60
            time.sleep(0.01)
        if kills < 4:
            time.sleep(dice.uniform(0.02, 0.25))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        (path,) = journal.glob("journal-*.jsonl")
        counted.append(path.read_bytes().count(b'"key"'))
        process.stderr.close()
        process.stdout.close()
        if process.returncode == 0:
            break
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    times = Counter(line["id"] for line in lines if "id" in line)
    assert set(times.values()) == {1}, "a finished example was done again"
    assert counted == sorted(counted)
    assert 0 < counted[0] < 250, "the kill came too early or too late to prove anything"
    assert store.load(killed).examples == store.load(complete).examples


def test_ctrl_c_exits_130_and_keeps_what_is_finished(tmp_path, plugin):
    file, out = tmp_path / "many.jsonl", tmp_path / "set.parquet"
    file.write_text("\n".join(json.dumps({"text": f"Person{i} left."}) for i in range(1500)))
    command = [sys.executable, "-m", "tif", "annotate", "--method", "slow", "--dataset", str(file), "--out", str(out)]
    process = subprocess.Popen(
        command, env=plugin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell has its background commands ignore the signal, and they hand that down: `make test &` would as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list(store.folder(out).glob("journal-*.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate()
    assert process.returncode == 130, message
    assert "Traceback" not in message
    again = subprocess.run(command, env=plugin, capture_output=True, text=True, check=True)
    reused = int(again.stderr.split(" reused")[0].split()[-1])
    assert reused > 0
    assert f"{reused} reused · {1500 - reused} new · 0 failed" in again.stderr


def test_manual_renews_its_own_and_nobody_elses(tmp_path, cli):
    file, out = tmp_path / "people.jsonl", tmp_path / "set.parquet"
    file.write_text('{"text": "Mara left.", "quotes": ["Mara"]}\n{"text": "Ilo left.", "quotes": ["Ilo"]}')
    arguments = ["annotate", "--method", "manual", "--dataset", file, "--out", out, "--json"]
    assert json.loads(cli(*arguments).out)["counts"]["accepted"] == 2
    before = store.load(out)
    store.save(before.replaced([replace(before.examples[1], spans=(Span(4, 8, source="Ana"),))]), out)
    file.write_text('{"text": "Mara left.", "quotes": ["left"]}\n{"text": "Ilo left.", "quotes": ["Ilo"]}')
    assert json.loads(cli(*arguments).out)["kept"] == 1
    after = store.load(out)
    assert [[e.quote(s) for s in e.spans] for e in after] == [["left"], ["left"]]
    assert after.examples[0] == Example("people/0000", "", "Mara left.", (Span(5, 9, source="manual"),), "accepted")


@pytest.mark.parametrize("made_by", ["person", "machine"])
def test_manual_keeps_what_a_person_accepted_without_spans(tmp_path, cli, made_by):
    file, out = tmp_path / "people.jsonl", tmp_path / "a.parquet"
    arguments = ["annotate", "--method", "manual", "--dataset", file, "--out", out, "--made-by", made_by]
    file.write_text('{"text": "Mara left.", "spans": []}\n{"text": "Oda left.", "spans": [{"start": 0, "end": 3}]}\n')
    assert cli(*arguments).code == 0
    saved = store.load(out)
    ids = [example.id for example in saved]
    file.write_text(file.read_text().replace("[]", '[{"start": 0, "end": 4}]').replace('"end": 3', '"end": 8'))
    if made_by == "person":
        # Nobody has looked at them since, so the file's own correction counts.
        done = cli(*arguments)
        assert (done.code, [len(e.spans) for e in store.load(out)]) == (0, [1, 1])
        return
    store.save(saved.replaced(replace(e, status="accepted") for e in saved), out, author="ada")
    done = cli(*arguments)
    assert done.code == 0
    assert "2 kept as people left them" in " ".join(done.err.split())
    after = store.load(out)
    assert [(e.id, e.spans, e.status) for e in after] == [(i, saved.by_id()[i].spans, "accepted") for i in ids]
    assert cli(*arguments, "--force").code == 0
    assert [len(e.spans) for e in store.load(out)] == [1, 1]


def test_manual_keeps_the_accepted_records_of_another_method(tmp_path, cli):
    file, out = tmp_path / "people.jsonl", tmp_path / "a.parquet"
    file.write_text('{"text": "Mara left.", "spans": [{"start": 0, "end": 4}]}\n')
    assert cli("annotate", "--method", "ner", "--dataset", file, "--out", out).code == 0
    saved = store.load(out)
    store.save(saved.replaced([replace(saved.examples[0], spans=(), status="accepted")]), out, author="ada")
    done = cli("annotate", "--method", "manual", "--dataset", file, "--out", out)
    assert done.code == 0
    assert "1 kept as people left them" in " ".join(done.err.split())
    assert (store.load(out).examples[0].spans, store.load(out).examples[0].status) == ((), "accepted")
