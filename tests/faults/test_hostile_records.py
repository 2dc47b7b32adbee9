"""Records, logs and arguments that nobody would write: one line each with the right exit code, and never a NaN."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_damaged_files import LOG
from tif.errors import InputError, TifError
from tif.eval.compare import logs
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span

ODD = [
    *(None, True, 0, -1, 1e308, -1e308, 10**25, 10**400, "", "a\n|<b>\x1b[31m", [], {}, [None], [[]], {"a": None}),
    *({"a": []}, "nan", [1, 2], 2**63, "9" * 400, [0.5, None], [-1.0], float("nan"), float("inf")),
]


def places(value, at=()):
    """The path of every value inside a document."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def changed(document, dice):
    new = json.loads(json.dumps(document))
    *way, last = dice.choice([place for place in places(document) if place])
    inside = new
    for key in way:
        inside = inside[key]
    inside[last] = dice.choice(ODD)
    return json.dumps(new)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("block", range(2))
def test_odd_values_in_a_log_are_told_or_left_out(cli, tmp_path, block, monkeypatch):
    monkeypatch.setenv("TIF_DEBUG", "")
    dice = random.Random(block)
    good, odd = tmp_path / "good.json", tmp_path / "odd.json"
    good.write_text(json.dumps(LOG))
    for _ in range(15):
        odd.write_text(changed(LOG, dice))
        for given in ([odd, "--json"], [odd, "--retain-log", good], [good, "--retain-log", odd]):
            done = cli("eval", "--import-log", *given)
            assert done.code in (0, 1), done
            assert "unexpected" not in done.err
            assert done.code == 0 or done.err.count("error:") == 1
            for line in done.out.splitlines():
                # A reason may name NaN, a number never is one.
                assert not re.search(r"(?i)[ :]-?(?:nan|inf|infinity)\b,?$", line), line
            if "--json" in given and done.code == 0:
                json.loads(done.out, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    ("column", "empty", "part"),
    [
        ("rougeL_recall", [], "real_authors_rougeL_recall"),
        ("average_perturb_loss", [[], []], "real_authors_probability"),
        ("average_perturb_loss", [[], []], "real_authors_truth_ratio"),
    ],
)
def test_a_column_without_values_gives_no_number_and_no_warning(cli, tmp_path, column, empty, part):
    content = json.loads(json.dumps(LOG))
    content["eval_real_author_wo_options.json"][column] = empty
    (tmp_path / "log.json").write_text(json.dumps(content))
    done = cli("eval", "--import-log", tmp_path / "log.json")
    assert done.code == 0
    assert re.search(rf"model_utility +- +\(.*{part}.* is NaN", done.out)
    assert not re.search(rf"^ +{part} ", done.out, re.M)


def test_truth_ratios_that_are_null_are_counted(cli, tmp_path):
    content = json.loads(json.dumps(LOG))
    content["eval_log_forget.json"]["average_perturb_loss"][0][0] = None
    (tmp_path / "log.json").write_text(json.dumps(content))
    done = cli("eval", "--import-log", tmp_path / "log.json", "--json")
    assert done.code == 0
    assert any("1 of 2 forget questions have no truth ratio" in each for each in json.loads(done.out)["warnings"])


@pytest.mark.parametrize(
    "content",
    [
        '{"schema": 2, "tif": "1", "created": "x", "model_utility": 1e999}',
        '{"schema": 2, "tif": "1", "created": "x", "model_utility": 1' + "0" * 400 + "}",
        '{"schema": 2, "tif": "1", "created": "x", "parts": {"forget": {"n": 1' + "0" * 400 + ', "x": 1e400}}}',
        '{"schema": 2, "tif": "1", "created": "x", "config": ' + "[" * 90_000 + "]" * 90_000 + "}",
        '{"schema": 99999999999999999999999, "tif": "1", "created": "x"}',
        '{"schema": 1, "tif": "1", "created": 5}',
        '{"schema": 2, "tif": "1", "created": "x", "files": {"../../etc/passwd": 5}}',
    ],
)
def test_odd_records_are_one_line(tmp_path, content):
    for name, kind in (("eval.json", EvalRecord), ("run.json", RunRecord)):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError) as caught:
            kind.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(TifError):
        logs.read(str(tmp_path / "eval.json"))


@pytest.fixture
def head(tmp_path):
    path = tmp_path / "a.parquet"
    store.save(AnnotationSet((Example("a", "", "Ada met Bo.", (Span(0, 3),)),)), path)
    return path


def tif(*words, **more):
    return subprocess.run([sys.executable, "-m", "tif", *words], capture_output=True, timeout=60, check=False, **more)


@pytest.mark.parametrize("place", ["head", "sidecar", "version"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(cli, head, place):
    paths = {"head": head, "sidecar": Path(f"{head}.meta.json"), "version": next(head.parent.glob(".versions/*/0*"))}
    paths[place].unlink()
    os.mkfifo(paths[place])
    for command in ("show", "check", "log", "diff", "export"):
        done = cli("spans", command, head if command != "diff" else f"{head}@1")
        assert done.code in (0, 1, 2), done
        assert "unexpected" not in done.err
        if place == "head":
            assert done.code != 0
    assert cli("verify", head).code == 1
    if place == "head":
        assert cli("spans", "edit", head, "--no-browser").code == 1


def test_arguments_and_names_that_are_not_unicode_are_one_line(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = b"caf\xe9\xff"
    for words in (
        [b"spans", b"show", bad + b".parquet"],
        [b"spans", b"log", bad],
        [b"annotate", b"--method", b"manual", b"--dataset", bad + b".jsonl"],
        [b"annotate", b"--method", bad],
        [b"spans", b"show", b"a.parquet", b"--id", bad],
        [b"verify", bad],
        [b"report", bad, b"--out", bad],
        [bad],
    ):
        done = cli(*map(os.fsdecode, words))
        assert done.code in (1, 2), done
        assert "unexpected" not in done.err
        assert done.err.count("error:") == 1


def test_a_file_whose_name_is_not_unicode_is_read_and_written(tmp_path):
    data = bytes(tmp_path) + b"/caf\xe9.jsonl"
    Path(os.fsdecode(data)).write_text('{"question": "Who?", "answer": "Ada Lovelace."}')
    done = tif(b"annotate", b"--method", b"manual", b"--dataset", data, b"--out", data + b".parquet", cwd=tmp_path)
    assert b"Traceback" not in done.stderr
    assert b"unexpected" not in done.stderr
    assert done.returncode in (0, 1, 2)
