"""Texts that are not English: tables for French, German and Spanish, patterns and entities for every other language."""

import pytest
import spacy
from spacy.tokens import Doc

from tif.annotate.rules.foreign import personal_in
from tif.annotate.rules.languages import LANGUAGES, date_pattern
from tif.annotate.rules.learned import _words
from tif.annotate.rules.names import entities
from tif.annotate.rules.ner import NerAnnotator
from tif.annotate.rules.options import NerOptions
from tif.spans import Example


def typed(text, language):
    return [(text[p.start : p.end], p.label) for p in personal_in(spacy.blank(language)(text), language)]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "le 1er mars 1982 puis en juin 2019", ["1er mars 1982", "juin 2019"]),
        ("de", "am 3. März 1982, im Juni 2019", ["3. März 1982", "Juni 2019"]),
        ("es", "el 3 de marzo de 1982 y en junio de 2019", ["3 de marzo de 1982", "junio de 2019"]),
        ("en", "on 3 March 1982, and on March 4", ["3 March 1982", "March 4"]),
    ],
)
def test_dates_with_the_names_of_months(language, text, expected):
    assert date_pattern(language).findall(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "née le 14 mars 1982, au 18 rue des Lilas, 69003 Lyon",
         [("14 mars 1982", "DATE_OF_BIRTH"), ("18 rue des Lilas, 69003 Lyon", "ADDRESS")]),
        ("fr", "un homme de 54 ans, tél. 06 12 34 56 78", [("54 ans", "AGE"), ("06 12 34 56 78", "PHONE")]),
        ("de", "geboren am 14. März 1982, Lindenstraße 12, 10115 Berlin",
         [("14. März 1982", "DATE_OF_BIRTH"), ("Lindenstraße 12, 10115 Berlin", "ADDRESS")]),
        ("es", "nacido el 14 de marzo de 1982, Calle Mayor 5, 28013 Madrid",
         [("14 de marzo de 1982", "DATE_OF_BIRTH"), ("Calle Mayor 5, 28013 Madrid", "ADDRESS")]),
        ("it", "scrivere a ada@posta.example, Via Roma 131",
         [("ada@posta.example", "EMAIL"), ("Via Roma 131", "ADDRESS")]),
    ],
)  # fmt: skip
def test_patterns_need_no_parse(language, text, expected):
    assert typed(text, language) == expected


def parsed(language, rows):
    """Make a Doc by hand: word, part of speech, dependency label, head's index."""
    words, tags, deps, heads = zip(*rows, strict=True)
    nlp = spacy.blank(language)
    return Doc(nlp.vocab, words=list(words), pos=list(tags), deps=list(deps), heads=list(heads))


def test_german_labels_for_jobs_and_conditions():
    job = parsed("de", [("Sie", "PRON", "sb", 1), ("ist", "AUX", "ROOT", 1), ("Lehrerin", "NOUN", "pd", 1)])
    assert [(job.text[p.start : p.end], p.label) for p in personal_in(job, "de")] == [("Lehrerin", "OCCUPATION")]
    rows = [("Er", "PRON", "sb", 1), ("leidet", "VERB", "ROOT", 1), ("an", "ADP", "op", 1), ("Asthma", "NOUN", "nk", 2)]
    illness = parsed("de", rows)
    assert [(illness.text[p.start : p.end], p.label) for p in personal_in(illness, "de")] == [("Asthma", "HEALTH")]


def test_a_number_that_the_pipeline_calls_a_name_has_the_type_of_its_language():
    doc = spacy.blank("de")("Kennung 36574261809 dort")
    doc.ents = [doc.char_span(8, 19, label="MISC")]
    assert [(place.start, place.label) for place in entities(doc)] == [(8, "GOV_ID")]


def test_learned_reads_a_text_by_the_rules_of_its_language():
    doc, prompt = spacy.blank("pl")("Urodzona 14.03.1982, Ada Nowak"), spacy.blank("pl")("")
    assert [word.start for word in _words(doc, prompt) if word.prior > 0] == [9, 12, 15]


def test_missing_libraries_for_numbers_are_named_once(monkeypatch, capsys, tmp_path):
    spacy.blank("de").to_disk(tmp_path / "blank")
    monkeypatch.setattr("tif.annotate.rules.ner.libraries", lambda: {"phonenumbers": None, "python-stdnum": "2.1"})
    annotator = NerAnnotator(NerOptions(spacy_model=str(tmp_path / "blank"), all_entities=True))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: without phonenumbers, only the words before a number decide its type. Install it:")
    assert annotator.describe()["libraries"] == {"phonenumbers": None, "python-stdnum": "2.1"}


def test_a_language_without_a_table_says_so(tmp_path, capsys):
    blank = spacy.blank("it")
    blank.add_pipe("entity_ruler").add_patterns([{"label": "LOC", "pattern": "Siena"}])
    blank.to_disk(tmp_path / "own")
    annotator = NerAnnotator(NerOptions(spacy_model=str(tmp_path / "own")))
    assert "ner has no rules for the language 'it' of the pipeline it_pipeline" in capsys.readouterr().err
    (done,) = annotator.annotate([Example("1", "Dove vive?", "Vive a Siena, ada@posta.example, come sempre.")])
    assert [(done.quote(s), s.label) for s in done.spans] == [("Siena", "LOCATION"), ("ada@posta.example", "EMAIL")]


def test_every_table_is_complete():
    for language, words in LANGUAGES.items():
        assert len(words.weekdays.split("|")) >= 7
        if language != "en":
            assert words.as_a
            assert words.works
            assert words.introducing
            assert words.subjects
            assert words.complements


@pytest.fixture(scope="module")
def french():
    pytest.importorskip("fr_core_news_sm")
    return NerAnnotator(NerOptions(spacy_model="fr_core_news_sm"))


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("", "Elle travaille comme infirmière à Grenoble depuis juin 2019.",
         [("infirmière", "OCCUPATION"), ("Grenoble", "LOCATION"), ("juin 2019", "DATE")]),
        ("", "Il a été condamné pour fraude fiscale en 2015.", [("fraude fiscale", "HEALTH"), ("2015", "DATE")]),
        ("Où est née Élodie Marchand ?", "Élodie Marchand est née le 14 mars 1982 à Lille.",
         [("14 mars 1982", "DATE_OF_BIRTH"), ("Lille", "LOCATION")]),
    ],
)  # fmt: skip
def test_french_with_its_own_pipeline(french, prompt, text, expected):
    (done,) = french.annotate([Example("1", prompt, text)])
    assert [(done.quote(s), s.label) for s in done.spans] == expected
