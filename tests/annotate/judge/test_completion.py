"""What is read of a chat completion: the answer strictly, its cost as far as it can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.annotate.judge.judging import BAD, example, judge, texts
from tests.annotate.judge.server import Raw, Server, quotes
from tif.annotate.judge.batch_replies import BatchReply
from tif.annotate.judge.cache import Usage
from tif.annotate.judge.completion import Completion, CompletionError, parse, usage_of

ANSWER = quotes("bees").content or ""


def body(content: Any = ANSWER, usage: Any = None, **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": "stop"}], "usage": usage}


@pytest.mark.parametrize(
    "content",
    [
        ANSWER,
        [{"type": "text", "text": ANSWER}],
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Bees, or []?"}]},
            {"type": "text", "text": ANSWER},
        ],
        [{"type": "reasoning", "text": '{"unwanted": []}'}, {"type": "output_text", "text": ANSWER}],
        [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": {"value": ANSWER, "annotations": []}}],
        [{"text": ANSWER[:9]}, {"type": "text", "text": ANSWER[9:]}],
        [ANSWER[:20], ANSWER[20:]],
        {"type": "text", "text": ANSWER},
    ],
)
def test_text_parts_are_the_answer_and_thoughts_are_not(content: Any) -> None:
    assert Completion.of(body(content)).content == ANSWER


def test_a_refusal_may_be_a_part() -> None:
    assert Completion.of(body([{"type": "refusal", "refusal": "No."}])).refusal == "No."
    assert Completion.of(body(refusal="No.")).refusal == "No."
    assert Completion.of(body(refusal=None)).refusal is Completion.of(body(refusal=False)).refusal is None
    assert Completion.of(body(None)).content == ""


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"text": ANSWER}]},
        body(7),
        body([7]),
        body([{"type": "text"}]),
        body([{"type": "text", "text": ["x"]}]),
    ],
)
def test_another_form_is_no_completion(wrong: Any) -> None:
    with pytest.raises(CompletionError):
        Completion.of(wrong)


@pytest.mark.parametrize(
    ("usage", "prompt", "completion"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}, 100, 10),
        ({"prompt_tokens": 812.25, "completion_tokens": 2.0}, 813, 2),
        ({"prompt_tokens": "812", "completion_tokens": "2.5"}, 812, 3),
        ({"prompt_tokens": None, "completion_tokens": None}, 0, 0),
        ({"prompt_tokens": 7, "completion_tokens": None}, 7, 0),
        ({"prompt_tokens": -5, "completion_tokens": 2**63}, 0, 0),
        ({"prompt_tokens": 10**4000, "completion_tokens": 1e300}, 0, 0),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, 0, 0),
        ({"prompt_tokens": True, "completion_tokens": [3]}, 0, 0),
        ({"prompt_tokens": "many", "completion_tokens": "9" * 5000}, 0, 0),
        ({"input_tokens": 30, "output_tokens": 4}, 30, 4),
        # The tokens of some servers' reasoning are in the total only.
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 400}, 100, 300),
        ({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 2**70}, 100, 10),
        ([100, 10], 0, 0),
        ("110", 0, 0),
        (None, 0, 0),
    ],
)
def test_counts_are_read_as_far_as_they_go(usage: Any, prompt: int, completion: int) -> None:
    expected = Usage(requests=1, prompt_tokens=prompt, completion_tokens=completion)
    assert usage_of(body(usage=usage)) == expected
    assert usage_of({"usage": usage}) == expected, "a body without an answer has cost the same"


@pytest.mark.parametrize(
    "text", [b"", b"<html>", b"{", b"\xff\xfe\xff", b"[" * 100_000, b'{"n": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_json_is_none(text: bytes) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "overloaded"}},
        {"choices": []},
        {"choices": [{"message": {"content": 7}}]},
        {"choices": [{"message": {"content": "no JSON here"}}]},
        {"choices": [{"message": {"content": None, "reasoning_content": "I thought and thought."}}]},
        {"choices": [{"message": {"content": None, "refusal": "No."}}]},
    ],
)
def test_an_unusable_answer_has_cost_its_tokens_and_counts_toward_the_limit(
    answer: dict[str, Any], tmp_path: Path
) -> None:
    raw = Raw(json.dumps({**answer, "usage": {"prompt_tokens": 1000, "completion_tokens": 50}}).encode())
    with Server(lambda request: raw) as server:
        annotator = judge(server, concurrency=1, max_tokens_total=5_000, cache=tmp_path / "judge.sqlite")
        marked = list(annotator.annotate([example(n, f"{BAD} {n}") for n in range(12)]))
        usage = annotator.describe()["usage"]
    assert len(server.requests) == 5, "the fifth answer reaches the limit"
    assert usage == {"requests": 5, "prompt_tokens": 5_000, "completion_tokens": 250, "cached_replies": 0}
    assert {e.status for e in marked} == {"failed"}
    assert "--max-tokens-total" in (marked[-1].error or "")


@pytest.mark.parametrize("usage", [{"prompt_tokens": 2**63, "completion_tokens": 1}, {"prompt_tokens": 1.5}, None, []])
def test_an_odd_count_beside_a_good_answer_does_no_harm(usage: Any, tmp_path: Path) -> None:
    with Server(lambda request: Raw(json.dumps(body(usage=usage)).encode())) as server:
        (marked,) = judge(server, cache=tmp_path / "judge.sqlite").annotate([example(0, BAD)])
    assert (texts(marked), marked.error, len(server.requests)) == (["bees"], None, 1)


def test_an_unusable_reply_of_a_batch_counts_too() -> None:
    row = {"response": {"status_code": 200, "body": {"choices": [], "usage": {"prompt_tokens": 9}}}}
    reply = BatchReply.of(row)
    assert (reply.completion, reply.spent) == (None, Usage(requests=1, prompt_tokens=9))
    row["response"]["status_code"] = 500
    assert BatchReply.of(row).spent == Usage()
