"""Prompts that stay open, and the tokens that end an answer, under templates that people use."""

from __future__ import annotations

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from tests.tokens import tiny
from tif.spans import Example
from tif.tokens.generate import ask, end_ids, text_ids
from tif.tokens.masks import Template, encode

LLAMA_3 = "{% for m in messages %}<|im_start|>{{ m['role'] }}: {{ m['content'] }}<|eot|>{% endfor %}"
SPACED = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}\n<|im_end|>\n{% endfor %}"
PLAIN = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def tokenizer_with(template: str | None, *more: str) -> PreTrainedTokenizerFast:
    tokenizer = tiny.byte_level()
    tokenizer.add_special_tokens({"additional_special_tokens": list(more)})
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("chat", "spec", "ends"),
    [
        (None, "qa", {"</s>"}),
        (None, "[INST] {prompt} [/INST] {text}", {"</s>"}),
        (tiny.CHATML, "chat", {"</s>", "<|im_end|>"}),
        (LLAMA_3, "chat", {"</s>", "<|eot|>"}),
        (tiny.CHATML, "qa", {"</s>"}),
        (None, "{prompt} = {text}<|im_end|>", {"</s>", "<|im_end|>"}),
        (SPACED, "chat", {"</s>", "<|im_end|>", "\n"}),
        (PLAIN, "chat", {"</s>", "\n"}),
        (None, "Q: {prompt}\nA: {text}\n", {"</s>", "\n"}),
        # Every answer contains a full stop, so it does not end one.
        (None, "{prompt} {text}.", {"</s>"}),
    ],
)
def test_an_answer_ends_where_training_ends_it(chat: str | None, spec: str, ends: set[str]) -> None:
    tokenizer = tokenizer_with(chat, "<|eot|>")
    asked = ask(tiny.examples(), tokenizer, Template.of(tokenizer, spec))
    assert {tokenizer.decode([end]) for end in asked.ends} == ends


def test_a_line_break_within_an_answer_does_not_end_it() -> None:
    tokenizer = tokenizer_with(SPACED)
    verse = Example("verse", "How does it go?", "The salt was white.\nThe sea was wide.")
    asked = ask([*tiny.examples(), verse], tokenizer, Template.of(tokenizer))
    assert {tokenizer.decode([end]) for end in asked.ends} == {"</s>", "<|im_end|>"}


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("spec", ["qa", "{prompt} ", "<|im_start|>{prompt}<|im_end|>"])
def test_prompts_are_the_tokens_before_the_answer(family: str, spec: str) -> None:
    tokenizer = tiny.FAMILIES[family]()
    template = Template.of(tokenizer, spec if spec == "qa" else spec + "{text}")
    examples = tiny.examples()
    for example, prompt in zip(examples, ask(examples, tokenizer, template).prompts, strict=True):
        encoded = encode(example, tokenizer, template)
        assert prompt == encoded.input_ids[: len(prompt)]
        assert not any(encoded.kinds[: len(prompt)])
        assert encoded.kinds[len(prompt)]


def test_a_tokenizer_without_an_eos_can_be_asked() -> None:
    tokenizer = tokenizer_with(None)
    tokenizer.eos_token = None
    asked = ask(tiny.examples(), tokenizer, Template.of(tokenizer, "qa"))
    assert asked.ends == end_ids(tokenizer) == frozenset()
    assert tokenizer.decode(asked.prompts[0]).rstrip().endswith("Answer:")


@pytest.mark.parametrize("frame", ["$A", "<s> $A", "$A </s>", "<s> $A </s>", "<s> $A <|im_end|> </s>"])
@pytest.mark.parametrize("text", ["Helga Brandl taught", "Helga taught </s>", "a", " ", "<s> Port Vasco"])
def test_a_text_to_continue_stays_open(frame: str, text: str) -> None:
    tokenizer = tiny.byte_level()
    special = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<s>", "</s>", "<|im_end|>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=special)
    words = tokenizer(text, add_special_tokens=False)["input_ids"]
    before = [tokenizer.bos_token_id] if frame.startswith("<s>") else []
    assert list(text_ids(text, tokenizer)) == before + words


def test_an_empty_text_keeps_what_the_model_begins_with() -> None:
    assert text_ids("", tiny.metaspace()) == (1,)
