"""The offline identifier through real spaCy pipelines: a blank one where rules are enough, the small one where not."""

import json

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from tif.annotate.ner import NerAnnotator, load_pipeline
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


def test_all_entities_takes_what_the_prompt_gave_away():
    everything = NerAnnotator(question_aware=False)
    found = quotes(everything, "Where was Alice Brown born?", "Alice Brown was born in Oslo.")
    assert found == ["Alice Brown", "Oslo"]


def test_labels_narrow_to_those_entities():
    places = NerAnnotator(labels=["GPE"])
    assert quotes(places, "", "Alice Brown was born in Oslo on March 4, 1961.") == ["Oslo"]


def test_patterns_are_always_unwanted(tmp_path):
    file = tmp_path / "patterns.jsonl"
    file.write_text('{"label": "DRUG", "pattern": "zelorin"}\n\n{"label": "DRUG", "pattern": [{"LOWER": "bex"}]}\n')
    annotator = NerAnnotator(labels=["GPE"], patterns=file)
    assert quotes(annotator, "Is zelorin safe?", "She takes zelorin and Bex.") == ["zelorin", "Bex"]
    assert len(annotator.describe()["patterns"]) == 64


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "Expecting"),
        ('{"label": "X"}', "pattern"),
        ("[]", "list"),
        ('{"label": "X", "pattern": [{"LOWER": {"Q": 1}}]}', ""),
    ],
)
def test_a_bad_pattern_names_its_line(tmp_path, line, why):
    file = tmp_path / "patterns.jsonl"
    file.write_text('{"label": "A", "pattern": "a"}\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        NerAnnotator(patterns=file)
    assert "patterns.jsonl, line 2" in str(caught.value)
    assert why in str(caught.value)


def test_a_missing_pipeline_says_how_to_install_it():
    with pytest.raises(MissingError, match="python -m spacy download xx_nowhere_sm"):
        load_pipeline("xx_nowhere_sm")


def test_an_unknown_label_lists_the_known_ones():
    with pytest.raises(UsageError, match="GPE"):
        NerAnnotator(labels=["PLANET"])


def test_a_folder_serves_as_pipeline(tmp_path):
    blank = spacy.blank("en")
    blank.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Oslo"}])
    blank.to_disk(tmp_path / "own")
    own = NerAnnotator(str(tmp_path / "own"), question_aware=False)
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


def test_worker_processes_give_the_same_spans(annotator):
    examples = [qa("Where was Odile Brant born?", f"She was born in Oslo in 19{n}.", str(n)) for n in range(10, 30)]
    alone = {e.id: e for e in annotator.annotate(examples)}
    shared = {e.id: e for e in NerAnnotator(n_process=2, batch_size=5).annotate(examples)}
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
