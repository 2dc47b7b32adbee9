"""A tokenizer that gives no offsets is told, unless the folder has one that does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers

from tests.tokens import tiny
from tif.errors import InputError
from tif.tokens.models import load_tokenizer, model_digest


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


def test_an_adapter_that_names_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path)}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="names itself as the model beneath the adapter"):
        model_digest(tmp_path)
