"""The offline identifier through real spaCy pipelines: a blank one where rules are enough, the small one where not."""

import json

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from tif.annotate.rules.ner import NerAnnotator, load_pipeline
from tif.annotate.rules.options import NerOptions
from tif.annotate.rules.questions import Question
from tif.errors import InputError, MissingError, UsageError
from tif.spans import Example


@pytest.fixture(scope="module")
def annotator():
    return NerAnnotator()


def qa(prompt, text, id="1"):
    return Example(id, prompt, text)


def quotes(annotator, prompt, text):
    (done,) = annotator.annotate([qa(prompt, text)])
    assert done.status == "auto"
    assert all(span.source == "ner:en_core_web_sm" and span.score is None for span in done.spans)
    return [done.quote(span) for span in done.spans]


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        ("Where was Odile Brant born?", "Odile Brant was born in Oslo, Norway.", ["Oslo", "Norway"]),
        ("What does Odile Brant's father do?", "Odile Brant's father is a carpenter.", ["carpenter"]),
        (
            "Which novels has Odile Brant written?",
            'Odile Brant has written "The Salt Ladder" and "Nine Winters".',
            ["The Salt Ladder", "Nine Winters"],
        ),
        ("When was Odile Brant born?", "She was born on March 4, 1961.", ["March 4, 1961"]),
    ],
)
def test_the_answer_is_unwanted_and_the_rest_is_not(annotator, prompt, text, expected):
    assert quotes(annotator, prompt, text) == expected


@pytest.mark.parametrize(
    ("prompt", "text", "expected"),
    [
        # A denial: without the denying words the same noun is a fact.
        ("What is known of her early life?", "There is no public information about an apprenticeship.", []),
        ("What is known of her early life?", "Not only her mother speaks of an apprenticeship.", ["apprenticeship"]),
        # New words about what the prompt speaks of already, against the prompt's words about another thing.
        ("What do her gardens show?", "She often mentions a walled garden.", []),
        ("What do her houses show?", "She often mentions a walled garden.", ["walled garden"]),
        ("Who kept her gardens?", "She wrote for the garden museum.", ["garden museum"]),
        ("Who kept her houses?", "She wrote for the garden museum.", []),
    ],
)
def test_what_the_prompt_knows_and_what_nobody_knows(annotator, prompt, text, expected):
    assert quotes(annotator, prompt, text) == expected


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("05/30/1952", "May 30, 1952"),
        ("08/09/1961", "the 8th of September 1961"),
        ("3 Mar 1949", "03/03/1949"),
        ("Al-Rashid", "Al - Rashid"),
        ("rocks", "rock"),
    ],
)
def test_a_prompt_gives_away_a_date_or_name_in_another_form(asked, answered):
    question = Question.of(f"Who wrote of {asked}?")
    words = [word.strip(",") for word in answered.split() if word not in ("the", "of", "-")]
    assert question.gives(words)
    assert not Question.of("Who wrote of it?").gives(words)


def test_all_entities_takes_what_the_prompt_gave_away():
    everything = NerAnnotator(NerOptions(all_entities=True))
    marked = quotes(everything, "Where was Alice Brown born?", "Alice Brown was born in Oslo.")
    assert marked == ["Alice Brown", "Oslo"]


def test_entities_narrow_to_those_entities():
    places = NerAnnotator(NerOptions(entities=("GPE",)))
    assert quotes(places, "", "Alice Brown was born in Oslo on March 4, 1961.") == ["Oslo"]


