"""Journals of edits that a crash cut, that were damaged, or that an older tif wrote."""

import json
import random

import pytest

from tests.edit.bees import quotes
from tif.edit.desk import open_desk
from tif.edit.edits import Op
from tif.errors import StoreError
from tif.seal import sealed_line
from tif.sets import store


def test_a_line_torn_by_a_crash_is_dropped(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + '{"id":"e/0","op":"put","spans":[[0,3,"Ü'.encode()[:-1])
    with open_desk(path, "mara") as desk:
        assert "the last line is cut off and left out" in " ".join(capsys.readouterr().err.split())
        assert quotes(desk.session.card("e/0").example) == ["bees"]
    assert journal.read_bytes() == whole


PUT = '{"id":"e/0","op":"put","by":"","at":"","status":"auto","error":null,"spans":'


BAD_LINES = [
    "nonsense",
    "[" * 100_000,
    '{"id":"e/9","op":"put"}',
    '{"id":"e/0","op":"undo","by":"","at":""}',
    '{"id":"e/0","op":7,"by":"","at":""}',
    '{"id":"e/0","op":["undo"],"by":"","at":""}',
    '{"id":"e/0","op":"flag","by":{},"at":""}',
    '{"id":{},"op":"flag","by":"","at":""}',
    PUT + "null}",
    PUT + '[[0,3,"UW","x",NaN]]}',
    PUT + '[[0,3,"UW","x",null,1]]}',
    PUT + '[["0",3]]}',
    PUT + '[[0,3,"\\ud800"]]}',
    PUT + "[[0,3000]]}",
    PUT.replace('"auto"', "[]") + "[]}",
    "\udce9",
]


def sealed_too(line):
    """The line, and if it can have a seal, the line with a right one."""
    try:
        return [line, sealed_line(json.loads(line)).decode().rstrip()]
    except (ValueError, RecursionError):
        return [line]


@pytest.mark.parametrize("line", [each for line in BAD_LINES for each in sealed_too(line)])
def test_a_damaged_line_is_told_and_the_rest_goes_on(path, line, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("flag"))
    journal = store.folder(path) / "edit.jsonl"
    written = journal.read_bytes() + line.encode(errors="surrogateescape") + b"\n"
    journal.write_bytes(written)
    with open_desk(path, "mara") as desk:
        (told,) = (row for row in capsys.readouterr().err.splitlines() if "damaged and left out" in row)
        assert "line 3" in told
        assert desk.ids("flagged") == ["e/0"]
        assert quotes(desk.do("e/1", 0, Op("toggle", 3, 3)).example) == ["organs"]
    (kept,) = journal.parent.glob("edit.damaged-*.jsonl")
    assert kept.read_bytes() == written
    with open_desk(path, "mara") as desk:
        assert "left out" not in capsys.readouterr().err
        assert quotes(desk.session.card("e/1").example) == ["organs"]


@pytest.mark.parametrize(
    "changed",
    [
        {"base": "1"}, {"base": None}, {"base": "x" * 64}, {"flagged": 5}, {"flagged": [["e/0"]]}, {"flagged": None},
        {"sources": "ner"}, {"sources": [1]}, {"tif_edit": 1}, {"tif_edit": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_header_is_told_and_the_edits_are_used(path, changed, sealed, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    head, *rest = journal.read_bytes().splitlines(keepends=True)
    row = {**json.loads(head), **changed}
    journal.write_bytes((sealed_line(row) if sealed else json.dumps(row).encode() + b"\n") + b"".join(rest))
    with open_desk(path, "mara") as desk:
        assert "1 line is damaged and left out (line 1" in " ".join(capsys.readouterr().err.split())
        assert quotes(desk.session.card("e/0").example) == ["bees"]
    assert list(journal.parent.glob("edit.damaged-*.jsonl"))


def test_a_journal_of_an_older_tif_is_read_and_sealed(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("undo"))
        desk.do("e/1", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    rows = [json.loads(line) for line in journal.read_bytes().splitlines()]
    older = [{k: v for k, v in row.items() if k not in ("seal", "n")} for row in rows]
    older[0]["tif_edit"] = 1
    older[1:] = [{k: v for k, v in row.items() if k != "base"} for row in older[1:]]
    journal.write_text("".join(json.dumps(row) + "\n" for row in older))
    capsys.readouterr()
    for _ in range(2):
        with open_desk(path, "mara") as desk:
            assert "left out" not in capsys.readouterr().err
            assert quotes(desk.session.card("e/0").example) == []
            assert quotes(desk.session.card("e/1").example) == ["organs"]
            card = desk.do("e/0", desk.session.card("e/0").rev, Op("redo"))
            assert quotes(card.example) == ["bees"]
            desk.do("e/0", card.rev, Op("undo"))
    assert all("seal" in json.loads(line) for line in journal.read_bytes().splitlines())


def test_every_flipped_bit_of_a_journal_is_told(path, capsys):
    """No flip is taken for an edit: each record has what a prefix of its own edits left, and a warning is shown."""
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("toggle", 5, 5))
        desk.do("e/1", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    whole = journal.read_bytes()
    rng = random.Random(7)
    for _ in range(60):
        at = rng.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[at // 8] ^= 1 << at % 8
        journal.write_bytes(damaged)
        capsys.readouterr()
        with open_desk(path, "mara") as desk:
            told = capsys.readouterr().err
            assert quotes(desk.session.card("e/0").example) in ([], ["bees"], ["bees", "Skagen"])
            assert quotes(desk.session.card("e/1").example) in ([], ["organs"])
            everything = [["bees", "Skagen"], ["organs"]]
            left = [quotes(desk.session.card(id_).example) for id_ in ("e/0", "e/1")]
            assert "damaged and left out" in told or (left == everything and at // 8 == len(whole) - 1)
        for kept in journal.parent.glob("edit.damaged-*"):
            kept.unlink()


def test_an_undo_of_a_lost_edit_undoes_no_other(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
        desk.do("e/0", 1, Op("toggle", 5, 5))
        desk.do("e/0", 2, Op("undo"))
    journal = store.folder(path) / "edit.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"put"', b'"put "'), lines[3]]))
    with open_desk(path, "mara") as desk:
        told = " ".join(capsys.readouterr().err.split())
        assert "2 lines are damaged and left out" in told
        assert "Edits are missing before the last ones of e/0: look at them." in told
        assert quotes(desk.session.card("e/0").example) == ["bees"]


def test_a_journal_without_a_readable_line_is_kept_aside(path, capsys):
    with open_desk(path, "mara") as desk:
        desk.do("e/0", 0, Op("toggle", 3, 3))
    journal = store.folder(path) / "edit.jsonl"
    for content in (b"x\n", b"", b"\0" * 4096):
        journal.write_bytes(content)
        with open_desk(path, "mara") as desk:
            told = capsys.readouterr().err
            assert "left out" in told or "is empty" in told
            desk.do("e/0", 0, Op("toggle", 3, 3))


def test_what_is_no_file_is_no_journal(path):
    with open_desk(path, "mara"):
        pass
    journal = store.folder(path) / "edit.jsonl"
    journal.unlink()
    journal.mkdir()
    with pytest.raises(StoreError, match="cannot be read"), open_desk(path, "mara"):
        pass
