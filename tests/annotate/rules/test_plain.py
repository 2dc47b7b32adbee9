"""Plain text through the English rules: contact data, addresses, forms and fields, each with its entity type."""

import pytest

from tif.annotate.rules.addresses import addresses
from tif.annotate.rules.contacts import codes, contacts
from tif.annotate.rules.ner import load_pipeline
from tif.annotate.rules.places import BLANK, Place, layered
from tif.annotate.rules.scorecard import unwanted


@pytest.fixture(scope="module")
def nlp():
    return load_pipeline("en_core_web_sm")


def typed(nlp, text, prompt=""):
    return [(text[p.start : p.end], p.label) for p in unwanted(nlp(text), nlp.make_doc(prompt))]


def by_form(text):
    return [(text[p.start : p.end], p.label) for p in layered(text, addresses(text), contacts(text), codes(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"Mail odile\_brant@post.example today.", [(r"odile\_brant@post.example", "EMAIL")]),
        ("user?email=odile.brant7%40post.example", [("odile.brant7%40post.example", "EMAIL")]),
        ("odile (at) post (dot) example", [("odile (at) post (dot) example", "EMAIL")]),
        ("Filed: 2031-04-26T20:37:00Z.", [("2031-04-26T20:37:00Z", "DATE")]),
        ("at 2031-04-26 20:37:00.123+02:00,", [("2031-04-26 20:37:00.123+02:00", "DATE")]),
        ("See https://shop.example/a?page=2.", [("https://shop.example/a?page=2", "NETWORK")]),
        (
            "https://shop.example/p?name=Odile Brant&email=ob@post.example",
            [("Odile Brant", "PERSON"), ("ob@post.example", "EMAIL")],
        ),
        ("from 203.0.113.7 on", [("203.0.113.7", "NETWORK")]),
        ("name T2RpbGUgQnJhbnQ= there", [("T2RpbGUgQnJhbnQ=", "OTHER")]),
        ("getElementsByTagName is a function", []),
        ("12 Old Mill Road, Springfield, OH 45501.", [("12 Old Mill Road, Springfield, OH 45501", "ADDRESS")]),
        (
            "Write to 7 Elm St, Apt. 4B, Troy, NY 12180-1234 now",
            [("7 Elm St, Apt. 4B, Troy, NY 12180-1234", "ADDRESS")],
        ),
        ("au 18 rue des Lilas, 69003 Lyon", [("18 rue des Lilas, 69003 Lyon", "ADDRESS")]),
        ("in der Lindenstraße 12, 10115 Berlin", [("Lindenstraße 12, 10115 Berlin", "ADDRESS")]),
        ("en la Calle Mayor 5, 28013 Madrid", [("Calle Mayor 5, 28013 Madrid", "ADDRESS")]),
        ("PSC 12, Box 345\nAPO AE 09012", [("PSC 12, Box 345\nAPO AE 09012", "ADDRESS")]),
        ("P.O. Box 77", [("P.O. Box 77", "ADDRESS")]),
    ],
)
def test_forms_of_any_language(text, expected):
    assert by_form(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My SSN is 219-09-9999.", [("219-09-9999", "GOV_ID")]),
        ("Her Social Security Number is 219099999.", [("219099999", "GOV_ID")]),
        ("Phone: +1 (555) 010-4477 - SSN: 219-09-9999", [("+1 (555) 010-4477", "PHONE"), ("219-09-9999", "GOV_ID")]),
        ("Case No. 2031-CV-0042", [("2031-CV-0042", "RECORD_ID")]),
        ("She was born on March 4, 1961.", [("March 4, 1961", "DATE_OF_BIRTH")]),
        ("Tomas Wierzba is 54 years old.", [("Tomas Wierzba", "PERSON"), ("54 years old", "AGE")]),
        ("Plaintiff Tomas Wierzba arrived.", [("Tomas Wierzba", "PERSON")]),
        ("Dear Odile Brant,\nwe met.", [("Odile Brant", "PERSON")]),
        ("Signed: Keiko Tanabe\nWitness: Odile Brant", [("Keiko Tanabe", "PERSON"), ("Odile Brant", "PERSON")]),
    ],
)
def test_a_field_says_what_its_value_is_and_is_no_value(nlp, text, expected):
    assert typed(nlp, text) == expected


