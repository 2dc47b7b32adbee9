"""Offsets in four units: read as told, and doubted where they cut words."""

import json

import pytest
from hypothesis import given

from tests.strategies import texts
from tif.errors import InputError
from tif.sets import formats
from tif.sets.formats.offsets import UNITS, Offsets

FAMILY = "👨‍👩‍👧"
TEXTS = {
    "an emoji": "🙂 Pelle Strand sells maps in Örnby.",
    "a family": f"{FAMILY} Pelle Strand sells maps in Örnby.",
    "line ends": "Noté\r\n\r\nPelle Strand\r\nsells maps in Örnby.",
    "accents": "Café Ö, e\u0301: Pelle Strand sells maps in Örnby.",
}
WORDS = ("Pelle Strand", "Örnby")


def counted(text, point, unit):
    """The offset as each language counts it."""
    before = text[:point]
    if unit == "utf16":
        return len(before.encode("utf-16-le")) // 2
    if unit == "utf8":
        return len(before.encode())
    if unit == "grapheme":
        import regex

        return len(regex.findall(r"\X", before))
    return point


def label(text, unit):
    starts = [(text.index(word), text.index(word) + len(word)) for word in WORDS]
    return [[counted(text, start, unit), counted(text, end, unit), "UW"] for start, end in starts]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("format_", ["doccano", "spacy", "tif", "prodigy"])
def test_every_unit_is_read_when_told(tmp_path, unit, name, format_):
    file, text = tmp_path / "in.jsonl", TEXTS[name]
    spans = label(text, unit)
    objects = [{"start": start, "end": end, "label": name} for start, end, name in spans]
    row = {
        "doccano": {"label": spans},
        "spacy": {"entities": spans},
        "tif": {"spans": objects},
        "prodigy": {"spans": objects, "answer": "accept"},
    }[format_]
    file.write_text(json.dumps({"text": text, **row}))
    (record,) = formats.read(file, format_, offset_unit=unit)
    assert tuple(text[s.start : s.end] for s in record.spans) == WORDS


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("unit", UNITS)
def test_another_unit_is_asked_for_not_guessed(tmp_path, unit, name):
    """Read without a unit, the words are right or the file is refused with the unit that fits."""
    file, text = tmp_path / "in.jsonl", TEXTS[name]
    file.write_text(json.dumps({"text": text, "label": label(text, unit)}))
    if label(text, unit) == label(text, "utf16"):
        (record,) = formats.read(file, "doccano")
        assert tuple(text[s.start : s.end] for s in record.spans) == WORDS
    else:
        with pytest.raises(InputError, match=rf"in\.jsonl, line 1.*--offset-unit .*{unit}"):
            formats.read(file, "doccano")


def test_the_command_line_names_the_unit(tmp_path, cli):
    file, text = tmp_path / "in.jsonl", TEXTS["line ends"]
    file.write_text(json.dumps({"text": text, "label": label(text, "grapheme")}))
    path = tmp_path / "a.parquet"
    refused = cli("spans", "import", file, "--into", path)
    assert refused.code == 1
    assert "cuts a word" in refused.err
    assert cli("spans", "import", file, "--into", path, "--offset-unit", "grapheme").code == 0
    shown = cli("spans", "show", path, "--json")
    assert [s["text"] for s in json.loads(shown.out)[0]["spans"]] == list(WORDS)


def test_words_beside_the_offsets_prove_the_unit(tmp_path):
    """A span may cut a word on purpose: with its own words in the file nobody doubts it."""
    file, text = tmp_path / "in.jsonl", "🙂 Pelle Strandberg"
    span = {"start": 2, "end": 14, "text": "Pelle Strand"}
    file.write_text(json.dumps({"text": text, "spans": [span]}))
    (record,) = formats.read(file)
    assert text[record.spans[0].start : record.spans[0].end] == "Pelle Strand"
    file.write_text(json.dumps({"text": text, "spans": [span], "offset_unit": "utf16"}))
    with pytest.raises(InputError, match="but the text is 'Pelle Strand'"):
        formats.read(file)


