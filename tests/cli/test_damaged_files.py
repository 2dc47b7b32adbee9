"""Damaged run records, logs and model folders: one line each, never a traceback."""

import json
import random

import pytest

from tests.sets.formats.test_malformed import damaged_bytes, damaged_value
from tif.errors import TifError
from tif.eval.compare import logs
from tif.records import RunRecord
from tif.tokens.models import load_model, load_tokenizer, model_digest
from tif.train import record

RUN = {
    "schema": 1,
    "status": "finished",
    "tif": "0.1.0",
    "config": {"masks": "a.parquet", "model": "m", "lr": 1e-5, "beta": None},
    "masks": {"path": "a.parquet", "version": 2, "digest": "ab" * 32},
    "model": {"path": "m", "digest": "cd" * 32},
    "sessions": [{"started": "2026-01-01", "seconds": 2.0}],
    "steps": 4,
}
PART = {
    "avg_gt_loss": [0.5, 0.7],
    "gt_loss": [5.0, 7.0],
    "num_token_gt": [10, 10],
    "rougeL_recall": [0.5, 1.0],
    "average_perturb_loss": [[1.0, 2.0], [2.0, 1.5]],
    "avg_paraphrased_loss": [0.4, 0.9],
    "generated_text": [["[INST] Who? [/INST]", "Ilo", "Ilo."], ["[INST] Where? [/INST]", "Narva", "Narva."]],
}
NAMES = ("eval_log.json", "eval_real_author_wo_options.json", "eval_real_world_wo_options.json", "eval_log_forget.json")
LOG = dict.fromkeys(NAMES, PART)
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "vocab_size": 20}


def one_line(call, *args):
    try:
        call(*args)
    except TifError as error:
        told = str(error)
    else:
        return None
    assert "\n" not in told
    return told


def damaged(value, dice):
    if dice.random() < 0.5:
        return damaged_bytes(json.dumps(value).encode(), dice)
    return json.dumps(damaged_value(value, dice)).encode()


@pytest.mark.parametrize("block", range(4))
def test_damaged_run_records_are_refused_in_one_line_or_read(tmp_path, block):
    dice, told = random.Random(block), 0
    for _ in range(50):
        (tmp_path / "run.json").write_bytes(damaged(RUN, dice))
        told += one_line(RunRecord.of_folder, tmp_path) is not None
        told += one_line(record.read, tmp_path) is not None
    assert told > 10


@pytest.mark.parametrize("block", range(4))
def test_damaged_logs_are_refused_in_one_line_or_read(tmp_path, block):
    dice, told = random.Random(block), 0
    for _ in range(50):
        (tmp_path / "log.json").write_bytes(damaged(LOG, dice))
        told += one_line(logs.read, str(tmp_path / "log.json")) is not None
    assert told > 10


def test_damaged_model_folders_are_refused_in_one_line(tmp_path):
    dice = random.Random(5)
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_bytes(damaged(CONFIG, dice))
        (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
        (folder / "tokenizer.json").write_bytes(damaged_bytes(b'{"version": "1.0", "model": {"type": "BPE"}}', dice))
        assert one_line(load_model, str(folder)) is not None
        assert one_line(load_tokenizer, str(folder)) is not None
        one_line(model_digest, str(folder))


@pytest.mark.parametrize("seed", range(12))
def test_commands_say_it_in_one_line(cli, tmp_path, seed):
    dice = random.Random(seed)
    run, log = tmp_path / "run", tmp_path / "log.json"
    run.mkdir()
    (run / "run.json").write_bytes(damaged_bytes(json.dumps(RUN).encode(), dice))
    log.write_bytes(damaged_bytes(json.dumps(LOG).encode(), dice))
    forget = tmp_path / "forget.jsonl"
    forget.write_text('{"question": "Who?", "answer": "Ilo."}')
    for command in (
        ["eval", run, "--benchmark", "local", "--forget", forget],
        ["eval", "--import-log", log, "--json"],
        ["report", run],
        ["train", "--masks", tmp_path / "no.parquet", "--model", run, "--out", run],
    ):
        result = cli(*command)
        assert result.code in (0, 1, 2)
        assert "Traceback" not in result.err
        assert "this failure is unexpected" not in result.err
        assert result.code == 0 or result.err.count("error:") == 1 or result.code == 2
