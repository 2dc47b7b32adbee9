"""Recall by type where the prediction has none, people with something left, and the pages."""

import json
from html.parser import HTMLParser

import pytest

from tif.sets import store
from tif.sets.score import score
from tif.sets.score_page import html_page, markdown_page
from tif.sets.score_types import TypeScore
from tif.spans import AnnotationSet, Example, Span

TEXT = "Mara Lind, 12 Elm Road, mara@fernhill.example"


def example(id_, spans, text=TEXT):
    made = []
    for words, label in spans:
        start = text.index(words)
        made.append(Span(start, start + len(words), label))
    return Example(id_, "", text, tuple(sorted(made, key=lambda s: s.key)))


GOLD = (("Mara Lind", "PERSON"), ("12 Elm Road", "STREET_ADDRESS"), ("mara@fernhill.example", "EMAIL_ADDRESS"))


def a_set(*examples):
    return AnnotationSet(tuple(examples))


@pytest.fixture
def result():
    gold = a_set(example("a", GOLD), example("b", GOLD), example("c", ()))
    untyped = a_set(
        example("a", [("Mara Lind", "UW"), ("Elm Road", "UW"), ("mara@fernhill.example", "UW")]),
        example("b", [(words, "UW") for words, _ in GOLD]),
        example("c", [("Road", "UW")]),
    )
    return score(untyped, gold)


def test_an_untyped_prediction_is_measured_by_gold_type(result):
    types = {one.label: one for one in result.types}
    assert list(types) == ["EMAIL_ADDRESS", "PERSON", "STREET_ADDRESS"]
    assert (types["PERSON"].recall, types["PERSON"].whole_share) == (1.0, 1.0)
    address = types["STREET_ADDRESS"]
    # 9 letters and digits an address, of which "12" is missed once.
    assert (address.values, address.whole, address.touched, address.characters, address.found) == (2, 1, 2, 18, 16)
    assert [types[name].kind for name in types] == ["direct", "direct", "quasi"]
    assert not result.typed
    # Labels do not count where one side has none: 5 of 6 gold spans have the same bounds.
    assert result.total.span_exact.recall == pytest.approx(5 / 6)
    assert (result.people.by, result.people.people, result.people.left, result.people.direct) == ("document", 2, 1, 0)


def test_a_person_is_safe_only_if_all_documents_are(result):
    gold, predicted = (a_set(*(pair[side] for one in result.examples for pair in [one.pair])) for side in (1, 0))
    people = score(predicted, gold, {"a": "Mara", "b": "Mara", "c": "Jonas"}).people
    assert (people.by, people.people, people.left, people.worst) == ("subject", 1, 1, (("Mara", 1),))
    assert (
        people.line
        == "1 of 1 people have a value that is not found whole; in 0 of them, it identifies a person by itself"
    )


def test_types_of_different_vocabularies_agree_by_their_canonical_type():
    gold = a_set(example("a", GOLD))
    predicted = a_set(example("a", [("Mara Lind", "PER"), ("12 Elm Road", "LOC"), ("mara@fernhill.example", "email")]))
    result = score(predicted, gold)
    assert result.typed
    assert result.total.span_exact.hits_gold == 2
    assert {one.label: one.typed_recall for one in result.types} == {
        "EMAIL_ADDRESS": 1.0,
        "PERSON": 1.0,
        "STREET_ADDRESS": 0.0,
    }
    assert result.examples[0].missed == ("12 Elm Road",)


def test_a_span_that_is_too_short_or_too_long_is_shown(cli, tmp_path):
    gold = a_set(example("a", [("12 Elm Road", "ADDRESS"), ("Mara", "PERSON")]))
    predicted = a_set(example("a", [("Elm Road", "ADDRESS"), ("Mara Lind", "PERSON")]))
    one = score(predicted, gold).examples[0]
    assert (one.missed, one.spurious) == ((), ())
    assert (one.missed_in_part, one.too_long) == (("12 Elm Road",), ("Mara Lind",))
    assert one.to_json()["missed_in_part"] == ["12 Elm Road"]
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    store.save(predicted, ours)
    store.save(gold, theirs)
    done = cli("spans", "score", ours, "--gold", theirs)
    assert "  missed in part: 12 Elm Road\n  too long: Mara Lind\n" in done.out