def test_label_studio_names_the_unit_that_agrees_with_its_words(tmp_path):
    file, text = tmp_path / "in.json", TEXTS["line ends"]
    start, end, _ = label(text, "grapheme")[1]
    value = {"start": start, "end": end, "text": "Örnby", "labels": ["UW"]}
    file.write_text(
        json.dumps([{"data": {"text": text}, "annotations": [{"result": [{"type": "labels", "value": value}]}]}])
    )
    with pytest.raises(InputError, match=r"but the text is 'Örnby'.*--offset-unit grapheme"):
        formats.read(file)
    (record,) = formats.read(file, offset_unit="grapheme")
    assert [text[s.start : s.end] for s in record.spans] == ["Örnby"]


def test_ends_that_are_inclusive_are_a_sign(tmp_path, capsys):
    file, text = tmp_path / "in.jsonl", "Pelle Strand sells maps in Ornby."
    file.write_text(json.dumps({"text": text, "label": [[0, 11, "UW"], [27, 31, "UW"]]}))
    formats.read(file)
    assert "2 of 2 spans cut words, first 'Pelle Stran'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        ("utf8", "is outside the text's"),
        ("codepoint", r"16 spans cut words, and 2 do if offsets are in codepoint\)"),
        ("grapheme", r"\d+ spans cut words, and 2 do if offsets are in grapheme\)"),
    ],
)
def test_a_few_spans_that_cut_words_in_every_unit_do_not_hide_the_right_one(tmp_path, unit, why):
    file, text = tmp_path / "in.jsonl", f"{FAMILY} {TEXTS['accents']}"
    rows = [{"text": text, "label": label(text, unit)} for _ in range(8)]
    for row in rows[:2]:  # whoever marked it left out the last letter
        row["label"][0][1] -= 1
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=rf"line 1[,:] .*{why}.*--offset-unit {unit}\."):
        formats.read(file, "doccano")
    assert len(formats.read(file, "doccano", offset_unit=unit)) == 8


def test_a_file_of_stray_letters_is_not_taken_for_one_in_another_unit(tmp_path):
    file, text = tmp_path / "in.jsonl", TEXTS["accents"]
    rows = [{"text": text, "label": label(text, "utf16")} for _ in range(8)]
    for row in rows[:3]:
        row["label"][0][1] -= 1
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(formats.read(file, "doccano")) == 8


@pytest.mark.parametrize(
    ("text", "words", "start", "unit", "other"),
    [
        ("é é A B C", "A", 4, "utf8", "B"),
        ("🙂佐藤は東京に住む。", "佐藤", 1, "utf16", "藤は"),
        ("\r\n\r\nA B C D", "C", 8, "grapheme", "B"),
    ],
)
def test_spans_that_are_words_in_two_units_are_shown_in_both(tmp_path, capsys, text, words, start, unit, other):
    file = tmp_path / "in.jsonl"
    assert text[start : start + len(words)] == words
    offsets = [counted(text, point, unit) for point in (start, start + len(words))]
    file.write_text(json.dumps({"text": text, "entities": [[*offsets, "UW"]]}))
    (record,) = formats.read(file, "spacy")
    assert [text[s.start : s.end] for s in record.spans] == [other]
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"line 1: the offsets select {other!r}, but {words!r} if they are in {unit}," in told
    assert "--offset-unit" in told
    for named, expected in ((unit, words), ("codepoint", other)):
        (record,) = formats.read(file, "spacy", offset_unit=named)
        assert [text[s.start : s.end] for s in record.spans] == [expected]
    assert capsys.readouterr().err == ""


@given(texts)
def test_each_unit_goes_there_and_back(text):
    for unit in UNITS:
        offsets = Offsets(text, unit)
        end = counted(text, len(text), unit)
        assert offsets.to_point(0, "start") == 0
        assert offsets.to_point(end, "end") == len(text)
        for bad in (-1, end + 1, True, "1", None, 1.0):
            with pytest.raises(InputError):
                offsets.to_point(bad, "start")
    for unit in ("codepoint", "utf16", "utf8"):
        offsets = Offsets(text, unit)
        for point in range(len(text) + 1):
            assert offsets.from_point(point) == counted(text, point, unit)
            assert offsets.to_point(offsets.from_point(point), "start") == point
