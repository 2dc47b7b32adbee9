"""The last answer of a reply counts. What comes before it, or in its place, is never taken for it."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest

from tif.annotate.judge.reply import ReplyError, read

DRAFT = '{"asked": "a draft", "unwanted": [{"text": "Wrenfold", "occurrence": null}]}'
EMPTY = '{"asked": "a draft", "unwanted": []}'
FINAL = '{"asked": "where", "unwanted": [{"text": "Kestrel Point", "occurrence": null}]}'
NONE = '{"asked": "nothing", "unwanted": []}'


def quoted(content: str) -> list[str]:
    return [quote.text for quote in read(content).quotes]


REASONED = [
    "<think>{draft}</think>{final}",
    "{draft}</think>\n{final}",
    "Maybe {draft}, or not.\n</THINK >\n```json\n{final}\n```",
    "<thinking>{draft}</thinking>{final}",
    '<antThinking depth="2">{draft}</antThinking> {final}',
    "{draft}</reasoning>{final}",
    "<thought>{draft}</thought><answer>{final}</answer>",
    "<reflection>{draft}</reflection><output>{final}</output>",
    "<scratchpad>\n{draft}\n</scratchpad>\n{final}",
    "<seed:think>{draft}</seed:think>{final}",
    "[THINK]{draft}[/THINK]{final}",
    "{draft}[/THINK]{final}",
    "◁think▷{draft}◁/think▷{final}",
    "<|begin_of_thought|>{draft}<|end_of_thought|><|begin_of_solution|>{final}<|end_of_solution|>",
    "<|START_THINKING|>{draft}<|END_THINKING|><|START_RESPONSE|>{final}<|END_RESPONSE|>",
    "<|inner_prefix|>{draft}<|inner_suffix|>{final}",
    "<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{final}<|return|>",
    "<|channel|>analysis<|message|>{draft}<|end|><|channel|>commentary<|message|>{draft}<|end|>"
    "<|channel|>final <|constrain|>json<|message|>{final}",
    "<|channel>thought\n{draft}<channel|>{final}",
    "analysisWe look for places. {draft}assistantfinal{final}",
    "Here is my thought process:\n{draft}\nHere is my response:\n{final}",
    "<think>a <think> tag {draft}</think> and {draft}</think>{final}",
]


@pytest.mark.parametrize("form", REASONED)
@pytest.mark.parametrize("draft", [DRAFT, EMPTY, '["Wrenfold"]', "[]", '{"unwanted": ["Wrenfold", "Wren'])
def test_reasoning_is_no_answer(form: str, draft: str) -> None:
    assert quoted(form.replace("{draft}", draft).replace("{final}", FINAL)) == ["Kestrel Point"]


@pytest.mark.parametrize("form", REASONED)
@pytest.mark.parametrize("end", ["", "I cannot say.", '{"asked": "wh', "{", '{"answer": ["Kestrel Point"]}'])
def test_reasoning_without_a_usable_answer_after_it_is_refused(form: str, end: str) -> None:
    with pytest.raises(ReplyError):
        read(form.replace("{draft}", DRAFT).replace("{final}", end))


@pytest.mark.parametrize("form", [form for form in REASONED if form.count("{draft}") == 1 and form[0] in "<[◁aH"])
def test_a_reply_that_breaks_off_in_its_reasoning_is_refused(form: str) -> None:
    with pytest.raises(ReplyError, match="only reasoning"):
        read(form[: form.index("{draft}")] + EMPTY)


@pytest.mark.parametrize(
    "between", ["\n", "\nFinal: ", "\n\nWait, that is wrong.\n", "\n```\nCorrected:\n```json\n", " "]
)
@pytest.mark.parametrize("draft", [DRAFT, EMPTY, "Draft: []", 'Draft: ["Wrenfold"]', "Draft: {no JSON}"])
def test_of_two_answers_the_last_counts(draft: str, between: str) -> None:
    assert quoted(draft + between + FINAL) == ["Kestrel Point"]
    assert quoted(f"{draft}{between}{NONE}") == []


def test_of_two_bare_lists_the_last_counts() -> None:
    assert quoted('Draft: []\nFinal: ["Kestrel Point"]') == ["Kestrel Point"]
    assert quoted('["Wrenfold"]\n["Kestrel Point", {"text": "9 May"}]') == ["Kestrel Point", "9 May"]


@pytest.mark.parametrize(
    "end",
    [
        '\nFinal: {"asked": "where", "unw',
        "\nFinal: {",
        '\nFinal: {"asked": "where", "unwanted": 7}',
        '\nFinal: {"unwanted": [{"quote": "Kestrel Point"}]}',
        "\nFinal: nothing is unwanted.",
        "\nFinal answer: Kestrel Point.",
        "</think>Kestrel Point.",
    ],
)
@pytest.mark.parametrize("draft", [DRAFT, EMPTY, '["Wrenfold"]'])
def test_a_draft_never_stands_for_an_answer_that_cannot_be_read(draft: str, end: str) -> None:
    with pytest.raises(ReplyError):
        read(draft + end)


@pytest.mark.parametrize(
    "content",
    [
        f"Draft: {EMPTY}",
        f"Here is a first draft:\n```json\n{DRAFT}",
        "I cannot read this text [].",
        'Draft: ["Wrenfold"]\nFinal: []',
        '["Wrenfold"]\nSee [1] as well.',
        '{"text": "Kestrel Point"}\n{"text": "9 May"}',
        '[{"unwanted": ["Kestrel Point"]}]',
        '{"unwanted": null}',
    ],
)
def test_what_may_be_no_answer_is_refused(content: str) -> None:
    with pytest.raises(ReplyError):
        read(content)


@pytest.mark.parametrize(
    ("content", "quotes"),
    [
        ("[]", []),
        ("```json\n[]\n```", []),
        (f"<answer>{FINAL}</answer>", ["Kestrel Point"]),
        (f"<json>\n{FINAL}\n</json>", ["Kestrel Point"]),
        (f"{FINAL}\n<explanation>It is a place, not {DRAFT}.</explanation>", ["Kestrel Point"]),
        (f"{FINAL}\n\nThis is my final answer. I left out [1] and {{no}}.", ["Kestrel Point"]),
        # Marks inside a quote are words of the sample.
        ('{"unwanted": ["the tag <think>", "[/THINK]", "<|channel|>final"]}', 3),
        ('{"unwanted": [{"text": "{\\"unwanted\\": []}"}]}', ['{"unwanted": []}']),
        # Half a surrogate pair is told as a quote that the text lacks.
        ('{"unwanted": ["Kestrel \\ud83d Point"]}', ["Kestrel ? Point"]),
        ('{"unwanted": [], "unwanted": ["Kestrel Point"]}', ["Kestrel Point"]),
    ],
)
def test_answers_that_look_odd_are_read(content: str, quotes: list[str] | int) -> None:
    found = quoted(content)
    assert (found if isinstance(quotes, list) else len(found)) == quotes


@pytest.mark.parametrize(
    ("content", "quotes"),
    [
        ('{"asked": "x", "unwanted": [{"text": "Kestrel Point"}, {"text": "9 M', ["Kestrel Point"]),
        ('{"unwanted": ["Kestrel Point", "9 May", "at no', ["Kestrel Point", "9 May"]),
        ('{"unwanted": [{"text": "Kestrel Point"},]}', ["Kestrel Point"]),
        (f'{DRAFT}\nFinal: {{"unwanted": ["Kestrel Point", "9', ["Kestrel Point"]),
        ('{"draft": ' + DRAFT + ', "unwanted": ["Kestrel Point", ', ["Kestrel Point"]),
        ('["Kestrel Point", "9 M', ["Kestrel Point"]),
    ],
)
def test_an_answer_that_broke_off_keeps_the_quotes_before_the_break(content: str, quotes: list[str]) -> None:
    reply = read(content)
    assert ([quote.text for quote in reply.quotes], reply.complete) == (quotes, False)


@pytest.mark.parametrize(
    "content",
    [
        '{"' * 100_000,
        '{"a":' * 40_000,
        '["' * 100_000,
        '["a",' * 40_000,
        '{"unwanted": [' + '"a",' * 45_000,
        '{"unwanted": [}' * 13_000,
        "<think>" * 28_000,
        "< " * 100_000,
        "<|channel|>" + "a" * 190_000,
        "<think" + " " * 190_000,
        "final " * 33_000,
        "draft " * 33_000 + "{}",
        '{"unwanted": [9' + "9" * 190_000 + "]}",
    ],
)
def test_no_reply_takes_long(content: str) -> None:
    began = time.process_time()
    with suppress(ReplyError):
        read(content)
    assert time.process_time() - began < 2


def test_reasoning_with_many_brackets_is_looked_through() -> None:
    thought = " ".join(f"{{step {n}}} [{n}] {{}}" for n in range(3_000))
    assert quoted(f"{thought} {FINAL}") == ["Kestrel Point"]
    assert json.loads(FINAL)["unwanted"][0]["text"] == "Kestrel Point"
