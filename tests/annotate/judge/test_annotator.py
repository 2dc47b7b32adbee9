"""The judge against a server that does everything bad on cue: every outcome is defined, no record is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.annotate.judge.judging import BAD, GOOD, example, judge, texts
from tests.annotate.judge.server import (
    Drip,
    Half,
    Hang,
    Outcome,
    Raw,
    Request,
    Reset,
    Say,
    Script,
    Server,
    Status,
    quotes,
)
from tests.conftest import Result
from tif.annotate.judge.annotator import LlmAnnotator
from tif.annotate.judge.options import JudgeOptions
from tif.errors import ServerError, UsageError
from tif.sets import store
from tif.spans import Example


def by_id(marked: Iterable[Example]) -> dict[str, Example]:
    done = list(marked)
    assert len({e.id for e in done}) == len(done)
    return {e.id: e for e in done}


def run(outcomes: list[Outcome], text: str = BAD, **options: Any) -> tuple[Example, Server]:
    """One bad record among four good ones, which must all come out right."""

    def script(request: Request) -> Outcome:
        if request.text != BAD and request.text != text:
            return quotes("Kestrel Point")
        return outcomes[min(served(request), len(outcomes) - 1)]

    def served(request: Request) -> int:
        return request.tries

    others = [example(n, GOOD + " " * n + str(n)) for n in range(4)]
    with Server(script) as server:
        # The good ones go first, so that negotiation is over: what is tested is one record's trouble.
        annotator = judge(server, concurrency=1, **options)
        marked = by_id(annotator.annotate([*others, example(9, text)]))
    assert all(texts(marked[e.id]) == ["Kestrel Point"] and marked[e.id].error is None for e in others)
    assert len(marked) == 5
    return marked["t/9"], server


def test_quotes_become_spans_with_their_source_and_usage_is_counted() -> None:
    with Server(lambda request: quotes("Kestrel Point", "Ilse Brandvold")) as server:
        annotator = judge(server)
        (marked,) = annotator.annotate([example(0, GOOD)])
        described = annotator.describe()
    assert texts(marked) == ["Ilse Brandvold", "Kestrel Point"]
    assert {span.source for span in marked.spans} == {"llm:judge"}
    assert (marked.status, marked.error) == ("auto", None)
    assert described["usage"] == {"requests": 1, "prompt_tokens": 100, "completion_tokens": 10, "cached_replies": 0}
    assert described["observed"]["response_format"] == "json_schema"
    json.dumps(described, allow_nan=False)


@pytest.mark.parametrize(
    "reply",
    [
        "```json\n{}\n```",
        "Sure! Here it is:\n\n{}\n\nLet me know {{if}} you need more [help].",
        "<think>Is it {{bees}}? Yes.</think>\n{}",
        "```\n{}",
    ],
)
def test_fences_and_prose_are_looked_through(reply: str) -> None:
    marked, server = run([Say(reply.replace("{{", "{").replace("}}", "}").replace("{}", quotes("bees").content or ""))])
    assert (texts(marked), marked.error) == (["bees"], None)
    assert server.asked(BAD) == 1


def test_a_reply_cut_off_twice_keeps_what_came_and_says_so() -> None:
    complete = quotes("bees", "Ravensmoor", "Piet Okonjo").content or ""
    marked, server = run([Say(complete[: complete.index("Piet")], finish="length")])
    assert texts(marked) == ["bees", "Ravensmoor"]
    assert marked.status == "auto"
    assert "broke off" in (marked.error or "")
    assert server.asked(BAD) + sum(bool(r.again) for r in server.requests) >= 2


def test_a_reply_cut_off_once_is_made_good_by_the_second() -> None:
    complete = quotes("bees", "Ravensmoor").content or ""
    calls: list[str] = []

    def script(request: Request) -> Outcome:
        calls.append(request.again)
        return quotes("bees", "Ravensmoor") if len(calls) > 1 else Say(complete[:-25], finish="length")

    with Server(script) as server:
        (marked,) = judge(server).annotate([example(0, BAD)])
    assert (texts(marked), marked.error) == (["bees", "Ravensmoor"], None)
    assert "broke off" in calls[1]


@pytest.mark.parametrize(
    "reply",
    [
        '{"asked": "where", "unwanted": [',
        '{"asked": "where", "unwanted": []}</think>I am not sure.',
        '<think>{"asked": "where", "unwanted": []}',
        'Draft: {"unwanted": []} Final: {"asked": "whe',
    ],
)
def test_an_answer_that_never_came_fails_and_is_not_taken_for_no_words(reply: str) -> None:
    marked, server = run([Say(reply, finish="length")])
    assert (marked.status, texts(marked), server.asked(BAD)) == ("failed", [], 2)
    assert "reply" in (marked.error or "")
    mended, _ = run([Say(reply, finish="length"), quotes("bees")])
    assert (texts(mended), mended.error) == (["bees"], None)


def test_prose_without_json_fails_after_one_more_try() -> None:
    marked, server = run([Say("I think the bees are the unwanted part.")])
    assert marked.status == "failed"
    assert "no JSON" in (marked.error or "")
    assert server.asked(BAD) == 2


def test_json_of_another_form_fails_naming_the_field() -> None:
    marked, _ = run([Say('{"unwanted": [{"occurrence": 3}]}')])
    assert marked.status == "failed"
    assert "unwanted.0.text" in (marked.error or "")


@pytest.mark.parametrize("reply", [Say(None, refusal="I cannot help."), Say("", finish="content_filter")])
def test_a_refusal_fails_the_record_and_is_not_argued_with(reply: Say) -> None:
    marked, server = run([reply])
    assert marked.status == "failed"
    assert "refused" in (marked.error or "")
    assert server.asked(BAD) == 1


def test_a_quote_that_is_not_there_is_asked_for_once_more_by_name() -> None:
    marked, server = run([quotes("bees", "Ravens Moor City"), quotes("bees", "Ravensmoor")])
    assert (texts(marked), marked.error) == (["bees", "Ravensmoor"], None)
    assert "Ravens Moor City" in server.requests[-1].again


def test_a_quote_that_stays_away_is_left_for_review() -> None:
    marked, server = run([quotes("bees", "a castle"), quotes("bees", "a castle")])
    assert (texts(marked), marked.status) == (["bees"], "auto")
    assert "'a castle' is not in the text" in (marked.error or "")
    assert len(server.requests) == 6


def test_first_or_all_mentions_as_asked_for() -> None:
    text = "All bees hum. The bees' keeper hears bees."
    with Server(lambda request: quotes(("bees", 1))) as server:
        (one,) = judge(server).annotate([example(0, text)])
        (every,) = judge(server, mentions="all").annotate([example(0, text)])
        with pytest.raises(UsageError, match="'each'"):
            judge(server, mentions="each")
    assert [(span.start, span.end) for span in one.spans] == [(18, 22)]
    assert texts(every) == ["bees"] * 3


def test_a_quote_that_the_judge_withdraws_is_still_told() -> None:
    marked, _ = run([quotes("bees", "a castle"), quotes("bees")])
    assert "a castle" in (marked.error or "")


def test_a_wrong_occurrence_is_never_taken_for_the_first() -> None:
    marked, _ = run([quotes(("bees", 4))])
    assert texts(marked) == []
    assert "occurrence 4" in (marked.error or "")


def test_empty_duplicate_and_overlapping_quotes_say_nothing_new() -> None:
    marked, server = run([quotes("", "  ", "bees", "bees", "keeps bees", "bees in Ravensmoor")])
    assert (texts(marked), marked.error) == (["keeps bees in Ravensmoor"], None)
    assert server.asked(BAD) == 1


def test_ten_megabytes_fail_one_record() -> None:
    marked, _ = run([Say("x" * 10_000_000)])
    assert marked.status == "failed"
    assert "10,000,000 characters" in (marked.error or "")


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"", b"[]", b'{"choices": []}', b'{"choices": [{"mess'])
def test_a_body_that_is_no_completion_is_asked_for_again(body: bytes) -> None:
    failed, server = run([Raw(body)])
    assert (failed.status, server.asked(BAD)) == ("failed", 2)
    assert "not a chat completion" in (failed.error or "")
    marked, _ = run([Raw(body), quotes("bees")])
    assert texts(marked) == ["bees"]


def test_a_pause_of_more_than_two_minutes_is_not_waited_for() -> None:
    marked, server = run([Status(429, "come back tomorrow", headers={"retry-after": "3600"})])
    assert (marked.status, server.asked(BAD)) == ("failed", 1)
    assert "429: come back tomorrow" in (marked.error or "")


def test_retry_after_is_honoured() -> None:
    began = time.monotonic()
    marked, server = run([Status(429, headers={"retry-after": "2"}), quotes("bees")])
    assert (texts(marked), server.asked(BAD)) == (["bees"], 2)
    assert time.monotonic() - began >= 2.0


@pytest.mark.parametrize("outcome", [Status(500), Status(503), Reset(), Half(), Hang(), Drip()])
def test_a_hiccup_is_retried_and_a_lasting_fault_fails_one_record(outcome: Outcome) -> None:
    marked, _ = run([outcome, quotes("bees")], timeout=0.7, max_retries=1)
    assert (texts(marked), marked.error) == (["bees"], None)
    failed, server = run([outcome], timeout=0.7, max_retries=1)
    assert failed.status == "failed"
    assert failed.error
    assert server.asked(BAD) == 2, "one layer of retries: the first try and one more"


def test_a_400_fails_one_record_at_once() -> None:
    marked, server = run([Status(400, "context length exceeded")])
    assert (marked.status, server.asked(BAD)) == ("failed", 1)
    assert "context length exceeded" in (marked.error or "")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Status(401, "Incorrect API key provided: sk-secret"), "refuses the key with status 401"),
        (Status(403), "refuses the key with status 403"),
        (Status(404, "The model `judge` does not exist"), "no model 'judge'"),
        (Status(429, "quota", error_code="insufficient_quota"), "quota is used up"),
    ],
)
def test_what_no_retry_can_mend_stops_at_once_and_keeps_what_is_finished(
    outcome: Outcome, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    def script(request: Request) -> Outcome:
        return quotes("Kestrel Point") if request.text == GOOD else outcome

    finished: list[Example] = []
    with Server(script) as server:
        stream = judge(server, concurrency=1, max_retries=0).annotate(
            [example(n, t) for n, t in enumerate([GOOD, BAD, BAD + "!"])]
        )
        with pytest.raises(ServerError) as caught:
            finished.extend(stream)
    line = str(caught.value)
    assert words in line
    assert "\n" not in line
    assert "sk-secret" not in line
    assert [e.id for e in finished] == ["t/0"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [401, 404])
def test_the_command_stops_with_one_line_and_goes_on_from_what_is_finished(
    code: int, cli: Callable[..., Result], tmp_path: Path
) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "set.parquet"
    given = [example(n, text) for n, text in enumerate([GOOD, BAD, GOOD + " 2", GOOD + " 3"])]
    data.write_text("".join(json.dumps({"prompt": e.prompt, "text": e.text}) + "\n" for e in given))
    broken = True

    def script(request: Request) -> Outcome:
        return Status(code, "no") if request.text == BAD and broken else quotes("Kestrel Point", "bees")

    with Server(script) as server:
        command = ["annotate", "--method", "llm", "--model", "judge", "--base-url", server.url, "--dataset", data]
        command += ["--out", out, "--concurrency", 1, "--max-retries", 0, "--json"]
        stopped = cli(*command)
        assert (stopped.code, stopped.out) == (1, "")
        assert len([line for line in stopped.err.splitlines() if line.startswith("error: ")]) == 1
        assert "Traceback" not in stopped.err
        broken = False
        done = json.loads(cli(*command).out)
        assert done["reused"] >= 1
        assert (done["reused"] + done["new"], done["failed"]) == (4, 0)
        # The bad text twice, each good one once; the quote that a text lacks is asked for again.
        assert server.asked(GOOD) == 2
        # Every answered request counts in what is saved, those that asked a second time too.
        usage = store.load(out).provenance.method["usage"]
        assert usage["requests"] == len(server.requests) - 1
        assert usage["prompt_tokens"] == 100 * usage["requests"]
        asked = len(server.requests)
        assert json.loads(cli(*command).out)["reused"] == 4
        assert len(server.requests) == asked, "a finished run asks nothing"


def test_a_server_that_takes_no_request_at_all_is_given_up() -> None:
    with Server(lambda request: Status(400, "judge is not a valid model")) as server:
        annotator = judge(server, concurrency=4, max_retries=0)
        marked: list[Example] = []
        with pytest.raises(ServerError, match="16 requests in a row failed") as caught:
            marked.extend(annotator.annotate([example(n, f"{BAD} {n}") for n in range(60)]))
    assert "not a valid model" in str(caught.value)
    assert len({request.text for request in server.requests}) < 30
    assert all(e.status == "failed" for e in marked)


def test_a_server_that_is_not_there_stops_at_once() -> None:
    with Server(lambda request: quotes()) as server:
        url = server.url
    annotator = LlmAnnotator(JudgeOptions(model="judge", base_url=url, max_retries=0))
    with pytest.raises(ServerError, match="no server answers"):
        list(annotator.annotate([example(0, GOOD)]))


def test_a_server_that_fails_everything_is_given_up() -> None:
    with Server(lambda request: Status(500)) as server:
        annotator = judge(server, concurrency=4, max_retries=0, response_format="text")
        marked: list[Example] = []
        with pytest.raises(ServerError, match="16 requests in a row failed"):
            marked.extend(annotator.annotate([example(n, f"{BAD} {n}") for n in range(60)]))
    assert len(server.requests) < 30
    assert all(e.status == "failed" for e in marked)


def _takes(*forms: str, code: int) -> Script:
    return lambda request: quotes("bees") if request.form in forms else Status(code, "response_format not supported")


@pytest.mark.parametrize("code", [400, 422, 500])
@pytest.mark.parametrize("form", ["json_object", "text"])
def test_the_form_of_answers_is_found_out_once(code: int, form: str) -> None:
    with Server(_takes(form, code=code)) as server:
        annotator = judge(server, concurrency=4, max_retries=1)
        marked = list(annotator.annotate([example(n, f"{BAD} {n}") for n in range(12)]))
    assert all(texts(e) == ["bees"] for e in marked)
    assert annotator.describe()["observed"]["response_format"] == form
    wasted = sum(request.form != form for request in server.requests)
    assert wasted == (1 if code < 500 else 2) * (1 if form == "json_object" else 2)


def test_options_that_a_model_does_not_take_are_left_out() -> None:
    def script(request: Request) -> Outcome:
        if "max_tokens" in request.body:
            return Status(400, "Unsupported parameter: use 'max_completion_tokens' instead")
        if "temperature" in request.body:
            return Status(400, "Unsupported value: 'temperature' does not support 0")
        return quotes("bees")

    with Server(script) as server:
        marked = list(judge(server).annotate([example(n, f"{BAD} {n}") for n in range(3)]))
    assert all(texts(e) == ["bees"] for e in marked)
    assert len(server.requests) == 5


def test_the_first_record_hanging_does_not_hold_up_the_others() -> None:
    with Server(lambda request: Hang() if request.text == BAD else quotes("Kestrel Point")) as server:
        annotator = judge(server, concurrency=4, timeout=0.5, max_retries=1)
        marked = by_id(annotator.annotate([example(0, BAD), *(example(n, f"{GOOD} {n}") for n in range(1, 9))]))
    assert marked["t/0"].status == "failed"
    assert all(texts(marked[f"t/{n}"]) == ["Kestrel Point"] for n in range(1, 9))


def test_requests_under_way_are_bounded_and_results_come_as_they_finish() -> None:
    with Server(lambda request: quotes("bees"), latency=0.2) as server:
        annotator = judge(server, concurrency=5)
        began = time.monotonic()
        stream = annotator.annotate([example(n, f"{BAD} {n}") for n in range(20)])
        next(stream)
        assert len(server.requests) < 20
        assert len(list(stream)) == 19
        assert time.monotonic() - began < 20 * 0.2, "one after the other would take longer"


def test_leaving_early_ends_the_requests() -> None:
    with Server(lambda request: quotes("bees"), latency=0.05) as server:
        stream = judge(server, concurrency=2).annotate([example(n, f"{BAD} {n}") for n in range(200)])
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        seen = len(server.requests)
        time.sleep(0.3)
        assert len(server.requests) == seen < 20


def test_a_text_of_white_space_needs_no_judge() -> None:
    with Server(lambda request: Status(500)) as server:
        (marked,) = judge(server).annotate([example(0, " \n")])
    assert (marked.spans, marked.status, server.requests) == ((), "auto", [])


def test_long_texts_are_judged_in_pieces_and_offsets_point_into_the_whole() -> None:
    sentences = [f"On day {n} the keeper 👩‍👩‍👧 saw light number {n * 7919} at sea." for n in range(60)]
    text = "\r\n".join(sentences)

    def script(request: Request) -> Outcome:
        return quotes(*(f"light number {n * 7919}" for n in range(60) if f"number {n * 7919} at" in request.text))

    with Server(script) as server:
        (marked,) = judge(server, chunk_chars=500, overlap_chars=80).annotate([example(0, text)])
    assert texts(marked) == [f"light number {n * 7919}" for n in range(60)]
    assert marked.error is None
    assert len(server.requests) > 5
    assert all(len(request.text) <= 500 for request in server.requests)


def test_one_bad_piece_fails_the_record_and_keeps_the_others_spans() -> None:
    text = "The bees hum. " * 40

    def script(request: Request) -> Outcome:
        return Status(400, "no") if len(server.requests) == 2 else quotes("bees")

    with Server(script) as server:
        (marked,) = judge(server, chunk_chars=200, overlap_chars=0, concurrency=1).annotate([example(0, text)])
    assert marked.status == "failed"
    assert "characters " in (marked.error or "")
    assert len(marked.spans) >= 2
