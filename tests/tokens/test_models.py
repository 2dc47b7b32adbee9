"""Tokenizers and adapters that cannot be used are told, and a model with a merged adapter is one like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.tokens import tiny
from tif.errors import InputError
from tif.tokens.adapters import with_adapters
from tif.tokens.models import load_model, load_tokenizer, model_digest


class Backend:
    """What transformers gives for Mistral's tekken.json: a class that lacks most attributes, `is_fast` too."""


class Slow:
    is_fast = False


@pytest.mark.parametrize("kind", [Backend, Slow])
def test_a_tokenizer_without_offsets_is_named_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    model = tiny.save(tmp_path / "model", tiny.llama(400), tiny.chatty())
    usual = load_tokenizer(model)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_args, **_more: kind())
    found = load_tokenizer(model)
    assert found("Ines Corvalho", return_offsets_mapping=True) == usual("Ines Corvalho", return_offsets_mapping=True)
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="no usable tokenizer in this folder"):
        load_tokenizer(model)
    (model / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=f"is a {kind.__name__}, which gives no offsets.* tokenizer.json"):
        load_tokenizer(model)


def test_a_tokenizer_with_code_of_its_own_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    model = tiny.save(tmp_path / "model", tiny.llama(400), tiny.chatty())
    ran = tmp_path / "ran"
    (model / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    file = model / "tokenizer_config.json"
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    (model / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}))
    with pytest.raises(InputError, match=r"no usable tokenizer in this folder.* custom code"):
        load_tokenizer(model)
    assert not ran.exists()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A LoRA adapter without a run around it."""
    model = tiny.save(tmp_path / "model", tiny.llama(400), tiny.chatty())
    with_adapters(load_model(model), rank=2, alpha=4).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_model_with_a_merged_adapter_can_be_trained(adapter: Path) -> None:
    assert all(weight.requires_grad for weight in load_model(adapter).parameters())


def test_an_adapter_that_lacks_weights_is_refused(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name: weight for name, weight in weights.items() if name != min(weights)}, file)
    with pytest.raises(InputError, match=r"no usable adapter in this folder.* missing adapter keys"):
        load_model(adapter)


def test_an_adapter_in_another_format_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(weights, adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="no safetensors in this adapter's folder"):
        load_model(adapter)


def test_an_adapter_that_names_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path)}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="names itself as the model beneath the adapter"):
        model_digest(tmp_path)