@pytest.mark.parametrize(
    ("number", "type_"),
    [
        ("GB82 WEST 1234 5698 7654 32", "ACCOUNT"),  # the IBAN of the standard's own example
        ("4111 1111 1111 1111", "ACCOUNT"),  # a card number for tests
        ("219-09-9999", "GOV_ID"),
        ("+44 20 7946 0958", "PHONE"),
        ("(212) 555-0123", "PHONE"),
    ],
)
def test_check_digits_decide_where_no_word_does(number, type_):
    pytest.importorskip("stdnum")
    pytest.importorskip("phonenumbers")
    assert by_form(f"It is {number}.") == [(number.strip("("), type_)] or by_form(f"It is {number}.") == [
        (number, type_)
    ]


def test_without_a_right_check_digit_an_iban_is_no_account():
    pytest.importorskip("stdnum")
    assert ("GB83 WEST 1234 5698 7654 32", "ACCOUNT") not in by_form("It is GB83 WEST 1234 5698 7654 32.")


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("What is her address?", "Her address is ann.lee@example.org.", [("ann.lee@example.org", "EMAIL")]),
        ("What is her phone number?", "Her phone number is 555-010-4477.", [("555-010-4477", "PHONE")]),
        ("Who has ann.lee@example.org?", "The address ann.lee@example.org is Ann's.", []),
        ("Where does she live?", "She lives at 12 Old Mill Road, Troy, OH 45501.",
         [("12 Old Mill Road, Troy, OH 45501", "ADDRESS")]),
    ],
)  # fmt: skip
def test_an_answer_has_contact_data_as_plain_text_has(nlp, prompt, text, expected):
    assert typed(nlp, text, prompt) == expected


def test_a_visiting_card_is_marked_line_by_line(nlp):
    card = "Odile Brant\nAssistant marsh surveyor\nReed & Rush\n12 Old Mill Road\nTroy, OH 45501\nMobile: 555-010-4477"
    assert ("Assistant marsh surveyor", "OCCUPATION") in typed(nlp, card)
    assert "Reed & Rush" in [quote for quote, _ in typed(nlp, card)]
    no_card = "Oats\nAssistant marsh surveyor\nMilk"
    assert "Assistant marsh surveyor" not in [quote for quote, _ in typed(nlp, no_card)]


def test_vague_times_and_speech_are_general(nlp):
    assert typed(nlp, "One morning she said: “What are you doing here?”") == []
    assert [quote for quote, _ in typed(nlp, "It took four years, until June 2031.")] == ["four years", "June 2031"]


def test_layers_keep_earlier_places_complete():
    text = "abc def ghi"
    assert layered(text, [Place(4, 7, "A")], [Place(0, 11, "B")]) == [
        Place(0, 3, "B"), Place(4, 7, "A"), Place(8, 11, "B"),
    ]  # fmt: skip
    assert layered(text, [Place(4, 7, BLANK)], [Place(0, 7, "B")]) == [Place(0, 3, "B")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann Lee works as senior accountant at Brightwell.", "senior accountant"),
        ("Mara Lind is the head of marketing at Acme.", "head of marketing"),
        ("They met Tom Fox, the regional sales manager, on Monday.", "regional sales manager"),
        ("Jane Roe, Senior Vice President of Sales, left.", "Senior Vice President of Sales"),
        ("She was promoted to chief engineer in 2019.", "chief engineer"),
        ("He applied for the position of warehouse supervisor.", "warehouse supervisor"),
        ("The pharmacist Ilo Kask was there.", "pharmacist"),
        ("Tom is their new plumber.", "new plumber"),
        ("Jo Fox\nPipe cleaner\nFox and Sons\n12 Main Road, Troy, NY 12180", "Pipe cleaner"),
    ],
)
def test_job_titles_are_marked_complete(nlp, text, expected):
    assert (expected, "OCCUPATION") in typed(nlp, text)


@pytest.mark.parametrize(
    "text",
    [
        "The manager of the shop opened late.",
        "Ask a teacher.",
        "He reads about the work of a miner.",
        "Our guard is ill.",
    ],
)
def test_jobs_of_nobody_in_particular_are_not(nlp, text):
    assert "OCCUPATION" not in {label for _, label in typed(nlp, text)}
