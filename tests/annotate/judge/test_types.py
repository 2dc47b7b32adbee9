"""The judge names entity types, if it is asked to."""

import json

import pytest

from tests.annotate.judge.judging import GOOD, example, judge
from tests.annotate.judge.server import Say, Server
from tif.annotate.judge.prompt import SHOTS, JudgePrompt, schema
from tif.annotate.judge.reply import read
from tif.entities import ENTITY_TYPES


def reply(*rows):
    return json.dumps({"asked": "x", "unwanted": [{"text": t, "occurrence": None, "type": type_} for t, type_ in rows]})


@pytest.mark.parametrize("types", [True, False])
def test_a_quotes_type_becomes_the_label_if_it_was_asked_for(types):
    said = reply(("Ilse Brandvold", "person"), ("born", None), ("Kestrel Point", "Harbour"), ("in", 3))
    labels = [quote.label for quote in read(said, types=types).quotes]
    assert labels == (["PERSON", "UW", "UW", "UW"] if types else ["UW"] * 4)


def test_the_request_asks_for_types_and_the_spans_have_them():
    with Server(lambda _: Say(reply(("Ilse Brandvold", "PERSON"), ("Kestrel Point", "LOCATION")))) as server:
        (done,) = judge(server, types=True).annotate([example(0, GOOD)])
        body = server.requests[0].body
    assert [(done.quote(s), s.label, s.source) for s in done.spans] == [
        ("Ilse Brandvold", "PERSON", "llm:judge"),
        ("Kestrel Point", "LOCATION", "llm:judge"),
    ]
    item = body["response_format"]["json_schema"]["schema"]["properties"]["unwanted"]["items"]
    assert item["properties"]["type"]["anyOf"][0]["enum"] == list(ENTITY_TYPES)
    assert "type" in item["required"]
    task = body["messages"][0]["content"]
    assert "  GOV_ID: numbers that a state gives" in task
    assert '"type": "OCCUPATION"' in body["messages"][1]["content"]


def test_the_usual_prompt_does_not_mention_types():
    plain, typed = JudgePrompt(), JudgePrompt(types=True)
    assert plain.sha256 != typed.sha256
    assert "type" not in json.dumps(plain.messages("", "")[1:])
    assert "type" not in schema(types=False)["properties"]["unwanted"]["items"]["properties"]
    assert all(len(shot.types) in (0, len(shot.quotes)) for shot in SHOTS)
