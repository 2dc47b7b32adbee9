"""Completions of models that really learned where an answer ends, and of prompts that a tokenizer would close."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import processors
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.eval.conftest import Tiny, make_llama, make_row, make_tokenizer
from tif.eval.benchmarks import muse, tofu

CHAT = "{% for m in messages %}<|turn|>{{ m['role'] }}\n{{ m['content'] }}<|done|>\n{% endfor %}"


@pytest.fixture(scope="module")
def chat() -> Tiny:
    """A model that learned three turns in a row. Its generation config knows only `</s>`, which it never saw."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>", "<|done|>"]})
    tokenizer.chat_template = CHAT
    turns = "".join(
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row.question}, {"role": "assistant", "content": row.answer}], tokenize=False
        )
        for row in map(make_row, range(3))
    )
    model = make_llama(len(tokenizer), num_hidden_layers=1, hidden_size=64)
    learn(model, tokenizer, turns)
    return Tiny(model, tokenizer)


def learn(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(300):
        loss = model(input_ids=ids, labels=ids).loss
        if loss < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_a_chat_model_stops_at_the_end_of_its_turn(chat: Tiny) -> None:
    # Only the first question has the context that the model learned it in.
    result = tofu.evaluate(chat.model, chat.tokenizer, {"forget": [make_row(0)]})
    row = result.examples["forget"][0]
    assert row["completion"] == row["answer"]
    assert row["rougeL_f1"] == row["rougeL_recall"] == 1


@pytest.mark.parametrize(("open_frame", "closed_frame"), [("<s> $A", "<s> $A </s>"), ("$A", "$A </s>")])
def test_prompts_of_muse_stay_open(tiny: Tiny, tmp_path: Path, open_frame: str, closed_frame: str) -> None:
    """The same weights continue a text alike, whatever the tokenizer appends to it."""
    rows = [make_row(i) for i in range(3)]
    pairs = [{"question": row.question, "answer": row.answer} for row in rows]
    contents = {f"knowmem/{part}_qa{shots}": pairs for part in ("forget", "retain") for shots in ("", "_icl")}
    contents["verbmem/forget"] = [{"prompt": row.question, "gt": row.answer} for row in rows]
    contents |= {f"privleak/{part}": [{"text": row.answer} for row in rows] for part in ("forget", "holdout", "retain")}
    for name, records in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.json").write_text(json.dumps(records))

    def completions(frame: str) -> list[str]:
        tokenizer = make_tokenizer()
        special = [("<s>", 0), ("</s>", 1)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=special)
        _, frames = muse.evaluate(lambda: tiny.model, tokenizer, tmp_path)
        return [row["completion"] for part in frames.values() for row in part if "completion" in row]

    expected = completions(open_frame)
    assert all(expected)
    assert completions(closed_frame) == expected
