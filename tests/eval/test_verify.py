"""Verify: every digest of the chain is recomputed, and what was tampered with is named."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from tests.eval.conftest import make_llama, make_row, make_tokenizer
from tif.eval.verify import verify
from tif.seal import sealed
from tif.sets import store
from tif.spans import AnnotationSet
from tif.train.options import TrainOptions

CHAT = (
    "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
)
ROWS = [make_row(index, plain=True) for index in range(4)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A starting model, a set of two versions, a finished run, and its evaluation."""
    from tif.eval.evaluate import evaluate
    from tif.eval.options import EvaluateOptions
    from tif.train.run import train

    root = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tokenizer = make_tokenizer()
        tokenizer.chat_template = CHAT
        make_llama(len(tokenizer)).save_pretrained("start")
        tokenizer.save_pretrained("start")
        examples = [row.texts()[0] for row in ROWS]
        first = store.save(AnnotationSet(tuple(examples)), "people.parquet", author="ada")
        corrected = first.replaced([replace(first.examples[0], status="accepted")])
        store.save(corrected, "people.parquet", author="bo", message="looked at one")
        train(TrainOptions(masks="people.parquet", model="start", out="run", objective="npo", max_steps=2, cpu=True))
        lines = [json.dumps({"question": row.question, "answer": row.answer}) for row in ROWS]
        Path("forget.jsonl").write_text("\n".join(lines))
        evaluate(EvaluateOptions(model="run", benchmark="local", forget="forget.jsonl", max_new_tokens=4))
    return root


@pytest.fixture
def copy(chain, tmp_path, monkeypatch):
    shutil.copytree(chain, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def failed(*paths):
    return [check for path in paths for check in verify(path) if not check.passed]


@pytest.mark.usefixtures("copy")
def test_an_untouched_chain_is_verified(cli):
    done = cli("verify", "run", "people.parquet", "--json")
    report = json.loads(done.out)
    assert (done.code, report["verified"]) == (0, True)
    names = {check["name"] for check in report["checks"] if check["state"] == "ok"}
    assert {"run/run.json", "run/model/model.safetensors", "run/model/tokenizer.json", "run/log.jsonl"} <= names
    assert {"run/eval/eval.json", "run/eval/examples.parquet", "run/eval/parts/forget.scores.parquet"} <= names
    assert "the numbers in run/eval/eval.json" in names
    assert {"people.parquet", "people.parquet.meta.json", "the starting model start"} <= names
    assert sum(name.startswith(".versions/people/000") for name in names) == 2
    assert cli("report", "run", "--out", "report.html").code == 0
    assert "Verified: " in Path("report.html").read_text()


def edit(path, **changes):
    content = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps(content | changes))


def flip(path, offset=-1):
    data = bytearray(Path(path).read_bytes())
    data[offset] ^= 4
    Path(path).write_bytes(data)


def swap_model():
    shutil.copy("start/model.safetensors", "run/model/model.safetensors")


def change_tokenizer():
    content = json.loads(Path("run/model/tokenizer_config.json").read_text())
    Path("run/model/tokenizer_config.json").write_text(json.dumps(content | {"padding_side": "left"}))


TAMPERED = {
    "model": (swap_model, "run/model/model.safetensors"),
    "weight": (lambda: flip("run/model/model.safetensors"), "run/model/model.safetensors"),
    "objective": (lambda: edit("run/run.json", objective={"beta": 9.0}), "run/run.json"),
    "digest": (lambda: edit("run/run.json", model={"path": "start", "digest": "0" * 64}), "run/run.json"),
    "steps": (lambda: edit("run/run.json", steps=200), "run/run.json"),
    "provenance": (lambda: edit("run/run.json", provenance={"method": {"name": "manual"}}), "run/run.json"),
    "tokenizer": (change_tokenizer, "run/model/tokenizer_config.json"),
    "headline": (lambda: edit("run/eval/eval.json", uw_probability=0.0), "run/eval/eval.json"),
    "an added file": (lambda: Path("run/model/extra.safetensors").write_text("x"), "run/model/extra.safetensors"),
    "an answer": (lambda: flip("run/eval/examples.parquet", 40), "run/eval/examples.parquet"),
    "scores": (lambda: flip("run/eval/parts/forget.scores.parquet", 40), "run/eval/parts/forget.scores.parquet"),
    "a removed log": (lambda: Path("run/log.jsonl").unlink(), "run/log.jsonl"),
}


