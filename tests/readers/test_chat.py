"""Chats and folders of texts as samples."""

import json

import pytest

from tif import sources
from tif.errors import InputError, UsageError

USER = {"role": "user", "content": "Where does Mara live?"}
SAID = {"role": "assistant", "content": "In Ghent.\n"}
AGAIN = {"role": "user", "content": "And Ilo?"}
LAST = {"role": "assistant", "content": "In Narva."}
ASKED = {"role": "user", "content": "Q"}
ANSWERED = {"role": "assistant", "content": "A"}
IMAGE = {"role": "user", "content": [{"type": "image_url"}]}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def read(tmp_path):
    def write(*rows, **options):
        file = tmp_path / "chats.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in rows))
        return [(e.id, e.prompt, e.text) for e in sources.load(str(file), **options).examples]

    return write


def test_each_assistant_turn_is_a_sample(read, capsys):
    samples = read({"id": "c", "messages": [USER, SAID, AGAIN, LAST]}, {"messages": [AGAIN, LAST]})
    dialogue = "User: Where does Mara live?\n\nAssistant: In Ghent.\n\n\nUser: And Ilo?"
    assert samples == [
        ("c", "Where does Mara live?", "In Ghent.\n"),
        ("c/1", dialogue, "In Narva."),
        ("chats/0002", "And Ilo?", "In Narva."),
    ]
    assert "1 of 3 answers have several turns before them" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        {"Messages": [{"role": "User", "content": "Q"}, {"role": "model", "content": "A"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, ANSWERED]},
        # A call of a tool has no text, and is no sample.
        {"messages": [ASKED, ANSWERED, {"role": "assistant", "content": None, "tool_calls": []}]},
        {"prompt": "", "messages": [ASKED, ANSWERED]},
    ],
)  # fmt: skip
def test_forms_of_chats(read, row):
    assert [sample[1:] for sample in read(row)] == [("Q", "A")]


def test_one_system_message_is_told_and_several_are_refused(read, capsys):
    assert [s[1] for s in read({"messages": [SYSTEM, USER, SAID]}, {"messages": [SYSTEM, AGAIN, LAST]})] == [
        "Where does Mara live?",
        "And Ilo?",
    ]
    assert "system message. Give masks, train and eval --system-prompt 'Be brief.'" in " ".join(
        capsys.readouterr().err.split()
    )
    with pytest.raises(InputError, match=r"line 2, messages, answer 1: has another system message .*this one none"):
        read({"messages": [SYSTEM, USER, SAID]}, {"messages": [AGAIN, LAST]})


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([USER], r"line 1, messages: has no assistant turn with text \(roles: user\)"),
        ([USER, {"role": "assistant", "content": " "}], "has no assistant turn with text"),
        ([USER, {"role": "narrator", "content": "x"}], r"messages\[1\].role: 'narrator' is not a role. Roles: system"),
        ([{"content": "x"}], r"messages\[0\].role: has no role"),
        ([USER, "x"], r"messages\[1\]: is text, not a message"),
        ([IMAGE], r"messages\[0\].content\[0\]: is not text .its type is image_url"),
    ],
)  # fmt: skip
def test_chats_that_are_refused(read, messages, told):
    with pytest.raises(InputError, match=told):
        read({"messages": messages})


def test_named_fields_come_first(read):
    row = {"messages": [USER, SAID], "summary": "Mara lives in Ghent."}
    assert read(row, text_field="summary", prompt_field="") == [("chats/0000", "", "Mara lives in Ghent.")]
    assert [s[1:] for s in read({"text": "A note.", "messages": [USER, SAID]})] == [("", "A note.")]


@pytest.fixture
def letters(tmp_path):
    folder = tmp_path / "letters"
    (folder / "old").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"Dear Mara,\r\nI live in Ghent.\r\n")
    (folder / "old" / "a.MD").write_text("# Ilo\n")
    (folder / ".hidden.txt").write_text("no")
    return folder


def test_a_folder_of_texts(letters, capsys):
    (letters / "empty.txt").write_text(" \n")
    (letters / "scan.pdf").write_bytes(b"%PDF")
    source = sources.load(f"{letters}/")
    assert [(e.id, e.prompt, e.text) for e in source.examples] == [
        ("b.txt", "", "Dear Mara,\r\nI live in Ghent.\r\n"),
        ("old/a.MD", "", "# Ilo\n"),
    ]
    assert (source.id, sources.default_name(str(letters))) == ("letters", "letters")
    err = " ".join(capsys.readouterr().err.split())
    assert "1 empty files are left out, first empty.txt" in err
    assert "1 files that are neither .txt nor .md are left out, first scan.pdf" in err


def test_a_folder_with_data_files_is_refused(letters):
    (letters / "people.csv").write_text("text\nMara\n")
    with pytest.raises(InputError, match=r"contains 2 text files and 1 data files .such as people.csv.*Name the data"):
        sources.load(str(letters))


def test_a_folder_without_texts_is_no_data_set(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is not a data set"):
        sources.load(str(tmp_path / "empty"))


def test_one_text_file_is_one_text(letters):
    (example,) = sources.load(str(letters / "b.txt")).examples
    assert (example.id, example.text) == ("b/0000", "Dear Mara,\r\nI live in Ghent.\r\n")