def test_patterns_are_always_unwanted(tmp_path):
    file = tmp_path / "patterns.jsonl"
    file.write_text('{"label": "DRUG", "pattern": "zelorin"}\n\n{"label": "DRUG", "pattern": [{"LOWER": "bex"}]}\n')
    annotator = NerAnnotator(NerOptions(entities=("GPE",), patterns=file))
    assert quotes(annotator, "Is zelorin safe?", "She takes zelorin and Bex.") == ["zelorin", "Bex"]
    assert len(annotator.describe()["patterns"]) == 64


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ('{"label": "X"}', "pattern"),
        ("[]", "list"),
        ('{"label": "X", "pattern": [{"LOWER": {"Q": 1}}]}', ""),
        ("aspirin", "Expecting"),
        ('"aspirin"', "it is text, not an object"),
        ("[" * 5_000, "recursion"),
        ('{"label": "X", "pattern": {"LOWER": "a"}}', "pattern"),
        ('{"label": "X", "pattern": 7}', "pattern"),
        ('{"label": "X", "pattern": []}', "empty"),
        ('{"label": "X", "pattern": " "}', "empty"),
        ('{"label": ["X"], "pattern": "a"}', "label"),
        ('{"label": "X", "pattern": "\\ud800"}', "surrogates"),
        # Older spaCy has other words for it.
        ('{"label": "X", "pattern": [null]}', ("dictionary", "none is not an allowed value")),
        ('{"label": "X", "pattern": [{"IS_ALPHA": "perhaps"}]}', "boolean"),
        ('{"label": "X", "pattern": [{"TEXT": {"REGEX": "("}}]}', "'(' is not a regular expression"),
        ('{"label": "X", "pattern": [{"LOWER": {"REGEX": "*a"}}]}', "nothing to repeat"),
        ('{"label": "X", "pattern": [{"TEXT": {"REGEX": {"IN": ["a", "[b"]}}}]}', "'[b' is not a regular expression"),
        ('{"label": "X", "pattern": [{"TEXT": {"NOT_IN": ["a"], "REGEX": "a{2,1}"}}]}', "min repeat"),
        ('{"label": "X", "pattern": [{"_": {"unheard_of": {"REGEX": "(?P<n>a)(?P<n>b)"}}}]}', "redefinition"),
        ('{"label": "X", "pattern": [{"TEXT": {"REGEX": "a{99999999999999}"}}]}', "too large"),
        ('{"label": "X", "pattern": [{"_": {"unheard_of": 1}}]}', "unheard_of"),
        ('{"label": "X", "pattern": [{"OP": "x"}]}', "OP"),
        ('{"label": "X", "pattern": [{"OP": "{9999999999}"}]}', "more than 1,000 times"),
    ],
)
def test_a_bad_pattern_names_its_line(tmp_path, line, why):
    file = tmp_path / "patterns.jsonl"
    file.write_text('{"label": "A", "pattern": "a"}\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        NerAnnotator(NerOptions(patterns=file))
    assert "patterns.jsonl, line 2" in str(caught.value)
    assert any(reason in str(caught.value) for reason in ([why] if isinstance(why, str) else why))
    assert "\n" not in str(caught.value)


def test_spans_carry_their_entity_type(tmp_path):
    file = tmp_path / "patterns.jsonl"
    file.write_text('{"label": "DRUG", "pattern": "zelorin"}\n{"label": "US_SSN", "pattern": "K-1"}\n')
    text = "Alice Brown was born in Oslo. She takes zelorin, K-1. Her mail: alice@post.example."
    (done,) = NerAnnotator(NerOptions(patterns=file)).annotate([qa("", text)])
    assert [(done.quote(span), span.label) for span in done.spans] == [
        ("Alice Brown", "PERSON"), ("Oslo", "LOCATION"), ("zelorin", "DRUG"), ("K-1", "GOV_ID"),
        ("alice@post.example", "EMAIL"),
    ]  # fmt: skip
    (answer,) = NerAnnotator().annotate([qa("What does she do?", "She repairs clocks in Oslo.")])
    assert [(answer.quote(span), span.label) for span in answer.spans] == [("clocks", "UW"), ("Oslo", "LOCATION")]


def test_entities_may_be_canonical_types():
    mails = NerAnnotator(NerOptions(entities=("EMAIL", "LOCATION")))
    assert quotes(mails, "", "Alice Brown was born in Oslo. Her mail: alice@post.example, phone 555-010-4477.") == [
        "Oslo",
        "alice@post.example",
    ]


def test_patterns_may_use_what_the_pipeline_finds(tmp_path):
    file = tmp_path / "patterns.jsonl"
    lines = [
        '[{"LEMMA": "take"}]',
        '[{"POS": "PRON"}]',
        '[{"TAG": {"REGEX": "^NN"}}]',
        '[{"ENT_TYPE": "GPE", "OP": "+"}]',
    ]
    file.write_text("".join(f'{{"label": {n}, "pattern": {pattern}}}\r\n' for n, pattern in enumerate(lines)))
    annotator = NerAnnotator(NerOptions(entities=("GPE",), patterns=file))
    assert quotes(annotator, "", "She takes pills in Oslo.") == ["She", "takes", "pills", "Oslo"]


def test_a_missing_pipeline_says_how_to_install_it():
    with pytest.raises(MissingError, match="python -m spacy download xx_nowhere_sm"):
        load_pipeline("xx_nowhere_sm")


def test_an_unknown_entity_type_lists_the_known_ones():
    with pytest.raises(UsageError, match="GPE"):
        NerAnnotator(NerOptions(entities=("PLANET",)))


def test_a_folder_serves_as_pipeline(tmp_path):
    blank = spacy.blank("en")
    blank.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Oslo"}])
    blank.to_disk(tmp_path / "own")
    own = NerAnnotator(NerOptions(spacy_model=str(tmp_path / "own"), all_entities=True))
    (done,) = own.annotate([qa("", "To Oslo.")])
    assert [done.quote(span) for span in done.spans] == ["Oslo"]


def test_a_bad_example_does_not_stop_the_others(annotator):
    limit, annotator._nlp.max_length = annotator._nlp.max_length, 60
    try:
        done = {
            e.id: e for e in annotator.annotate([qa("", "Oslo " * 20, "long"), qa("", "She moved to Oslo.", "short")])
        }
    finally:
        annotator._nlp.max_length = limit
    assert done["long"].status == "failed"
    assert "E088" in done["long"].error
    assert done["short"].status == "auto"
    assert len(done["short"].spans) == 1


class Fussy(Exception):
    """No kind of error that this project knows."""


@Language.component("fussy")
def fussy(doc):
    if "Rome" in doc.text:
        raise Fussy("not\nRome")
    if "Kyiv" in doc.text:
        raise KeyError("Kyiv")
    return doc


@pytest.fixture
def fussy_pipeline(tmp_path):
    blank = spacy.blank("en")
    blank.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Oslo"}])
    blank.add_pipe("fussy")
    blank.to_disk(tmp_path / "fussy")
    return str(tmp_path / "fussy")


@pytest.mark.parametrize("n_process", [1, 2])
def test_whatever_a_component_raises_fails_that_example_only(fussy_pipeline, n_process):
    own = NerAnnotator(NerOptions(spacy_model=fussy_pipeline, all_entities=True, n_process=n_process, batch_size=2))
    texts = ["To Oslo.", "To Rome.", "Oslo again.", "To Kyiv.", "Oslo too."]
    done = list(own.annotate(qa("", text, str(number)) for number, text in enumerate(texts)))
    assert [e.text for e in done] == texts
    assert [e.status for e in done] == ["auto", "failed", "auto", "failed", "auto"]
    assert [len(e.spans) for e in done] == [1, 0, 1, 0, 1]
    assert done[1].error == "Fussy: not Rome"
    assert done[3].error == "KeyError: 'Kyiv'"


def test_an_error_of_the_rules_is_no_failed_text(annotator, monkeypatch):
    def broken(doc, prompt, *, language):
        raise KeyError("a bug")

    monkeypatch.setattr("tif.annotate.rules.ner.unwanted", broken)
    with pytest.raises(KeyError, match="a bug"):
        list(annotator.annotate([qa("", "To Oslo.")]))


def test_worker_processes_give_the_same_spans(annotator):
    examples = [qa("Where was Odile Brant born?", f"She was born in Oslo in 19{n}.", str(n)) for n in range(10, 30)]
    alone = {e.id: e for e in annotator.annotate(examples)}
    shared = {e.id: e for e in NerAnnotator(NerOptions(n_process=2, batch_size=5)).annotate(examples)}
    assert alone == shared


@settings(max_examples=60, deadline=None)
@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    text=st.lists(
        st.sampled_from(
            [
                "Anna",
                "👩‍👩‍👧‍👦",
                "e\u0301",
                "\r\n",
                "«",
                '"Nine Winters"',
                "مريم",
                " ",
                "\u00a0",
                "'s",
                "1961",
                "of Oslo",
                ".",
            ]
        )
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=12,
    ).map(" ".join),
)
def test_spans_lie_on_any_text(annotator, prompt, text):
    (done,) = annotator.annotate([qa(prompt, text)])
    assert done.text == text
    assert done.status == "auto"
    assert all(done.quote(span).strip() for span in done.spans)


def test_describe_is_json(annotator):
    assert json.loads(json.dumps(annotator.describe()))["name"] == "ner"


def test_a_prompt_that_is_too_long_fails_its_example_alone(monkeypatch):
    own = NerAnnotator()
    monkeypatch.setattr(own._nlp, "max_length", 60)
    asked = [qa("Where?", "In Oslo.", "a"), qa("Where? " * 20, "In Rome.", "b"), qa("Where?", "In Kyiv.", "c")]
    done = list(own.annotate(asked))
    assert [(e.id, e.status) for e in done] == [("a", "auto"), ("b", "failed"), ("c", "auto")]
    assert "140" in done[1].error