@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize("name", list(TAMPERED))
def test_tampering_is_named(cli, name):
    tamper, place = TAMPERED[name]
    tamper()
    assert place in [check.name for check in failed("run")]
    done = cli("verify", "run")
    assert done.code == 1
    assert any(place in line and not line.startswith("ok") for line in done.out.splitlines())
    report = cli("report", "run", "--out", "report.html")
    assert report.code == 1 or "Not verified: run." in Path("report.html").read_text()
    if not place.startswith("run/eval"):
        again = cli("eval", "run", "--benchmark", "local", "--forget", "forget.jsonl")
        assert again.code == 1
        assert place in again.err


@pytest.mark.usefixtures("copy")
def test_a_pipe_in_the_place_of_weights_is_named_and_the_rest_is_checked(cli):
    import os

    Path("start/model.safetensors").unlink()
    os.mkfifo("start/model.safetensors")
    (check,) = failed("run")
    assert (check.name, check.state) == ("the starting model start", "differs")
    assert check.detail == "it is a pipe or a device, not a file"
    assert cli("verify", "run").code == 1


@pytest.mark.usefixtures("copy")
def test_another_tokenizer_of_the_starting_model_is_noticed():
    assert failed("run") == []
    content = json.loads(Path("start/tokenizer_config.json").read_text())
    Path("start/tokenizer_config.json").write_text(json.dumps(content | {"chat_template": "{{ messages }}"}))
    Path("start/chat_template.jinja").unlink(missing_ok=True)
    (check,) = failed("run")
    assert (check.name, check.state) == ("the starting model start", "differs")
    assert check.detail == "its tokenizer, chat template or generation config changed"


