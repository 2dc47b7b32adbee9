"""A sample's unwanted words in other answers to the same question."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import strategies
from tests.tokens import tiny
from tif.errors import UsageError
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.tokens.masks import Kind, Template, encode
from tif.train.frames import Frame, framed
from tif.train.prepare import prepare
from tif.train.run import train

ANNA = Example("a", "Who is she?", "Anna Kuhn, a nurse of Graz. Anna Kuhn!").with_spans(
    [Span(0, 9), Span(22, 26), Span(28, 37), Span(13, 18, label="JOB")]
)


def test_the_words_of_a_label_stand_in_the_frame_each_once_and_are_marked():
    found = Frame.of("The answer is {words}.").around(ANNA, labels={"UW"})
    assert (found.prompt, found.text) == ("Who is she?", "The answer is Anna Kuhn, Graz.")
    assert [found.quote(span) for span in found.spans] == ["Anna Kuhn", "Graz"]
    assert {(span.label, span.source) for span in found.spans} == {("UW", "frame")}
    assert found.id == "a in 'The answer is {words}.'"
    assert Frame.of("{words}").around(ANNA, labels={"JOB"}).text == "nurse"


def test_every_label_stands_in_the_frame_and_words_marked_twice_stand_there_once():
    twice = ANNA.with_spans([*ANNA.spans, Span(0, 4, label="NAME")])
    found = Frame.of("{words}").around(twice)
    assert found.text == "Anna Kuhn, nurse, Graz"
    assert [span.label for span in found.spans] == ["NAME", "JOB", "UW"]


@given(strategies.examples(labels=("UW", "X")), strategies.texts, strategies.texts)
def test_what_is_marked_is_what_was_unwanted_and_nothing_else(example, before, after):
    words = [example.quote(span) for span in example.spans if span.label == "UW"]
    found = framed([example], [Frame(before, after)], labels=("UW",))
    if not words or not example.prompt:
        assert found == []
        return
    [found] = found
    assert [found.quote(span) for span in found.spans] == list(dict.fromkeys(words))
    kept, at = [], 0
    for span in found.spans:
        kept.append(found.text[at : span.start])
        at = span.end
    assert "".join([*kept, found.text[at:]]) == before + ", " * (len(found.spans) - 1) + after


@given(st.lists(st.sampled_from(["asked", "text", "unmarked"]), max_size=12))
def test_frames_are_taken_in_turn_by_those_that_they_go_around(kinds):
    changes = {"asked": {}, "text": {"prompt": ""}, "unmarked": {"spans": ()}}
    examples = [replace(ANNA, id=str(n), **changes[kind]) for n, kind in enumerate(kinds)]
    found = framed(examples, [Frame.of("It is {words}."), Frame.of("{words}")])
    assert [x.id.partition(" ")[0] for x in found] == [str(n) for n, kind in enumerate(kinds) if kind == "asked"]
    assert [x.text.startswith("It is") for x in found] == [n % 2 == 0 for n in range(len(found))]


@pytest.mark.parametrize("text", ["", "The answer.", "{words} and {words}", "{word}"])
def test_what_is_no_frame_is_refused(text):
    with pytest.raises(UsageError, match="no frame"):
        Frame.of(text)


def test_a_run_forgets_the_frames_too_and_says_so(workshop):
    config = workshop.config("run", frames=["It is {words}."], max_steps=2)
    found = prepare(config, "uw")
    annotations = store.load(workshop.masks)
    asked = [example for example in annotations if example.prompt and example.spans]
    assert (len(found.forget), len(found.framed)) == (len(annotations), len(asked))
    assert found.forgotten == found.forget + found.framed
    tokenizer = found.tokenizer
    expected = [encode(x, tokenizer, Template.of(tokenizer)) for x in framed(asked, [Frame.of("It is {words}.")])]
    assert list(found.framed) == expected
    assert all(item.count(Kind.UW) and item.count(Kind.GW) for item in expected)
    train(config)
    run = json.loads((workshop.root / "run" / "run.json").read_text())
    assert run["config"]["frames"] == ["It is {words}."]
    assert (run["counts"]["examples"], run["counts"]["framed"]) == (len(annotations), len(asked))
    assert train(config).resumed_from == 2
    with pytest.raises(UsageError, match="frames was"):
        train(workshop.config("run", max_steps=2))


def test_an_i_dont_know_stands_beside_each(workshop):
    asked = AnnotationSet(tuple(x for x in tiny.examples() if x.prompt and x.spans))
    store.save(asked, workshop.root / "asked.parquet")
    changes = {"masks": str(workshop.root / "asked.parquet"), "objective": "dpo", "frames": ["{words}"], "max_steps": 2}
    assert train(workshop.config("dpo", **changes)).steps == 2


def test_texts_alone_have_no_frame(workshop):
    plain = AnnotationSet(tuple(replace(x, prompt="") for x in tiny.examples()))
    store.save(plain, workshop.root / "plain.parquet")
    with pytest.raises(UsageError, match="nothing to put into a frame"):
        prepare(workshop.config("run", masks=str(workshop.root / "plain.parquet"), frames=["{words}"]), "uw")


def test_the_early_stop_looks_at_what_people_wrote(workshop):
    def before(name, **changes):
        stop = {"early_stop": "gw:0.01", "early_stop_every": 1, "max_steps": 1}
        history = train(workshop.config(name, **stop, **changes)).history
        return next(r for r in history if "validation_uw_probability" in r)

    # The same weights look at the same examples before the first step, whatever else is to be trained on.
    plain, framed_ = before("plain", lr=1e-12), before("framed", lr=1e-12, frames=["It is {words}."])
    for name in ("validation_uw_probability", "validation_gw_probability"):
        assert framed_[name] == pytest.approx(plain[name], rel=1e-4)
