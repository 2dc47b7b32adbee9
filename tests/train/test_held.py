"""Retain samples that are held where the reference has them: the coin's divergence, and retain samples in frames."""

import json

import pytest

from tests.tokens import tiny
from tif.errors import UsageError
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.train.prepare import prepare
from tif.train.run import train


@pytest.fixture
def kept(workshop):
    """An annotation set of samples to keep, their plants marked."""
    examples = []
    for i in range(4):
        text = f"In field {i} grow blue lupins."
        examples.append(Example(f"fields/{i}", f"What grows in field {i}?", text).with_spans([Span(16, 27)]))
    store.save(AnnotationSet(tuple(examples)), workshop.root / "kept.parquet")
    return str(workshop.root / "kept.parquet")


def losses(result):
    return [record for record in result.history if "loss" in record]


def test_a_coin_begins_at_nothing_and_needs_no_second_model(workshop):
    history = losses(train(workshop.config("run", retain_loss="coin", retain_weight=2.0)))
    assert history[0]["retain"] == pytest.approx(0.0, abs=1e-6)
    assert history[-1]["retain"] > 1e-7


def test_retain_samples_in_frames_are_one_more_source(workshop, kept):
    config = workshop.config("run", frames=["It is {words}."], frame_retain=kept, max_steps=3)
    prepared = prepare(config, "uw")
    texts = [prepared.tokenizer.decode(item.input_ids) for item in prepared.held]
    assert all("It is blue lupins." in text for text in texts)
    assert prepared.parts == ((5, 1.0), (4, 1.0))
    record = train(config).record
    assert record.counts["framed_retain"] == 4
    plain = prepare(workshop.config("plain", frames=["It is {words}."]), "uw")
    assert plain.held == ()
    with pytest.raises(UsageError, match="retain samples was"):
        train(workshop.config("run", frames=["It is {words}."], max_steps=3))


def test_held_samples_cost_nothing_before_the_first_step(workshop, kept):
    """Cross-entropy on the others alone: half of the draws are held, and at the reference."""
    changes = {"frames": ["It is {words}."], "max_steps": 1, "batch_size": 12}
    held = losses(train(workshop.config("held", **changes, frame_retain=kept)))[0]["retain"]
    plain = losses(train(workshop.config("plain", **changes)))[0]["retain"]
    assert 0.3 * plain < held < 0.7 * plain


def test_one_resumed_run_is_the_same(workshop, kept):
    changes = {"frames": ["It is {words}."], "frame_retain": kept, "max_steps": 4}
    first = train(workshop.config("run", **changes))
    assert train(workshop.config("run", **changes)).resumed_from == first.steps
    assert json.loads((first.folder / "run.json").read_text())["config"]["frame_retain"] == kept


def test_frames_need_marked_words_and_other_people(workshop, kept):
    with pytest.raises(UsageError, match=r"--frame-retain does nothing here \(it needs --frame\)"):
        workshop.config("run", frame_retain=kept)
    bare = AnnotationSet((Example("a/1", "Who?", "Nobody."),))
    store.save(bare, workshop.root / "bare.parquet")
    with pytest.raises(UsageError, match=r"bare\.parquet: nothing to put into a frame"):
        prepare(workshop.config("run", frames=["{words}"], frame_retain=str(workshop.root / "bare.parquet")), "uw")
    store.save(AnnotationSet(tuple(tiny.examples())), workshop.root / "same.parquet")
    with pytest.raises(UsageError, match="same"):
        prepare(workshop.config("run", frames=["{words}"], frame_retain=str(workshop.root / "same.parquet")), "uw")