@pytest.mark.usefixtures("copy")
def test_another_model_of_the_same_size_and_time_is_noticed():
    """A digest that trusts path, size and time of change gives one model's numbers for another."""
    import os

    path = Path("start/model.safetensors")
    before = path.stat()
    tensors = load_file(path)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "the starting model start" in [check.name for check in failed("run")]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_sealed_again_is_not_noticed_but_a_signature_is(copy, cli):
    """A seal finds damage, not a person who seals again. A signature finds both."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", "key"], check=True)
    Path("signers").write_text(f"ada@lab.example {Path('key.pub').read_text()}")
    assert cli("verify", "run", "people.parquet", "--sign", "key").code == 0
    done = cli("verify", "run", "people.parquet", "--signers", "signers")
    assert done.code == 0
    assert done.out.count("signed by ada@lab.example") == 2
    content = json.loads(Path("run/run.json").read_text())
    content["objective"]["beta"] = 9.0
    Path("run/run.json").write_text(json.dumps(sealed(content)))
    assert "run/run.json" not in [check.name for check in failed("run")]
    lines = cli("verify", "run", "--signers", "signers").out.splitlines()
    assert next(line for line in lines if "run/run.json.sig" in line).startswith("differs ")
    Path("other").write_text("")
    assert "its signer is not in other" in cli("verify", "people.parquet", "--signers", "other").out


HEADLINES = {
    "uw_probability": lambda record: record.update(uw_probability=0.0),
    "gw_probability": lambda record: record.update(gw_probability=0.999),
    "parts.forget.rougeL_recall": lambda record: record["parts"]["forget"].update(rougeL_recall=0.55),
    "parts.forget.n": lambda record: record["parts"]["forget"].update(n=400),
    "leakage.forget.written": lambda record: record["leakage"]["forget"].update(written=3),
    "model_utility": lambda record: record.update(model_utility=0.7, model_utility_reason=None),
    "forget_quality": lambda record: record.update(forget_quality=0.99, forget_quality_reason=None),
    "per_example.forget.answer[0]": lambda record: record["per_example"]["forget"]["answer"].__setitem__(0, "x"),
}
"""Edits of an evaluation that is then sealed again, by the number that is named."""


@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize("number", HEADLINES)
def test_a_number_that_was_sealed_again_is_compared_with_its_examples(cli, number):
    path = Path("run/eval/eval.json")
    content = json.loads(path.read_text())
    HEADLINES[number](content)
    path.write_text(json.dumps(sealed(content)))
    (check,) = failed("run/eval")
    assert check.name == f"the numbers in {path}"
    assert check.detail.startswith(f"{number} is ")
    assert check.detail.endswith(" by examples.parquet")
    assert cli("verify", "run").code == 1
    assert cli("report", "run", "--out", "report.html").code == 0
    assert "Not verified: run." in Path("report.html").read_text()


@pytest.mark.usefixtures("copy")
def test_a_run_of_an_older_tif_is_not_called_verified(cli):
    content = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(
        json.dumps({k: v for k, v in content.items() if k not in ("seal", "outputs")} | {"schema": 3})
    )
    states = {check.name: check.state for check in verify("run")}
    assert (states["run/run.json"], states["run/model"]) == ("unsealed", "unsealed")
    assert cli("verify", "run").code == 1


def versions():
    return sorted(Path(".versions/people").glob("*.parquet"))


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def rewrite(path, **changes):
    """Another author or date in the metadata, all else as it was."""
    table = pq.read_table(path)
    content = json.loads(table.schema.metadata[b"tif"])
    blob = json.dumps(content | changes)
    pq.write_table(table.replace_schema_metadata({b"tif": blob}), path, compression="zstd")


@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda: cut(versions()[0]), ".versions/people/0001"),
        (lambda: cut(versions()[1]), ".versions/people/0002"),
        (lambda: rewrite(versions()[0], author="eve"), ".versions/people/0001"),
        (lambda: rewrite(Path("people.parquet"), created="2020-01-01T00:00:00+00:00"), "people.parquet"),
        (lambda: rewrite(Path("people.parquet"), method={"name": "manual"}), "people.parquet"),
        (lambda: versions()[0].unlink(), "version 2"),
        (lambda: edit("people.parquet.meta.json", author="eve"), "people.parquet.meta.json"),
        (lambda: versions()[0].rename(".versions/people/0001-000000000000.parquet"), ".versions/people/0001-0000"),
    ],
)
def test_damage_to_a_set_is_named(cli, damage, place):
    damage()
    assert any(check.name.startswith(place) for check in failed("people.parquet"))
    assert cli("verify", "people.parquet").code == 1
    done = cli("spans", "check", "people.parquet")
    assert done.code == 1
    assert place in done.out


@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize("later", [0, 1])
def test_a_head_that_was_put_back_is_told(cli, later):
    """One version back looks like a save that was killed. Several versions back do not."""
    for number in range(later):
        head = store.load("people.parquet")
        store.save(
            head.replaced([replace(head.examples[1], status=("rejected", "accepted")[number])]), "people.parquet"
        )
    shutil.copy(versions()[0], "people.parquet")
    Path("people.parquet.meta.json").unlink()
    done = cli("verify", "people.parquet")
    assert done.code == min(later, 1)
    told = "so the head was put back" if later else "a save was interrupted, or the head was put back"
    assert f"people.parquet: is version 1, but version {2 + later} was written after it" in done.out
    assert told in done.out
    assert cli("spans", "check", "people.parquet").code == min(later, 1)


@pytest.mark.usefixtures("copy")
def test_what_is_no_run_and_no_set_is_one_line(cli):
    Path("empty").mkdir()
    assert "contains no run and no evaluation" in cli("verify", "empty").err
    assert "no such annotation set" in cli("verify", "nobody.parquet").err
    assert cli("verify", "people.parquet@1").code == 0
