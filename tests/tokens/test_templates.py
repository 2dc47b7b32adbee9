"""The date and the system prompt of a chat: the same tokens on every day, and those of the peers' presets."""

from __future__ import annotations

import datetime

import pytest

from tests.tokens import tiny
from tif.errors import MaskError, UsageError
from tif.spans import Example
from tif.tokens.encoding import Encoder, Encoding
from tif.tokens.masks import encode
from tif.tokens.templates import FIXED_DATE, PRESETS, ChatDate, Template

HEAD = (
    "{%- if not date_string is defined %}{%- set date_string = CLOCK %}{%- endif %}"
    "{%- if messages[0].role == 'system' %}{%- set system = messages[0].content %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- endif %}"
    "<|im_start|>system\nToday Date: {{ date_string }}\n\n{{ system }}<|im_end|>"
)
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>{% endfor %}"
CLOCKED = HEAD.replace("CLOCK", 'strftime_now("%d %b %Y")') + TURNS
"""As Llama 3.2: it asks the clock."""
DATED = HEAD.replace("CLOCK", '"26 Jul 2024"') + TURNS
"""As Llama 3.1: a fixed date of its own."""
ISO = (
    "<s>{% macro day() %}{{ strftime_now('%A, %-d %B %y') }}{% endmacro %}{{ day() }} {{ strftime_now('%Y-%m-%d') }} "
    "{{ strftime_now('%H:%M') }}" + TURNS
)
"""As others: another form, and no `date_string`."""
PERSON = Example("p", "Where does Wanda live?", "In Gyumri.")


def tokenizer_with(template: str):
    tokenizer = tiny.byte_level()
    tokenizer.chat_template = template
    return tokenizer


def text_of(tokenizer, template: Template) -> str:
    return str(tokenizer.decode(encode(PERSON, tokenizer, template).input_ids))


@pytest.mark.parametrize(
    ("chat", "usual", "given"),
    [
        (CLOCKED, "Today Date: 26 Jul 2024\n", "Today Date: 03 Feb 2031\n"),
        (DATED, "Today Date: 26 Jul 2024\n", "Today Date: 03 Feb 2031\n"),
        (ISO, "Friday, 26 July 24 2024-07-26 00:00", "Monday, 3 February 31 2031-02-03 00:00"),
    ],
)
def test_the_date_is_fixed_or_given_and_never_today(chat: str, usual: str, given: str) -> None:
    tokenizer = tokenizer_with(chat)
    today = datetime.datetime.now(datetime.UTC).date()
    for date, expected in ((None, usual), ("2031-02-03", given), ("03 Feb 2031", given)):
        template = Template.of(tokenizer, date=ChatDate.of(date) if date else None)
        text = text_of(tokenizer, template)
        assert expected in text
        assert str(today) not in text
        assert today.strftime("%d %b %Y") not in text
    assert str(Template.of(tokenizer).today) == str(FIXED_DATE) == "2024-07-26"


def test_a_system_prompt_begins_the_chat() -> None:
    tokenizer = tokenizer_with(CLOCKED)
    template = Template.of(tokenizer, "chat", system_prompt="Say ANSWER briefly.")
    assert "\n\nSay ANSWER briefly.<|im_end|><|im_start|>user\nWhere" in text_of(tokenizer, template)
    assert template.key != Template.of(tokenizer, "chat").key
    encoder = Encoder.of(tokenizer, Encoding(system_prompt="Say ANSWER briefly."))
    assert encoder.template == template
    # Plain text has no chat.
    plain = Example("x", "", "In Gyumri.")
    assert encode(plain, tokenizer, template) == encode(plain, tokenizer, Template.of(tokenizer, "chat"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_open_unlearnings(name: str) -> None:
    """Its `template_args`: system prompt "You are a helpful assistant.", `date_string: 10 Apr 2025`."""
    tokenizer = tokenizer_with(CLOCKED)
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": PERSON.prompt},
        {"role": "assistant", "content": PERSON.text},
    ]
    theirs = tokenizer.apply_chat_template(turns, date_string="10 Apr 2025", return_dict=False)
    item = encode(PERSON, tokenizer, Template.of(tokenizer, name))
    assert list(item.input_ids) == theirs
    changed = Template.of(tokenizer, name, date=ChatDate.of("2026-01-01"))
    assert "01 Jan 2026\n\nYou are a helpful assistant." in text_of(tokenizer, changed)
    with pytest.raises(UsageError, match=f"--template: is {name}, but the tokenizer has no chat template"):
        Template.of(tiny.byte_level(), name)


STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"


@pytest.mark.parametrize(
    ("chat", "options", "line"),
    [
        (tiny.CHATML, {"date": "2025-01-01"}, "--date: does nothing here .*does not write it"),
        (TURNS.replace("m.content", "''"), {"system_prompt": "Hi"}, None),
        ("{{ messages[-1].content }}", {"system_prompt": "Hi"}, "--system-prompt: does nothing here"),
        (STRICT + TURNS, {"system_prompt": "Hi"}, "--system-prompt: cannot be used .*System role not supported"),
        (CLOCKED, {"system_prompt": "Hi", "template": "qa"}, "--system-prompt: does nothing .*for a chat template"),
        (CLOCKED, {"date": "2025-01-01", "template": "text"}, "--date: does nothing here .*for a chat template"),
        (CLOCKED, {"date": "yesterday"}, "'yesterday' cannot be read. Write it as 2025-04-10"),
        (CLOCKED, {"date": "2025-13-01"}, "cannot be read"),
    ],
)  # fmt: skip
def test_what_a_template_does_not_write_is_refused(chat: str, options: dict[str, str], line: str | None) -> None:
    if line is None:
        Encoder.of(tokenizer_with(chat), Encoding(**options))
        return
    with pytest.raises(UsageError, match=line):
        Encoder.of(tokenizer_with(chat), Encoding(**options))


def test_a_template_that_fails_is_one_line() -> None:
    tokenizer = tokenizer_with("{{ raise_exception('Only tools') }}")
    with pytest.raises(MaskError, match=r"cannot be used \(Only tools\).*--template qa"):
        encode(PERSON, tokenizer, Template.of(tokenizer))