def test_f2_weighs_recall():
    gold = a_set(example("a", [("Mara Lind", "UW")]))
    assert score(a_set(example("a", [("Mara", "UW")])), gold).total.char.f2 == pytest.approx(5 * 0.5 / 4.5)
    assert score(a_set(example("a", ())), gold).total.char.f2 == 0.0


def test_a_value_without_letters_and_digits_counts_as_found():
    gold = a_set(example("a", [("@", "OTHER")], text="mail @ home"))
    (one,) = score(a_set(example("a", (), text="mail @ home")), gold).types
    assert one == TypeScore(label="OTHER", values=1, whole=1, touched=1)
    assert (one.recall, one.whole_share) == (1.0, 1.0)


HOSTILE = 'Ask <script>alert("x")</script> | **Mara** \x1b[31m at &amp; 12'


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_pages_show_texts_as_texts():
    gold = a_set(Example("<b>a</b>|x", "", HOSTILE, (Span(4, 12, "<i>TYPE</i>"), Span(34, 42, "B|C"))))
    result = score(a_set(Example("<b>a</b>|x", "", HOSTILE, (Span(4, 8),))), gold)
    page = html_page(result, "<u>t</u>", 5)
    parser = Tags()
    parser.feed(page)
    assert not {"script", "b", "i", "u"} & set(parser.tags)
    assert HOSTILE.replace("\x1b", "\\u001b") in parser.text
    assert "\x1b" not in page
    assert parser.text.count("<i>TYPE</i>") == 1
    assert '<mark class="found">' in page
    assert '<mark class="missed">' in page
    text = markdown_page(result, "<u>t</u>", 5)
    assert "<" not in text
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    # Escaped bars separate no cells.
    heads = {"unit": 5, "type": 6, "example": 4}
    expected = 0
    for line in rows:
        cells = line.replace("\\|", "").count("|") - 1
        columns = next((n for name, n in heads.items() if line.startswith(f"| {name} |")), None)
        expected = columns or expected
        assert cells == expected


def test_the_command_writes_the_tables(cli, tmp_path):
    gold, ours = tmp_path / "gold.jsonl", tmp_path / "ours.jsonl"
    spans = [{"start": 0, "end": 9, "label": "PERSON"}, {"start": 24, "end": 45, "label": "EMAIL"}]
    gold.write_text(json.dumps({"id": "a", "subject": "p1", "prompt": "", "text": TEXT, "spans": spans}) + "\n")
    found = [{"start": 0, "end": 9, "label": "UW"}]
    ours.write_text(json.dumps({"id": "a", "prompt": "", "text": TEXT, "spans": found}) + "\n")
    page = tmp_path / "scores.html"
    done = cli("spans", "score", ours, "--gold", gold, "--report", page)
    assert done.code == 0
    assert "EMAIL                            1     0.000        0.000" in done.out
    assert (
        "1 of 1 people have a value that is not found whole; in 1 of them, it identifies a person by itself" in done.out
    )
    assert "mara@fernhill.example" in page.read_text()
    told = json.loads(cli("spans", "score", ours, "--gold", gold, "--json").out)
    assert told["types"]["PERSON"] == {
        "kind": "direct", "values": 1, "whole": 1, "touched": 1,
        "recall": 1.0, "whole_share": 1.0, "typed_recall": None,
    }  # fmt: skip
    assert told["people"] == {
        "by": "subject", "people": 1, "left": 1, "direct": 1, "worst": [{"id": "p1", "left": 1}],
    }  # fmt: skip
    refused = cli("spans", "score", ours, "--gold", gold, "--report", tmp_path / "scores.pdf")
    assert (refused.code, "neither .html nor .md" in refused.err) == (2, True)
    refused = cli("spans", "score", ours, "--gold", gold, "--subject", "person")
    assert (refused.code, "no record has an id and the field 'person'" in refused.err) == (2, True)
