"""Prompt and text of a record: no part of a question is lost without a word."""

import pytest

from tif.errors import InputError
from tif.readers.fields import Fields

ASKED = "Where does Wanda Petrosyan keep bees?"
SAID = "On the roof of the mill."


@pytest.mark.parametrize(
    "question", ["question", "prompt", "instruction", "query", "input", "q", "Question", " PROMPT "]
)
@pytest.mark.parametrize("text", ["answer", "response", "output", "completion", "text", "content", "target", "Answer"])
def test_every_usual_pair_is_read_in_any_case(question, text):
    assert Fields().read({"id": "b/1", question: ASKED, text: SAID, "level": "1"}) == (ASKED, SAID)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Shorten it.", "input": "Bees\nand", "output": SAID}, "Shorten it.\nBees\nand"),
        ({"instruction": "Name a bee.", "input": "", "output": SAID}, "Name a bee."),
        ({"instruction": "", "input": "Name a bee.", "output": SAID}, "Name a bee."),
        ({"Instruction": "Shorten it.", "Input": "Bees.", "Output": SAID}, "Shorten it.\nBees."),
        ({"instruction": ASKED, "context": " ", "response": SAID}, ASKED),
        ({"question": ASKED, "history": [], "system": None, "answer": SAID}, ASKED),
        ({"question": ASKED, "prompt": ASKED, "answer": SAID}, ASKED),
        ({"instruction": ASKED, "output": SAID, "text": f"### {ASKED}\n### {SAID}"}, ASKED),
        ({"question": "", "answer": SAID}, ""),
        ({"answer": SAID, "id": "b/1"}, ""),
        ({"text": SAID, "title": "Bees", "url": "https://bees.example"}, ""),
        ({"text": SAID, "spans": [], "answer": "accept"}, ""),
    ],
)  # fmt: skip
def test_the_prompt_is_all_of_the_question(row, expected):
    assert Fields().read(row) == (expected, SAID)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"question": ASKED, "context": "It is old.", "answer": SAID}, "'context'.*--prompt-field context,question"),
        ({"instruction": ASKED, "Context": "The mill is old.", "response": SAID}, "'Context'"),
        ({"question": ASKED, "system_prompt": "Be brief.", "response": SAID}, "'system_prompt'"),
        ({"instruction": ASKED, "history": [["Hi", "Hello"]], "output": SAID}, "'history'"),
        ({"question": ASKED, "choices": ["roof", "cellar"], "answer": SAID}, "'choices'"),
        ({"question": ASKED, "text": "The mill is old.", "answer": SAID}, "'text' may be part"),
        ({"question": ASKED, "document": "The mill is old.", "answer": SAID}, "'document' may be part"),
        ({"text": SAID, "context": "The mill is old."}, "'context'.*--prompt-field \"\""),
        ({"question": ASKED, "prompt": "Answer: " + ASKED, "answer": SAID}, "'question' and 'prompt'"),
        ({"query": ASKED, "input": "bees", "output": SAID}, "'query' and 'input'"),
        ({"frage": ASKED, "answer": SAID}, "'answer'.*no field is recognised as the question.*frage"),
        ({"text": ASKED, "answer": SAID}, "'answer'.*no field is recognised as the question.*text"),
        ({"title": ASKED, "response": SAID}, "'response'.*no field is recognised as the question.*title"),
        ({"Question": ASKED, "question": ASKED, "answer": SAID}, "differ only in case"),
        ({"question": ["Where?"], "answer": SAID}, "question: is a list, not text"),
        ({"question": None, "answer": SAID}, "question: is null, not text"),
        ({"question": ASKED, "answer": " "}, "answer: is empty"),
        ({"messages": [{"role": "user", "content": ASKED}]}, "messages: is a chat .*each assistant turn as a record"),
        ({"id": 1, "Conversations": [{"from": "human"}]}, "Conversations: is a chat"),
        ({"frage": ASKED, "antwort": SAID}, "the text field is not recognised.*frage, antwort"),
    ],
)  # fmt: skip
def test_what_may_be_part_of_the_question_is_named(row, named):
    with pytest.raises(InputError, match=named):
        Fields().read(row)


def test_a_user_names_the_fields():
    row = {"question": ASKED, "context": "The mill is old.", "hint": None, "answer": "A", "antwort": SAID}
    named = Fields.named
    assert named("question", "antwort").read(row) == (ASKED, SAID)
    assert named("context, question", "antwort").read(row) == (f"The mill is old.\n{ASKED}", SAID)
    assert named("question,hint", "antwort").read(row) == (ASKED, SAID)
    assert named("", "antwort").read(row) == ("", SAID)
    assert named("question").read(row) == (ASKED, "A")
    with pytest.raises(InputError, match="no field 'contxt'"):
        named("contxt,question").read(row)
    with pytest.raises(InputError, match="hint: is null"):
        named("hint").read(row)


def test_a_named_text_keeps_its_question():
    assert Fields.named(text="antwort").read({"question": ASKED, "antwort": SAID}) == (ASKED, SAID)
    assert Fields.named(text="antwort").read({"frage": ASKED, "antwort": SAID}) == ("", SAID)
    with pytest.raises(InputError, match="'context' may be part"):
        Fields.named(text="antwort").read({"question": ASKED, "context": "Old.", "antwort": SAID})
