from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.tokens import tiny
from tif.errors import UsageError
from tif.sets import store
from tif.spans import AnnotationSet, Example, Span
from tif.train.options import TrainOptions
from tif.train.prepare import prepare


def test_masks_are_shown_and_counted(cli, tmp_path) -> None:
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    store.save(AnnotationSet(tuple(tiny.examples())), tmp_path / "people.parquet")
    shown = cli("masks", tmp_path / "people.parquet", "--tokenizer", model, "--limit", 1)
    assert shown.code == 0
    assert "6 examples" in shown.out
    assert "people/1" not in shown.out
    found = json.loads(cli("masks", tmp_path / "people.parquet", "--tokenizer", model, "--json").out)
    assert found["coverage"]["spans"] == 7
    for example, person in zip(found["examples"], tiny.examples(), strict=True):
        tokens = example["tokens"]
        assert "".join(t["text"] for t in tokens if t["start"] >= 0) == person.text
        marked = "".join(t["text"] for t in tokens if t["kind"] == "uw")
        # White space of its own is no unwanted word.
        assert all("".join(person.quote(span).split()) in "".join(marked.split()) for span in person.spans)


def test_it_shows_what_training_sees(cli, tmp_path) -> None:
    """Plain text is not cut off but cut into windows, and what people rejected is left out."""
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    text = "Marit Solveig keeps bees. " * 6
    people = [replace(person, status="rejected") for person in tiny.examples()[:2]]
    novel = Example("novel", "", text, tuple(Span(26 * i, 26 * i + 13) for i in range(6)))
    path = tmp_path / "set.parquet"
    store.save(AnnotationSet((*people, novel)), path)
    found = json.loads(cli("masks", path, "--tokenizer", model, "--max-length", 24, "--json").out)["coverage"]
    config = TrainOptions(masks=str(path), model=str(model), out="x", max_length=24)
    seen = prepare(config, "uw").counts
    assert (found["examples"], found["left_out"], found["lost_spans"]) == (1, 2, seen["lost_spans"])
    assert (found["uw_tokens"], found["gw_tokens"]) == (seen["uw_tokens"], seen["gw_tokens"])
    assert "2 examples left out of training" in cli("masks", path, "--tokenizer", model).out


def test_its_rows_are_those_of_the_trainer(cli, tmp_path) -> None:
    """Windows, labels and samples without an unwanted word: the same rows, with the same kinds."""
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    text = "Marit Solveig keeps bees. " + "Nobody keeps bees. " * 30
    novel = Example("novel", "", text, (Span(6, 13, "NAME"), Span(14, 24, "JOB")))
    bare = Example("bare", "Who?", "Nobody.")
    path = tmp_path / "set.parquet"
    store.save(AnnotationSet((*tiny.examples(), novel, bare)), path)
    for labels in (("UW", "NAME"), ("NAME",), None):
        options = ["--max-length", 64, "--unmarked", "skip", "--no-supervise-eos", "--limit", 99, "--json"]
        options += ["--labels", ",".join(labels)] if labels else []
        shown = json.loads(cli("masks", path, "--tokenizer", model, *options).out)
        config = TrainOptions(
            masks=str(path), model=str(model), out="x", max_length=64, labels=labels, unmarked="skip",
            supervise_eos=False,
        )  # fmt: skip
        seen = prepare(config, "uw")
        assert [row["id"] for row in shown["examples"]] == [item.id for item in seen.forget]
        for row, item in zip(shown["examples"], seen.forget, strict=True):
            assert [token["kind"] for token in row["tokens"]] == [kind.word for kind in item.kinds]
            assert [(token["start"], token["end"]) for token in row["tokens"]] == list(item.offsets)
        coverage = shown["coverage"]
        assert coverage["windows"] == len(seen.forget)
        assert coverage["without_uw"] == seen.counts["without_uw"]
        assert coverage["windows_without_uw"] == seen.counts["windows_without_uw"] > 0
    everything = json.loads(cli("masks", path, "--tokenizer", model, "--max-length", 64, "--json").out)["coverage"]
    assert everything["examples"] == 8
    assert everything["windows"] > coverage["windows"]


def test_a_label_that_no_span_has_is_refused(cli, tmp_path) -> None:
    model = tiny.save(tmp_path / "tiny", tiny.llama(400), tiny.chatty())
    path = tmp_path / "people.parquet"
    store.save(AnnotationSet(tuple(tiny.examples())), path)
    asked = cli("masks", path, "--tokenizer", model, "--labels", "UW,NAEM")
    assert asked.code == 2
    assert "no span has the label 'NAEM'" in asked.err
    assert "The set has UW." in asked.err
    options = TrainOptions(masks=str(path), model=str(model), out="x", labels=("NAEM",), unmarked="skip")
    with pytest.raises(UsageError, match="NAEM"):
        prepare(options, "all")


def test_what_cannot_be_read_is_told_in_a_line(cli, tmp_path) -> None:
    store.save(AnnotationSet(tuple(tiny.examples())), tmp_path / "people.parquet")
    for tokenizer in (tmp_path, tmp_path / "missing", tmp_path / "people.parquet"):
        result = cli("masks", tmp_path / "people.parquet", "--tokenizer", tokenizer)
        assert result.code == 1
        assert result.err.startswith("error: ")
        assert "Traceback" not in result.err
