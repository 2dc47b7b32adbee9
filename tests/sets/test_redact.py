"""Redacted texts: placeholders that are consistent within a record."""

import json

from tif.sets import store
from tif.sets.redact import redacted
from tif.spans import AnnotationSet, Example, Span

TEXT = "Mara Lind met Jonas Bek. mara lind lives at 12 Elm Road; Jonas Bek does not."


def example(*spans, prompt="Where does Mara Lind live?", text=TEXT):
    return Example("r/1", prompt, text, tuple(sorted(spans, key=lambda s: s.key)))


def span(words, label, text=TEXT, nth=0):
    at = -1
    for _ in range(nth + 1):
        at = text.index(words, at + 1)
    return Span(at, at + len(words), label)


def test_the_same_words_get_the_same_placeholder():
    done = redacted(
        example(
            span("Mara Lind", "PERSON"),
            span("Jonas Bek", "PERSON"),
            span("mara lind", "PERSON"),
            span("12 Elm Road", "ADDRESS"),
            span("Jonas Bek", "PERSON", nth=1),
        )
    )
    assert done == (
        "Where does [PERSON_1] live?",
        "[PERSON_1] met [PERSON_2]. [PERSON_1] lives at [ADDRESS_1]; [PERSON_2] does not.",
    )


def test_labels_choose_and_overlaps_are_one_placeholder():
    both = example(span("12 Elm Road", "ADDRESS"), span("Elm Road", "LOCATION"), span("Jonas Bek", "PERSON"), prompt="")
    assert redacted(both)[1].count("[") == 2
    assert "[LOCATION_1]; Jonas" in redacted(both, ["LOCATION"])[1]
    assert redacted(both, [])[1] == TEXT


def test_a_placeholder_that_the_text_already_has_is_not_used():
    text = "[UW_1] says: Oslo."
    assert redacted(example(span("Oslo", "UW", text), prompt="", text=text))[1] == "[UW_1] says: [UW_2]."


def test_a_prompt_is_replaced_at_word_bounds_and_longer_words_first():
    text = "Ann Lee and Ann."
    spans = (span("Ann Lee", "PERSON", text), span("Ann", "PERSON", text, 1))
    assert redacted(example(*spans, prompt="Who is Ann Lee, Ann or Annette?", text=text)) == (
        "Who is [PERSON_1], [PERSON_2] or Annette?",
        "[PERSON_1] and [PERSON_2].",
    )


def test_case_and_white_space_do_not_count_in_a_prompt_either():
    text = "Mara Lind lives in Oslo."
    spans = (span("Mara Lind", "PERSON", text), span("Oslo", "LOCATION", text))
    assert redacted(example(*spans, prompt="where does mara\n LIND live? Not in osloish OSLO.", text=text)) == (
        "where does [PERSON_1] live? Not in osloish [LOCATION_1].",
        "[PERSON_1] lives in [LOCATION_1].",
    )


def test_a_match_inside_a_word_does_not_hide_the_next_one():
    text = "a a"
    assert redacted(example(span("a a", "UW", text), prompt="ba a a", text=text))[0] == "ba [UW_1]"


def test_the_command(cli, tmp_path):
    store.save(
        AnnotationSet(
            (
                example(
                    span("12 Elm Road", "home address"),
                ),
            )
        ),
        tmp_path / "set.parquet",
    )
    done = cli("spans", "export", tmp_path / "set.parquet", "--redact", "--out", tmp_path / "out.jsonl")
    assert done.code == 0
    assert "to bring edits back" not in done.err
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert row["text"] == TEXT.replace("12 Elm Road", "[HOME_ADDRESS_1]")
    assert (row["id"], row["prompt"], row["status"]) == ("r/1", "Where does Mara Lind live?", "auto")
    refused = cli("spans", "export", tmp_path / "set.parquet", "--redact", "--format", "inline")
    assert (refused.code, "--redact writes JSONL" in refused.err) == (2, True)
    refused = cli("spans", "export", tmp_path / "set.parquet", "--labels", "PERSON")
    assert (refused.code, "--labels" in refused.err) == (2, True)
    refused = cli("spans", "export", tmp_path / "set.parquet", "--redact", "--labels", "PERSON")
    assert (refused.code, "no span has the label 'PERSON'" in refused.err) == (2, True)
